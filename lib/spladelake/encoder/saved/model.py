"""Read the settings of a whole model that sentence-transformers saved: config_sentence_transformers.json."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from spladelake.encoder.saved.values import mapping, read_if_there, refused, whole_number
from spladelake.errors import UsageError
from spladelake.names import listed

ModelType = Literal["SparseEncoder", "CrossEncoder"]
FILE = "config_sentence_transformers.json"
# Packages by the names in the file's own list of versions.
ALIASES = {"pytorch": "torch"}


@dataclass(frozen=True)
class SavedModel:
    """The settings of a saved model.

    - prompts: prompts by name.
    - default_prompt: the prompt before a text without a kind.
    - max_active_dims: most terms of a text.
    - similarity: how the model compares vectors.
    - activation: path of the function on a cross-encoder's logit.
    """

    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str = ""
    max_active_dims: int | None = None
    similarity: str = "dot"
    activation: str | None = None


def saved_model(folder: Path, model_type: ModelType) -> SavedModel | None:
    """Return the settings of a model that has a list of modules.

    Return None if the folder has no list or was saved as a model of another type. sentence-transformers then reads
    neither this file nor the modules, and makes new modules.

    Raises UsageError, which names the setting, if a value cannot be used. It also refuses a sparse encoder of another
    type, because sentence-transformers would give it random weights.
    """
    path = folder / FILE
    if not (folder / "modules.json").is_file():
        return None
    config = read_if_there(path)
    found = config.get("model_type")
    if model_type == "CrossEncoder" and found != model_type:
        return None
    if found not in (None, model_type):
        raise refused(path, "model_type", found, f"wanted {model_type}", f"Use a model saved as a {model_type}.")
    _check_requirements(path, config)
    prompts = _prompts(path, config)
    default = config.get("default_prompt_name")
    names = {*prompts, *(("query", "document") if model_type == "SparseEncoder" else ())}
    if default is not None and default not in names:
        raise refused(
            path,
            "default_prompt_name",
            default,
            f"wanted the name of a prompt: {listed(sorted(names))}",
            "Correct the name.",
        )
    return SavedModel(
        prompts=prompts,
        default_prompt=prompts.get(str(default), ""),
        max_active_dims=whole_number(path, config, "max_active_dims"),
        similarity=str(config.get("similarity_fn_name") or "dot"),
        activation=None if config.get("activation_fn") is None else str(config["activation_fn"]),
    )


def _prompts(path: Path, config: Mapping[str, Any]) -> dict[str, str]:
    prompts = mapping(path, config, "prompts")
    for name, prompt in prompts.items():
        if prompt is not None and not isinstance(prompt, str):
            raise refused(path, f"prompts.{name}", prompt, "wanted a text", "Correct or remove the prompt.")
    return {name: prompt or "" for name, prompt in prompts.items()}


def _check_requirements(path: Path, config: Mapping[str, Any]) -> None:
    """Raise UsageError if a package that the model needs is not installed, or has another version."""
    requirements = config.get("requirements")
    for package, wanted in requirements.items() if isinstance(requirements, dict) else ():
        specifier = wanted.get("specifier") if isinstance(wanted, dict) else wanted
        name = str(ALIASES.get(package, package))
        installed = _installed(name)
        if isinstance(specifier, str) and not _satisfied(installed, specifier):
            found = f'"requirements" names {name}{specifier}, but {installed or "no version"} is installed'
            fix = f"Install Python {specifier}." if name == "python" else f"Run pip install -U '{name}{specifier}'."
            raise UsageError(str(path), found, "wanted a version that the model accepts", fix)


def _installed(package: str) -> str | None:
    if package == "python":
        return platform.python_version()
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _satisfied(installed: str | None, specifier: str) -> bool:
    """Return whether a version meets a specifier. An unreadable one counts as met, as in sentence-transformers."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        wanted = SpecifierSet(specifier, prereleases=True)
        return installed is not None and Version(installed) in wanted
    except (InvalidSpecifier, InvalidVersion):
        return True

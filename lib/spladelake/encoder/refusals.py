"""Turn errors of the libraries that read a checkpoint into one message with place, cause and fix."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spladelake.errors import MachineError, SpladelakeError, UsageError
from spladelake.names import shortened

# Packages that transformers needs for some tokenizers and models, by import name.
PACKAGES = {
    "sentencepiece": "sentencepiece",
    "tiktoken": "tiktoken",
    "protobuf": "google.protobuf",
    "fugashi": "fugashi",
    "ipadic": "ipadic",
    "unidic": "unidic",
    "unidic_lite": "unidic_lite",
    "sudachipy": "sudachipy",
    "rhoknp": "rhoknp",
    "jieba": "jieba",
    "rjieba": "rjieba",
    "sacremoses": "sacremoses",
    "mistral-common": "mistral_common",
    "detectron2": "detectron2",
    "timm": "timm",
    "einops": "einops",
    "accelerate": "accelerate",
}
# The message must fit into one line of Spark's report about a failed worker.
LONGEST = 240


@contextmanager
def told_as_refusal(place: Path, part: str) -> Iterator[None]:
    """Turn any error of the body into a UsageError or a MachineError that names the place.

    - place: folder or file that the body reads.
    - part: the part of it that the body reads, such as "tokenizer", for the message.
    """
    try:
        yield
    except SpladelakeError:
        raise
    except Exception as error:
        raise checkpoint_error(place, part, error) from error
    except BaseException as error:
        # A panic in the Rust code of tokenizers and safetensors, which is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise checkpoint_error(place, part, error) from error


def checkpoint_error(place: Path, part: str, error: BaseException) -> SpladelakeError:
    """Return one of our errors for an error that another library raised while it read a part of a checkpoint."""
    text = str(error)
    if isinstance(error, MemoryError) or "not enough memory" in text or "out of memory" in text.lower():
        return MachineError(
            str(place),
            f"the {part} does not fit into memory ({first_line(error)})",
            f"wanted memory for the whole {part}",
            "Use a machine or device with more memory, or a smaller model.",
        )
    if (package := _absent_package(place, error)) is not None:
        return MachineError(
            str(place),
            f"the {part} needs the package {package}, which is not installed",
            "wanted the package on every machine that loads the model",
            f"Run pip install {package}{_or_converted(part)}.",
        )
    if found := re.search(r"model type `([^`]+)`", text):
        return UsageError(
            str(place / "config.json" if place.is_dir() else place),
            f"the model_type is {found[1]!r}, which transformers {_version('transformers')} does not know",
            "wanted a model_type that the installed transformers knows",
            "Install a newer version of transformers, or correct model_type.",
        )
    if "Unrecognized model" in text or "Unrecognized configuration class" in text:
        return UsageError(
            str(place),
            f"transformers {_version('transformers')} has no class for this model ({first_line(error)})",
            "wanted an architecture that the installed transformers knows",
            "Use another checkpoint, or install a version of transformers that has the class.",
        )
    return UsageError(
        str(place),
        f"the {part} cannot be read ({first_line(error)})",
        f"wanted files that transformers {_version('transformers')} and tokenizers {_version('tokenizers')} can read",
        "Copy the checkpoint again from its source, or install newer versions of transformers and tokenizers.",
    )


def first_line(error: BaseException) -> str:
    """Return the type of an error and the first line of its text, or the list that it announces, cut for a message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # A line that ends in a colon announces a list, so the lines after it say the cause.
    told = " ".join(lines) if lines and lines[0].endswith(":") else "".join(lines[:1])
    said = f"{type(error).__name__}: {told}" if told else type(error).__name__
    return shortened(said, LONGEST)


def _absent_package(place: Path, error: BaseException) -> str | None:
    """Return the package that an error names and that is not installed; None if there is none."""
    text = str(error)
    if "instantiate the backend tokenizer" in text and not list(place.glob("*.model")):
        return None  # This error names sentencepiece for any files.
    named = [name for name in PACKAGES if re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE)]
    absent = [name for name in named if not _installed(PACKAGES[name])]
    if absent:
        return absent[0]
    if isinstance(error, ModuleNotFoundError) and error.name:
        return error.name.partition(".")[0]
    if isinstance(error, ImportError) and (found := re.search(r"pip install (?:-U )?'?([\w.-]+)", text)):
        return found[1]
    return None


def _or_converted(part: str) -> str:
    """Return the other way to read a tokenizer whose package is missing, as the end of a fix."""
    return ", or save the model with a tokenizer.json on a machine that has the package" if part == "tokenizer" else ""


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"

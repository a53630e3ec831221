"""The text of an exception that came from Java."""

from __future__ import annotations


def full_text(error: BaseException) -> str:
    """Return the text of an exception and of its causes in Java."""
    java = getattr(error, "java_exception", None)
    parts = [str(error)]
    while java is not None and len(parts) < 20:
        parts.append(str(java.toString()))
        java = java.getCause()
    return "\n".join(parts)

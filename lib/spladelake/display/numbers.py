"""Numbers and text in a form for people."""

from __future__ import annotations


def measure_text(name: str, value: float) -> str:
    """Format a measure's value with 4 decimals, or fewer for a size, as sentence-transformers logs it."""
    decimals = 1 if name.endswith("_active_dims") else 2 if name.endswith("_flops") else 4
    return f"{value:.{decimals}f}"


def printable(text: str) -> str:
    """Replace characters that are not printable with escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def bytes_text(size: float) -> str:
    """Format bytes in the decimal unit that leaves one to three digits before the point."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def duration_text(seconds: float) -> str:
    """Format seconds as 12 s, 3 min, 4 h 5 min or 3.0 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes / 60 / 24:,.1f} days"

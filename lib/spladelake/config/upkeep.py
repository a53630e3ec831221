"""Options of the jobs that look after tables."""

from __future__ import annotations

from pydantic import Field

from spladelake.config.base import JobOptions

# Delta refuses less while its own check is on: a reader or writer may still need files of that age.
LEAST_RETENTION_HOURS = 168


class MaintainTables(JobOptions):
    """Compact the small files of every table, check constraints, and delete files that no version in use needs."""

    retention_hours: int = Field(
        720,
        ge=LEAST_RETENTION_HOURS,
        description="Age from which files of replaced versions are deleted; versions older than it cannot be read.",
    )
    cluster: bool = Field(
        False, description="Write every table again with the rows of near ids side by side, for look-ups by id."
    )
    dry_run: bool = Field(False, description="Say what would be done, and change nothing.")


class VerifyTables(JobOptions):
    """Check counts, invariants, fingerprints and references of every table; ends with 3 and the findings."""

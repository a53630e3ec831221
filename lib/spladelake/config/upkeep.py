"""Options of the jobs that maintain and verify tables."""

from __future__ import annotations

from pydantic import Field

from spladelake.config.base import JobOptions

# Delta's own check refuses a shorter retention, because a reader or writer may still need files of that age.
LEAST_RETENTION_HOURS = 168


class MaintainTables(JobOptions):
    """Maintain every table of a lake.

    The job compacts small files, checks the constraints, and deletes the files of old versions.
    """

    retention_hours: int = Field(
        720,
        ge=LEAST_RETENTION_HOURS,
        description="Delete files of replaced versions that are older than this. Older versions can then no longer be "
        "read.",
    )
    cluster: bool = Field(
        False, description="Rewrite every table with rows of near ids side by side, for faster look-ups by id."
    )
    dry_run: bool = Field(False, description="Print the changes without making them.")


class VerifyTables(JobOptions):
    """Check that the tables of a lake agree with themselves and with each other.

    The checks are counts, constraints, keys, fingerprints and references. Findings end the job with exit code 3.
    """

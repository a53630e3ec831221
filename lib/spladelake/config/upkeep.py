"""Options of the jobs that maintain and verify tables."""

from __future__ import annotations

from pydantic import Field

from spladelake.config.base import JobOptions

# Delta's own check refuses a shorter retention, because a reader or writer may still need files of that age.
LEAST_RETENTION_HOURS = 168


class MaintainTables(JobOptions):
    """Compact the files of every table and remove old ones.

    The job also checks the constraints of every table.
    """

    retention_hours: int = Field(
        720,
        ge=LEAST_RETENTION_HOURS,
        description="Delete the files of replaced versions that are older than so many hours. Versions that need these "
        "files can then no longer be read.",
    )
    cluster: bool = Field(False, description="Rewrite every table sorted by id, for faster look-ups by id.")
    dry_run: bool = Field(False, description="Print the changes without making them.")


class VerifyTables(JobOptions):
    """Check each table of a lake for broken rows, and the tables against each other.

    The job checks counts, constraints, keys, fingerprints and references. Any finding ends the job with exit code 3.
    """

"""Free memory is that of the machine or of the tightest control group around the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from spladelake.machine import free_memory

GIB = 2**30
NO_LIMIT = "9223372036854771712"  # what version 1 says without a limit


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, 8 * GIB),
        (
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max", "sys/fs/cgroup/memory.current": "5"},
            8 * GIB,
        ),
        # Version 2 in a container: the group stands at the top; a quarter of its use are files.
        (
            {
                "proc/self/cgroup": "0::/kubepods/pod7\n",
                "sys/fs/cgroup/memory.max": f"{4 * GIB}",
                "sys/fs/cgroup/memory.current": f"{2 * GIB}",
                "sys/fs/cgroup/memory.stat": f"anon 12\ninactive_file {GIB // 2}\n",
            },
            4 * GIB - 2 * GIB + GIB // 2,
        ),
        # Version 2 on a machine: the group above is the tighter one.
        (
            {
                "proc/self/cgroup": "0::/user/session\n",
                "sys/fs/cgroup/user/memory.max": f"{GIB}",
                "sys/fs/cgroup/user/memory.current": "0",
                "sys/fs/cgroup/user/session/memory.max": f"{3 * GIB}",
                "sys/fs/cgroup/user/session/memory.current": "0",
            },
            GIB,
        ),
        # Version 1 beside an empty version 2, and a use above the limit.
        (
            {
                "proc/self/cgroup": "9:cpu,cpuacct:/\n4:memory:/job\n0::/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT,
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "77",
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{GIB}",
                "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{GIB + 1}",
            },
            0,
        ),
    ],
)
def test_the_tightest_limit_counts(tmp_path: Path, files: dict[str, str], wanted: int) -> None:
    for name, text in {"proc/meminfo": f"MemTotal: 9 kB\nMemAvailable: {8 * 2**20} kB\n", **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert free_memory(tmp_path) == wanted


def test_a_machine_that_does_not_tell_has_no_number(tmp_path: Path) -> None:
    assert free_memory(tmp_path) is None

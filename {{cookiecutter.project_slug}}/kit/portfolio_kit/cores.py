"""How many cores this process may use, which in a container is not how many the machine has."""

import os
from collections.abc import Iterator
from pathlib import Path


def threads(asked: int | None) -> int:
    """Return the number of threads asked for, or else one for each core."""
    return asked or available()


def available(root: Path = Path("/")) -> int:
    """Return the cores that the scheduler grants, or fewer if a control group's quota says so.

    A quota of 2.5 cores counts as 2: a third thread would only be stopped half of the time. `root`
    is where the files of control groups (man 7 cgroups) are looked for.
    """
    affine = hasattr(os, "sched_getaffinity")
    granted = len(os.sched_getaffinity(0)) if affine else os.cpu_count() or 1
    return max(1, int(min([granted, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas, in cores, of this process's group and of the groups around it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 2 has one tree for all controllers, version 1 one for each.
        tree = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        own = tree / group.strip("/")
        for folder in (own, *own.parents):
            if folder.is_relative_to(tree):
                yield from _quota(folder, controllers == "")


def _quota(folder: Path, is_version_2: bool) -> Iterator[float]:
    names = ["cpu.max"] if is_version_2 else ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
    try:
        quota, period = " ".join((folder / name).read_text() for name in names).split()
    except OSError:  # the root of the tree has no quota, and a container sees no group but its own
        return
    if quota not in ("max", "-1"):
        yield int(quota) / int(period)

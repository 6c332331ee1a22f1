"""The number of cores, from Linux's scheduler and control groups."""

import os
import subprocess
import sys

import pytest

from portfolio_kit import cores

LINUX = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="only Linux binds processes to cores"
)
MANY = 64


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that writes a machine's files, by path, and returns their root."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(MANY)), raising=False)

    def machine(**files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return tmp_path

    return machine


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", MANY),
        ("200000 100000", 2),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("9900000 100000", MANY),
    ],
)
def test_a_quota_of_version_2_counts(quota, expected, machine):
    files = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": quota}
    assert cores.available(machine(**files)) == expected


def test_a_quota_of_an_enclosing_group_counts_too(machine):
    files = {
        "proc/self/cgroup": "0::/system.slice/api.service",
        "sys/fs/cgroup/system.slice/api.service/cpu.max": "800000 100000",
        "sys/fs/cgroup/system.slice/cpu.max": "300000 100000",
    }
    assert cores.available(machine(**files)) == 3


@pytest.mark.parametrize(("quota", "expected"), [("-1", MANY), ("150000", 1), ("400000", 4)])
def test_a_quota_of_version_1_counts(quota, expected, machine):
    # The group has its path on the host, but a container sees its own files at the top.
    files = {
        "proc/self/cgroup": "9:name=systemd:/\n4:cpu,cpuacct:/docker/4711\n3:cpuset:/docker/4711",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": quota,
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    }
    assert cores.available(machine(**files)) == expected


def test_without_control_groups_the_scheduler_decides(machine):
    assert cores.available(machine()) == MANY


@LINUX
def test_cores_outside_this_process_s_affinity_do_not_count():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cores.available() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_an_explicit_number_wins():
    assert cores.threads(7) == 7
    assert cores.threads(None) == cores.available()


@pytest.mark.parametrize(
    ("own", "expected"),
    [({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
    ids=["nothing set", "the user's", "the user's policy"],
)
def test_waiting_threads_soon_sleep_unless_the_user_says_otherwise(own, expected):
    """It has to be set before torch is loaded, which the kit alone does not do."""
    code = (
        "import os, sys; import portfolio_kit.cli; "
        "print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    )
    others = {name: value for name, value in os.environ.items() if "GOMP" not in name}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=others | own, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected, "False"]

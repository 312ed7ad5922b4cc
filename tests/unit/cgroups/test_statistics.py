# SPDX-License-Identifier: Apache-2.0
"""Statistics from files that real kernels wrote (tests/data/cgroups), and from ones that none has written yet."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrun_cgroups import statistics
from pyrun_cgroups.control import CgroupError
from pyrun_cgroups.statistics import UNLIMITED, Statistics
from pyrun_cgroups.statistics.cpuset import numbers_in
from pyrun_cgroups.statistics.files import number_of

CAPTURED = Path(__file__).parents[2] / "data" / "cgroups"
MEBIBYTE = 1 << 20

Read = Callable[..., Statistics]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A function that reads a cgroup of files with the contents that it is given; names have _ for dots."""

    def from_files(**contents: str) -> Statistics:
        (tmp_path / "cgroup.stat").write_text("nr_descendants 0\n")
        for name, content in contents.items():
            (tmp_path / name.replace("__", ".")).write_text(content)
        return statistics.read(str(tmp_path))

    return from_files


@pytest.fixture(scope="module")
def limited() -> Statistics:
    """A container of Linux 6.1 with every controller and limits, which read from a disk and was throttled."""
    return statistics.read(str(CAPTURED / "linux-6.1"))


@pytest.fixture(scope="module")
def plain() -> Statistics:
    """A cgroup of Linux 6.18 on a host where version 2 has no controller but that of huge pages."""
    return statistics.read(str(CAPTURED / "linux-6.18"))


def test_core(limited: Statistics, plain: Statistics) -> None:
    assert (limited.core.populated, limited.core.frozen) == (True, False)
    assert (limited.core.descendants, limited.core.dying_descendants) == (0, 0)
    assert (limited.core.frozen_microseconds, plain.core.frozen_microseconds) == (None, 0)


def test_cpu(limited: Statistics) -> None:
    cpu = limited.cpu
    used = (cpu.usage_microseconds, cpu.user_microseconds, cpu.system_microseconds)
    assert used == (1592192, 164044, 1428148)
    assert (cpu.periods, cpu.throttled_periods, cpu.throttled_microseconds) == (83, 65, 4611233)
    assert (cpu.bursts, cpu.burst_microseconds) == (0, 0)
    assert (cpu.nice_microseconds, cpu.own_throttled_microseconds, cpu.others) == (None, None, {})


def test_cpu_without_controller(plain: Statistics) -> None:
    cpu = plain.cpu
    used = (cpu.usage_microseconds, cpu.user_microseconds, cpu.system_microseconds, cpu.nice_microseconds)
    assert used == (965464, 868544, 96920, 0)
    assert (cpu.periods, cpu.throttled_microseconds, cpu.bursts) == (None, None, None)


def test_pressure(limited: Statistics, plain: Statistics) -> None:
    for found, averages, total in ((limited, (35.06, 7.94, 1.72), 5428799), (plain, (6.7, 1.21, 0.25), 812240)):
        assert found.pressure.cpu is not None
        some = found.pressure.cpu.some
        assert some is not None
        assert (some.average10_percent, some.average60_percent, some.average300_percent) == averages
        assert some.total_microseconds == total
        assert found.pressure.memory is not None
        assert found.pressure.memory.full is not None
        assert found.pressure.irq is None


def test_memory(limited: Statistics) -> None:
    memory = limited.memory
    assert memory is not None
    assert (memory.current_bytes, memory.peak_bytes) == (1544192, 3342336)
    assert (memory.min_bytes, memory.low_bytes) == (0, 16 * MEBIBYTE)
    assert (memory.high_bytes, memory.max_bytes) == (UNLIMITED, 64 * MEBIBYTE)
    assert (memory.events.max, memory.events.oom_kill, memory.own_events.oom_kill) == (0, 0, 0)
    assert (memory.events.oom_group_kill, memory.events.socket_throttled) == (0, None)
    assert memory.stat["file"] == 40960
    assert len(memory.stat) == len((CAPTURED / "linux-6.1" / "memory.stat").read_text().splitlines())
    assert memory.numa is not None
    assert memory.numa["anon"] == {"N0": 1146880}
    assert (memory.zswap_bytes, memory.zswap_max_bytes) == (0, UNLIMITED)


def test_swap(limited: Statistics) -> None:
    assert limited.memory is not None
    swap = limited.memory.swap
    assert swap is not None
    assert (swap.current_bytes, swap.peak_bytes, swap.high_bytes, swap.max_bytes) == (0, None, UNLIMITED, 32 * MEBIBYTE)
    assert (swap.high, swap.max, swap.fail) == (0, 0, 0)


def test_io(limited: Statistics) -> None:
    assert limited.io is not None
    (device,) = limited.io.devices.values()
    assert (device.major, device.minor) == (7, 0)
    assert (device.read_bytes, device.reads) == (2883584, 704)
    assert (device.written_bytes, device.writes, device.discarded_bytes, device.discards) == (0, 0, 0, 0)
    assert device.others == {}


def test_counted(limited: Statistics) -> None:
    pids, hugetlb = limited.pids, limited.hugetlb
    assert pids is not None
    assert (pids.current, pids.peak, pids.max, pids.max_events, pids.own_max_events) == (2, 5, 50, 0, None)
    assert hugetlb is not None
    assert hugetlb.keys() == {"1GB", "2MB"}
    pages = hugetlb["2MB"]
    assert (pages.current_bytes, pages.max_bytes, pages.max_events, pages.own_max_events) == (0, 4 * MEBIBYTE, 0, 0)
    assert (pages.reserved_bytes, pages.reserved_max_bytes) == (0, UNLIMITED)
    assert pages.numa == {"total": 0, "N0": 0}
    assert limited.rdma is not None
    assert (limited.rdma.current, limited.rdma.max) == ({}, {})
    assert limited.misc is not None
    assert (limited.misc.current, limited.misc.max, limited.misc.max_events, limited.misc.peak) == ({}, {}, {}, None)


def test_cpuset(limited: Statistics) -> None:
    assert limited.cpuset is not None
    assert (limited.cpuset.cpus, limited.cpuset.effective_cpus) == ((), (0,))
    assert (limited.cpuset.mems, limited.cpuset.effective_mems) == ((), (0,))
    assert limited.cpuset.partition == "member"


def test_missing_controllers(plain: Statistics) -> None:
    assert (plain.memory, plain.io, plain.pids, plain.rdma, plain.misc, plain.cpuset) == (None,) * 6
    assert plain.hugetlb is not None
    assert plain.hugetlb["1GB"].max_bytes == 9223372036854771712


def test_nothing_but_a_cgroup(read: Read) -> None:
    found = read()
    assert (found.hugetlb, found.pressure.cpu, found.cpu.usage_microseconds, found.core.populated) == (None,) * 4


def test_what_a_newer_kernel_adds(read: Read) -> None:
    found = read(
        cpu__stat="usage_usec 5\nnew_usec 7\nstrange\nwords of another kind\n",
        memory__current="1\n",
        memory__events="oom_kill 3\nsock_throttled 2\nnew 9\n",
        memory__stat="anon 4096\nnew_counter 18446744073709551615\n",
        cpu__pressure="some avg10=1.50 avg5=2.00 total=9\nmost avg10=9.00\n",
        pids__current="max\n",
    )
    assert (found.cpu.usage_microseconds, found.cpu.others) == (5, {"new_usec": 7})
    assert found.memory is not None
    assert (found.memory.events.oom_kill, found.memory.events.socket_throttled) == (3, 2)
    assert found.memory.stat["new_counter"] == 2**64 - 1
    assert found.pressure.cpu is not None
    assert found.pressure.cpu.full is None
    assert found.pressure.cpu.some is not None
    assert found.pressure.cpu.some.average10_percent == 1.5
    assert found.pids is not None
    assert found.pids.current == UNLIMITED


@pytest.mark.parametrize("line", ["some avg10=x total=1", "some avg10=1.00 total=1.5", "some", ""])
def test_strange_pressure(read: Read, line: str) -> None:
    pressure = read(cpu__pressure=line + "\n").pressure.cpu
    assert pressure is None or pressure.some is None


def test_huge_values(read: Read) -> None:
    found = read(memory__current=f"{2**64 - 1}\n", memory__max="99999999999999999999999\n")
    assert found.memory is not None
    assert (found.memory.current_bytes, found.memory.max_bytes) == (2**64 - 1, 99999999999999999999999)


def test_io_of_strange_devices(read: Read) -> None:
    found = read(
        io__stat="8:16 8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.vrate=100.00 use_delay=0\n"
        "(unknown) rbytes=7\n"
        "259:1 \n"
        "7:3 rbytes=many\n",
    )
    assert found.io is not None
    assert list(found.io.devices) == ["7:3", "8:0"]
    assert found.io.devices["7:3"].read_bytes is None
    disk = found.io.devices["8:0"]
    assert (disk.discarded_bytes, disk.discards) == (5, 6)
    assert disk.others == {"cost.vrate": "100.00", "use_delay": "0"}


def test_rdma_and_misc(read: Read) -> None:
    found = read(
        rdma__current="mlx4_0 hca_handle=2 hca_object=2000\n",
        rdma__max="mlx4_0 hca_handle=max hca_object=3000\n",
        misc__current="sev 3\nsev_es 0\n",
        misc__max="sev max\nsev_es 5\n",
        misc__events="sev.max 4\nsev_es.max 0\n",
        misc__peak="sev 4\n",
    )
    assert found.rdma is not None
    assert found.rdma.current == {"mlx4_0": {"hca_handle": 2, "hca_object": 2000}}
    assert found.rdma.max == {"mlx4_0": {"hca_handle": UNLIMITED, "hca_object": 3000}}
    assert found.misc is not None
    assert (found.misc.current, found.misc.max) == ({"sev": 3, "sev_es": 0}, {"sev": UNLIMITED, "sev_es": 5})
    assert (found.misc.max_events, found.misc.peak) == ({"sev": 4, "sev_es": 0}, {"sev": 4})


def test_cgroups_with_names_of_files(tmp_path: Path) -> None:
    """Whoever may make cgroups below chooses their names, also those of files that the kernel lacks."""
    (tmp_path / "cgroup.stat").touch()
    for name in ("memory.current", "hugetlb.9GB.current", "cpu.pressure", "io.stat"):
        (tmp_path / name).mkdir()
    found = statistics.read(str(tmp_path))
    assert (found.memory, found.hugetlb, found.pressure.cpu, found.io) == (None,) * 4


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0\n", 0),
        (" 12 ", 12),
        ("max", UNLIMITED),
        ("-1", -1),
        ("", None),
        ("1_0", None),
        ("\u0665", None),
        ("1.5", None),
    ],
)
def test_numbers(text: str, number: int | None) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize(
    ("text", "numbers"), [("", ()), ("3", (3,)), ("0-2,7", (0, 1, 2, 7)), ("0-,x,5", (5,)), ("1-1", (1,))]
)
def test_lists_of_cpus(text: str, numbers: tuple[int, ...]) -> None:
    assert numbers_in(text) == numbers


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_no_cgroup(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CgroupError, match=f"{name}: its statistics cannot be read") as caught:
        statistics.read(str(tmp_path / name))
    assert caught.value.errno == errno.ENOENT


def test_as_plain_values(limited: Statistics) -> None:
    values = statistics.plain(limited)
    assert values["cpu"]["usage_microseconds"] == 1592192
    assert "nice_microseconds" not in values["cpu"]
    assert values["io"]["devices"]["7:0"]["reads"] == 704
    assert values["pressure"]["cpu"]["some"]["average10_percent"] == 35.06
    assert values["cpuset"]["effective_cpus"] == (0,)

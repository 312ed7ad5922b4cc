# SPDX-License-Identifier: Apache-2.0
"""The table of events --watch: rates from two looks, and how numbers are shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyrun.watch.table import table
from pyrun.watch.usage import Observer, Usage
from pyrun_cgroups import statistics
from pyrun_cgroups.statistics import Statistics

FILES = {
    "cgroup.stat": "",
    "cpu.stat": "usage_usec 1000000\n",
    "cpu.pressure": "some avg10=12.34 avg60=0.00 avg300=0.00 total=0\n",
    "memory.current": "1610612736",
    "memory.max": "2147483648",
    "memory.events": "oom_kill 3\n",
    "pids.current": "7",
    "pids.max": "max",
    "io.stat": "8:0 rbytes=1024 wbytes=0\n7:0 rbytes=1024 wbytes=5\n",
}
Read = Callable[..., Statistics]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A function that reads a cgroup with FILES and those that it is given."""

    def from_files(files: dict[str, str]) -> Statistics:
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        return statistics.read(str(tmp_path))

    return from_files


def test_rates(read: Read) -> None:
    before = read(FILES)
    now = read({"cpu.stat": "usage_usec 4000000\n", "io.stat": "8:0 rbytes=1024 wbytes=0\n7:0 rbytes=5120 wbytes=5\n"})
    usage = Usage("web", now, before, 2.0)
    assert usage.cpu_percent == 150.0
    assert (usage.read_bytes_per_second, usage.written_bytes_per_second) == (2048.0, 0.0)
    assert usage.waits_percent == [12.34, None, None]
    cells = "web 150.0 1.5G/2.0G 7 3 2.0K 0B 12%/-/-"
    assert table([usage])[1].split() == cells.split()


def test_first_look_has_no_rates(read: Read) -> None:
    usage = Usage("web", read(FILES), None, 0.0)
    assert (usage.cpu_percent, usage.read_bytes_per_second, usage.written_bytes_per_second) == (None,) * 3
    assert (usage.memory_bytes, usage.tasks, usage.oom_kills) == (1610612736, 7, 3)


def test_counter_that_goes_back(read: Read) -> None:
    """The line of a device may disappear from io.stat."""
    before = read(FILES)
    assert Usage("web", read({"io.stat": ""}), before, 1.0).read_bytes_per_second == 0.0


def test_nothing_but_a_cgroup(read: Read) -> None:
    usage = Usage("web", read({"cgroup.stat": ""}), None, 0.0)
    assert table([usage])[1].split() == ["web", *["-"] * 6, "-/-/-"]


def test_columns_stay_in_line(read: Read) -> None:
    usages = [Usage(name, read(FILES), None, 0.0) for name in ("web", "a" * 40)]
    title, web, long = table(usages)
    assert len(title) == len(web) == len(long) == 110
    assert title.index("CPU %") + len("CPU %") == web.index("-") + 1
    assert [len(line) for line in table(usages[:1])] == [80, 80]


@pytest.mark.parametrize(
    ("columns", "width", "name"), [(200, 110, "a" * 40), (90, 90, "a" * 19 + "~"), (9, 80, "a" * 9 + "~")]
)
def test_long_ids_are_cut_off(read: Read, columns: int, width: int, name: str) -> None:
    title, line = table([Usage("a" * 40, read(FILES), None, 0.0)], columns)
    assert len(title) == len(line) == width
    assert line.split()[0] == name


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1.0K"),
        (1024, "1.0K"),
        (102348, "99.9K"),
        (102399, "100K"),
        (999 << 10, "999K"),
        (1023 << 10, "1.0M"),
        (5 << 30, "5.0G"),
        (2**64 - 2, "16.0E"),
        (2**90, "1073741824E"),
    ],
)
def test_bytes(read: Read, number: int, shown: str) -> None:
    usage = Usage("web", read({**FILES, "memory.max": "max", "memory.current": str(number)}), None, 0.0)
    assert table([usage])[1].split()[2] == shown


def test_cgroups_that_come_and_go(tmp_path: Path) -> None:
    found: dict[str, str] = {}
    observer = Observer(lambda: found)
    assert observer.look() == []
    for name in ("b", "a"):
        found[name] = str(tmp_path / name)
        (tmp_path / name).mkdir()
        for file, content in FILES.items():
            (tmp_path / name / file).write_text(content)
    assert [(usage.container_id, usage.cpu_percent) for usage in observer.look()] == [("a", None), ("b", None)]
    assert [usage.cpu_percent for usage in observer.look()] == [0.0, 0.0]
    found["c"] = str(tmp_path / "gone")
    found["a"] = str(tmp_path / "gone")
    assert [usage.container_id for usage in observer.look()] == ["b"]

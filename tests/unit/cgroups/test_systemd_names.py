# SPDX-License-Identifier: Apache-2.0
"""Which unit a cgroupsPath names, and where its cgroup lies."""

from __future__ import annotations

import pytest

from pyrun_cgroups.systemd.names import Unit, UnitNameError, expand_slice, is_scope, unit_of


@pytest.mark.parametrize(
    ("cgroups_path", "slice_name", "name", "path"),
    [
        (None, "system.slice", "pyrun-c1.scope", "/system.slice/pyrun-c1.scope"),
        ("", "system.slice", "pyrun-c1.scope", "/system.slice/pyrun-c1.scope"),
        ("a-b.slice:crio:x", "a-b.slice", "crio-x.scope", "/a.slice/a-b.slice/crio-x.scope"),
        (":crio:x", "system.slice", "crio-x.scope", "/system.slice/crio-x.scope"),
        ("machine.slice:libpod:", "machine.slice", "libpod-c1.scope", "/machine.slice/libpod-c1.scope"),
        ("a.slice::x", "a.slice", "-x.scope", "/a.slice/-x.scope"),
        ("-.slice:p:x", "-.slice", "p-x.scope", "/p-x.scope"),
        ("a.slice:p:a-b.slice", "a.slice", "a-b.slice", "/a.slice/a-b.slice"),
    ],
)
def test_unit(cgroups_path: str | None, slice_name: str, name: str, path: str) -> None:
    unit = unit_of(cgroups_path, "c1")
    assert (unit.slice, unit.name, unit.path()) == (slice_name, name, path)


def test_unit_of_a_user() -> None:
    unit = unit_of(None, "c1", user=True)
    assert unit.path("/user.slice/user@7.service") == "/user.slice/user@7.service/user.slice/pyrun-c1.scope"


@pytest.mark.parametrize(
    ("cgroups_path", "word"),
    [
        ("/absolute", "slice:prefix:name"),
        ("a.slice:b", "slice:prefix:name"),
        ("a:b:c:d", "slice:prefix:name"),
        ("noslice:b:c", '"noslice"'),
        ("a--b.slice:b:c", '"a--b.slice"'),
        ("-a.slice:b:c", '"-a.slice"'),
        (".slice:b:c", '".slice"'),
        ("a/b.slice:b:c", '"a/b.slice"'),
        ("../x.slice:b:c", '"../x.slice"'),
        ("a.slice:b:../../c", '"b-../../c.scope"'),
        ("a.slice:b:c d", '"b-c d.scope"'),
        ("a.slice:b:ö", '"b-ö.scope"'),
        ("a.slice:b:c\0", "is not the name of a unit"),
        ("a.slice:b:" + "c" * 250, "longer than the 255"),
        ("a.slice:p:b--c.slice", ""),
    ],
)
def test_wrong_names(cgroups_path: str, word: str) -> None:
    with pytest.raises(UnitNameError) as raised:
        unit_of(cgroups_path, "c1").path()
    assert word in str(raised.value)


def test_expanded_slices() -> None:
    assert expand_slice("-.slice") == ""
    assert expand_slice("a-b-c.slice") == "/a.slice/a-b.slice/a-b-c.slice"


def test_properties_of_a_scope() -> None:
    properties = dict(unit_of("a-b.slice:p:x", "c1").properties("words", [7, 8]))
    counted = {"MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"}
    assert {
        name for name, value in properties.items() if name.endswith("Accounting") and value == ("b", True)
    } == counted
    assert {name: value for name, value in properties.items() if name not in counted} == {
        "Description": ("s", "words"),
        "Slice": ("s", "a-b.slice"),
        "Delegate": ("b", True),
        "PIDs": ("au", [7, 8]),
        "CollectMode": ("s", "inactive-or-failed"),
        "DefaultDependencies": ("b", False),
    }


def test_properties_of_a_slice() -> None:
    properties = dict(Unit("a.slice", "a-b.slice").properties("words", []))
    assert properties["Wants"] == ("as", ["a.slice"])
    assert not properties.keys() & {"Slice", "PIDs", "Delegate"}


def test_names_of_scopes() -> None:
    assert is_scope("a-b.scope")
    assert not any(map(is_scope, ("a.service", "../a.scope", "a b.scope", "a" * 255 + ".scope", None, 7)))

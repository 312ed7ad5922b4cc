# SPDX-License-Identifier: Apache-2.0
"""What is in the wheel and in the source distribution, and what building leaves behind."""

from __future__ import annotations

import os
import platform
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from install.building import build_wheel, copy_source, files_below
from pyrun import __version__

PACKAGES = ("pyrun", "pyrun_cgroups", "pyrun_rootfs", "pyrun_spec")
PROGRAMS = ("pyrun/bin/pyrun-init", f"pyrun_oci-{__version__}.data/scripts/pyrun")
ELF_INTERPRETER = 3  # PT_INTERP, elf(5)
ELF_POSITION_INDEPENDENT = 3  # ET_DYN, elf(5)


def test_name_tells_version_and_machine(wheel: Path) -> None:
    assert wheel.name == f"pyrun_oci-{__version__}-py3-none-linux_{platform.machine()}.whl"


def test_holds_the_packages_and_nothing_else(wheel: Path, source: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    described = {name for name in names if name.startswith(f"pyrun_oci-{__version__}.dist-info/")}
    roots = {
        "pyrun": "runtime",
        "pyrun_cgroups": "cgroups",
        "pyrun_rootfs": "rootfs-tools",
        "pyrun_spec": "spec",
    }
    expected = {f"{package}/{name}" for package, root in roots.items() for name in files_below(source / root / package)}
    assert names - described == expected | set(PROGRAMS)
    assert "pyrun_spec/schemas/config.json" in names


def test_metadata_tells_licence_and_dependencies(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"pyrun_oci-{__version__}.dist-info/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    required = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", metadata, re.MULTILINE)
    assert required == ["click", "jeepney", "jsonschema", "pyroute2", "pyseccomp", "python-prctl"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_are_static_and_executable(wheel: Path, program: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.getinfo(program).external_attr >> 16 & 0o111 == 0o111
        content = archive.read(program)
    kind, segments_offset, segment_size, segments = struct.unpack_from("<16xH14xQ14xHH", content)
    assert kind == ELF_POSITION_INDEPENDENT
    kinds = [struct.unpack_from("<I", content, segments_offset + i * segment_size)[0] for i in range(segments)]
    assert ELF_INTERPRETER not in kinds


def test_building_a_wheel_leaves_the_tree_as_it_was(tmp_path: Path) -> None:
    tree = copy_source(tmp_path / "tree")
    before = files_below(tree)
    build_wheel(tree, tmp_path)
    assert files_below(tree) == before


def test_source_distribution_makes_the_same_wheel(wheel: Path, source: Path, tmp_path: Path) -> None:
    build = "import hatchling.build, sys; hatchling.build.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=source, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(build_wheel(archive, tmp_path)) as second:
        assert sorted(first.namelist()) == sorted(second.namelist())


def test_compiler_is_what_cc_names(source: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    compiler = tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\necho "$@" >>{asked}\nexec gcc "$@"\n')
    compiler.chmod(0o755)
    program = tmp_path / "pyrun"
    subprocess.run(
        [sys.executable, source / "tools" / "compile.py", "pyrun", program],
        env={**os.environ, "CC": f"{compiler} -DASKED"},
        check=True,
    )
    assert "-DASKED" in asked.read_text()
    assert os.access(program, os.X_OK)


@pytest.mark.parametrize("compiler", ["/nonexistent/cc", "false"])
def test_compiler_that_fails_is_named_in_one_line(source: Path, tmp_path: Path, compiler: str) -> None:
    result = subprocess.run(
        [sys.executable, source / "tools" / "compile.py", "pyrun", tmp_path / "pyrun"],
        env={**os.environ, "CC": compiler},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"pyrun: {compiler}")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())

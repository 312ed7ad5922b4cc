# SPDX-License-Identifier: Apache-2.0
"""The library search against the dynamic linker's own answer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrun_rootfs import libraries
from pyrun_rootfs.elf import read_elf
from pyrun_rootfs.errors import RootfsError

Compile = Callable[..., Path]
MAIN = "int outer(void); int main(void) { return outer(); }"
OUTER = "int inner(void); int outer(void) { return inner(); }"
INNER = "int inner(void) { return 0; }"


def application(directory: Path, compile_c: Compile, *main_options: str, outer_options: tuple[str, ...] = ()) -> Path:
    """A program in bin that needs libouter in lib, which needs libinner in lib."""
    library = directory / "lib"
    at_link_time = ("-L", str(library), f"-Wl,-rpath-link,{library}")
    compile_c(library / "libinner.so", INNER, "-shared", "-fPIC")
    compile_c(library / "libouter.so", OUTER, "-shared", "-fPIC", *at_link_time, "-linner", *outer_options)
    return compile_c(directory / "bin" / "main", MAIN, *at_link_time, "-louter", *main_options)


def files_of(program: Path | str) -> list[str]:
    return libraries.files_to_load(read_elf(str(program)))


def linker_says(program: Path | str) -> set[str]:
    """What the program really maps, as its own dynamic linker lists it."""
    environment = {"LD_TRACE_LOADED_OBJECTS": "1"}
    listing = subprocess.run([program], env=environment, capture_output=True, text=True, check=True).stdout
    return {os.path.realpath(word) for word in listing.split() if word.startswith("/")}


@pytest.mark.parametrize("name", ["/bin/sh", "/bin/ls", "/usr/bin/python3", "/bin/mount", "/usr/bin/strace"])
def test_host_programs_get_what_the_linker_loads(name: str) -> None:
    if not os.path.exists(name):
        pytest.skip(f"{name} is not installed")
    assert {os.path.realpath(path) for path in files_of(name)} == linker_says(name)


def test_rpath_serves_the_libraries_of_libraries(tmp_path: Path, compile_c: Compile) -> None:
    program = application(tmp_path, compile_c, "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib")
    assert {os.path.realpath(path) for path in files_of(program)} == linker_says(program)


def test_runpath_serves_the_program_alone(tmp_path: Path, compile_c: Compile) -> None:
    program = application(tmp_path, compile_c, "-Wl,--enable-new-dtags,-rpath,${ORIGIN}/../lib")
    with pytest.raises(RootfsError, match=r'libouter\.so" needs the library "libinner\.so"'):
        files_of(program)


def test_each_object_has_its_own_runpath(tmp_path: Path, compile_c: Compile) -> None:
    program = application(
        tmp_path,
        compile_c,
        "-Wl,--enable-new-dtags,-rpath,$ORIGIN/../lib",
        outer_options=("-Wl,--enable-new-dtags,-rpath,$ORIGIN",),
    )
    assert {os.path.realpath(path) for path in files_of(program)} == linker_says(program)


def test_the_origin_is_where_the_program_truly_is(tmp_path: Path, compile_c: Compile) -> None:
    program = application(tmp_path / "true", compile_c, "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib")
    link = tmp_path / "link"
    link.symlink_to(program)
    assert files_of(link) == files_of(program)


def test_a_library_for_another_machine_is_passed_over(tmp_path: Path, compile_c: Compile) -> None:
    program = application(tmp_path, compile_c, f"-Wl,--disable-new-dtags,-rpath,{tmp_path}/foreign:{tmp_path}/lib")
    foreign = tmp_path / "foreign" / "libouter.so"
    foreign.parent.mkdir()
    image = bytearray((tmp_path / "lib" / "libouter.so").read_bytes())
    image[18] ^= 0xFF
    foreign.write_bytes(image)
    assert str(foreign) not in files_of(program)
    assert str(tmp_path / "lib" / "libouter.so") in files_of(program)


def test_a_missing_library_is_named(tmp_path: Path, compile_c: Compile) -> None:
    program = application(tmp_path, compile_c)
    with pytest.raises(RootfsError, match=r'main" needs the library "libouter\.so", which the host does not'):
        files_of(program)


def test_configured_directories_are_searched(
    tmp_path: Path, compile_c: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = application(tmp_path, compile_c)
    configuration = tmp_path / "ld.so.conf"
    configuration.write_text("# a comment\nhwcap 1 nosegneg\ninclude parts/*.conf\ninclude ld.so.conf\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "one.conf").write_text(f"/nowhere\n{tmp_path}/lib # ours\n")
    monkeypatch.setattr(libraries, "GLIBC_CONFIGURATION", str(configuration))
    assert str(tmp_path / "lib" / "libinner.so") in files_of(program)

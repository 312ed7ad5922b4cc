# SPDX-License-Identifier: Apache-2.0
"""What is installed in these tests: built once, from a copy of the source tree."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from install.building import build_wheel, copy_source


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree without anything that was built in it."""
    return copy_source(tmp_path_factory.mktemp("source") / "pyrun")


@pytest.fixture(scope="session")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the source tree."""
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def entry(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `pyrun` command, taken out of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".data/scripts/pyrun"))
        extracted = archive.extract(name, tmp_path_factory.mktemp("entry"))
    Path(extracted).chmod(0o755)
    return Path(extracted)

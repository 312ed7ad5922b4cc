# SPDX-License-Identifier: Apache-2.0
"""hugetlb: pages beyond the limit are refused, when they are reserved or when they are used."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator

import pytest

from support.managed import MEBIBYTE, MakeManaged, ManagedRuntime, limited

PAGES = 4


@pytest.fixture
def _huge_pages(_virtual_machine: None) -> Iterator[None]:
    """Huge pages of 2 MiB."""
    for number in (PAGES, 0):
        with open("/proc/sys/vm/nr_hugepages", "w", encoding="ascii") as file:
            file.write(str(number))
        if number:
            yield


@pytest.mark.usefixtures("_huge_pages")
def test_pages_beyond_the_limit_are_refused(make_managed: MakeManaged, runtime: ManagedRuntime) -> None:
    resources = {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MEBIBYTE}]}
    container = make_managed(limited(resources, "load huge:4 huge:6; echo end")).started()
    words = container.wait_for_words("end").splitlines()
    assert words[:2] == ["reserved: signal 0", "unreserved: signal 0"]
    # runc 1.1.5 does not limit what is reserved, only what is used.
    reserving = f"mmap error {errno.ENOMEM:d}" if runtime.name == "pyrun" else f"signal {signal.SIGBUS:d}"
    assert words[2:] == [f"reserved: {reserving}", f"unreserved: signal {signal.SIGBUS:d}", "end"]
    assert container.count("hugetlb.2MB.events", "max") > 0

# SPDX-License-Identifier: Apache-2.0
"""Compare pyrun with the other runtimes of this machine."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile

import comparison
import private_host
import report
from installed import add_options, chosen_pyrun
from measure import BenchError, adopt_orphans
from pyrun_rootfs import RootfsError, root_filesystem_from_host
from runtimes import Bundles, Runtime, default_config, make_bundles, told_version, without_device_rules

OTHERS = ("runc", "crun")


def main() -> int:
    options = _options()
    try:
        private_host.enter()
        adopt_orphans()
        with tempfile.TemporaryDirectory(prefix="pyrun-bench-") as directory:
            _compare(options, directory)
    except (BenchError, RootfsError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--pairs", type=int, default=30, help="rounds that count (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=3, help="rounds before them (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write every sample to FILE")
    return parser.parse_args()


def _compare(options: argparse.Namespace, directory: str) -> None:
    runtimes = [chosen_pyrun(options, directory), *_others(directory)]
    contests, notes = comparison.arrange(runtimes, _configs(directory, runtimes[0]))
    comparison.measure(contests, options.pairs, options.warm_up)
    print(report.as_text(runtimes, contests, options.pairs, notes))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report.as_data(runtimes, contests), file, indent=2)


def _others(directory: str) -> list[Runtime]:
    found = {name: path for name in OTHERS if (path := shutil.which(name)) is not None}
    return [
        Runtime(name, path, told_version(path), os.path.join(directory, f"state-{name}"))
        for name, path in found.items()
    ]


def _configs(directory: str, runtime: Runtime) -> dict[str, Bundles]:
    rootfs = os.path.join(directory, "rootfs")
    root_filesystem_from_host(rootfs)
    config = default_config(runtime, directory)
    reduced = without_device_rules(config)
    return {
        "default config": make_bundles(os.path.join(directory, "default"), rootfs, config),
        "default config without device rules": make_bundles(os.path.join(directory, "reduced"), rootfs, reduced),
    }


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Tests of `pyrun_cgroups` that need neither root nor a cgroup."""

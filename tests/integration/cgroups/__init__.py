# SPDX-License-Identifier: Apache-2.0
"""Tests of `pyrun_cgroups` on real cgroups."""

# SPDX-License-Identifier: Apache-2.0
"""Tests with real namespaces, mounts and cgroups; they need root."""

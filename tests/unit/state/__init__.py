# SPDX-License-Identifier: Apache-2.0
"""Tests of the state directory, with real files, locks, sockets and processes."""

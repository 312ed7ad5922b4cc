# SPDX-License-Identifier: Apache-2.0
"""Tests of the table of events --watch that need neither root nor containers."""

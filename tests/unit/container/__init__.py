# SPDX-License-Identifier: Apache-2.0
"""Tests of what the verbs do around pyrun-init."""

# SPDX-License-Identifier: Apache-2.0
"""Tests of what is built, how the command finds its interpreter and modules, and every kind of install."""

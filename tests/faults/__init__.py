# SPDX-License-Identifier: Apache-2.0
"""Tests that kill the runtime or make its system calls fail; they need root and strace."""

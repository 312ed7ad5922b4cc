# SPDX-License-Identifier: Apache-2.0
"""Tests of pyrun-init with sanitizers, and with damaged plans; they need root and gcc's sanitizers."""

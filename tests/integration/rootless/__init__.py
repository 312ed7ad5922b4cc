# SPDX-License-Identifier: Apache-2.0
"""Containers of an ordinary user: the test drops to a made one for every call of the runtime."""

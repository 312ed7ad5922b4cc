# SPDX-License-Identifier: Apache-2.0
"""The virtual machine itself: that what happens in it is told on the host, and that nothing of it stays."""

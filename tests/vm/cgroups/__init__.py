# SPDX-License-Identifier: Apache-2.0
"""What linux.resources does to a container, by each manager of cgroups, and with runc beside pyrun as a control."""

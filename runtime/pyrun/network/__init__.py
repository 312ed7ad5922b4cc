# SPDX-License-Identifier: Apache-2.0
"""What pyrun does to networks, from outside of the container, when one is asked for."""

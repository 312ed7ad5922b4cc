# SPDX-License-Identifier: Apache-2.0
"""events --watch: what containers use, as a table that is drawn again and again."""

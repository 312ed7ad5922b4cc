# SPDX-License-Identifier: Apache-2.0
"""What the tests that need root share: a private host, bundles, the runtime under test, and comparisons."""

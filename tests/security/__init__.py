# SPDX-License-Identifier: Apache-2.0
"""Attacks on the runtime, one for each published class of vulnerabilities of container runtimes; they need root."""

# SPDX-License-Identifier: Apache-2.0
"""What needs a stock kernel with every controller in cgroup v2: Debian's, in a virtual machine.

On other hosts these tests are skipped, each with the reason.
"""

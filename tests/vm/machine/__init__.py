# SPDX-License-Identifier: Apache-2.0
"""The virtual machine in which tests find what a host may lack: docs/virtual-machine.md says how to use it.

`plugin` is what pytest loads. On the host `dispatch` hands the collected tests to machines, each a `guest` of QEMU
(`qemu`) that boots (`boots`) Debian's kernel (`kernel`) from an archive in memory (`initrd`); in the machine `agent`
runs the tests, and sends each report to the host.
"""

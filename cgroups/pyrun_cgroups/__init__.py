# SPDX-License-Identifier: Apache-2.0
"""Work with Linux control groups, version 2: where a cgroup lies, what it limits, and what runs in it.

A library of its own. Each module stands alone and imports next to nothing, so it costs a caller little:

For people there is `cgroup.Cgroup`, an object with all of it. What it is made of:

- `placement`: the cgroup2 mount, and the cgroup that ``linux.cgroupsPath`` names.
- `limits`: ``linux.resources`` as a list of values for files of a cgroup (`writes`), from one module a controller:
  `cpu`, `cpuset`, `memory`, `pids`, `io`, `hugetlb`, `rdma`; and `unified` for all others.
- `changes`: the same for a cgroup that has limits already; `executor` sets them, all or none.
- `devices`: device rules as an eBPF program; `bpf` attaches it.
- `control`: processes, freezing, killing, removing.
- `statistics`: what a cgroup uses; `events`: what happens in it.
- `systemd`: the other manager of cgroups.
"""

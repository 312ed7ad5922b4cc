# SPDX-License-Identifier: Apache-2.0
"""systemd as the manager of cgroups: transient units, which systemd makes, limits, and removes when they are empty.

Nothing here needs pyrun. Only `bus`, and so `manager`, loads a library: jeepney, for D-Bus.

- `names`: which unit a container is, and where its cgroup lies.
- `properties`: values for files of a cgroup as properties of a unit (systemd.resource-control(5)).
- `annotations`: further properties, written as text.
- `manager`: start, change and stop units of the system's or a user's manager.
- `change`: new limits for a unit that runs, which can be taken back.

A scope with two processes, which ends with them::

    from pyrun_cgroups.systemd.manager import Manager
    from pyrun_cgroups.systemd.names import unit_of

    unit = unit_of("machine.slice:example:one", "one")
    with Manager() as manager:
        manager.start(unit.name, unit.properties("An example", [1234, 1235]))
"""

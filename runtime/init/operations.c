// SPDX-License-Identifier: Apache-2.0
// The table of operations. Its order is the wire format: pyrun/plan/operations.py has the same one, a test compares.
#include "init.h"

#define ENTRY(name, signature) {#name, signature, name}

const struct operation operations[] = {
    // outer stage
    ENTRY(open_gate, ""),
    ENTRY(make_cgroup, "ss"),
    ENTRY(attach_device_filter, "b"),
    ENTRY(enter_cgroup, ""),
    ENTRY(set_oom_score_adj, "s"),
    ENTRY(raise_resource_limit, "uu"),
    ENTRY(open_bind_source, "su"),
    ENTRY(open_namespace, "us"),
    ENTRY(join_namespaces, "u"),
    ENTRY(unshare_time, ""),
    ENTRY(clone_init, "uss"),
    // init, before the gate
    ENTRY(prepare_pid_namespace, ""),
    ENTRY(become_root, ""),
    ENTRY(unshare_namespaces, "u"),
    ENTRY(new_session, ""),
    ENTRY(join_session_keyring, "s"),
    ENTRY(loopback_up, ""),
    ENTRY(propagate_root, "u"),
    ENTRY(open_own_procfs, ""),
    ENTRY(isolate_root, "s"),
    ENTRY(bind_root, "s"),
    ENTRY(overlay_root, "slssl"),
    ENTRY(use_root, "s"),
    ENTRY(mount_filesystem, "ssslunu"),
    ENTRY(bind_mount, "ussuuunu"),
    ENTRY(make_directory, "su"),
    ENTRY(make_device, "suuuuuu"),
    ENTRY(make_symlink, "ssu"),
    ENTRY(pivot_to_root, ""),
    ENTRY(move_to_root, ""),
    ENTRY(change_root, ""),
    ENTRY(readonly_root, ""),
    ENTRY(readonly_mount, "s"),
    ENTRY(set_hostname, "s"),
    ENTRY(set_domainname, "s"),
    ENTRY(write_sysctl, "ss"),
    ENTRY(readonly_path, "s"),
    ENTRY(mask_path, "s"),
    ENTRY(reopen_null, ""),
    ENTRY(own_stdio, "u"),
    ENTRY(find_home, "u"),
    ENTRY(find_program, "sss"),
    ENTRY(enter_pid_namespace, ""),
    ENTRY(wait_at_gate, ""),
    // init, on start
    ENTRY(set_resource_limit, "uuu"),
    ENTRY(set_umask, "u"),
    ENTRY(limit_bounding_set, "u"),
    ENTRY(change_directory, "s"),
    ENTRY(set_identity, "uun"),
    ENTRY(set_capabilities, "uuuu"),
    ENTRY(set_no_new_privileges, ""),
    ENTRY(load_seccomp, "ub"),
    ENTRY(execute_program, "ll"),
};

const uint32_t operation_count = sizeof operations / sizeof *operations;

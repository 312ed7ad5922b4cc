// SPDX-License-Identifier: Apache-2.0
// What the parts of pyrun-init share: the plan's operations, the state that they hand to each other, and reports.
#ifndef PYRUN_INIT_H
#define PYRUN_INIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MAX_ARGUMENTS = 12, MAX_NAMESPACES = 8, MAX_REMEMBERED = 256 };
enum { MAX_BIND_SOURCES = 253 };  // SCM_MAX_FD: they travel in one message
enum { MAX_ID_MAPPINGS = 64 };

// A list's elements stand one behind the other in the plan: `count` items, each as the signature's letter says.
struct list {
    const uint8_t *items;
    uint32_t count;
};

struct bytes {
    const uint8_t *data;
    uint32_t length;
};

union argument {
    uint64_t number;      // u
    const char *string;   // s: NUL-terminated in the plan itself
    struct bytes bytes;   // b
    struct list strings;  // l
    struct list numbers;  // n
};

struct plan {
    const uint8_t *data;
    size_t length;
    uint32_t count;
};

// The operation that is being carried out, for reports.
struct step {
    uint32_t index;
    const char *name;
    const char *pointer;
};

struct opened_namespace {
    int descriptor;
    int type;
};

struct filesystem;

// What the outer stage opens for the init, a bind source or a new filesystem, and the operation that asked for it.
struct bind_source {
    struct step step;
    const char *path;
    bool recursive;
    uint64_t mapping;
    const struct filesystem *filesystem;
    int tree;
};

// A user namespace that stands for the mapping of mounts, and which ids of the host root of the filesystem becomes, or
// whoever else comes first.
struct id_mapping {
    int namespace;
    uid_t user;
    gid_t group;
};

// A mount that later operations look for: it is found from here, wherever its mount point has been moved to.
struct remembered_mount {
    const char *destination;
    int tree;
};

// What the outer stage has of a process that it clones: a pidfd, and one end of a pair of sockets.
struct birth {
    long process;
    int pidfd, socket;
    bool may_be_frozen;
};

// A limit that is written when the init is there, and the operation that asked for it.
struct birth_limit {
    struct step step;
    const char *file, *value;
};

struct seccomp_filter {
    uint64_t flags;
    struct bytes program;
};

// Everything that one operation leaves for a later one; -1 stands for a descriptor that is not open.
struct stage {
    struct plan plan;
    struct step step;
    int report;   // where failures go: the control socket, then the starter's connection
    int control;  // to the pyrun that creates
    int state;    // the state directory; closed in the init
    int gate;     // listening socket
    int proc;     // the host's /proc; closed in the init
    int kept;     // how many descriptors from 3 on are the container's
    int cgroup;   // the container's cgroup directory
    bool cgroup_existed;
    bool entered_cgroup;
    struct birth_limit birth_limit;
    bool joined_time;
    bool opened_to_user;  // dumpable, because an ordinary user needs the process's files in procfs
    struct opened_namespace namespaces[MAX_NAMESPACES];
    unsigned namespace_count;
    struct bind_source bind_sources[MAX_BIND_SOURCES];
    unsigned bind_source_count;
    bool opened_early;  // the bind sources, before the user namespace was joined
    struct id_mapping id_mappings[MAX_ID_MAPPINGS];
    unsigned id_mapping_count;
    struct remembered_mount remembered[MAX_REMEMBERED];
    unsigned remembered_count;
    int root;    // O_PATH descriptor of the container's root, valid before and after the pivot
    int pid_namespace;  // to be entered late
    bool took_over;     // from another process, which is not in the PID namespace
    int container;      // pidfd of the init of the container that exec enters
    pid_t container_pid;
    int terminal;       // the slave of a pseudo-terminal that is to become the controlling terminal
    int procfs;         // private detached procfs
    int empty;   // detached empty read-only tmpfs that masks directories
    struct seccomp_filter filter_of_hooks;  // on start
    bool in_directory, refused_directory;
    char *program;
    char *home;  // "HOME=..." to add to the environment
};

struct operation {
    const char *name;
    const char *signature;
    int (*execute)(struct stage *stage, const union argument *arguments);
};

extern const struct operation operations[];
extern const uint32_t operation_count;

// plan.c
int plan_open(struct stage *stage, int file);
int plan_execute(struct stage *stage);
const char *list_next_string(struct list *list);
uint64_t list_next_number(struct list *list);

// report.c: `fail` reports errno-style `error` with words and returns -1, for `return fail(...)`.
int fail(struct stage *stage, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
void warn(struct stage *stage, const char *format, ...) __attribute__((format(printf, 2, 3)));
int report(struct stage *stage, const char *format, ...) __attribute__((format(printf, 2, 3)));
int report_with_descriptors(const struct stage *stage, const char *message, const int *descriptors, size_t count);
int expect(int descriptor, const char *message);

// beneath.c: paths inside the container's root.
int open_beneath(const struct stage *stage, const char *path, uint64_t flags, uint64_t resolve);
int make_directory_beneath(const struct stage *stage, const char *path, mode_t mode);
int make_parent_beneath(const struct stage *stage, const char *path, const char **name);
int make_file_beneath(const struct stage *stage, const char *path);

// bindsources.c: over a socket pair from the outer stage to the init.
#define NO_SLOT UINT64_MAX
int clone_bind_source(struct stage *stage, const char *path, bool recursive);
int add_source(struct stage *stage, struct bind_source source);
int take_source(struct stage *stage, uint64_t slot);
int send_bind_sources(struct stage *stage, int socket, int pidfd);
int receive_bind_sources(struct stage *stage, int socket);

// idmaps.c
void open_to_user(struct stage *stage);
void close_to_user(struct stage *stage);
int write_id_maps(struct stage *stage, pid_t process, const union argument *arguments);

// helper.c: `enter` returns 0, or -1 with errno.
struct helper {
    pid_t process;
    int socket;
};
int start_helper(struct helper *helper, uint64_t namespaces, int (*enter)(const void *), const void *about);
void end_helper(struct helper *helper);
int open_of_helper(const struct stage *stage, const struct helper *helper, const char *name, int flags);

// mountmappings.c: `mapping` is the number of an open_id_mapping; bit 63 is for mounts below too. For errors: the type
// of a new filesystem, or else the source of a bind.
#define NO_MAPPING UINT64_MAX
const struct id_mapping *find_mapping(struct stage *stage, uint64_t mapping);
int map_mount(struct stage *stage, int tree, uint64_t mapping, const char *type, const char *source);

// mappedoverlay.c
int mount_mapped_overlay(struct stage *stage, const char *source, struct list parameters, uint64_t attributes,
                         uint64_t mapping);

// parameters.c
int set_parameter(int context, const char *parameter);

// filesystems.c
int make_filesystem(struct stage *stage, const struct filesystem *filesystem);

// seccomp.c: returns 0 or an error number.
int filter_hook(const struct stage *stage);

// record.c
int start_time(const struct stage *stage, pid_t process, long long *ticks);
int write_process_record(struct stage *stage, pid_t process, long long ticks);

// controllers.c: returns 0 or an error number.
int pass_down_controllers(int cgroup, struct list names);
bool has_controllers(int cgroup, struct list names);

// cgrouppath.c
int make_cgroup_path(struct stage *stage, const union argument *arguments, bool made);
bool is_cgroup2(int directory);

// cgrouperrors.c
int check_cgroup(struct stage *stage, const char *path);
int refuse_frozen_birth(struct stage *stage, const struct birth *birth);
int fail_to_clone_init(struct stage *stage, int error);

// scope.c
int write_limit_at_birth(struct stage *stage);

// namespaces.c
int drop_groups(struct stage *stage);
int find_namespace(const struct stage *stage, int type);
int clone_into_cgroup(struct stage *stage, uint64_t namespaces, struct birth *birth);

// program.c: a list as execve(2) takes it, and behind it entries of the environment that were found out here, or NULL.
enum { ADDED = 2 };
char **to_vector(struct list list, char *const added[ADDED]);

// procfs.c
int procfs_of(const struct stage *stage);
int open_procfs(const struct stage *stage, const char *path, int flags);
bool procfs_knows_namespaces(int pid_namespace);

// Small helpers of more than one file.
int read_small_file(int directory, const char *path, char *text, size_t size);
int write_text(int directory, const char *path, const char *text);
void close_descriptor(int *descriptor);
bool close_all_but(const struct stage *stage, const int *descriptors, size_t count);
bool is_null_device(int descriptor);

#define OPERATION(name) int name(struct stage *stage, const union argument *arguments)
// cgroup.c
OPERATION(make_cgroup);
OPERATION(enter_cgroup);
// devicefilter.c
OPERATION(attach_device_filter);
// namespaces.c
OPERATION(refuse_own_namespace);
OPERATION(set_time_offsets);
OPERATION(open_namespace);
OPERATION(join_namespaces);
OPERATION(unshare_time);
OPERATION(unshare_namespaces);
OPERATION(clone_init);
OPERATION(prepare_pid_namespace);
OPERATION(join_pid_namespace);
OPERATION(enter_pid_namespace);
OPERATION(go_on_inside);
OPERATION(await_go);
OPERATION(become_root);
// exec.c
OPERATION(find_container);
OPERATION(open_cgroup);
OPERATION(clone_entrant);
OPERATION(enter_namespaces);
OPERATION(use_entered_root);
// gate.c
OPERATION(open_gate);
OPERATION(await_runtime_hooks);
OPERATION(wait_at_gate);
// root.c
OPERATION(propagate_root);
OPERATION(isolate_root);
OPERATION(bind_root);
OPERATION(overlay_root);
OPERATION(use_root);
OPERATION(pivot_to_root);
OPERATION(move_to_root);
OPERATION(change_root);
OPERATION(readonly_root);
// bindsources.c
OPERATION(open_bind_sources_early);
OPERATION(open_bind_source);
// hooks.c
OPERATION(run_hook);
// filesystems.c
OPERATION(open_filesystem);
OPERATION(mount_filesystem);
// mounts.c
OPERATION(bind_mount);
// remounts.c
OPERATION(remount);
OPERATION(readonly_mount);
OPERATION(propagate_mount);
// covers.c
OPERATION(readonly_path);
OPERATION(mask_path);
// procfs.c
OPERATION(open_own_procfs);
// devices.c
OPERATION(make_device);
OPERATION(make_symlink);
OPERATION(make_directory);
// identity.c
OPERATION(set_hostname);
OPERATION(set_domainname);
OPERATION(write_sysctl);
OPERATION(loopback_up);
// terminal.c
OPERATION(open_terminal);
OPERATION(bind_console);
OPERATION(attach_terminal);
// labels.c
OPERATION(set_label);
// scheduling.c
OPERATION(set_io_priority);
OPERATION(set_scheduler);
OPERATION(set_affinity);
OPERATION(reset_affinity);
// process.c
OPERATION(set_personality);
OPERATION(set_oom_score_adj);
OPERATION(raise_resource_limit);
OPERATION(set_resource_limit);
OPERATION(new_session);
OPERATION(join_session_keyring);
OPERATION(own_stdio);
OPERATION(reopen_null);
OPERATION(set_umask);
OPERATION(change_directory);
// capabilities.c
OPERATION(limit_bounding_set);
OPERATION(set_capabilities);
// privileges.c
OPERATION(set_no_new_privileges);
OPERATION(set_identity);
// seccomp.c
OPERATION(keep_seccomp_for_hooks);
OPERATION(load_seccomp);
// program.c
OPERATION(find_home);
OPERATION(find_program);
OPERATION(execute_program);
// memorypolicy.c
OPERATION(set_memory_policy);
// report.c
OPERATION(log_warning);
// controllers.c
OPERATION(write_cgroup_file);
// mountmappings.c
OPERATION(open_id_mapping);
// delegation.c
OPERATION(delegate_cgroup);
// mountlabels.c
OPERATION(label_mount);
// resctrl.c
OPERATION(join_resctrl_groups);
OPERATION(make_resctrl_group);
// scope.c
OPERATION(limit_at_birth);
OPERATION(use_own_cgroup);
OPERATION(await_scope);
#undef OPERATION

#endif

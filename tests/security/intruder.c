// SPDX-License-Identifier: Apache-2.0
// Sits in a container and tries every other process that appears in its PID namespace, without pause. What it reaches
// it prints, once each: "scanning" when it begins, then a word and what is behind it.
//
// intruder HOST_FILE   the path, on the host, of a file that no container has
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_PID = 4096, MAX_PATH = 512 };
enum finding { HELD = 1, WRITABLE = 2, WRITTEN = 4, HOST_FILE = 8, DESCRIPTOR = 16, MEMORY = 32, TRACED = 64, SECRET = 128 };

static unsigned found[MAX_PID];
static int held[MAX_PID];

static void tell(int pid, enum finding finding, const char *words, const char *detail) {
    if (found[pid] & finding) return;
    found[pid] |= finding;
    dprintf(STDOUT_FILENO, "%s %s\n", words, detail);
}

// Something else than a memory file is a real program of the host: that it can be opened is enough to know.
static void write_to(int pid, const char *path, const char *name) {
    int file = open(path, O_WRONLY);
    if (file < 0) return;
    if (strncmp(name, "/memfd:", 7)) tell(pid, WRITABLE, "opened for writing:", name);
    else if (write(file, "x", 1) == 1) tell(pid, WRITTEN, "written:", name);
    close(file);
}

static bool is_runtime(const char *executable) { return strstr(executable, "pyrun") || strstr(executable, "runc"); }

// CVE-2019-5736: an executable can't be opened for writing while it is executed, so the descriptor is kept until later.
static void try_executable(int pid) {
    char path[MAX_PATH], name[MAX_PATH] = "";
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (readlink(path, name, sizeof name - 1) > 0 && is_runtime(name)) {
        write_to(pid, path, name);
        if (!held[pid]) held[pid] = open(path, O_RDONLY | O_CLOEXEC);
        if (held[pid] > 0) tell(pid, HELD, "held:", name);
    }
    if (held[pid] <= 0) return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", held[pid]);
    if (readlink(path, name, sizeof name - 1) > 0) write_to(pid, path, name);
}

// From any directory of the host it is far enough up to its root.
static void try_host_file(int pid, const char *link, const char *host_file) {
    char path[2 * MAX_PATH];
    snprintf(path, sizeof path, "/proc/%d/%s/../../../../../../../../../../../..%s", pid, link, host_file);
    if (!access(path, F_OK)) tell(pid, HOST_FILE, "host file:", path);
}

static void try_descriptors(int pid, const char *host_file) {
    char path[MAX_PATH], link[MAX_PATH];
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (*entry->d_name == '.') continue;
        snprintf(link, sizeof link, "fd/%s", entry->d_name);
        try_host_file(pid, link, host_file);
        if (readlinkat(dirfd(directory), entry->d_name, link, sizeof link) > 0)
            tell(pid, DESCRIPTOR, "descriptors:", path);
    }
    if (directory) closedir(directory);
}

// The file of a process that has ended can be opened with older kernels, and is empty: no memory is behind it. Of others
// the first byte can't be read.
static void try_memory(int pid) {
    char path[MAX_PATH], byte;
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int memory = open(path, O_RDWR);
    if (memory < 0) return;
    if (read(memory, &byte, 1)) tell(pid, MEMORY, "memory:", path);
    close(memory);
}

// What the runtime, not a program, has in its environment is its caller's.
static void try_environment(int pid) {
    char path[MAX_PATH], name[MAX_PATH] = "", byte;
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    int environment = open(path, O_RDONLY);
    if (environment < 0) return;
    ssize_t size = read(environment, &byte, 1);
    close(environment);
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (size == 1 && readlink(path, name, sizeof name - 1) > 0 && is_runtime(name)) tell(pid, SECRET, "environment:", name);
}

// Stopped for a moment only: a tracee's end is its tracer's to see before its parent's.
static void try_tracing(int pid) {
    char name[32];
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL)) return;
    snprintf(name, sizeof name, "%d", pid);
    tell(pid, TRACED, "traced:", name);
    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
    waitpid(pid, NULL, __WALL);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static void try_process(int pid, const char *host_file) {
    try_executable(pid);
    try_host_file(pid, "root", host_file);
    try_host_file(pid, "cwd", host_file);
    try_descriptors(pid, host_file);
    try_memory(pid);
    try_environment(pid);
    try_tracing(pid);
}

int main(int count, char **words) {
    if (count != 2) return 1;
    dprintf(STDOUT_FILENO, "scanning\n");
    for (;;) {
        DIR *processes = opendir("/proc");
        for (struct dirent *entry; processes && (entry = readdir(processes));) {
            int pid = atoi(entry->d_name);
            if (pid > 1 && pid < MAX_PID && pid != getpid()) try_process(pid, words[1]);
        }
        if (processes) closedir(processes);
    }
}

// SPDX-License-Identifier: Apache-2.0
// Linked into the builds that report: pyrun starts pyrun-init with an empty environment, so ASAN_OPTIONS and
// UBSAN_OPTIONS can't say it. Leaks are searched for by ptrace, which a process that is not dumpable refuses; what
// pyrun-init allocates it keeps until it executes the program.
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void) { return "detect_leaks=0:exitcode=99"; }

const char *__ubsan_default_options(void) { return "exitcode=99"; }

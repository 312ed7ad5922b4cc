// SPDX-License-Identifier: Apache-2.0
// pyrun, the command: finds the interpreter and the modules that were installed with this very file, and
// executes the one on the other, isolated (-I) and without the module `site` (-S), which would take a quarter
// of the interpreter's start-up time.
//
// The file lies in PREFIX/bin. The modules are in PREFIX/lib/python3.N/site-packages (a virtual environment,
// a user's ~/.local, an interpreter with a prefix of its own), in dist-packages instead (Debian), in
// lib/python3/dist-packages (a distribution's package) or in PREFIX itself (pip install --target). An
// editable install has a file there that lists the source roots. Nothing is taken from the working directory,
// and nothing from the environment except, as the last resort, PATH.
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OLDEST_MINOR = 11, NEWEST_MINOR = 25, MAX_DIRECTORIES = 64 };

#define EDITABLE_ROOTS "/_pyrun_oci.pth"

// The directories stand between "-c CODE" and this word, so that no byte of a path needs quoting.
#define END_OF_DIRECTORIES "pyrun"
static char code[] = "import sys\n"
                     "a=sys.argv;n=a.index('" END_OF_DIRECTORIES "');sys.path+=a[1:n];del a[:n]\n"
                     "from pyrun.cli.main import main\n"
                     "main()";

struct installation {
    const char *prefix;
    const char *version;        // of the interpreter: "3.11", or "3" where the directory does not tell
    const char *directory;      // holds the package, or the list of source roots
    const char *configuration;  // text of pyvenv.cfg; NULL outside virtual environments
};

struct command {
    char **argv;
    int argc;
};

struct directories {
    char *paths[MAX_DIRECTORIES];
    int count;
};

// Every string that is put together here; the process ends or becomes another before anything is given back.
static char text[128 * 1024];
static size_t used;

static _Noreturn void fail(const char *subject, const char *words)
{
    dprintf(STDERR_FILENO, "pyrun: %s: %s\n", subject, words);
    _exit(1);
}

// Returns `size` bytes of which the last is 0.
static char *allocate(size_t size)
{
    if (size > sizeof text - used)
        fail("the paths of this installation", strerror(ENAMETOOLONG));
    used += size;
    return &text[used - size];
}

#define JOIN(...) join((const char *const[]){__VA_ARGS__, NULL})

static char *join(const char *const parts[])
{
    size_t length = 0;
    for (int i = 0; parts[i] != NULL; i++)
        length += strlen(parts[i]);
    char *joined = allocate(length + 1), *end = joined;
    for (int i = 0; parts[i] != NULL; i++)
        end = stpcpy(end, parts[i]);
    return joined;
}

static char *copy(const char *string, size_t length)
{
    return memcpy(allocate(length + 1), string, length);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static char *parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    return copy(path, slash == NULL ? 0 : (size_t)(slash - path));
}

// Returns the text of a file, or NULL if there is none.
static char *read_file(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 && errno == ENOENT)
        return NULL;
    char *start = &text[used];
    ssize_t length = -1;
    if (descriptor >= 0)
        length = read(descriptor, start, sizeof text - used);
    if (length < 0)
        fail(path, strerror(errno));
    allocate((size_t)length + 1);
    close(descriptor);
    return start;
}

// Returns the value of a "key = value" line, or "" if there is none.
static const char *setting(const char *lines, const char *key)
{
    const char *line = lines;
    while (line != NULL) {
        const char *rest = line + strlen(key);
        if (strncmp(line, key, strlen(key)) == 0 && strspn(rest, " \t=") > 0) {
            const char *value = rest + strspn(rest, " \t=");
            return copy(value, strcspn(value, "\r\n"));
        }
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return "";
}

static void add_directory(struct directories *directories, char *path)
{
    for (int i = 0; i < directories->count; i++)
        if (strcmp(directories->paths[i], path) == 0)
            return;
    if (directories->count == MAX_DIRECTORIES)
        fail(path, "this installation lists too many directories");
    directories->paths[directories->count++] = path;
}

static void add_listed_directories(struct directories *directories, const char *list)
{
    char *lines = read_file(list), *rest = NULL;
    if (lines == NULL)
        return;
    for (char *line = strtok_r(lines, "\r\n", &rest); line != NULL; line = strtok_r(NULL, "\r\n", &rest))
        if (line[0] == '/')
            add_directory(directories, line);
}

static const char *const libraries[] = {"/lib/python", "/lib64/python"};
static const char *const collections[] = {"/site-packages", "/dist-packages"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

// Adds what below `prefix` holds modules for this version of Python.
static void add_collections(struct directories *directories, const char *prefix, const char *version)
{
    for (size_t i = 0; i < COUNT(libraries); i++) {
        const char *library = JOIN(prefix, libraries[i], version);
        if (!exists(library))
            continue;
        for (size_t j = 0; j < COUNT(collections); j++) {
            char *collection = JOIN(library, collections[j]);
            if (exists(collection))
                add_directory(directories, collection);
        }
    }
}

// Adds what an interpreter in the directory `binaries` has beyond the standard library.
static void add_interpreter_collections(struct directories *directories, const char *binaries,
                                        const char *version)
{
    const char *prefix = parent(binaries);
    if (strcmp(prefix, "/usr") == 0)
        add_collections(directories, "/usr/local", version);
    add_collections(directories, prefix, version);
    add_collections(directories, prefix, "3");
}

// Lists the directories that the modules of pyrun and of its dependencies are in.
static void add_all(struct directories *directories, const struct installation *installation,
                    const char *binaries)
{
    const char *version = installation->version;
    add_listed_directories(directories, JOIN(installation->directory, EDITABLE_ROOTS));
    add_directory(directories, copy(installation->directory, strlen(installation->directory)));
    if (installation->configuration == NULL) {
        add_collections(directories, installation->prefix, version);
        add_interpreter_collections(directories, binaries, version);
    } else if (strcmp(setting(installation->configuration, "include-system-site-packages"), "true") == 0) {
        add_interpreter_collections(directories, setting(installation->configuration, "home"), version);
    }
}

// Executes the interpreter in the directory `binaries`; returns if there is none.
static void try_interpreter(const struct installation *installation, const char *binaries,
                            const struct command *command)
{
    char *interpreter = JOIN(binaries, "/python", installation->version);
    if (!exists(interpreter))
        return;
    struct directories directories = {.count = 0};
    add_all(&directories, installation, binaries);

    char *options[] = {interpreter, "-I", "-S", "-X", "utf8", "-c", code};
    // The kernel limits the arguments to a quarter of the stack's limit, so that an array of them fits.
    char *arguments[COUNT(options) + MAX_DIRECTORIES + 1 + (size_t)command->argc + 1], **end = arguments;
    end = mempcpy(end, options, sizeof options);
    end = mempcpy(end, directories.paths, (size_t)directories.count * sizeof *end);
    *end++ = END_OF_DIRECTORIES;
    for (int i = 1; i < command->argc; i++)
        *end++ = command->argv[i];
    *end = NULL;
    execv(interpreter, arguments);
    fail(interpreter, strerror(errno));
}

static void try_search_path(const struct installation *installation, const struct command *command)
{
    const char *search_path = getenv("PATH");
    for (const char *part = search_path; part != NULL; part = strchr(part, ':')) {
        part += *part == ':';
        if (*part == '/')
            try_interpreter(installation, copy(part, strcspn(part, ":")), command);
    }
}

// Executes an interpreter of the version that the modules were installed for; does not return.
static void execute(const struct installation *installation, const struct command *command)
{
    // Modules in dist-packages are for the distribution's interpreter, whatever else is in the same prefix.
    if (strstr(installation->directory, "/dist-packages") == NULL)
        try_interpreter(installation, JOIN(installation->prefix, "/bin"), command);
    if (installation->configuration == NULL) {
        try_interpreter(installation, "/usr/bin", command);
        try_interpreter(installation, "/usr/local/bin", command);
        try_search_path(installation, command);
    }
}

static bool holds_package(const char *directory)
{
    return exists(JOIN(directory, "/pyrun/__init__.py")) || exists(JOIN(directory, EDITABLE_ROOTS));
}

// Finds the modules that were installed for one version, and executes its interpreter if it is there.
static void try_version(struct installation *installation, const struct command *command)
{
    for (size_t i = 0; i < COUNT(libraries); i++) {
        const char *library = JOIN(installation->prefix, libraries[i], installation->version);
        if (!exists(library))
            continue;
        for (size_t j = 0; j < COUNT(collections); j++) {
            const char *directory = JOIN(library, collections[j]);
            if (!holds_package(directory))
                continue;
            installation->directory = directory;
            execute(installation, command);
        }
    }
}

// Returns PREFIX of the PREFIX/bin/pyrun that this process executes, with links resolved.
static const char *own_prefix(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path);
    if (length < 0)
        fail("/proc/self/exe", strerror(errno));
    return parent(parent(copy(path, (size_t)length)));
}

int main(int argc, char **argv)
{
    const struct command command = {argv, argc};
    struct installation installation = {.prefix = own_prefix()};
    installation.configuration = read_file(JOIN(installation.prefix, "/pyvenv.cfg"));
    for (int minor = NEWEST_MINOR; minor >= OLDEST_MINOR; minor--) {
        char version[] = {'3', '.', (char)('0' + minor / 10), (char)('0' + minor % 10), '\0'};
        installation.version = version;
        try_version(&installation, &command);
    }
    installation.version = "3";
    try_version(&installation, &command);
    if (holds_package(installation.prefix)) {
        installation.directory = installation.prefix;
        execute(&installation, &command);
    }
    if (installation.directory == NULL)
        fail(installation.prefix, "the Python package of this command is missing: install pyrun-oci again");
    fail(installation.directory, "no interpreter for this directory: install its Python, or pyrun-oci again");
}

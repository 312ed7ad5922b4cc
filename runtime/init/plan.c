// SPDX-License-Identifier: Apache-2.0
// The plan's encoding (see pyrun/plan/operations.py): checked whole before its first operation is carried out.
//
//   header     "PYRUNPLN", u32 version, u32 count, u32 total length
//   operation  u32 opcode, string JSON pointer, arguments as the signature says
//   u          u64                     s, b   u32 length, bytes, NUL
//   l          u32 count, strings      n      u32 count, u64 each
//
// Numbers are little-endian, as both machines that pyrun supports are.
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init.h"

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "the plan is read as it lies in memory");

enum { VERSION = 1, MAX_PLAN = 64 << 20 };
static const char magic[8] = "PYRUNPLN";

struct header {
    char magic[8];
    uint32_t version, count, length;
} __attribute__((packed));

struct cursor {
    const uint8_t *at, *end;
};

static bool take(struct cursor *cursor, size_t length, const uint8_t **data) {
    if ((size_t)(cursor->end - cursor->at) < length) return false;
    *data = cursor->at;
    cursor->at += length;
    return true;
}

static bool take_u32(struct cursor *cursor, uint32_t *number) {
    const uint8_t *data;
    if (!take(cursor, sizeof *number, &data)) return false;
    memcpy(number, data, sizeof *number);
    return true;
}

static bool take_u64(struct cursor *cursor, uint64_t *number) {
    const uint8_t *data;
    if (!take(cursor, sizeof *number, &data)) return false;
    memcpy(number, data, sizeof *number);
    return true;
}

static bool take_bytes(struct cursor *cursor, struct bytes *bytes) {
    const uint8_t *end;
    return take_u32(cursor, &bytes->length) && take(cursor, bytes->length, &bytes->data) && take(cursor, 1, &end) &&
           *end == 0;
}

static bool take_string(struct cursor *cursor, const char **string) {
    struct bytes bytes;
    if (!take_bytes(cursor, &bytes) || memchr(bytes.data, 0, bytes.length)) return false;
    *string = (const char *)bytes.data;
    return true;
}

static bool take_list(struct cursor *cursor, struct list *list, char element) {
    if (!take_u32(cursor, &list->count)) return false;
    list->items = cursor->at;
    for (uint32_t i = 0; i < list->count; i++) {
        const char *string;
        uint64_t number;
        if (!(element == 's' ? take_string(cursor, &string) : take_u64(cursor, &number))) return false;
    }
    return true;
}

static bool take_argument(struct cursor *cursor, char letter, union argument *argument) {
    switch (letter) {
        case 'u': return take_u64(cursor, &argument->number);
        case 's': return take_string(cursor, &argument->string);
        case 'b': return take_bytes(cursor, &argument->bytes);
        case 'l': return take_list(cursor, &argument->strings, 's');
        case 'n': return take_list(cursor, &argument->numbers, 'u');
        default: return false;
    }
}

static bool take_operation(struct cursor *cursor, const struct operation **operation, const char **pointer,
                           union argument *arguments) {
    uint32_t opcode;
    if (!take_u32(cursor, &opcode) || opcode >= operation_count || !take_string(cursor, pointer)) return false;
    *operation = &operations[opcode];
    const char *signature = (*operation)->signature;
    for (size_t i = 0; signature[i]; i++)
        if (i == MAX_ARGUMENTS || !take_argument(cursor, signature[i], &arguments[i])) return false;
    return true;
}

static struct cursor first_operation(const struct plan *plan) {
    return (struct cursor){plan->data + sizeof(struct header), plan->data + plan->length};
}

// The elements were checked with the plan, so the walkers below need no bounds.
const char *list_next_string(struct list *list) {
    uint32_t length;
    memcpy(&length, list->items, sizeof length);
    const char *string = (const char *)list->items + sizeof length;
    list->items += sizeof length + length + 1;
    list->count--;
    return string;
}

uint64_t list_next_number(struct list *list) {
    uint64_t number;
    memcpy(&number, list->items, sizeof number);
    list->items += sizeof number;
    list->count--;
    return number;
}

static uint8_t *read_whole(int file, size_t length) {
    uint8_t *data = malloc(length);
    size_t done = 0;
    while (data && done < length) {
        ssize_t n = read(file, data + done, length - done);
        if (n <= 0) break;
        done += (size_t)n;
    }
    if (data && done < length) {
        free(data);
        return NULL;
    }
    return data;
}

static bool plan_is_sound(const struct plan *plan) {
    struct header header;
    if (plan->length < sizeof header) return false;
    memcpy(&header, plan->data, sizeof header);
    if (memcmp(header.magic, magic, sizeof magic) || header.version != VERSION || header.length != plan->length)
        return false;
    struct cursor cursor = first_operation(plan);
    for (uint32_t i = 0; i < header.count; i++) {
        const struct operation *operation;
        const char *pointer;
        union argument arguments[MAX_ARGUMENTS];
        if (!take_operation(&cursor, &operation, &pointer, arguments)) return false;
    }
    return cursor.at == cursor.end;
}

// Takes the plan from an open file, or, where that is -1, from the state directory.
int plan_open(struct stage *stage, int file) {
    struct stat status;
    if (file < 0) file = openat(stage->state, "plan", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0 || fstat(file, &status)) return fail(stage, errno, "open plan");
    if (!S_ISREG(status.st_mode) || status.st_size > MAX_PLAN) return fail(stage, EINVAL, "plan is not a plan");
    stage->plan.length = (size_t)status.st_size;
    stage->plan.data = read_whole(file, stage->plan.length);
    close(file);
    if (!stage->plan.data) return fail(stage, EIO, "read plan");
    if (!plan_is_sound(&stage->plan)) return fail(stage, EINVAL, "plan is damaged or of another version of pyrun");
    memcpy(&stage->plan.count, stage->plan.data + offsetof(struct header, count), sizeof stage->plan.count);
    return 0;
}

int plan_execute(struct stage *stage) {
    struct cursor cursor = first_operation(&stage->plan);
    for (uint32_t i = 0; i < stage->plan.count; i++) {
        const struct operation *operation = NULL;
        union argument arguments[MAX_ARGUMENTS];
        stage->step.index = i;
        if (!take_operation(&cursor, &operation, &stage->step.pointer, arguments))
            return fail(stage, EINVAL, "plan changed");
        stage->step.name = operation->name;
        if (operation->execute(stage, arguments)) return -1;
    }
    return 0;
}

#include "process_strings.h"

#include <linux/prctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

extern char **environ;

static size_t size_of(char **strings)
{
    size_t size = 0;
    for (; *strings; strings++)
        size += strlen(*strings) + 1;
    return size;
}

/* Copies the strings one after the other and lets the list point to the copies. */
static char *move_strings(char **strings, char *to)
{
    for (; *strings; strings++) {
        size_t length = strlen(*strings) + 1;
        *strings = memcpy(to, *strings, length);
        to += length;
    }
    return to;
}

/*
 * The kernel takes the whole memory map or nothing without privileges, so what is not to change has to be read back first.
 * The numbers are the fields of /proc/self/stat, counted from 1, as proc_pid_stat(5) has them.
 */
static int read_memory_map(struct prctl_mm_map *map)
{
    char text[2048];
    FILE *file = fopen("/proc/self/stat", "re");
    if (file == NULL)
        return -1;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    char *at = strrchr(text, ')');
    if (at == NULL)
        return -1;
    uint64_t fields[53] = {0};
    at += 4; /* ") S " */
    for (int field = 4; field <= 52; field++)
        fields[field] = strtoull(at, &at, 10);
    *map = (struct prctl_mm_map){
        .start_code = fields[26],
        .end_code = fields[27],
        .start_stack = fields[28],
        .start_data = fields[45],
        .end_data = fields[46],
        .start_brk = fields[47],
        .brk = (uintptr_t)sbrk(0),
        .exe_fd = (uint32_t)-1,
    };
    return map->start_code == 0 ? -1 : 0;
}

void replace_process_strings(char **argv, char **env)
{
    environ = env;
    size_t argv_size = size_of(argv), size = argv_size + size_of(env);
    char *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return;
    char *end = move_strings(env, move_strings(argv, block));
    struct prctl_mm_map map;
    if (read_memory_map(&map) != 0)
        return;
    map.arg_start = (uintptr_t)block;
    map.arg_end = map.env_start = (uintptr_t)block + argv_size;
    map.env_end = (uintptr_t)end;
    prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0); /* cosmetic: see the header */
}

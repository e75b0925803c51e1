#include "cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether a comma-separated list has the word. */
static bool lists(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
        if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

/* This process's group: `N:CONTROLLERS:PATH` in version 1, `0::PATH` in version 2. */
static bool own_group(const char *controller, bool *version2, char path[PATH_MAX])
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL)
        return false;
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool found = false, found_version1 = false;
    while (!found_version1 && (length = getline(&line, &room, file)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (group == NULL || strlen(group) >= PATH_MAX)
            continue;
        *group++ = '\0';
        found_version1 = lists(controllers + 1, controller);
        if (found_version1 || controllers[1] == '\0') {
            *version2 = !found_version1;
            strcpy(path, group);
            found = true;
        }
    }
    free(line);
    fclose(file);
    return found;
}

/* Where a mount that starts at `root` of the hierarchy shows `group`. */
static bool place(const char *root, const char *mounted_at, const char *group, char folder[PATH_MAX])
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(group, root, length) != 0 || (group[length] != '/' && group[length] != '\0'))
        return false;
    return snprintf(folder, PATH_MAX, "%s%s", mounted_at, strcmp(group + length, "/") == 0 ? "" : group + length) < PATH_MAX;
}

/* `ID PARENT DEVICE ROOT MOUNTED_AT OPTIONS… - TYPE SOURCE SUPER_OPTIONS` */
static bool parse_mount(char *line, const char *controller, bool version2, const char *group, char folder[PATH_MAX])
{
    char root[PATH_MAX], mounted_at[PATH_MAX], type[32], options[256];
    const char *tail = strstr(line, " - ");
    if (tail == NULL || sscanf(line, "%*d %*d %*s %4095s %4095s", root, mounted_at) != 2 || sscanf(tail, " - %31s %*s %255s", type, options) != 2)
        return false;
    if (version2 ? strcmp(type, "cgroup2") != 0 : strcmp(type, "cgroup") != 0 || !lists(options, controller))
        return false;
    return place(root, mounted_at, group, folder);
}

static bool find_folder(const char *controller, bool *version2, char folder[PATH_MAX])
{
    char group[PATH_MAX];
    if (!own_group(controller, version2, group))
        return false;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (file == NULL)
        return false;
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    while (!found && getline(&line, &room, file) > 0)
        found = parse_mount(line, controller, *version2, group, folder);
    free(line);
    fclose(file);
    return found;
}

static int open_counter(const char *controller, const char *version1_name, const char *version2_name, bool *version2)
{
    char folder[PATH_MAX], path[PATH_MAX + 32];
    if (!find_folder(controller, version2, folder))
        return -1;
    snprintf(path, sizeof path, "%s/%s", folder, *version2 ? version2_name : version1_name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void cgroup_open(struct cgroup *cgroup)
{
    bool version2;
    cgroup->memory_events = open_counter("memory", "memory.oom_control", "memory.events", &version2);
    cgroup->cpu_usage = open_counter("cpuacct", "cpuacct.usage", "cpu.stat", &cgroup->cpu_in_microseconds);
}

/* The number after `name` at the start of a line; an empty name: the file's first. */
static bool read_counter(int fd, const char *name, uint64_t *value)
{
    char text[4096];
    ssize_t length = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
    if (length <= 0)
        return false;
    text[length] = '\0';
    size_t name_length = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, name_length) == 0)
            return sscanf(line + name_length, "%lu", value) == 1;
    }
    return false;
}

uint64_t cgroup_oom_kills(const struct cgroup *cgroup)
{
    uint64_t kills;
    return read_counter(cgroup->memory_events, "oom_kill ", &kills) ? kills : 0;
}

bool cgroup_cpu_ns(const struct cgroup *cgroup, uint64_t *cpu_ns)
{
    if (!read_counter(cgroup->cpu_usage, cgroup->cpu_in_microseconds ? "usage_usec " : "", cpu_ns))
        return false;
    if (cgroup->cpu_in_microseconds)
        *cpu_ns *= 1000;
    return true;
}

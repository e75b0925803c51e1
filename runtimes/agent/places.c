#include "places.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A larger file system that is not one of ours is not searched: then nothing is known of it. */
#define SEARCHED_MOST 1000

/* The rights of a place that belonged to the user of the run before: its group is that of every run user. */
#define SHARED_MODE 0770

enum { NAMES_BYTES = 4096 };

static bool may_change(const struct stat *file, struct identity user)
{
    if (!S_ISDIR(file->st_mode) && !S_ISREG(file->st_mode))
        return false;
    return file->st_uid == user.uid || (file->st_mode & S_IWOTH) != 0 || (file->st_gid == user.gid && (file->st_mode & S_IWGRP) != 0);
}

/* To read from its beginning, whatever was read of it before. */
static DIR *open_entries(int folder)
{
    int own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = own < 0 ? NULL : fdopendir(own);
    if (entries == NULL && own >= 0)
        close(own);
    return entries;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Whether the user can change nothing in a folder, without what is mounted below it. Closes it. */
static bool is_safe_folder(int folder, dev_t device, struct identity user, size_t *searched)
{
    DIR *entries = fdopendir(folder);
    bool safe = entries != NULL;
    for (struct dirent *entry; safe && (entry = readdir(entries)) != NULL;) {
        struct stat file;
        if (is_dots(entry->d_name))
            continue;
        safe = ++*searched <= SEARCHED_MOST && fstatat(folder, entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0;
        if (!safe || file.st_dev != device)
            continue;
        safe = !may_change(&file, user);
        if (safe && S_ISDIR(file.st_mode)) {
            int below = openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            safe = below >= 0 && is_safe_folder(below, device, user, searched);
        }
    }
    if (entries)
        closedir(entries);
    else
        close(folder);
    return safe;
}

static bool is_safe_mount(const char *path, const struct stat *root, struct identity user)
{
    size_t searched = 0;
    if (!S_ISDIR(root->st_mode))
        return !may_change(root, user);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return folder >= 0 && is_safe_folder(folder, root->st_dev, user, &searched);
}

static bool usage_of(const char *path, uint64_t *blocks, uint64_t *inodes)
{
    struct statvfs usage;
    if (statvfs(path, &usage) != 0)
        return false;
    *blocks = usage.f_blocks - usage.f_bfree;
    *inodes = usage.f_files - usage.f_ffree;
    return true;
}

/* False if it cannot be taken down. */
static bool add_place(struct places *places, const char *path, const struct stat *root)
{
    struct place *place = &places->each[places->count];
    if (places->count == PLACES_MOST || strlen(path) >= sizeof place->path || !usage_of(path, &place->blocks, &place->inodes))
        return false;
    strcpy(place->path, path);
    place->mode = root->st_mode;
    place->owner = root->st_uid;
    place->group = root->st_gid;
    places->count++;
    return true;
}

/* What lives in these is the kernel's, goes with its process, or has a look of its own (leftovers.c). */
static bool is_the_kernels(const char *type)
{
    static const char *const types[] = {"proc", "sysfs", "devpts", "cgroup", "cgroup2"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

static bool is_read_only(const char *options)
{
    return strncmp(options, "ro", 2) == 0 && (options[2] == ',' || options[2] == '\0');
}

/* `ID PARENT DEVICE ROOT MOUNTED_AT OPTIONS… - TYPE SOURCE SUPER_OPTIONS`. False if it is not known what can be written there. */
static bool look_at_mount(struct places *places, const char *line, struct identity user)
{
    char path[PATH_MAX], options[256], type[32], super_options[256];
    const char *tail = strstr(line, " - ");
    struct stat root;
    if (tail == NULL || sscanf(line, "%*d %*d %*s %*s %4095s %255s", path, options) != 2 ||
        sscanf(tail, " - %31s %*s %255s", type, super_options) != 2)
        return false;
    if (is_read_only(options) || is_read_only(super_options) || is_the_kernels(type))
        return true;
    if (stat(path, &root) != 0) /* also where its name is written with escapes */
        return false;
    if (S_ISDIR(root.st_mode) && may_change(&root, user))
        return add_place(places, path, &root);
    return is_safe_mount(path, &root, user);
}

void places_find(struct places *places, struct identity user)
{
    *places = (struct places){0};
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (mounts == NULL)
        return;
    char *line = NULL;
    size_t room = 0;
    places->all = true;
    while (getline(&line, &room, mounts) > 0)
        places->all = look_at_mount(places, line, user) && places->all;
    free(line);
    fclose(mounts);
}

enum emptied { EMPTY, HOLDS_FOLDER, FAILED };

/* Removes what a folder holds, up to a folder that is not empty; then with its name. */
static enum emptied remove_entries(int folder, char name[NAME_MAX + 1])
{
    DIR *entries = open_entries(folder);
    if (entries == NULL)
        return FAILED;
    enum emptied emptied = EMPTY;
    /* Whether a name that was not read yet shows up while others go is for the file system to say; so it is read until there is none. */
    for (bool any = true; any && emptied == EMPTY; rewinddir(entries)) {
        any = false;
        for (struct dirent *entry; emptied == EMPTY && (entry = readdir(entries)) != NULL;) {
            if (is_dots(entry->d_name))
                continue;
            any = true;
            if (unlinkat(folder, entry->d_name, 0) == 0 || (errno == EISDIR && unlinkat(folder, entry->d_name, AT_REMOVEDIR) == 0))
                continue;
            emptied = errno == ENOTEMPTY ? HOLDS_FOLDER : FAILED;
            strcpy(name, entry->d_name);
        }
    }
    int error = errno;
    closedir(entries);
    errno = error;
    return emptied;
}

/* Opens a folder of one's own, whatever its rights. -1 with errno. */
static int open_own(int folder, const char *name)
{
    if (fchmodat(folder, name, 0700, 0) != 0)
        return -1;
    return openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Takes the place of a descriptor. False if there is none to take it. */
static bool move_to(int *folder, int next)
{
    int error = errno;
    close(*folder);
    errno = error;
    *folder = next;
    return next >= 0;
}

/* Neither recursion nor a descriptor for each level: a program can nest folders deeper than there is room for either. */
bool places_empty_folder(int root)
{
    char name[NAME_MAX + 1];
    size_t depth = 0;
    int folder = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (folder >= 0) {
        switch (remove_entries(folder, name)) {
        case FAILED:
            move_to(&folder, -1);
            return false;
        case HOLDS_FOLDER:
            if (!move_to(&folder, open_own(folder, name)))
                return false;
            depth++;
            break;
        case EMPTY:
            if (depth == 0) {
                close(folder);
                return true;
            }
            /* Nobody is left who could move it meanwhile. What was just emptied is removed at the next look. */
            if (!move_to(&folder, openat(folder, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC)))
                return false;
            depth--;
            break;
        }
    }
    return false;
}

/* Calls `visit` for each extended attribute that a user can set, access lists among them. False if it says so, or they cannot be listed. */
static bool for_each_attribute(int file, bool (*visit)(int file, const char *name))
{
    char names[NAMES_BYTES];
    ssize_t length = flistxattr(file, names, sizeof names);
    if (length < 0)
        return errno == ENOTSUP;
    for (const char *name = names; name < names + length; name += strlen(name) + 1)
        if ((strncmp(name, "user.", 5) == 0 || strncmp(name, "system.posix_acl_", 17) == 0) && !visit(file, name))
            return false;
    return true;
}

static bool remove_attribute(int file, const char *name)
{
    return fremovexattr(file, name) == 0;
}

static bool refuse_attribute(int file, const char *name)
{
    (void)file, (void)name;
    return false;
}

/* The next user is another one: what belongs to this one must be open to the group, and to nobody as this one said. */
static bool share(int folder)
{
    return for_each_attribute(folder, remove_attribute) && fchmod(folder, SHARED_MODE) == 0;
}

static bool empty_place(const struct place *place)
{
    bool own = place->owner == geteuid();
    int folder = own ? open_own(AT_FDCWD, place->path) : open(place->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return false;
    bool emptied = places_empty_folder(folder) && (!own || share(folder));
    int error = errno;
    close(folder);
    errno = error;
    return emptied;
}

bool places_empty(const struct places *places)
{
    for (size_t i = 0; i < places->count; i++)
        if (!empty_place(&places->each[i]))
            return false;
    return true;
}

static bool holds_nothing(int folder)
{
    DIR *entries = open_entries(folder);
    if (entries == NULL)
        return false;
    bool nothing = true;
    for (struct dirent *entry; nothing && (entry = readdir(entries)) != NULL;)
        nothing = is_dots(entry->d_name);
    closedir(entries);
    return nothing;
}

static bool has_its_rights(const struct place *place, int folder)
{
    struct stat now;
    mode_t mode = place->owner == 0 ? place->mode & 07777 : SHARED_MODE;
    return fstat(folder, &now) == 0 && (now.st_mode & 07777) == mode && now.st_uid == place->owner && now.st_gid == place->group;
}

/* What was removed and is still held by somebody, as a descriptor on its way through a socket is, counts as used too. */
static bool is_clean(const struct place *place, struct failure *failure)
{
    uint64_t blocks, inodes;
    int folder = open(place->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool empty = folder >= 0 && holds_nothing(folder);
    bool as_it_was = folder >= 0 && has_its_rights(place, folder) && for_each_attribute(folder, refuse_attribute);
    if (folder >= 0)
        close(folder);
    if (!empty)
        return failure_set(failure, FAIL_NOT_CLEAN, "There is something left in %s.", place->path);
    if (!as_it_was)
        return failure_set(failure, FAIL_NOT_CLEAN, "The rights to %s have changed.", place->path);
    if (!usage_of(place->path, &blocks, &inodes) || blocks != place->blocks || inodes != place->inodes)
        return failure_set(failure, FAIL_NOT_CLEAN, "Something that was removed from %s is still in use.", place->path);
    return true;
}

bool places_are_clean(const struct places *places, struct failure *failure)
{
    if (!places->all)
        return failure_set(failure, FAIL_NOT_CLEAN, "It is not known where in this container a program can write.");
    for (size_t i = 0; i < places->count; i++)
        if (!is_clean(&places->each[i], failure))
            return false;
    return true;
}

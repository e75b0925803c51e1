#include "collect.h"

#include "glob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COLLECT_LIMIT_FAIL "{\"code\":\"" FAIL_COLLECT_LIMIT "\",\"message\":\"Some files were left out: they go beyond maxFiles or maxBytes.\"}"

/* An archive ends with two blocks of zeros. */
#define TRAILER_BYTES (2 * TAR_BLOCK_BYTES)

static bool add_path(struct collect *collect, const char *path)
{
    if (collect->path_count == collect->path_room) {
        size_t room = collect->path_room ? collect->path_room * 2 : 64;
        char **paths = realloc(collect->paths, room * sizeof *paths);
        if (paths == NULL)
            return false;
        collect->paths = paths;
        collect->path_room = room;
    }
    char *copy = strdup(path);
    if (copy == NULL)
        return false;
    collect->paths[collect->path_count++] = copy;
    return true;
}

static bool is_wanted(const char *const *globs, const char *path)
{
    for (; *globs; globs++)
        if (glob_matches(*globs, path))
            return true;
    return false;
}

/*
 * Finds files below the folder at `path`, which has `length` bytes and room for more. Folders that the run user may not read, and paths
 * that the protocol has no room for, are passed over. False without memory.
 */
static bool find_below(struct collect *collect, const struct workspace *workspace, const char *const *globs, char path[PATH_MAX_BYTES + 1], size_t length)
{
    int fd = workspace_open_at(workspace, path, O_RDONLY | O_DIRECTORY);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    bool found = true;
    if (folder == NULL) {
        if (fd >= 0)
            close(fd);
        return true;
    }
    for (struct dirent *entry; found && (entry = readdir(folder)) != NULL;) {
        size_t name = strlen(entry->d_name), start = length ? length + 1 : 0;
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || start + name > PATH_MAX_BYTES ||
            !utf8_is_valid(entry->d_name, name) || fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (length)
            path[length] = '/';
        memcpy(path + start, entry->d_name, name + 1);
        if (S_ISDIR(status.st_mode))
            found = find_below(collect, workspace, globs, path, start + name);
        else if (S_ISREG(status.st_mode) && is_wanted(globs, path))
            found = add_path(collect, path);
        path[length] = '\0';
    }
    closedir(folder);
    return found;
}

/* Opens a regular file for reading. Returns the descriptor with its status, or -1. */
static int open_file(const struct workspace *workspace, const char *path, struct stat *status)
{
    int fd = workspace_open_at(workspace, path, O_RDONLY | O_NONBLOCK);
    if (fd >= 0 && (fstat(fd, status) != 0 || !S_ISREG(status->st_mode))) {
        close(fd);
        return -1;
    }
    return fd;
}

static ssize_t read_some(int fd, uint8_t *bytes, size_t count)
{
    ssize_t got;
    do
        got = read(fd, bytes, count);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Whether the file is new or not what intake left. Reads it from its start to its end. */
static bool is_changed(const struct workspace *workspace, const char *path, int fd)
{
    static uint8_t bytes[65536];
    struct fingerprint print = {0};
    ssize_t count;
    while ((count = read_some(fd, bytes, sizeof bytes)) > 0)
        fingerprint_add(&print, bytes, (size_t)count);
    return workspace_is_changed(workspace, path, fingerprint_value(&print));
}

/* Keeps of the paths that were found those that are to be sent. */
static void choose(struct collect *collect, const struct workspace *workspace, const struct collect_request *request)
{
    size_t kept = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < collect->path_count; i++) {
        char *path = collect->paths[i];
        struct stat status;
        int fd = open_file(workspace, path, &status);
        bool wanted = fd >= 0 && is_changed(workspace, path, fd);
        if (fd >= 0)
            close(fd);
        if (wanted && (kept >= request->max_files || (uint64_t)status.st_size > request->max_bytes - bytes)) {
            collect->left_out = true;
            wanted = false;
        }
        if (wanted) {
            bytes += (uint64_t)status.st_size;
            collect->paths[kept++] = path;
        } else {
            free(path);
        }
    }
    collect->path_count = kept;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

bool collect_start(struct collect *collect, const struct workspace *workspace, const struct frame *frame, struct failure *failure)
{
    struct collect_request request;
    char path[PATH_MAX_BYTES + 1] = "";
    *collect = (struct collect){.file = -1};
    if (!collect_request_parse(&request, frame->payload, frame->length, failure))
        return false;
    bool found = find_below(collect, workspace, request.globs, path, 0);
    if (found && collect->path_count > 0) {
        qsort(collect->paths, collect->path_count, sizeof *collect->paths, by_name);
        choose(collect, workspace, &request);
    }
    collect_request_free(&request);
    return found || failure_set_errno(failure, "finding produced files");
}

/* Opens the next file and prepares its header. A file that cannot be opened any more is passed over. */
static void begin_next_file(struct collect *collect, const struct workspace *workspace)
{
    char *path = collect->paths[collect->next++];
    struct stat status;
    collect->file = open_file(workspace, path, &status);
    if (collect->file >= 0) {
        collect->file_size = collect->file_missing = (uint64_t)status.st_size;
        collect->extra_at = 0;
        collect->extra_length = tar_write_header(collect->extra, path, (uint64_t)status.st_size, (status.st_mode & S_IXUSR) != 0, status.st_mtime);
    }
    free(path);
}

static void end_file(struct collect *collect)
{
    close(collect->file);
    collect->file = -1;
    collect->extra_at = 0;
    collect->extra_length = tar_padding(collect->file_size);
    memset(collect->extra, 0, collect->extra_length);
}

/* Fills `bytes` with what comes next of the archive. Less than `room` only at its end. */
static size_t fill(struct collect *collect, const struct workspace *workspace, uint8_t *bytes, size_t room)
{
    size_t filled = 0;
    while (filled < room) {
        size_t left = room - filled;
        if (collect->extra_at < collect->extra_length) {
            size_t extra = collect->extra_length - collect->extra_at, count = extra < left ? extra : left;
            memcpy(bytes + filled, collect->extra + collect->extra_at, count);
            collect->extra_at += count;
            filled += count;
        } else if (collect->file >= 0 && collect->file_missing > 0) {
            size_t most = collect->file_missing < left ? (size_t)collect->file_missing : left;
            ssize_t count = read_some(collect->file, bytes + filled, most);
            if (count <= 0) { /* it got shorter; the archive keeps its promise of a size */
                memset(bytes + filled, 0, most);
                count = (ssize_t)most;
            }
            collect->file_missing -= (uint64_t)count;
            filled += (size_t)count;
        } else if (collect->file >= 0) {
            end_file(collect);
        } else if (collect->next < collect->path_count) {
            begin_next_file(collect, workspace);
        } else {
            break;
        }
    }
    return filled;
}

bool collect_pass(struct collect *collect, const struct workspace *workspace, struct outbox *outbox)
{
    static const uint8_t trailer[TRAILER_BYTES];
    while (outbox_takes_stream(outbox)) {
        size_t count = fill(collect, workspace, outbox_reserve(outbox), FRAME_MAX_PAYLOAD);
        if (count > 0)
            outbox_commit(outbox, FRAME_FILE, false, count);
        if (count == FRAME_MAX_PAYLOAD)
            continue;
        if (collect->left_out)
            outbox_put(outbox, FRAME_FAIL, false, COLLECT_LIMIT_FAIL, sizeof COLLECT_LIMIT_FAIL - 1);
        outbox_put(outbox, FRAME_FILE, true, trailer, sizeof trailer);
        free(collect->paths);
        *collect = (struct collect){.file = -1};
        return true;
    }
    return false;
}

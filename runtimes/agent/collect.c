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

/* What compilers and runners leave there is no product of the program: it comes only where a glob names the folder. */
#define OWN_FOLDER ".coderunner/"

/* An archive ends with two blocks of zeros. */
#define TRAILER_BYTES (2 * TAR_BLOCK_BYTES)

static bool add_file(struct collect *collect, const char *path, uint64_t bytes)
{
    if (collect->file_count == collect->file_room) {
        size_t room = collect->file_room ? collect->file_room * 2 : 64;
        struct collect_file *files = realloc(collect->files, room * sizeof *files);
        if (files == NULL)
            return false;
        collect->files = files;
        collect->file_room = room;
    }
    char *copy = strdup(path);
    if (copy == NULL)
        return false;
    collect->files[collect->file_count++] = (struct collect_file){copy, bytes};
    return true;
}

static bool is_below_own(const char *path)
{
    return strncmp(path, OWN_FOLDER, sizeof OWN_FOLDER - 1) == 0;
}

static bool is_wanted(const char *const *globs, const char *path)
{
    for (; *globs; globs++)
        if (glob_matches(*globs, path) && (!is_below_own(path) || is_below_own(*globs)))
            return true;
    return false;
}

static ssize_t read_some(int fd, uint8_t *bytes, size_t count)
{
    ssize_t got;
    do
        got = read(fd, bytes, count);
    while (got < 0 && errno == EINTR);
    return got;
}

/* `fd` is open for reading, or -1. Closes what is no regular file and returns -1 for it. */
static int regular_file(int fd, struct stat *status)
{
    if (fd >= 0 && (fstat(fd, status) != 0 || !S_ISREG(status->st_mode))) {
        close(fd);
        return -1;
    }
    return fd;
}

/*
 * Whether the file is new or not what intake left. Only what may be as intake left it is read: a program can leave more holes than could be
 * read in any time.
 */
static bool is_changed(const struct workspace *workspace, const char *path, int fd, uint64_t bytes)
{
    static uint8_t piece[65536];
    struct fingerprint print = {0};
    ssize_t count;
    if (!workspace_has_intake(workspace, path, bytes))
        return true;
    while ((count = read_some(fd, piece, sizeof piece)) > 0)
        fingerprint_add(&print, piece, (size_t)count);
    return workspace_is_changed(workspace, path, fingerprint_value(&print));
}

/* Takes down the file `name` of a folder if it can be read and is changed. False without memory. */
static bool find_file(struct collect *collect, const struct workspace *workspace, int folder, const char *name, const char *path)
{
    struct stat status;
    int fd = regular_file(openat(folder, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC), &status);
    if (fd < 0)
        return true;
    bool changed = is_changed(workspace, path, fd, (uint64_t)status.st_size);
    close(fd);
    return !changed || add_file(collect, path, (uint64_t)status.st_size);
}

/*
 * Finds changed files below the folder at `path`, which has `length` bytes and room for more; `fd` is that folder, or -1, and is closed.
 * Folders that the run user may not read, and paths that the protocol has no room for, are passed over. False without memory.
 */
static bool find_below(struct collect *collect, const struct workspace *workspace, const char *const *globs, int fd,
                       char path[PATH_MAX_BYTES + 1], size_t length)
{
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
            !utf8_is_valid(entry->d_name, name) || fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (length)
            path[length] = '/';
        memcpy(path + start, entry->d_name, name + 1);
        if (S_ISDIR(status.st_mode))
            found = find_below(collect, workspace, globs, openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), path,
                               start + name);
        else if (S_ISREG(status.st_mode) && is_wanted(globs, path))
            found = find_file(collect, workspace, fd, entry->d_name, path);
        path[length] = '\0';
    }
    closedir(folder);
    return found;
}

/* Keeps of the files that were found those that the limits have room for. */
static void choose(struct collect *collect, const struct collect_request *request)
{
    size_t kept = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < collect->file_count; i++) {
        struct collect_file *file = &collect->files[i];
        if (kept >= request->max_files || file->bytes > request->max_bytes - bytes) {
            collect->left_out = true;
            free(file->path);
        } else {
            bytes += file->bytes;
            collect->files[kept++] = *file;
        }
    }
    collect->file_count = kept;
}

static int by_path(const void *left, const void *right)
{
    return strcmp(((const struct collect_file *)left)->path, ((const struct collect_file *)right)->path);
}

bool collect_start(struct collect *collect, const struct workspace *workspace, const struct frame *frame, struct failure *failure)
{
    struct collect_request request;
    char path[PATH_MAX_BYTES + 1] = "";
    *collect = (struct collect){.file = -1};
    if (!collect_request_parse(&request, frame->payload, frame->length, failure))
        return false;
    bool found = find_below(collect, workspace, request.globs, workspace_open_at(workspace, "", O_RDONLY | O_DIRECTORY), path, 0);
    if (found && collect->file_count > 0) {
        qsort(collect->files, collect->file_count, sizeof *collect->files, by_path);
        choose(collect, &request);
    }
    collect_request_free(&request);
    return found || failure_set_errno(failure, "finding produced files");
}

/* Opens the next file and prepares its header. A file that cannot be opened any more is passed over. */
static void begin_next_file(struct collect *collect, const struct workspace *workspace)
{
    char *path = collect->files[collect->next++].path;
    struct stat status;
    collect->file = regular_file(workspace_open_at(workspace, path, O_RDONLY | O_NONBLOCK), &status);
    if (collect->file >= 0) {
        collect->file_size = collect->file_missing = (uint64_t)status.st_size;
        collect->extra_at = 0;
        collect->extra_length =
            tar_write_header(collect->extra, path, (uint64_t)status.st_size, (status.st_mode & S_IXUSR) != 0, status.st_mtime);
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
        } else if (collect->next < collect->file_count) {
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
        free(collect->files);
        *collect = (struct collect){.file = -1};
        return true;
    }
    return false;
}

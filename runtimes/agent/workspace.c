#include "workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FOLDER_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

bool workspace_open(struct workspace *workspace, const char *path, struct failure *failure)
{
    static const char probe[] = ".coderunner-probe";
    *workspace = (struct workspace){.root = open(path, FOLDER_FLAGS), .folder = -1, .file = -1};
    if (workspace->root < 0)
        return failure_set(failure, FAIL_BAD_ENVIRONMENT, "The workspace %s is not there: %s.", path, strerror(errno));
    if (mkdirat(workspace->root, probe, 0755) != 0 || unlinkat(workspace->root, probe, AT_REMOVEDIR) != 0)
        return failure_set(failure, FAIL_BAD_ENVIRONMENT, "The run user cannot write to the workspace %s: %s.", path, strerror(errno));
    return true;
}

/* What errno means for the file at `path`. */
static bool refuse(const struct workspace *workspace, const char *path, struct failure *failure)
{
    int error = errno;
    size_t length = strlen(path);
    struct statvfs room;
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        if (fstatvfs(workspace->root, &room) == 0 && room.f_favail == 0 && room.f_files > 0)
            return failure_set_path(failure, FAIL_WORKSPACE_FULL, path, length, "The workspace cannot hold more than %llu files and folders.",
                                    (unsigned long long)room.f_files);
        return failure_set_path(failure, FAIL_WORKSPACE_FULL, path, length, "There is not enough room in the workspace for this file.");
    case ENOTDIR:
    case ELOOP:
        return failure_set_path(failure, FAIL_BAD_PATH, path, length, "The file's path goes through something that is not a folder.");
    case EISDIR:
        return failure_set_path(failure, FAIL_BAD_PATH, path, length, "The file would replace a folder.");
    case ENAMETOOLONG:
        return failure_set_path(failure, FAIL_BAD_PATH, path, length, "The file's path is too long.");
    default:
        errno = error;
        return failure_set_errno(failure, "writing a file to the workspace");
    }
}

/* Opens the folder at the first `length` bytes of `path`, creating what is missing of it if asked to. -1 with errno. */
static int open_folder(const struct workspace *workspace, const char *path, size_t length, bool create)
{
    char name[PATH_MAX_COMPONENT_BYTES + 1];
    int folder = fcntl(workspace->root, F_DUPFD_CLOEXEC, 0);
    for (size_t at = 0; folder >= 0 && at < length;) {
        const char *slash = memchr(path + at, '/', length - at);
        size_t component = (slash ? (size_t)(slash - path) : length) - at;
        if (component >= sizeof name) {
            close(folder);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, path + at, component);
        name[component] = '\0';
        int next = openat(folder, name, FOLDER_FLAGS);
        if (next < 0 && errno == ENOENT && create && mkdirat(folder, name, 0755) == 0)
            next = openat(folder, name, FOLDER_FLAGS);
        int error = errno;
        close(folder);
        errno = error;
        folder = next;
        at += component + 1;
    }
    return folder;
}

/* The parent's length in a normal path; `name` is set to the last component. */
static size_t split(const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    return slash ? (size_t)(slash - path) : 0;
}

int workspace_open_at(const struct workspace *workspace, const char *path, int flags)
{
    const char *name;
    size_t parent_length = split(path, &name);
    int parent = open_folder(workspace, path, parent_length, false);
    if (parent < 0)
        return -1;
    int opened = openat(parent, *name ? name : ".", flags | O_NOFOLLOW | O_CLOEXEC);
    int error = errno;
    close(parent);
    errno = error;
    return opened;
}

static bool enter_folder(struct workspace *workspace, const char *path, size_t length, struct failure *failure)
{
    if (workspace->folder >= 0 && strlen(workspace->folder_path) == length && memcmp(workspace->folder_path, path, length) == 0)
        return true;
    if (workspace->folder >= 0)
        close(workspace->folder);
    workspace->folder = open_folder(workspace, path, length, true);
    if (workspace->folder < 0)
        return refuse(workspace, path, failure);
    memcpy(workspace->folder_path, path, length);
    workspace->folder_path[length] = '\0';
    return true;
}

static int create_file(const struct workspace *workspace, const char *name, mode_t mode)
{
    return openat(workspace->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
}

static bool begin_file(struct workspace *workspace, bool executable, struct failure *failure)
{
    const char *name, *path = workspace->file_path;
    mode_t mode = executable ? 0755 : 0644;
    if (!enter_folder(workspace, path, split(path, &name), failure))
        return false;
    workspace->file = create_file(workspace, name, mode);
    if (workspace->file < 0 && errno == EEXIST && unlinkat(workspace->folder, name, 0) == 0) /* which refuses a folder */
        workspace->file = create_file(workspace, name, mode);
    if (workspace->file < 0)
        return refuse(workspace, path, failure);
    workspace->fingerprint = (struct fingerprint){0};
    return true;
}

static bool take_entry(void *context, const struct tar_entry *entry, struct failure *failure)
{
    struct workspace *workspace = context;
    if (!path_normalise(entry->path, entry->path_length, workspace->file_path, failure))
        return false;
    if (entry->folder)
        return enter_folder(workspace, workspace->file_path, strlen(workspace->file_path), failure);
    if (workspace->file_path[0] == '\0')
        return failure_set_path(failure, FAIL_BAD_PATH, entry->path, entry->path_length, "The file would replace the workspace.");
    return begin_file(workspace, entry->executable, failure);
}

static bool take_data(void *context, const uint8_t *bytes, size_t count, struct failure *failure)
{
    struct workspace *workspace = context;
    fingerprint_add(&workspace->fingerprint, bytes, count);
    while (count > 0) {
        ssize_t wrote = write(workspace->file, bytes, count);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return refuse(workspace, workspace->file_path, failure);
        bytes += wrote;
        count -= (size_t)wrote;
    }
    return true;
}

static bool remember(struct workspace *workspace)
{
    if (workspace->intake_count == workspace->intake_room) {
        size_t room = workspace->intake_room ? workspace->intake_room * 2 : 64;
        struct intake_file *intake = realloc(workspace->intake, room * sizeof *intake);
        if (intake == NULL)
            return false;
        workspace->intake = intake;
        workspace->intake_room = room;
    }
    char *path = strdup(workspace->file_path);
    if (path == NULL)
        return false;
    size_t order = workspace->intake_count++;
    workspace->intake[order] = (struct intake_file){path, order, workspace->fingerprint.bytes, fingerprint_value(&workspace->fingerprint)};
    return true;
}

static bool end_file(void *context, struct failure *failure)
{
    struct workspace *workspace = context;
    int closed = close(workspace->file);
    workspace->file = -1;
    if (closed != 0)
        return refuse(workspace, workspace->file_path, failure);
    return remember(workspace) || failure_set_errno(failure, "remembering a file");
}

const struct tar_sink workspace_sink = {.begin = take_entry, .data = take_data, .end = end_file};

static int by_path_and_order(const void *left, const void *right)
{
    const struct intake_file *a = left, *b = right;
    int paths = strcmp(a->path, b->path);
    return paths ? paths : (a->order > b->order) - (a->order < b->order);
}

static int by_path(const void *path, const void *file)
{
    return strcmp(path, ((const struct intake_file *)file)->path);
}

void workspace_intake_done(struct workspace *workspace)
{
    if (workspace->folder >= 0)
        close(workspace->folder);
    workspace->folder = -1;
    if (workspace->intake_count == 0)
        return;
    qsort(workspace->intake, workspace->intake_count, sizeof *workspace->intake, by_path_and_order);
    size_t kept = 0;
    for (size_t i = 0; i < workspace->intake_count; i++) {
        struct intake_file *file = &workspace->intake[i];
        if (i + 1 < workspace->intake_count && strcmp(file->path, file[1].path) == 0)
            free(file->path);
        else
            workspace->intake[kept++] = *file;
    }
    workspace->intake_count = kept;
}

void workspace_forget(struct workspace *workspace)
{
    for (size_t i = 0; i < workspace->intake_count; i++)
        free(workspace->intake[i].path);
    workspace->intake_count = 0;
}

static const struct intake_file *find_intake(const struct workspace *workspace, const char *path)
{
    if (workspace->intake_count == 0)
        return NULL;
    return bsearch(path, workspace->intake, workspace->intake_count, sizeof *workspace->intake, by_path);
}

bool workspace_has_intake(const struct workspace *workspace, const char *path, uint64_t bytes)
{
    const struct intake_file *file = find_intake(workspace, path);
    return file != NULL && file->bytes == bytes;
}

bool workspace_is_changed(const struct workspace *workspace, const char *path, uint64_t fingerprint)
{
    const struct intake_file *file = find_intake(workspace, path);
    return file == NULL || file->fingerprint != fingerprint;
}

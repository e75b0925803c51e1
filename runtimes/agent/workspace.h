/*
 * The folder that the run's files go to, and what the daemon put there. Everything happens with the run user's rights (privileges.c) and
 * component by component below the root, never through a symbolic link: the program may have planted one.
 */
#ifndef CODERUNNER_WORKSPACE_H
#define CODERUNNER_WORKSPACE_H

#include "fingerprint.h"
#include "path.h"
#include "tar.h"

struct intake_file {
    char *path;
    size_t order; /* of arrival: a later entry of the same name replaces an earlier one */
    uint64_t bytes, fingerprint;
};

struct workspace {
    int root;
    /* The folder opened last: files of one folder come one after the other. -1 without one. */
    int folder;
    char folder_path[PATH_MAX_BYTES + 1];
    /* The file being written; -1 between files. */
    int file;
    char file_path[PATH_MAX_BYTES + 1];
    struct fingerprint fingerprint;
    struct intake_file *intake;
    size_t intake_count, intake_room;
};

/* Opens the workspace and checks that the run user can use it. */
bool workspace_open(struct workspace *workspace, const char *path, struct failure *failure);

/* Forgets what intake left: there is nothing of it any more. */
void workspace_forget(struct workspace *workspace);

/* Where the intake's tar reader puts files. `context` is the workspace. */
extern const struct tar_sink workspace_sink;

/* No more files will come: from here on workspace_is_changed can be asked. */
void workspace_intake_done(struct workspace *workspace);

/*
 * Opens an existing folder below the root (empty path: the root) or a file in it, with openat's flags for the last component.
 * Returns the descriptor, or -1 with errno.
 */
int workspace_open_at(const struct workspace *workspace, const char *path, int flags);

/* Whether intake left a file of this name and size: if not, it is changed whatever its content. */
bool workspace_has_intake(const struct workspace *workspace, const char *path, uint64_t bytes);

/* Whether a file with this content and name is not what intake left there. */
bool workspace_is_changed(const struct workspace *workspace, const char *path, uint64_t fingerprint);

#endif

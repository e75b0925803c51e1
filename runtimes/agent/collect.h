/* The files that a program produced, as a tar stream. */
#ifndef CODERUNNER_COLLECT_H
#define CODERUNNER_COLLECT_H

#include "outbox.h"
#include "request.h"
#include "workspace.h"

struct collect_file {
    char *path;
    uint64_t bytes;
};

struct collect {
    struct collect_file *files; /* to be sent, sorted by path */
    size_t file_count, file_room, next;
    bool left_out; /* some did not fit into the limits */
    int file;      /* being sent; -1 between files */
    uint64_t file_size, file_missing;
    /* What goes before (a header) or after (padding) the bytes of a file. */
    size_t extra_at, extra_length;
    uint8_t extra[TAR_HEADER_MAX];
};

/* Finds the files that COLLECT asks for. False with the failure set if it does not ask well. */
bool collect_start(struct collect *collect, const struct workspace *workspace, const struct frame *request, struct failure *failure);

/* Moves files to the outbox, as far as it goes. Returns whether the last FILE is there too; then nothing is left to free. */
bool collect_pass(struct collect *collect, const struct workspace *workspace, struct outbox *outbox);

#endif

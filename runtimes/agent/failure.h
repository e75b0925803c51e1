/* What the agent itself could not do, on its way to a FAIL frame. What goes wrong in the program is never a failure: that is its EXIT. */
#ifndef CODERUNNER_FAILURE_H
#define CODERUNNER_FAILURE_H

#include <stdbool.h>
#include <stddef.h>

/* The codes of docs/protocol.md, section 1. All but COLLECT_LIMIT end the container. */
#define FAIL_PROTOCOL_ERROR "protocol_error"
#define FAIL_BAD_ENVIRONMENT "bad_environment"
#define FAIL_BAD_ARCHIVE "bad_archive"
#define FAIL_BAD_PATH "bad_path"
#define FAIL_WORKSPACE_FULL "workspace_full"
#define FAIL_BAD_START "bad_start"
#define FAIL_BAD_COLLECT "bad_collect"
#define FAIL_COLLECT_LIMIT "collect_limit"
#define FAIL_UNSUPPORTED "unsupported"
#define FAIL_NOT_CLEAN "not_clean"
#define FAIL_SERVICE_ENDED "service_ended"
#define FAIL_INTERNAL "internal"

/* Longer paths are shown by their beginning: escaped as JSON, a FAIL still fits into one frame. */
#define FAILURE_PATH_BYTES 8192

struct failure {
    const char *code; /* NULL as long as nothing failed */
    char message[512];
    char path[FAILURE_PATH_BYTES]; /* not terminated: a refused name may hold anything */
    size_t path_length;            /* 0 when no file is to blame */
};

/* Notes the failure. Returns false, so that a function can end with it. */
bool failure_set(struct failure *failure, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As above, with the file to blame. */
bool failure_set_path(struct failure *failure, const char *code, const char *path, size_t path_length, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* A system call that should have worked did not: FAIL_INTERNAL with what was being done and errno's meaning. */
bool failure_set_errno(struct failure *failure, const char *doing);

#endif

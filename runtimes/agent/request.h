/* What the daemon asks for in JSON: START and COLLECT. */
#ifndef CODERUNNER_REQUEST_H
#define CODERUNNER_REQUEST_H

#include "failure.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

struct limits {
    uint64_t wall_ms, cpu_ms, output_bytes, file_bytes, open_files;
};

/* Strings belong to `json`; the two lists, ending with NULL, to the request. */
struct start_request {
    json_t *json;
    const char *stage;
    bool is_run; /* the stage is the program itself; others prepare it */
    const char **argv;
    const char **env; /* "NAME=value" */
    char *env_text;
    const char *cwd;
    bool tty;
    struct winsize size; /* with tty */
    json_t *warm;        /* borrowed; NULL: start cold */
    struct limits limits;
};

bool start_request_parse(struct start_request *start, const uint8_t *bytes, size_t length, const char *workspace, struct failure *failure);
void start_request_free(struct start_request *start);

/* The message for the warm interpreter, length first. `terminal` may be NULL. Returns it malloc'ed with its size, or NULL without memory. */
uint8_t *start_request_for_warm(const struct start_request *start, const char *terminal, size_t *size);

struct collect_request {
    json_t *json;
    const char **globs; /* ends with NULL */
    uint64_t max_files, max_bytes;
};

bool collect_request_parse(struct collect_request *collect, const uint8_t *bytes, size_t length, struct failure *failure);
void collect_request_free(struct collect_request *collect);

#endif

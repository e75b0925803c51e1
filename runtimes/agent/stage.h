/* A stage: one program from START to EXIT, with everything it starts. */
#ifndef CODERUNNER_STAGE_H
#define CODERUNNER_STAGE_H

#include "cgroup.h"
#include "outbox.h"
#include "request.h"
#include "services.h"
#include "session.h"
#include "streams.h"
#include "terminal.h"
#include "warm.h"

#include <sys/resource.h>

/* What stages share. */
struct stage_host {
    struct identity user;
    const char *workspace;
    struct cgroup cgroup;
    struct services services;
    struct warm parent; /* which forks `warm` from the second run on, where the runtime's can */
    struct warm warm;
};

/* Which limit the agent ended the program for. */
enum stage_limit { LIMIT_NONE, LIMIT_WALL, LIMIT_CPU, LIMIT_OUTPUT };

/* Stdin on its way to the program. */
struct stdin_ring {
    size_t start, count;
    bool ends;          /* no more comes after what is held */
    bool after_newline; /* of what was passed on; true at the beginning */
    uint8_t bytes[STDIN_WINDOW_BYTES];
};

struct stage {
    struct start_request request;
    pid_t pid;      /* the main process; 0 once it has ended */
    bool all_ended; /* everything it left behind too */
    bool warm;
    bool lent;              /* the warm interpreter does it and stays; its pipes are not ours to close */
    bool output_left;       /* there was more than its limit */
    struct streams streams; /* our ends; with a terminal `in` and `out` are its master */
    struct terminal terminal;
    enum stage_limit exceeded;
    int status; /* of the main process, as wait gives it */
    uint64_t started_ns, ended_ns, next_cpu_check_ns;
    uint64_t cgroup_cpu_base_ns, own_cpu_base_ns, cpu_base_ns, reaped_cpu_ns;
    uint64_t oom_kills_base;
    uint64_t output_bytes, peak_rss_bytes;
};

/* Starts what START asks for. False with the failure set if the agent could not. */
bool stage_start(struct stage *stage, struct stage_host *host, const struct frame *start, struct failure *failure);

/* Passes on what `ring` holds, as far as the program takes it. Returns the bytes it is rid of. */
size_t stage_pass_stdin(struct stage *stage, struct stdin_ring *ring);

/* Whether the program's stdin should be polled for room. */
bool stage_wants_stdin(const struct stage *stage, const struct stdin_ring *ring);

/* Moves output to the outbox, as far as it and the credit go. */
void stage_pass_output(struct stage *stage, struct outbox *outbox, uint64_t *credit);

/* Whether reading output can be of use now. */
bool stage_wants_output(const struct stage *stage, const struct outbox *outbox, uint64_t credit);

void stage_signal(struct stage *stage, int number);

/* A process that does not wait for another stage was reaped. False if it never became the program for a reason of the agent's. */
bool stage_reaped(struct stage *stage, struct stage_host *host, pid_t pid, int status, const struct rusage *usage, struct failure *failure);

/* Ends the program if a limit is reached, and what it left behind if it has ended. */
void stage_enforce(struct stage *stage, struct stage_host *host);

/* When stage_enforce is to be called even if nothing happens; CLOCK_MONOTONIC. */
uint64_t stage_deadline_ns(const struct stage *stage);

/* Whether all is over and passed on. */
bool stage_is_done(const struct stage *stage);

/* EXIT's payload. Frees the stage. Returns it malloc'ed with its length, or NULL without memory. */
char *stage_finish(struct stage *stage, struct stage_host *host, size_t *length);

#endif

/* The interpreter that was started at boot and waits for a run. docs/protocol.md, "Warm interpreter". */
#ifndef CODERUNNER_WARM_H
#define CODERUNNER_WARM_H

#include "launch.h"
#include "streams.h"

#include <stdint.h>

struct warm {
    pid_t pid;      /* 0: there is none, or a stage has taken it */
    int control;    /* our end of its socket; -1 with pid 0 */
    bool ready;     /* it said that it waits */
    struct streams streams;
};

#define WARM_NONE ((struct warm){.control = -1, .streams = STREAMS_CLOSED})

/* Starts it. It is not ready before warm_read said so. */
bool warm_start(struct warm *warm, struct identity user, const char *const *argv, const char *workspace, struct failure *failure);

/* Its socket has news: it is ready, or it gave up and is discarded. */
void warm_read(struct warm *warm);

/* Kills it, if there is one. */
void warm_discard(struct warm *warm);

/*
 * Hands it the stage. It becomes the program: its pid and our ends of its pipes pass to the caller.
 * False without a failure when there is none to take; then the stage starts cold.
 */
bool warm_take(struct warm *warm, struct identity user, const struct start_request *start, const char *terminal, pid_t *pid,
               struct streams *streams, struct failure *failure);

#endif

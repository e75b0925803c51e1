/* The interpreter that was started at boot, or forked by a parent of interpreters, and waits for a run. docs/protocol.md, "Warm interpreter". */
#ifndef CODERUNNER_WARM_H
#define CODERUNNER_WARM_H

#include "launch.h"
#include "streams.h"

#include <stdint.h>

struct warm {
    pid_t pid; /* 0: there is none, a stage has taken it, or it was forked and has not said that it waits */
    struct identity user;
    pid_t discarded; /* killed and not reaped yet: what it used is no stage's; or 0 */
    int control;     /* our end of its socket; -1: there is none, or a stage has taken it */
    bool ready;      /* it said that it waits */
    bool lent;       /* it does a stage, and comes back */
    size_t answered;
    uint8_t answer[2]; /* how that stage ended: 'E' and the exit code */
    struct streams streams;
};

#define WARM_NONE ((struct warm){.control = -1, .streams = STREAMS_CLOSED})

/* Starts it. It is not ready before warm_read said so. */
bool warm_start(struct warm *warm, struct identity user, const char *const *argv, const char *workspace, struct failure *failure);

/*
 * Starts a parent: a warm interpreter that takes no stage but forks another for each run. Its user is the agent's, its folder the root, so that
 * no program can reach it, nor can it read what one wrote.
 */
bool warm_start_parent(struct warm *parent, const char *const *argv, struct failure *failure);

/* Has a parent that is ready fork one, of that user. It is not ready before warm_read said so; until then it cannot be killed. */
bool warm_fork(struct warm *warm, const struct warm *parent, struct identity user, struct failure *failure);

/* Whether it was started or forked, and has not said that it waits. */
bool warm_is_starting(const struct warm *warm);

/* Its socket has news: it is ready, it has done the stage that it was lent for, or it gave up and is discarded. */
void warm_read(struct warm *warm);

/* Kills it, if there is one; SIGCHLD tells when it is gone. */
void warm_discard(struct warm *warm);

/*
 * Hands it the stage. It becomes the program: its pid and our ends of its pipes pass to the caller.
 * False without a failure when there is none to take; then the stage starts cold.
 */
bool warm_take(struct warm *warm, struct identity user, const struct start_request *start, const char *terminal, pid_t *pid,
               struct streams *streams, struct failure *failure);

/*
 * Has it do the stage, after which it waits again. It stays ours: `streams` gets our ends of its output to read from, not to close.
 * False as with warm_take.
 */
bool warm_lend(struct warm *warm, struct identity user, const struct start_request *start, pid_t *pid, struct streams *streams,
               struct failure *failure);

/* Whether it has done the stage that it is lent for; then with its exit code. */
bool warm_is_done(const struct warm *warm, int *exit_code);

/* The stage that it did is over. */
void warm_return(struct warm *warm);

/* It has ended while it was lent: what can still be read of its output passes to the stage. */
void warm_bury(struct warm *warm);

#endif

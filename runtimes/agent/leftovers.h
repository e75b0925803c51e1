/* What a run can leave in its container that is neither a process nor a file. */
#ifndef CODERUNNER_LEFTOVERS_H
#define CODERUNNER_LEFTOVERS_H

#include "failure.h"

/* Removes System V shared memory, semaphores and message queues of this user; in a child that has become the run user. */
void leftovers_remove(void);

/*
 * Whether there are none of them, no terminals, and no sockets (also such as only the kernel still remembers) but as many local ones as are the
 * agent's own; else the failure is set.
 */
bool leftovers_are_none(int own_sockets, struct failure *failure);

#endif

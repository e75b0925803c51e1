/* A Python that takes no run itself but forks a waiting one for each. docs/protocol.md, "Parent of interpreters". */
#ifndef CODERUNNER_PARENT_H
#define CODERUNNER_PARENT_H

#include <stdbool.h>

/* Whether this process was started to be one: the agent's user is nobody's who runs a program. */
bool is_parent(void);

/* Forks whenever it is told to on `control`, until that is closed. Returns in each child, a run user's, with the descriptors of its run. */
void fork_for_runs(int control);

#endif

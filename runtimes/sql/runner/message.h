/* START as the agent passes it on to an interpreter that waits: docs/protocol.md, section 1. */
#ifndef CODERUNNER_SQL_MESSAGE_H
#define CODERUNNER_SQL_MESSAGE_H

/* Says that the run can come, waits for it, and becomes its process: folder and terminal. Returns its argv, which ends with NULL. */
char **message_wait(void);

#endif

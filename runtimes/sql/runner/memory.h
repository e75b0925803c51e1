/* Memory that is there, or the end of the runner with a sentence: no caller has anything better to do. */
#ifndef CODERUNNER_SQL_MEMORY_H
#define CODERUNNER_SQL_MEMORY_H

#include <stddef.h>

void *need(size_t bytes);
void *need_more(void *old, size_t bytes);

/* A copy of bytes, with a NUL behind it. */
char *need_copy(const char *bytes, size_t length);

#endif

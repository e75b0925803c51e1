/* The scripts beside an entry that make the tables it works on and fill them; they run before it. */
#ifndef CODERUNNER_SQL_PRELUDE_H
#define CODERUNNER_SQL_PRELUDE_H

/*
 * Names them in the order in which they run: schema.sql, schema/ (its .sql files by name), data.sql, data/. Where the entry is one of them, only
 * those before it.
 */
void prelude_each(const char *entry, void (*take)(void *context, const char *path), void *context);

#endif

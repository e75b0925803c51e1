/* The unit tests' own harness: a test is a function, a failed check ends it and the next one runs. */
#ifndef CODERUNNER_CHECK_H
#define CODERUNNER_CHECK_H

#include "failure.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdnoreturn.h>
#include <string.h>

struct test {
    const char *title;
    void (*run)(void);
    struct test *next;
};

void test_add(struct test *test);
noreturn void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* TEST(name, "what the agent promises") { … } */
#define TEST(name, says)                                                                                                                            \
    static void name(void);                                                                                                                         \
    __attribute__((constructor)) static void add_##name(void)                                                                                       \
    {                                                                                                                                               \
        static struct test test = {says, name, NULL};                                                                                               \
        test_add(&test);                                                                                                                            \
    }                                                                                                                                               \
    static void name(void)

#define CHECK(condition)                                                                                                                            \
    do {                                                                                                                                            \
        if (!(condition))                                                                                                                           \
            test_fail(__FILE__, __LINE__, "%s", #condition);                                                                                        \
    } while (0)

/* For tables and loops: says which case it was. */
#define CHECK_CASE(condition, ...)                                                                                                                  \
    do {                                                                                                                                            \
        if (!(condition))                                                                                                                           \
            test_fail(__FILE__, __LINE__, __VA_ARGS__);                                                                                             \
    } while (0)

/* A system call of the test itself. */
#define MUST(condition) CHECK_CASE(condition, "%s: %s", #condition, strerror(errno))

/* Whether the failure has that code and says why in a sentence. */
bool failure_is(const struct failure *failure, const char *code);

/* A new folder for the running test, removed with all that is in it when the test ends, however it does, or asks for another. */
const char *test_folder(void);

#endif

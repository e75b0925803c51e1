#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A test that waits for what never comes ends all of them. No test is near it. */
#define TEST_WITHIN_S 120

static struct test *tests;
static jmp_buf end_of_test;
static char folder[PATH_MAX];

void test_add(struct test *test)
{
    test->next = tests;
    tests = test;
}

void test_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    longjmp(end_of_test, 1);
}

bool failure_is(const struct failure *failure, const char *code)
{
    if (failure->code && strcmp(failure->code, code) == 0 && failure->message[0] != '\0')
        return true;
    fprintf(stderr, "the failure is %s: %s\n", failure->code ? failure->code : "none", failure->code ? failure->message : "");
    return false;
}

static void must(bool done)
{
    if (!done) {
        perror(folder);
        exit(EXIT_FAILURE);
    }
}

/* Component by component: a test may have made a path that is too long for one call. */
static void remove_below(int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0)
        return;
    int opened = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = fdopendir(opened);
    must(entries != NULL);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_below(opened, entry->d_name);
    closedir(entries);
    must(unlinkat(parent, name, AT_REMOVEDIR) == 0);
}

static void remove_folder(void)
{
    if (folder[0] != '\0')
        remove_below(AT_FDCWD, folder);
    folder[0] = '\0';
}

const char *test_folder(void)
{
    remove_folder();
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/coderunner-agent-test-XXXXXX", parent ? parent : "/tmp");
    MUST(mkdtemp(folder) != NULL);
    return folder;
}

static bool passes(const struct test *test)
{
    bool passed = setjmp(end_of_test) == 0;
    alarm(TEST_WITHIN_S);
    if (passed)
        test->run();
    remove_folder();
    return passed;
}

/* With an argument: only the tests whose title contains it. */
int main(int count, char **arguments)
{
    unsigned passed = 0, failed = 0;
    for (const struct test *test = tests; test; test = test->next) {
        if (count > 1 && strstr(test->title, arguments[1]) == NULL)
            continue;
        if (passes(test)) {
            passed++;
        } else {
            failed++;
            fprintf(stderr, "FAILED: %s\n", test->title);
        }
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 || passed == 0;
}

#include "check.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* From within its folder: a test may have made a path that is too long for one call. */
static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *where)
{
    (void)status;
    return unlinkat(AT_FDCWD, where->level > 0 ? path + where->base : path, flag == FTW_DP ? AT_REMOVEDIR : 0);
}

static void remove_folder(void)
{
    if (folder[0] != '\0' && nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_CHDIR) != 0) {
        perror(folder);
        exit(EXIT_FAILURE);
    }
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

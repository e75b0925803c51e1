#include "check.h"
#include "path.h"

#include <errno.h>

static struct failure failure;

TEST(failure_message, "a failure has its code and its message, and no path unless one is to blame")
{
    failure.path_length = 3;
    CHECK(!failure_set(&failure, FAIL_BAD_START, "%s of %d", "One", 2));
    CHECK(failure_is(&failure, FAIL_BAD_START) && strcmp(failure.message, "One of 2") == 0 && failure.path_length == 0);
    CHECK(!failure_set_path(&failure, FAIL_BAD_PATH, "a\0b", 3, "No."));
    CHECK(failure_is(&failure, FAIL_BAD_PATH) && failure.path_length == 3 && memcmp(failure.path, "a\0b", 3) == 0);
}

TEST(failure_errno, "a failed system call says what was being done and why it failed")
{
    errno = ENOENT;
    CHECK(!failure_set_errno(&failure, "opening something"));
    CHECK(failure_is(&failure, FAIL_INTERNAL));
    CHECK(strstr(failure.message, "opening something") && strstr(failure.message, strerror(ENOENT)));
}

TEST(failure_cut, "long messages and paths are cut, messages never within a character")
{
    static char text[2 * FAILURE_PATH_BYTES];
    for (size_t i = 0; i + 1 < sizeof text; i += 3)
        memcpy(text + i, "\342\202\254", sizeof text - 1 - i < 3 ? sizeof text - 1 - i : 3);
    for (int shift = 0; shift < 3; shift++) {
        CHECK(!failure_set_path(&failure, FAIL_BAD_PATH, text, sizeof text, "%.*s%s", shift, "ab", text));
        size_t length = strlen(failure.message);
        CHECK(length > sizeof failure.message - 5 && utf8_is_valid(failure.message, length));
        CHECK(failure.path_length == FAILURE_PATH_BYTES);
    }
    failure_set(&failure, FAIL_BAD_START, "Cut %s.", "\342\202");
    CHECK(strcmp(failure.message, "Cut ") == 0);
}

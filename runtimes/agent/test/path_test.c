#include "path.h"

#include "check.h"

static char normal[PATH_MAX_BYTES + 1];
static struct failure failure;

static bool becomes(const char *path, const char *expected)
{
    return path_normalise(path, strlen(path), normal, &failure) && strcmp(normal, expected) == 0;
}

static bool is_refused(const char *path, size_t length, const char *why)
{
    return !path_normalise(path, length, normal, &failure) && failure_is(&failure, FAIL_BAD_PATH) && strstr(failure.message, why) &&
           failure.path_length == length && memcmp(failure.path, path, length) == 0;
}

TEST(normal_forms, "paths are written in one normal form")
{
    static const char *const cases[][2] = {
        {"a", "a"},
        {"a/b.c", "a/b.c"},
        {"./a", "a"},
        {"a/", "a"},
        {"a//b///c//", "a/b/c"},
        {"./././a/./b/.", "a/b"},
        {".", ""},
        {"./", ""},
        {".hidden", ".hidden"},
        {"..a/b..", "..a/b.."},
        {"...", "..."},
        {" ", " "},
        {"a\\b", "a\\b"},
        {"-rf", "-rf"},
        {"\303\274/\360\237\216\210", "\303\274/\360\237\216\210"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_CASE(becomes(cases[i][0], cases[i][1]), "%s", cases[i][0]);
}

TEST(refused_paths, "paths that leave the workspace or that no terminal shows are refused with the reason")
{
    static const char *const cases[][2] = {
        {"", "is empty"},
        {"/", "is absolute"},
        {"/a", "is absolute"},
        {"//a", "is absolute"},
        {"..", "'..'"},
        {"../a", "'..'"},
        {"a/..", "'..'"},
        {"a/../b", "'..'"},
        {"a/./../b", "'..'"},
        {"a//..//b", "'..'"},
        {"a\nb", "control"},
        {"a\x1b[2J", "control"},
        {"a\x7f", "control"},
        {"\t", "control"},
        {"a\xff", "UTF-8"},
        {"\xc0\xae\xc0\xae/a", "UTF-8"}, /* an overlong `..` */
        {"a/\xe2\x82", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_CASE(is_refused(cases[i][0], strlen(cases[i][0]), cases[i][1]), "%s: %s", cases[i][0], failure.message);
    CHECK(is_refused("a\0b", 3, "control"));
    CHECK(is_refused("a\0", 2, "control"));
}

TEST(path_lengths, "components have up to 255 bytes and paths up to 4,096")
{
    char path[PATH_MAX_BYTES + 2];
    memset(path, 'a', sizeof path);
    CHECK(path_normalise(path, 255, normal, &failure) && strlen(normal) == 255);
    CHECK(is_refused(path, 256, "255 bytes"));
    for (size_t i = 255; i < sizeof path; i += 256)
        path[i] = '/';
    path[PATH_MAX_BYTES - 1] = 'a';
    path[PATH_MAX_BYTES - 2] = '/';
    CHECK(path_normalise(path, PATH_MAX_BYTES, normal, &failure) && strlen(normal) == PATH_MAX_BYTES);
    CHECK(memcmp(path, normal, PATH_MAX_BYTES) == 0);
    CHECK(is_refused(path, PATH_MAX_BYTES + 1, "4096 bytes"));
}

TEST(utf8, "UTF-8 is what RFC 3629 says, nothing overlong, no surrogates, nothing beyond U+10FFFF")
{
    static const struct {
        const char *bytes;
        bool valid;
    } cases[] = {
        {"", true},
        {"plain", true},
        {"\x7f", true},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xef\xbf\xbf", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"a\xc3\xbc\xe2\x82\xac\xf0\x9f\x8e\x88z", true},
        {"\x80", false},
        {"\xbf", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xc2", false},
        {"\xc2z", false},
        {"\xc2\xc2", false},
        {"\xe0\x9f\xbf", false},
        {"\xe2\x82", false},
        {"\xe2\x82z", false},
        {"\xe2z\x82", false},
        {"\xed\xa0\x80", false},
        {"\xed\xbf\xbf", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf0\x9f\x8e", false},
        {"\xf0\x9f\x8ez", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xfe", false},
        {"\xff", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_CASE(utf8_is_valid(cases[i].bytes, strlen(cases[i].bytes)) == cases[i].valid, "case %zu", i);
    CHECK(utf8_is_valid("a\0b", 3));
    CHECK(utf8_character_bytes("\xe2\x82\xac", 3) == 3 && utf8_character_bytes("\xe2\x82\xac", 2) == 0 && utf8_character_bytes("a", 0) == 0);
}

#include "glob.h"

#include "check.h"

#include <stdlib.h>

TEST(globs, "patterns match whole paths, component by component")
{
    static const struct {
        const char *pattern, *path;
        bool matches;
    } cases[] = {
        {"a", "a", true},
        {"a", "b", false},
        {"a", "aa", false},
        {"a", "a/b", false},
        {"", "a", false},
        {"", "", true},

        {"*", "a", true},
        {"*", ".hidden", true},
        {"*", "a/b", false},
        {"*.png", "plot.png", true},
        {"*.png", ".png", true},
        {"*.png", "plot.png.txt", false},
        {"*.png", "out/plot.png", false},
        {"out/*.png", "out/plot.png", true},
        {"out/*", "out", false},
        {"out/*", "out/a/b", false},
        {"*/*", "a/b", true},
        {"a*b*c", "abc", true},
        {"a*b*c", "axxbyybzzc", true},
        {"a*b*c", "axxbyybzz", false},
        {"***", "abc", true},
        {"a**b", "axb", true},
        {"a**b", "a/b", false},

        {"?", "a", true},
        {"?", "", false},
        {"?", "ab", false},
        {"?", "/", false},
        {"a?c", "a/c", false},
        {"?", "\303\274", true},
        {"??", "\303\274", false},
        {"?", "\360\237\216\210", true},
        {"?\377?", "a\377b", true}, /* no UTF-8: byte by byte */

        {"**", "a", true},
        {"**", "a/b/c", true},
        {"**/a", "a", true},
        {"**/a", "b/c/a", true},
        {"**/a", "b/c/ab", false},
        {"a/**", "a", true},
        {"a/**", "a/b/c", true},
        {"a/**", "b/c", false},
        {"a/**/b", "a/b", true},
        {"a/**/b", "a/x/y/b", true},
        {"a/**/b", "a/x/y/c", false},
        {"**/x/**/y", "x/y", true},
        {"**/x/**/y", "a/x/b/x/c/y", true},
        {"**/x/**/y", "a/y/b/x", false},
        {"**/**", "a", true},
        {"**/*.c", "a/b.c", true},
        {"**/*.c", "b.c", true},
        {"**.c", "a/b.c", false},

        {"[abc]", "b", true},
        {"[abc]", "d", false},
        {"[abc]", "ab", false},
        {"[a-c]x", "bx", true},
        {"[a-c]", "d", false},
        {"[a-cx-z]", "y", true},
        {"[!a-c]", "d", true},
        {"[!a-c]", "b", false},
        {"[^a-c]", "d", true},
        {"[]]", "]", true},
        {"[]a]", "a", true},
        {"[!]]", "]", false},
        {"[!]]", "a", true},
        {"[a-]", "-", true},
        {"[a-]", "b", false},
        {"[-a]", "-", true},
        {"[c-a]", "b", false},
        {"[[]", "[", true},
        {"[*]", "*", true},
        {"[*]", "a", false},
        {"[?]", "?", true},
        {"[\303\244-\303\274]", "\303\266", true},
        {"[\303\244-\303\274]", "\303\237", false},
        {"[!a]", "\303\274", true},

        {"[", "[", true}, /* no class without its end */
        {"[abc", "[abc", true},
        {"[abc", "a", false},
        {"[]", "[]", true},
        {"[!]", "[!]", true},
        {"a[", "a[", true},
        {"[a/b]", "a", false},
        {"[a/b]", "[a/b]", true},
        {"*[", "ab[", true},
        {"[[a]", "a", true},
        {"]", "]", true},

        {"a/", "a", true},
        {"/a", "a", false},
        {"a//b", "a/b", false},
        {"\\*", "\\x", true}, /* nothing is escaped */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_CASE(glob_matches(cases[i].pattern, cases[i].path) == cases[i].matches, "%s and %s", cases[i].pattern, cases[i].path);
}

/* `part` over and over, followed by `end`. */
static char *many(const char *part, size_t times, const char *end)
{
    size_t length = strlen(part);
    char *text = malloc(length * times + strlen(end) + 1);
    MUST(text != NULL);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * length, part, length);
    strcpy(text + length * times, end);
    return text;
}

/* Here a matcher that tries every way for every star never ends, and one that looks for a class's end from each bracket takes minutes. */
TEST(pathological, "no pattern takes more time than the product of both lengths")
{
    static const struct {
        const char *pattern;
        size_t pattern_times;
        const char *pattern_end, *path;
        size_t path_times;
        const char *path_end;
        bool matches;
    } cases[] = {
        {"a*", 100, "b", "a", 255, "", false},
        {"*a", 30000, "", "a", 255, "", false},
        {"*", 65000, "", "a", 255, "", true},
        {"*?", 127, "*", "a", 255, "", true},
        {"**/", 20000, "b", "a/", 2000, "a", false},
        {"**/a/", 1000, "b", "a/", 2000, "a", false},
        {"**/*a*/", 500, "b", "aaaaaaa/", 500, "a", false},
        {"*[", 30000, "", "[", 255, "", false},
        {"*[[[[[[[[", 7000, "b", "[", 255, "", false},
        {"[", 60000, "", "[", 255, "", false},
        {"*[a-", 15000, "]", "a", 255, "", true},
        {"[]", 30000, "", "[]", 127, "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *pattern = many(cases[i].pattern, cases[i].pattern_times, cases[i].pattern_end);
        char *path = many(cases[i].path, cases[i].path_times, cases[i].path_end);
        bool matches = glob_matches(pattern, path);
        free(pattern);
        free(path);
        CHECK_CASE(matches == cases[i].matches, "%s… and %s…", cases[i].pattern, cases[i].path);
    }
}

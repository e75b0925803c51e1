/*
 * A pattern and, after the first line feed, a path. Where both are plain, each component is judged by the C library's fnmatch too, and every
 * way for `**` is tried.
 */
#include "fuzz.h"
#include "glob.h"

#include <fnmatch.h>
#include <string.h>

#define LONGEST_COMPARED 64 /* bytes: the other way takes exponential time */

static bool is_plain(const char *text)
{
    size_t stars = 0;
    for (const char *at = text; *at; at++) {
        stars += *at == '*';
        if ((unsigned char)*at >= 0x80 || *at == '[')
            return false;
    }
    return stars <= 6 && strlen(text) <= LONGEST_COMPARED;
}

/* The first component's length, and where the next begins: at the end if there is none. */
static size_t component_of(const char *text, const char **next)
{
    size_t length = strcspn(text, "/");
    *next = text + length + (text[length] == '/');
    return length;
}

static bool matches_by_trying(const char *pattern, const char *path)
{
    if (*pattern == '\0')
        return *path == '\0';
    char wanted[LONGEST_COMPARED + 1], name[LONGEST_COMPARED + 1];
    const char *next_pattern, *next_path;
    size_t wanted_length = component_of(pattern, &next_pattern), name_length = component_of(path, &next_path);
    if (wanted_length == 2 && memcmp(pattern, "**", 2) == 0)
        return matches_by_trying(next_pattern, path) || (*path && matches_by_trying(pattern, next_path));
    if (*path == '\0')
        return false;
    memcpy(wanted, pattern, wanted_length);
    memcpy(name, path, name_length);
    wanted[wanted_length] = name[name_length] = '\0';
    return fnmatch(wanted, name, FNM_NOESCAPE) == 0 && matches_by_trying(next_pattern, next_path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char *text = malloc(count + 2); /* of just that size, so that reading beyond it shows */
    EXPECT(text != NULL);
    memcpy(text, bytes, count);
    text[count] = text[count + 1] = '\0';
    char *line_feed = strchr(text, '\n');
    char *path = line_feed ? line_feed + 1 : text + strlen(text);
    if (line_feed)
        *line_feed = '\0';
    bool matches = glob_matches(text, path);
    if (is_plain(text) && is_plain(path))
        EXPECT(matches == matches_by_trying(text, path));
    EXPECT(glob_matches("**", path));
    if (strpbrk(path, "*?[") == NULL)
        EXPECT(glob_matches(path, path));
    free(text);
    return 0;
}

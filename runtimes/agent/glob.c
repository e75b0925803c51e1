#include "glob.h"

#include "path.h"

#include <stdint.h>
#include <string.h>

/* A part of a string. */
struct text {
    const char *at, *end;
};

/* Takes a character; a byte that is not UTF-8 counts as one. */
static uint32_t take_character(struct text *text)
{
    size_t count = utf8_character_bytes(text->at, (size_t)(text->end - text->at));
    if (count == 0)
        return 0x80000000u | (uint8_t)*text->at++;
    uint32_t value = 0;
    while (count-- > 0)
        value = value << 8 | (uint8_t)*text->at++; /* its bytes in one number: equal and ordered as characters are */
    return value;
}

/*
 * Takes `[…]` after its bracket. Returns whether the character is in it; leaves the pattern as it was when the class has no end. That is
 * known at once from where the last bracket closes: scanning for it from each of many brackets would take the square of their number.
 */
static bool take_class(struct text *pattern, const char *last_close, uint32_t character)
{
    struct text rest = *pattern;
    if (last_close == NULL || last_close < rest.at)
        return character == '[';
    bool negated = rest.at < rest.end && (*rest.at == '!' || *rest.at == '^'), found = false;
    if (negated)
        rest.at++;
    for (bool first = true; rest.at < rest.end; first = false) {
        if (*rest.at == ']' && !first) {
            rest.at++;
            *pattern = rest;
            return found != negated;
        }
        uint32_t low = take_character(&rest), high = low;
        if (rest.end - rest.at >= 2 && rest.at[0] == '-' && rest.at[1] != ']') {
            rest.at++;
            high = take_character(&rest);
        }
        found |= low <= character && character <= high;
    }
    return character == '[';
}

static bool component_matches(struct text pattern, struct text name)
{
    struct text after_star = {0}, star_name = {0};
    const char *last_close = memrchr(pattern.at, ']', (size_t)(pattern.end - pattern.at));
    while (name.at < name.end || pattern.at < pattern.end) {
        bool matched = false;
        if (pattern.at < pattern.end && *pattern.at == '*') {
            pattern.at++;
            after_star = pattern;
            star_name = name;
            continue;
        }
        if (pattern.at < pattern.end && name.at < name.end) {
            uint32_t character = take_character(&name);
            uint32_t wanted = take_character(&pattern);
            matched = wanted == '?' || (wanted == '[' ? take_class(&pattern, last_close, character) : wanted == character);
        }
        if (matched)
            continue;
        if (after_star.at == NULL || star_name.at == star_name.end)
            return false;
        take_character(&star_name); /* the last star takes one more */
        pattern = after_star;
        name = star_name;
    }
    return true;
}

/* The component at the start of `rest`, and `rest` after it. */
static struct text take_component(struct text *rest)
{
    const char *slash = memchr(rest->at, '/', (size_t)(rest->end - rest->at));
    struct text component = {rest->at, slash ? slash : rest->end};
    rest->at = slash ? slash + 1 : rest->end;
    return component;
}

bool glob_matches(const char *pattern_text, const char *path_text)
{
    struct text pattern = {pattern_text, pattern_text + strlen(pattern_text)}, path = {path_text, path_text + strlen(path_text)};
    struct text after_stars = {0}, stars_path = {0};
    while (path.at < path.end || pattern.at < pattern.end) {
        bool matched = false;
        if (pattern.at < pattern.end) {
            struct text wanted = take_component(&pattern);
            if (wanted.end - wanted.at == 2 && memcmp(wanted.at, "**", 2) == 0) {
                after_stars = pattern;
                stars_path = path;
                continue;
            }
            matched = path.at < path.end && component_matches(wanted, take_component(&path));
        }
        if (matched)
            continue;
        if (after_stars.at == NULL || stars_path.at == stars_path.end)
            return false;
        take_component(&stars_path);
        pattern = after_stars;
        path = stars_path;
    }
    return true;
}

#include "path.h"

#include <stdint.h>
#include <string.h>

size_t utf8_character_bytes(const char *bytes, size_t length)
{
    const uint8_t *at = (const uint8_t *)bytes;
    if (length == 0)
        return 0;
    if (at[0] < 0x80)
        return 1;
    size_t count;
    uint8_t lowest = 0x80, highest = 0xBF; /* of the second byte: no overlong forms, surrogates, or values beyond U+10FFFF */
    if (at[0] >= 0xC2 && at[0] <= 0xDF)
        count = 2;
    else if (at[0] >= 0xE0 && at[0] <= 0xEF)
        count = 3;
    else if (at[0] >= 0xF0 && at[0] <= 0xF4)
        count = 4;
    else
        return 0;
    if (at[0] == 0xE0)
        lowest = 0xA0;
    else if (at[0] == 0xED)
        highest = 0x9F;
    else if (at[0] == 0xF0)
        lowest = 0x90;
    else if (at[0] == 0xF4)
        highest = 0x8F;
    if (length < count || at[1] < lowest || at[1] > highest)
        return 0;
    for (size_t i = 2; i < count; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return count;
}

bool utf8_is_valid(const char *bytes, size_t length)
{
    while (length > 0) {
        size_t count = utf8_character_bytes(bytes, length);
        if (count == 0)
            return false;
        bytes += count;
        length -= count;
    }
    return true;
}

static const char *what_is_wrong(const char *path, size_t length)
{
    if (length == 0)
        return "is empty";
    if (length > PATH_MAX_BYTES)
        return "has more than 4096 bytes";
    if (path[0] == '/')
        return "is absolute";
    for (size_t i = 0; i < length; i++)
        if ((uint8_t)path[i] < 0x20 || path[i] == 0x7F)
            return "contains a control character";
    if (!utf8_is_valid(path, length))
        return "is not UTF-8";
    return NULL;
}

bool path_normalise(const char *path, size_t length, char normal[PATH_MAX_BYTES + 1], struct failure *failure)
{
    const char *wrong = what_is_wrong(path, length);
    size_t used = 0;
    for (const char *at = path, *end = path + length; wrong == NULL && at < end;) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        size_t component = (size_t)((slash ? slash : end) - at);
        if (component > PATH_MAX_COMPONENT_BYTES) {
            wrong = "has a component of more than 255 bytes";
        } else if (component == 2 && at[0] == '.' && at[1] == '.') {
            wrong = "has a '..' component";
        } else if (component > 0 && !(component == 1 && at[0] == '.')) {
            if (used > 0)
                normal[used++] = '/';
            memcpy(normal + used, at, component);
            used += component;
        }
        at = slash ? slash + 1 : end;
    }
    if (wrong)
        return failure_set_path(failure, FAIL_BAD_PATH, path, length, "The file's path %s.", wrong);
    normal[used] = '\0';
    return true;
}

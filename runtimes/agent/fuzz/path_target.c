/* What a path is written as, and what counts as UTF-8. */
#include "fuzz.h"
#include "path.h"

#include <string.h>

static struct failure failure;

static void check_normal(const char *normal, size_t longest)
{
    static char again[PATH_MAX_BYTES + 1];
    size_t length = strlen(normal);
    EXPECT(length <= longest && length <= PATH_MAX_BYTES && utf8_is_valid(normal, length));
    for (size_t i = 0; i < length; i++)
        EXPECT((uint8_t)normal[i] >= 0x20 && normal[i] != 0x7F);
    for (const char *at = normal; length > 0; at++) {
        size_t component = strcspn(at, "/");
        EXPECT(component > 0 && component <= PATH_MAX_COMPONENT_BYTES);
        EXPECT(strncmp(at, ".", component) != 0 && !(component == 2 && strncmp(at, "..", 2) == 0));
        at += component;
        if (*at == '\0')
            break;
    }
    if (length > 0)
        EXPECT(path_normalise(normal, length, again, &failure) && strcmp(normal, again) == 0);
}

/* The character's number, from the definition: the first byte's low bits, then six of each that follows. */
static uint32_t decode(const uint8_t *bytes, size_t count)
{
    uint32_t value = count == 1 ? bytes[0] : bytes[0] & (0x7Fu >> count);
    for (size_t i = 1; i < count; i++) {
        EXPECT(bytes[i] >> 6 == 2);
        value = value << 6 | (bytes[i] & 0x3Fu);
    }
    return value;
}

static void check_utf8(const uint8_t *bytes, size_t count)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    bool valid = true;
    for (size_t at = 0, length; valid && at < count; at += length) {
        length = utf8_character_bytes((const char *)bytes + at, count - at);
        valid = length > 0;
        if (!valid)
            break;
        EXPECT(length <= 4 && length <= count - at);
        uint32_t value = decode(bytes + at, length);
        EXPECT(value >= smallest[length] && value <= 0x10FFFF && !(value >= 0xD800 && value <= 0xDFFF));
    }
    EXPECT(utf8_is_valid((const char *)bytes, count) == valid);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static char normal[PATH_MAX_BYTES + 1];
    check_utf8(bytes, count);
    failure.code = NULL;
    if (path_normalise((const char *)bytes, count, normal, &failure))
        check_normal(normal, count);
    else
        EXPECT(failure.code && strcmp(failure.code, FAIL_BAD_PATH) == 0 && utf8_is_valid(failure.message, strlen(failure.message)));
    return 0;
}

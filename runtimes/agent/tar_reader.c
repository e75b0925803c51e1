#include "tar.h"

#include <string.h>

/* Offsets and lengths of a ustar header's fields. */
enum {
    NAME = 0,
    NAME_BYTES = 100,
    MODE = 100,
    MODE_BYTES = 8,
    SIZE = 124,
    SIZE_BYTES = 12,
    CHECKSUM = 148,
    CHECKSUM_BYTES = 8,
    TYPE = 156,
    MAGIC = 257,
    PREFIX = 345,
    PREFIX_BYTES = 155,
};

unsigned tar_padding(uint64_t size)
{
    return (unsigned)(-size & (TAR_BLOCK_BYTES - 1));
}

/* Octal digits, or, with the top bit set, a big-endian binary number (GNU). False if it is neither or does not fit. */
static bool read_number(const uint8_t *field, size_t length, uint64_t *value)
{
    *value = 0;
    if (field[0] & 0x80) {
        if (field[0] != 0x80) /* negative, or wider than any number here */
            return false;
        for (size_t i = 1; i < length; i++) {
            if (*value >> 56)
                return false;
            *value = *value << 8 | field[i];
        }
        return *value <= INT64_MAX;
    }
    size_t i = 0;
    while (i < length && field[i] == ' ')
        i++;
    for (; i < length && field[i] >= '0' && field[i] <= '7'; i++)
        *value = *value << 3 | (uint64_t)(field[i] - '0'); /* 12 digits at most: 36 bits */
    return i == length || field[i] == ' ' || field[i] == '\0';
}

static bool checksum_is_right(const uint8_t *block)
{
    uint64_t expected;
    if (!read_number(block + CHECKSUM, CHECKSUM_BYTES, &expected))
        return false;
    uint64_t sum = 0;
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        sum += i >= CHECKSUM && i < CHECKSUM + CHECKSUM_BYTES ? ' ' : block[i];
    return sum == expected;
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static bool damaged(struct failure *failure, const char *what)
{
    return failure_set(failure, FAIL_BAD_ARCHIVE, "The archive is damaged: %s.", what);
}

static void take_header_path(struct tar_reader *reader)
{
    const char *block = (const char *)reader->block;
    size_t length = 0;
    if (memcmp(block + MAGIC, "ustar\0", 6) == 0 && block[PREFIX] != '\0') {
        length = strnlen(block + PREFIX, PREFIX_BYTES);
        memcpy(reader->path, block + PREFIX, length);
        reader->path[length++] = '/';
    }
    size_t name = strnlen(block + NAME, NAME_BYTES);
    memcpy(reader->path + length, block + NAME, name);
    reader->path_length = length + name;
}

static const char *name_of_type(char type)
{
    switch (type) {
    case '1':
        return "a hard link";
    case '2':
        return "a symbolic link";
    case '3':
    case '4':
        return "a device";
    case '6':
        return "a FIFO";
    default:
        return "neither a regular file nor a folder";
    }
}

static void expect_content(struct tar_reader *reader, enum tar_state state, uint64_t size)
{
    reader->state = state;
    reader->missing = size;
    reader->padding = tar_padding(size);
}

static bool begin_extended(struct tar_reader *reader, char type, uint64_t size, struct failure *failure)
{
    if (size > TAR_EXTENDED_MAX)
        return damaged(failure, "an extended header has more than 64 KiB");
    reader->extended_type = type;
    reader->extended_length = 0;
    expect_content(reader, TAR_EXTENDED, size);
    return true;
}

static bool begin_entry(struct tar_reader *reader, char type, uint64_t mode, uint64_t size, const struct tar_sink *sink, struct failure *failure)
{
    if (!reader->has_path)
        take_header_path(reader);
    if (reader->has_size)
        size = reader->size;
    reader->has_path = reader->has_pax_path = reader->has_size = false;
    struct tar_entry entry = {reader->path, reader->path_length, type == '5', (mode & 0100) != 0, size};
    if (type != '0' && type != '\0' && type != '5')
        return failure_set_path(failure, FAIL_BAD_PATH, entry.path, entry.path_length, "The file is %s.", name_of_type(type));
    if (!entry.folder && entry.path_length > 0 && entry.path[entry.path_length - 1] == '/')
        return failure_set_path(failure, FAIL_BAD_PATH, entry.path, entry.path_length, "The file has the name of a folder.");
    if (entry.folder && size > 0)
        return damaged(failure, "a folder has content");
    if (!sink->begin(sink->context, &entry, failure))
        return false;
    if (!entry.folder)
        expect_content(reader, TAR_CONTENT, size);
    return true;
}

static bool take_header(struct tar_reader *reader, const struct tar_sink *sink, struct failure *failure)
{
    const uint8_t *block = reader->block;
    if (is_zero(block, TAR_BLOCK_BYTES)) {
        if (reader->has_path || reader->has_size)
            return damaged(failure, "an extended header without its entry");
        if (reader->ended_once)
            reader->state = TAR_TRAILER;
        reader->ended_once = true;
        return true;
    }
    if (reader->ended_once)
        return damaged(failure, "an entry after its end");
    if (!checksum_is_right(block))
        return damaged(failure, "a header's checksum is wrong");
    uint64_t size, mode;
    if (!read_number(block + SIZE, SIZE_BYTES, &size) || !read_number(block + MODE, MODE_BYTES, &mode))
        return damaged(failure, "a header's number is wrong");
    char type = (char)block[TYPE];
    if (type == 'L' || type == 'K' || type == 'x' || type == 'g')
        return begin_extended(reader, type, size, failure);
    return begin_entry(reader, type, mode, size, sink, failure);
}

static bool read_decimal(const char *text, size_t length, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || *value > (INT64_MAX - 9) / 10)
            return false;
        *value = *value * 10 + (uint64_t)(text[i] - '0');
    }
    return length > 0;
}

static bool take_pax_record(struct tar_reader *reader, const char *key, size_t key_length, const char *value, size_t length, struct failure *failure)
{
    if (key_length == 4 && memcmp(key, "path", 4) == 0) {
        memcpy(reader->path, value, length);
        reader->path_length = length;
        reader->has_path = reader->has_pax_path = true;
    } else if (key_length == 4 && memcmp(key, "size", 4) == 0) {
        if (!read_decimal(value, length, &reader->size))
            return damaged(failure, "a pax header's size is not a number");
        reader->has_size = true;
    } else if (key_length >= 10 && memcmp(key, "GNU.sparse", 10) == 0) {
        return damaged(failure, "sparse files are not supported"); /* their content is not the file's */
    }
    return true;
}

/* Records are "LENGTH KEY=VALUE\n", the length being that of the whole record. */
static bool take_pax_records(struct tar_reader *reader, struct failure *failure)
{
    const char *at = reader->extended, *end = at + reader->extended_length;
    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        uint64_t length;
        if (space == NULL || !read_decimal(at, (size_t)(space - at), &length) || length > (uint64_t)(end - at) ||
            length < (uint64_t)(space - at) + 2 || at[length - 1] != '\n')
            return damaged(failure, "a pax header is malformed");
        const char *key = space + 1, *stop = at + length - 1;
        const char *equals = memchr(key, '=', (size_t)(stop - key));
        if (equals == NULL)
            return damaged(failure, "a pax header is malformed");
        if (!take_pax_record(reader, key, (size_t)(equals - key), equals + 1, (size_t)(stop - equals - 1), failure))
            return false;
        at += length;
    }
    return true;
}

static bool take_extended(struct tar_reader *reader, struct failure *failure)
{
    if (reader->extended_type == 'x')
        return take_pax_records(reader, failure);
    if (reader->extended_type == 'L' && !reader->has_pax_path) {
        size_t length = reader->extended_length;
        if (length > 0 && reader->extended[length - 1] == '\0')
            length--;
        memcpy(reader->path, reader->extended, length);
        reader->path_length = length;
        reader->has_path = true;
    }
    return true;
}

static bool end_content(struct tar_reader *reader, const struct tar_sink *sink, struct failure *failure)
{
    bool entry = reader->state == TAR_CONTENT;
    reader->state = reader->padding ? TAR_PADDING : TAR_HEADER;
    return entry ? sink->end(sink->context, failure) : take_extended(reader, failure);
}

static size_t smaller(size_t a, uint64_t b)
{
    return a < b ? a : (size_t)b;
}

bool tar_reader_feed(struct tar_reader *reader, const uint8_t *bytes, size_t count, const struct tar_sink *sink, struct failure *failure)
{
    for (;;) {
        size_t taken = 0;
        switch (reader->state) {
        case TAR_CONTENT:
        case TAR_EXTENDED:
            if (reader->missing == 0) {
                if (!end_content(reader, sink, failure))
                    return false;
                continue;
            }
            taken = smaller(count, reader->missing);
            if (taken == 0)
                return true;
            if (reader->state == TAR_CONTENT) {
                if (!sink->data(sink->context, bytes, taken, failure))
                    return false;
            } else {
                memcpy(reader->extended + reader->extended_length, bytes, taken);
                reader->extended_length += taken;
            }
            reader->missing -= taken;
            break;
        case TAR_PADDING:
            taken = smaller(count, reader->padding);
            reader->padding -= (unsigned)taken;
            if (reader->padding == 0)
                reader->state = TAR_HEADER;
            break;
        case TAR_HEADER:
            taken = smaller(count, TAR_BLOCK_BYTES - reader->block_filled);
            if (taken > 0)
                memcpy(reader->block + reader->block_filled, bytes, taken);
            reader->block_filled += taken;
            reader->started |= taken > 0;
            if (reader->block_filled == TAR_BLOCK_BYTES) {
                reader->block_filled = 0;
                if (!take_header(reader, sink, failure))
                    return false;
                bytes += taken;
                count -= taken;
                continue; /* empty content ends here and now */
            }
            break;
        case TAR_TRAILER:
            if (!is_zero(bytes, count))
                return damaged(failure, "there is something after its end");
            return true;
        }
        if (taken == 0)
            return true;
        bytes += taken;
        count -= taken;
    }
}

bool tar_reader_finish(const struct tar_reader *reader, struct failure *failure)
{
    if (reader->started && reader->state != TAR_TRAILER)
        return failure_set(failure, FAIL_BAD_ARCHIVE, "The archive ends in the middle.");
    return true;
}

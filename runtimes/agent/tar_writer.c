#include "tar.h"

#include <stdio.h>
#include <string.h>

#define LARGEST_OCTAL_SIZE 077777777777
#define NAME_BYTES 100

static void write_octal(uint8_t *field, size_t length, uint64_t value)
{
    field[length - 1] = '\0';
    for (size_t i = length - 1; i-- > 0; value >>= 3)
        field[i] = (uint8_t)('0' + (value & 7));
}

static void write_block(uint8_t *block, const char *name, size_t name_length, char type, uint64_t size, bool executable, int64_t mtime_s)
{
    memset(block, 0, TAR_BLOCK_BYTES);
    memcpy(block, name, name_length < NAME_BYTES ? name_length : NAME_BYTES);
    write_octal(block + 100, 8, executable ? 0755 : 0644);
    write_octal(block + 108, 8, 0);
    write_octal(block + 116, 8, 0);
    write_octal(block + 124, 12, size <= LARGEST_OCTAL_SIZE ? size : 0);
    write_octal(block + 136, 12, mtime_s > 0 && mtime_s <= LARGEST_OCTAL_SIZE ? (uint64_t)mtime_s : 0);
    block[156] = (uint8_t)type;
    memcpy(block + 257, "ustar\0" "00", 8);
    memset(block + 148, ' ', 8);
    unsigned sum = 0;
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        sum += block[i];
    write_octal(block + 148, 7, sum);
}

/* A record's length counts its own digits. */
static size_t pax_record_bytes(size_t rest)
{
    size_t total = rest;
    for (size_t digits = 1;; digits++) {
        size_t power = 1;
        for (size_t i = 0; i < digits; i++)
            power *= 10;
        total = rest + digits;
        if (total < power)
            return total;
    }
}

static size_t write_pax_record(uint8_t *at, const char *key, const char *value, size_t length)
{
    size_t total = pax_record_bytes(strlen(key) + length + 3); /* space, equals sign, newline */
    int start = sprintf((char *)at, "%zu %s=", total, key);
    memcpy(at + start, value, length);
    at[total - 1] = '\n';
    return total;
}

static bool is_plain(const char *path, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)path[i] >= 0x80)
            return false;
    return length <= NAME_BYTES;
}

size_t tar_write_header(uint8_t header[TAR_HEADER_MAX], const char *path, uint64_t size, bool executable, int64_t mtime_s)
{
    size_t path_length = strlen(path), used = 0;
    bool plain = is_plain(path, path_length), large = size > LARGEST_OCTAL_SIZE;
    if (!plain || large) {
        uint8_t *records = header + TAR_BLOCK_BYTES;
        size_t bytes = 0;
        if (!plain)
            bytes += write_pax_record(records, "path", path, path_length);
        if (large) {
            char digits[24];
            int length = sprintf(digits, "%llu", (unsigned long long)size);
            bytes += write_pax_record(records + bytes, "size", digits, (size_t)length);
        }
        write_block(header, "PaxHeader", 9, 'x', bytes, false, mtime_s);
        memset(records + bytes, 0, tar_padding(bytes));
        used = TAR_BLOCK_BYTES + bytes + tar_padding(bytes);
    }
    write_block(header + used, path, path_length, '0', size, executable, mtime_s);
    return used + TAR_BLOCK_BYTES;
}

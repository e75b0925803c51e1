#include "archive.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>

static uint8_t *append(struct archive *archive, size_t count)
{
    CHECK(count <= sizeof archive->bytes - archive->length);
    uint8_t *at = archive->bytes + archive->length;
    memset(at, 0, count);
    archive->length += count;
    return at;
}

void archive_checksum(uint8_t *header)
{
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum & 0777777u);
}

uint8_t *archive_header(struct archive *archive, const char *name, char type, uint64_t size)
{
    uint8_t *header = append(archive, TAR_BLOCK_BYTES);
    memcpy(header, name, strnlen(name, 100));
    memcpy(header + 100, "0000644", 8);
    memcpy(header + 108, "0000000", 8);
    memcpy(header + 116, "0000000", 8);
    snprintf((char *)header + 124, 12, "%011llo", (unsigned long long)size & 077777777777u);
    memcpy(header + 136, "00000000000", 12);
    header[156] = (uint8_t)type;
    memcpy(header + 257, "ustar\0" "00", 8);
    archive_checksum(header);
    return header;
}

void archive_content(struct archive *archive, const void *bytes, size_t count)
{
    uint8_t *at = append(archive, count + tar_padding(count));
    if (count > 0)
        memcpy(at, bytes, count);
}

void archive_file(struct archive *archive, const char *name, const char *content)
{
    archive_header(archive, name, '0', strlen(content));
    archive_content(archive, content, strlen(content));
}

void archive_folder(struct archive *archive, const char *name)
{
    archive_header(archive, name, '5', 0);
}

void archive_long_name(struct archive *archive, const char *name)
{
    archive_header(archive, "././@LongLink", 'L', strlen(name) + 1);
    archive_content(archive, name, strlen(name) + 1);
}

void archive_pax_records(struct archive *archive, char type, const void *records, size_t length)
{
    archive_header(archive, "PaxHeader", type, length);
    archive_content(archive, records, length);
}

void archive_pax(struct archive *archive, const char *key, const char *value)
{
    size_t rest = strlen(key) + strlen(value) + 3, total = rest + 1;
    while (total != rest + (size_t)snprintf(NULL, 0, "%zu", total))
        total = rest + (size_t)snprintf(NULL, 0, "%zu", total);
    char *record = malloc(total + 1);
    MUST(record != NULL);
    snprintf(record, total + 1, "%zu %s=%s\n", total, key, value);
    archive_pax_records(archive, 'x', record, total);
    free(record);
}

void archive_end(struct archive *archive)
{
    append(archive, (size_t)2 * TAR_BLOCK_BYTES);
}

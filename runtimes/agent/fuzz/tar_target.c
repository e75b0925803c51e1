/*
 * The tar reader, and the check of the paths it finds. The first byte says in which slices the archive arrives; with its lowest bit set, the
 * checksums of headers are made right on the way: no mutation would get past them.
 */
#include "fuzz.h"
#include "path.h"
#include "tar.h"

#include <string.h>

/* All that the reader gave, boiled down, so that two readings of one archive can be compared. */
struct reading {
    bool in_file;
    uint64_t missing, hash;
};

static void note(struct reading *reading, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        reading->hash = (reading->hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001B3u;
}

static bool begin(void *context, const struct tar_entry *entry, struct failure *failure)
{
    static char normal[PATH_MAX_BYTES + 1];
    struct reading *reading = context;
    EXPECT(!reading->in_file);
    EXPECT(entry->path_length <= TAR_EXTENDED_MAX && entry->size <= INT64_MAX && !(entry->folder && entry->size > 0));
    note(reading, entry->path, entry->path_length);
    note(reading, &entry->size, sizeof entry->size);
    note(reading, &entry->executable, 1);
    note(reading, &entry->folder, 1);
    reading->in_file = !entry->folder;
    reading->missing = entry->size;
    if (path_normalise(entry->path, entry->path_length, normal, failure))
        note(reading, normal, strlen(normal));
    failure->code = NULL;
    return true;
}

static bool data(void *context, const uint8_t *bytes, size_t count, struct failure *failure)
{
    struct reading *reading = context;
    (void)failure;
    EXPECT(reading->in_file && count > 0 && count <= reading->missing);
    reading->missing -= count;
    note(reading, bytes, count);
    return true;
}

static bool end(void *context, struct failure *failure)
{
    struct reading *reading = context;
    (void)failure;
    EXPECT(reading->in_file && reading->missing == 0);
    reading->in_file = false;
    return true;
}

static void write_checksum(uint8_t *block)
{
    unsigned sum = 0;
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        sum += block[i];
    for (int digit = 5; digit >= 0; digit--, sum >>= 3)
        block[148 + digit] = (uint8_t)('0' + (sum & 7));
}

static bool has_content(const uint8_t *block)
{
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        if (block[i] != 0)
            return true;
    return false;
}

static bool read_archive(const uint8_t *bytes, size_t count, size_t slice, struct reading *reading, struct failure *failure)
{
    static struct tar_reader reader;
    const struct tar_sink sink = {reading, begin, data, end};
    memset(&reader, 0, sizeof reader);
    *reading = (struct reading){0};
    failure->code = NULL;
    for (size_t at = 0; at < count; at += slice) {
        bool fed = tar_reader_feed(&reader, bytes + at, slice < count - at ? slice : count - at, &sink, failure);
        EXPECT(fed == (failure->code == NULL));
        if (!fed)
            return false;
    }
    bool finished = tar_reader_finish(&reader, failure);
    EXPECT(finished == (failure->code == NULL));
    EXPECT(!finished || !reading->in_file);
    return finished;
}

/* Goes through the archive block by block with a reader of its own, to know which of them are headers. */
static void mend_checksums(uint8_t *bytes, size_t count)
{
    static struct tar_reader reader;
    static struct failure failure;
    struct reading reading = {0};
    const struct tar_sink sink = {&reading, begin, data, end};
    memset(&reader, 0, sizeof reader);
    for (size_t at = 0; at + TAR_BLOCK_BYTES <= count; at += TAR_BLOCK_BYTES) {
        if (reader.state == TAR_HEADER && has_content(bytes + at))
            write_checksum(bytes + at);
        if (!tar_reader_feed(&reader, bytes + at, TAR_BLOCK_BYTES, &sink, &failure))
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct failure failures[2];
    struct reading whole, sliced;
    if (count == 0)
        return 0;
    size_t slice = (size_t)(bytes[0] >> 1) * 9 + 1;
    bool mend = bytes[0] & 1;
    size_t length = count - 1;
    uint8_t *archive = malloc(length ? length : 1);
    EXPECT(archive != NULL);
    memcpy(archive, bytes + 1, length);
    if (mend)
        mend_checksums(archive, length);
    bool accepted = read_archive(archive, length, length ? length : 1, &whole, &failures[0]);
    EXPECT(read_archive(archive, length, slice, &sliced, &failures[1]) == accepted);
    free(archive);
    EXPECT(whole.hash == sliced.hash);
    if (!accepted)
        EXPECT(failures[0].code == failures[1].code && strcmp(failures[0].message, failures[1].message) == 0);
    return 0;
}

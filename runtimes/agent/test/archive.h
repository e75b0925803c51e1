/* Tar archives made by hand, right and wrong. */
#ifndef CODERUNNER_ARCHIVE_H
#define CODERUNNER_ARCHIVE_H

#include "tar.h"

struct archive {
    size_t length;
    uint8_t bytes[1 << 18];
};

/* Appends a header (GNU: no prefix). Returns it, so that a test can spoil it; archive_checksum makes it right again. */
uint8_t *archive_header(struct archive *archive, const char *name, char type, uint64_t size);
void archive_checksum(uint8_t *header);

/* Appends content with its padding. */
void archive_content(struct archive *archive, const void *bytes, size_t count);

void archive_file(struct archive *archive, const char *name, const char *content);
void archive_folder(struct archive *archive, const char *name);

/* A GNU long name, for the next header. */
void archive_long_name(struct archive *archive, const char *name);

/* A pax header with one record, or with records given as they are. */
void archive_pax(struct archive *archive, const char *key, const char *value);
void archive_pax_records(struct archive *archive, char type, const void *records, size_t length);

/* The two zero blocks. */
void archive_end(struct archive *archive);

#endif

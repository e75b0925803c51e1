/* The tar format, as far as the agent speaks it: a reader that takes a stream in any slices, and headers for what is sent back. */
#ifndef CODERUNNER_TAR_H
#define CODERUNNER_TAR_H

#include "failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAR_BLOCK_BYTES 512

/* Extended headers (pax records, GNU long names) beyond this are refused; a path has at most 4,096 bytes. */
#define TAR_EXTENDED_MAX 65536

struct tar_entry {
    const char *path; /* as in the archive: unchecked, not terminated */
    size_t path_length;
    bool folder;
    bool executable; /* by its owner */
    uint64_t size;
};

/* Where the reader puts what it reads. Each returns false with the failure set to stop it. A folder gets `begin` only. */
struct tar_sink {
    void *context;
    bool (*begin)(void *context, const struct tar_entry *entry, struct failure *failure);
    bool (*data)(void *context, const uint8_t *bytes, size_t count, struct failure *failure);
    bool (*end)(void *context, struct failure *failure);
};

enum tar_state { TAR_HEADER, TAR_EXTENDED, TAR_CONTENT, TAR_PADDING, TAR_TRAILER };

/* Starts zeroed. */
struct tar_reader {
    enum tar_state state;
    bool started;
    bool ended_once;     /* the first of the two zero blocks was seen */
    char extended_type;  /* L, x, or another whose content is of no use */
    uint8_t block[TAR_BLOCK_BYTES];
    size_t block_filled;
    uint64_t missing; /* bytes of the present content */
    unsigned padding; /* bytes after it up to the next block */
    size_t extended_length;
    bool has_path, has_pax_path, has_size; /* said by an extended header, for the next entry */
    uint64_t size;
    size_t path_length;
    char path[TAR_EXTENDED_MAX];
    char extended[TAR_EXTENDED_MAX];
};

/* Takes the next slice of the archive. False with the failure set when it is damaged or holds what is refused; then it must not be fed again. */
bool tar_reader_feed(struct tar_reader *reader, const uint8_t *bytes, size_t count, const struct tar_sink *sink, struct failure *failure);

/* There is no more. False if the archive is not complete. No bytes at all are an archive without files. */
bool tar_reader_finish(const struct tar_reader *reader, struct failure *failure);

/* Bytes of padding after content of that size. */
unsigned tar_padding(uint64_t size);

#define TAR_HEADER_MAX (4 * TAR_BLOCK_BYTES + 2 * 4096)

/* Writes the header, with a pax header before it where ustar cannot say it. `path` has at most 4,096 bytes. Returns its bytes. */
size_t tar_write_header(uint8_t header[TAR_HEADER_MAX], const char *path, uint64_t size, bool executable, int64_t mtime_s);

#endif

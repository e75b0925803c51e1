/*
 * A 64-bit hash of a file's content, fed in any slices: it tells whether a file changed since intake. Times do not: two writes within one
 * clock tick look alike, and tmpfs does not note writes through a mapping.
 */
#ifndef CODERUNNER_FINGERPRINT_H
#define CODERUNNER_FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Starts zeroed. */
struct fingerprint {
    uint64_t hash, bytes;
    uint8_t rest[8]; /* what did not fill a word yet: bytes % 8 of it */
};

static inline uint64_t fingerprint_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u; /* 2^64 divided by the golden ratio: spreads every bit upwards */
    return hash ^ hash >> 32;
}

static inline void fingerprint_add(struct fingerprint *print, const uint8_t *bytes, size_t count)
{
    uint64_t word;
    size_t held = print->bytes % sizeof word;
    print->bytes += count;
    if (held > 0) {
        size_t missing = sizeof word - held, taken = count < missing ? count : missing;
        memcpy(print->rest + held, bytes, taken);
        if (taken < missing)
            return;
        memcpy(&word, print->rest, sizeof word);
        print->hash = fingerprint_mix(print->hash, word);
        bytes += taken;
        count -= taken;
    }
    for (; count >= sizeof word; bytes += sizeof word, count -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        print->hash = fingerprint_mix(print->hash, word);
    }
    if (count > 0)
        memcpy(print->rest, bytes, count);
}

static inline uint64_t fingerprint_value(const struct fingerprint *print)
{
    uint64_t word = 0;
    memcpy(&word, print->rest, print->bytes % sizeof word);
    return fingerprint_mix(fingerprint_mix(print->hash, word), print->bytes);
}

#endif

#include "fingerprint.h"

#include "check.h"

static uint64_t print_in(const uint8_t *bytes, size_t count, size_t slice)
{
    struct fingerprint print = {0};
    for (size_t at = 0; at < count; at += slice)
        fingerprint_add(&print, bytes + at, slice < count - at ? slice : count - at);
    return fingerprint_value(&print);
}

TEST(fingerprint_slices, "a fingerprint is the same in slices of any size")
{
    uint8_t bytes[100];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i + 3);
    for (size_t count = 0; count <= sizeof bytes; count++)
        for (size_t slice = 1; slice <= 20; slice++)
            CHECK_CASE(print_in(bytes, count, slice) == print_in(bytes, count, sizeof bytes), "%zu bytes in slices of %zu", count, slice);
}

TEST(fingerprint_every_split, "a fingerprint does not depend on where the content was cut")
{
    const uint8_t bytes[] = "The quick brown fox jumps over it.";
    for (size_t first = 0; first <= sizeof bytes; first++) {
        for (size_t second = first; second <= sizeof bytes; second++) {
            struct fingerprint print = {0};
            fingerprint_add(&print, bytes, first);
            fingerprint_add(&print, bytes + first, second - first);
            fingerprint_add(&print, bytes + second, sizeof bytes - second);
            CHECK_CASE(fingerprint_value(&print) == print_in(bytes, sizeof bytes, sizeof bytes), "cut at %zu and %zu", first, second);
        }
    }
}

TEST(fingerprint_differs, "content with one bit changed, or with zeros more or less at its end, has another fingerprint")
{
    uint8_t bytes[41] = "0123456789";
    for (size_t count = 1; count < sizeof bytes; count++) {
        uint64_t print = print_in(bytes, count, sizeof bytes);
        CHECK_CASE(print != print_in(bytes, count + 1, sizeof bytes), "%zu bytes and one more", count);
        for (size_t bit = 0; bit < count * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK_CASE(print != print_in(bytes, count, sizeof bytes), "bit %zu of %zu bytes", bit, count);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

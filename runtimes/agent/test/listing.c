#include "listing.h"

#include "check.h"

#include <stdarg.h>
#include <stdio.h>

struct listing listing;

static void list(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void list(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(listing.text + listing.used, sizeof listing.text - listing.used, format, arguments);
    va_end(arguments);
    CHECK(count >= 0 && (size_t)count < sizeof listing.text - listing.used);
    listing.used += (size_t)count;
}

static bool begin(void *context, const struct tar_entry *entry, struct failure *why)
{
    (void)context, (void)why;
    CHECK(!listing.in_file);
    list("%s %.*s", entry->folder ? "folder" : entry->executable ? "program" : "file", (int)entry->path_length, entry->path);
    if (entry->folder) {
        list("\n");
        return true;
    }
    listing.in_file = true;
    listing.missing = entry->size;
    listing.print = (struct fingerprint){0};
    return true;
}

static bool data(void *context, const uint8_t *bytes, size_t count, struct failure *why)
{
    (void)context, (void)why;
    CHECK(listing.in_file && count > 0 && count <= listing.missing);
    if (listing.print.bytes < sizeof listing.start) {
        size_t room = sizeof listing.start - (size_t)listing.print.bytes;
        memcpy(listing.start + listing.print.bytes, bytes, count < room ? count : room);
    }
    fingerprint_add(&listing.print, bytes, count);
    listing.missing -= count;
    return true;
}

static bool end(void *context, struct failure *why)
{
    (void)context, (void)why;
    CHECK(listing.in_file && listing.missing == 0);
    listing.in_file = false;
    if (listing.print.bytes <= sizeof listing.start)
        list(": %.*s\n", (int)listing.print.bytes, listing.start);
    else
        list(": %llu bytes %016llx\n", (unsigned long long)listing.print.bytes, (unsigned long long)fingerprint_value(&listing.print));
    return true;
}

const struct tar_sink listing_sink = {.begin = begin, .data = data, .end = end};

void listing_start(void)
{
    listing.used = 0;
    listing.text[0] = '\0';
    listing.in_file = false;
}

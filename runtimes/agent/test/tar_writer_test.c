#include "check.h"
#include "tar.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the reader made of the written header. */
struct seen {
    char path[4097];
    size_t path_length;
    uint64_t size;
    bool folder, executable;
    unsigned entries;
};

static uint8_t header[TAR_HEADER_MAX];
static struct tar_reader reader;
static struct failure failure;
static struct seen seen;

static bool begin(void *context, const struct tar_entry *entry, struct failure *why)
{
    (void)context, (void)why;
    seen.entries++;
    seen.path_length = entry->path_length;
    memcpy(seen.path, entry->path, entry->path_length);
    seen.size = entry->size;
    seen.folder = entry->folder;
    seen.executable = entry->executable;
    return true;
}

static bool data(void *context, const uint8_t *bytes, size_t count, struct failure *why)
{
    (void)context, (void)bytes, (void)count, (void)why;
    return true;
}

static bool end(void *context, struct failure *why)
{
    (void)context, (void)why;
    return true;
}

static const struct tar_sink sink = {.begin = begin, .data = data, .end = end};

static bool reads_back(const char *path, uint64_t size, bool executable, int64_t mtime_s)
{
    memset(&reader, 0, sizeof reader);
    memset(&seen, 0, sizeof seen);
    memset(header, 0xAA, sizeof header); /* nothing of it may be left between what is written */
    size_t length = tar_write_header(header, path, size, executable, mtime_s);
    CHECK(length <= sizeof header && length % TAR_BLOCK_BYTES == 0);
    if (!tar_reader_feed(&reader, header, length, &sink, &failure))
        test_fail(__FILE__, __LINE__, "%s: %s", path, failure.message);
    return seen.entries == 1 && seen.path_length == strlen(path) && memcmp(seen.path, path, seen.path_length) == 0 && seen.size == size &&
           !seen.folder && seen.executable == executable && reader.missing == size;
}

TEST(written_lengths, "names of every length are read back")
{
    char path[4097] = "";
    for (size_t length = 1; length < sizeof path; length++) {
        path[length - 1] = length % 100 == 50 ? '/' : 'n';
        path[length] = '\0';
        if (path[length - 1] != '/')
            CHECK_CASE(reads_back(path, 1, false, 0), "%zu bytes", length);
    }
}

TEST(written_names, "names that are not plain are read back")
{
    static const char *const paths[] = {"\303\274", "a b", "a=b", " a", "1 path=x", "\xff\xfe", "-x", "\360\237\216\210/\360\237\216\210"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        CHECK_CASE(reads_back(paths[i], 0, true, 1), "%s", paths[i]);
}

TEST(written_sizes, "sizes of every magnitude are read back")
{
    for (unsigned bits = 0; bits <= 62; bits++) {
        uint64_t size = (uint64_t)1 << bits;
        CHECK_CASE(reads_back("a", size, false, 0) && reads_back("a", size - 1, false, 0) && reads_back("\303\274", size + 1, false, 0), "2^%u", bits);
    }
}

TEST(written_times, "times that a header cannot hold do no harm")
{
    static const int64_t times[] = {INT64_MIN, -1, 0, 1, 077777777777, 0100000000000, INT64_MAX};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        CHECK_CASE(reads_back("a", 1, false, times[i]), "%lld", (long long)times[i]);
}

TEST(padding, "padding fills the last block")
{
    CHECK(tar_padding(0) == 0 && tar_padding(1) == 511 && tar_padding(511) == 1 && tar_padding(512) == 0 && tar_padding(513) == 511);
    CHECK(tar_padding(((uint64_t)1 << 40) + 1) == 511 && tar_padding(UINT64_MAX) == 1);
}

static void write_whole(int file, const void *bytes, size_t count)
{
    MUST(write(file, bytes, count) == (ssize_t)count);
}

TEST(unpacked_by_tar, "the system's tar unpacks what is written, names, content, modes and times")
{
    static const uint8_t zeros[2 * TAR_BLOCK_BYTES];
    char long_name[301], path[500], command[1000], content[20];
    const char *names[] = {"plain", "\303\274 \360\237\216\210", long_name};
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    long_name[100] = long_name[200] = '/';
    const char *folder = test_folder();
    snprintf(path, sizeof path, "%s/archive.tar", folder);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    MUST(file >= 0);
    for (size_t i = 0; i < 3; i++) {
        write_whole(file, header, tar_write_header(header, names[i], 5, i == 1, 1000000000 + (int64_t)i));
        write_whole(file, "hello", 5);
        write_whole(file, zeros, tar_padding(5));
    }
    write_whole(file, zeros, sizeof zeros);
    close(file);

    snprintf(command, sizeof command, "cd %s && umask 022 && tar -xpf archive.tar 2>&1", folder);
    FILE *tar = popen(command, "r");
    MUST(tar != NULL);
    size_t said = fread(content, 1, sizeof content, tar);
    CHECK(pclose(tar) == 0 && said == 0);
    for (size_t i = 0; i < 3; i++) {
        struct stat status;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        file = open(path, O_RDONLY | O_CLOEXEC);
        MUST(file >= 0 && fstat(file, &status) == 0);
        ssize_t count = read(file, content, sizeof content);
        close(file);
        CHECK_CASE(count == 5 && memcmp(content, "hello", 5) == 0, "%s", names[i]);
        CHECK_CASE((status.st_mode & 07777) == (i == 1 ? 0755 : 0644), "%s", names[i]);
        CHECK_CASE(status.st_mtime == 1000000000 + (time_t)i, "%s", names[i]);
    }
}

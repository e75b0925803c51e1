#include "archive.h"
#include "check.h"
#include "fingerprint.h"
#include "listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct archive archive;
static struct tar_reader reader;
static struct failure failure;

static void start_reading(void)
{
    memset(&reader, 0, sizeof reader);
    memset(&failure, 0, sizeof failure);
    listing_start();
}

/* Reads what was put together, in slices of that size, to its end. */
static bool read_in(size_t slice)
{
    start_reading();
    for (size_t at = 0; at < archive.length; at += slice) {
        size_t left = archive.length - at;
        if (!tar_reader_feed(&reader, archive.bytes + at, slice < left ? slice : left, &listing_sink, &failure))
            return false;
    }
    return tar_reader_finish(&reader, &failure);
}

static bool lists(const char *expected)
{
    bool read = read_in(sizeof archive.bytes);
    if (!read)
        fprintf(stderr, "%s: %s\n", failure.code, failure.message);
    if (strcmp(listing.text, expected) != 0)
        fprintf(stderr, "the archive holds\n%sand not\n%s", listing.text, expected);
    return read && strcmp(listing.text, expected) == 0;
}

/* Whether the failure blames that file. */
static bool blames(const char *path)
{
    return failure.path_length == strlen(path) && memcmp(failure.path, path, failure.path_length) == 0;
}

static const char *repeat(char *at, const char *part, size_t times)
{
    for (size_t i = 0; i < times; i++)
        memcpy(at + i * strlen(part), part, strlen(part));
    at[times * strlen(part)] = '\0';
    return at;
}

/* An entry of each kind that is accepted. */
static void fill(void)
{
    static char path[300], content[1500];
    archive.length = 0;
    archive_file(&archive, "main.py", "print(1)");
    archive_file(&archive, "empty", "");
    archive_folder(&archive, "src/");
    uint8_t *header = archive_header(&archive, "src/run.sh", '0', 4);
    memcpy(header + 100, "0000755", 8);
    archive_checksum(header);
    archive_content(&archive, "true", 4);
    header = archive_header(&archive, "name", '\0', 2);
    memcpy(header + 345, "pre/fix", 7);
    archive_checksum(header);
    archive_content(&archive, "ok", 2);
    archive_long_name(&archive, repeat(path, "long/", 50));
    archive_folder(&archive, "ignored");
    archive_pax(&archive, "path", "pax/\303\274.txt");
    archive_file(&archive, "ignored", repeat(content, "abc", 400));
    archive_pax(&archive, "mtime", "1.5");
    archive_file(&archive, "last", "!");
    archive_end(&archive);
}

TEST(kinds, "files, folders, programs and every way to say a long name are read")
{
    char expected[2000], path[300];
    static char content[1500];
    struct fingerprint print = {0};
    fingerprint_add(&print, (const uint8_t *)repeat(content, "abc", 400), 1200);
    snprintf(expected, sizeof expected,
             "file main.py: print(1)\nfile empty: \nfolder src/\nprogram src/run.sh: true\nfile pre/fix/name: ok\nfolder %s\n"
             "file pax/\303\274.txt: 1200 bytes %016llx\nfile last: !\n",
             repeat(path, "long/", 50), (unsigned long long)fingerprint_value(&print));
    fill();
    CHECK(lists(expected));
}

TEST(slices, "an archive reads the same in slices of any size")
{
    static char whole[sizeof listing.text];
    fill();
    CHECK(read_in(sizeof archive.bytes));
    strcpy(whole, listing.text);
    for (size_t slice = 1; slice <= 2 * TAR_BLOCK_BYTES + 1; slice++) {
        CHECK_CASE(read_in(slice), "slices of %zu: %s", slice, failure.message);
        CHECK_CASE(strcmp(whole, listing.text) == 0, "slices of %zu", slice);
    }
}

TEST(truncated, "an archive that ends in the middle is refused wherever that is")
{
    fill();
    size_t length = archive.length;
    for (archive.length = 1; archive.length < length; archive.length++) {
        CHECK_CASE(!read_in(sizeof archive.bytes), "accepted with %zu of %zu bytes", archive.length, length);
        CHECK_CASE(failure_is(&failure, FAIL_BAD_ARCHIVE), "with %zu of %zu bytes", archive.length, length);
    }
    CHECK(read_in(sizeof archive.bytes));
}

TEST(nothing, "no bytes at all are an archive without files, and so are two zero blocks")
{
    archive.length = 0;
    CHECK(lists(""));
    archive_end(&archive);
    CHECK(lists(""));
    archive_end(&archive);
    CHECK(lists("")); /* tar pads its archives to 10 KiB */
}

TEST(empty_slices, "a slice without bytes changes nothing")
{
    fill();
    start_reading();
    for (size_t at = 0; at < archive.length; at++) {
        CHECK(tar_reader_feed(&reader, NULL, 0, &listing_sink, &failure));
        CHECK(tar_reader_feed(&reader, archive.bytes + at, 1, &listing_sink, &failure));
    }
    CHECK(tar_reader_feed(&reader, NULL, 0, &listing_sink, &failure) && tar_reader_finish(&reader, &failure));
}

TEST(other_types, "links, devices, FIFOs and what is unknown are refused by name")
{
    for (const char *type = "12346789ASVMDNXz\x01\xFF"; *type; type++) {
        archive.length = 0;
        archive_header(&archive, "folder/link", *type, 0);
        archive_end(&archive);
        CHECK_CASE(!read_in(sizeof archive.bytes), "type %c", *type);
        CHECK_CASE(failure_is(&failure, FAIL_BAD_PATH) && blames("folder/link"), "type %c", *type);
        CHECK(listing.used == 0);
    }
}

TEST(file_named_as_folder, "a file whose name ends in a slash is refused")
{
    archive.length = 0;
    archive_file(&archive, "folder/", "x");
    CHECK(!read_in(sizeof archive.bytes) && failure_is(&failure, FAIL_BAD_PATH) && blames("folder/"));
}

TEST(blamed_path, "the failure names the long path of a refused file")
{
    char path[5000];
    archive.length = 0;
    archive_long_name(&archive, repeat(path, "x/y", 1500));
    archive_header(&archive, "short", '2', 0);
    CHECK(!read_in(1) && failure_is(&failure, FAIL_BAD_PATH) && blames(path));
}

TEST(odd_paths, "the sink gets paths as they are: judging them is its part")
{
    archive.length = 0;
    archive_file(&archive, "/etc/passwd", "");
    archive_file(&archive, "a/../../b", "");
    archive_file(&archive, "", "");
    archive_folder(&archive, "./");
    archive_pax(&archive, "path", "");
    archive_file(&archive, "ignored", "");
    archive_end(&archive);
    CHECK(lists("file /etc/passwd: \nfile a/../../b: \nfile : \nfolder ./\nfile : \n"));
}

TEST(nul_in_pax_path, "a NUL in a pax path reaches the sink, which refuses it")
{
    archive.length = 0;
    archive_pax_records(&archive, 'x', "12 path=a\0b\n", 12);
    archive_file(&archive, "ignored", "");
    archive_end(&archive);
    CHECK(read_in(sizeof archive.bytes));
    CHECK(reader.path_length == 3 && memcmp(reader.path, "a\0b", 3) == 0);
}

TEST(name_that_fills_its_field, "a name of exactly 100 bytes, and a prefix of 155, are whole")
{
    char name[101], prefix[156], expected[300];
    archive.length = 0;
    uint8_t *header = archive_header(&archive, repeat(name, "n", 100), '0', 0);
    memcpy(header + 345, repeat(prefix, "p", 155), 155);
    archive_checksum(header);
    archive_end(&archive);
    snprintf(expected, sizeof expected, "file %s/%s: \n", prefix, name);
    CHECK(lists(expected));
}

TEST(old_gnu, "what stands where ustar has its prefix is no prefix in GNU's format")
{
    archive.length = 0;
    uint8_t *header = archive_header(&archive, "name", '0', 0);
    memcpy(header + 257, "ustar  ", 8);
    memcpy(header + 345, "12345670123", 11);
    archive_checksum(header);
    archive_end(&archive);
    CHECK(lists("file name: \n"));
}

TEST(pax_wins, "a pax path wins over a GNU long name, whichever comes first")
{
    archive.length = 0;
    archive_long_name(&archive, "gnu");
    archive_pax(&archive, "path", "pax");
    archive_file(&archive, "ustar", "");
    archive_pax(&archive, "path", "pax");
    archive_long_name(&archive, "gnu");
    archive_file(&archive, "ustar", "");
    archive_file(&archive, "ustar", "");
    archive_end(&archive);
    CHECK(lists("file pax: \nfile pax: \nfile ustar: \n"));
}

TEST(ignored_extensions, "global pax headers, long link names and unknown records change nothing")
{
    archive.length = 0;
    archive_pax_records(&archive, 'g', "18 comment=0123abc\n", 19); /* not even malformed ones: they are not for us */
    archive_header(&archive, "././@LongLink", 'K', 5);
    archive_content(&archive, "link", 5);
    archive_pax(&archive, "SCHILY.xattr.user.x", "1=2");
    archive_file(&archive, "a", "");
    archive_end(&archive);
    CHECK(lists("file a: \n"));
}

TEST(pax_size, "a pax size replaces the header's")
{
    archive.length = 0;
    archive_pax(&archive, "size", "3");
    archive_header(&archive, "a", '0', 0);
    archive_content(&archive, "abc", 3);
    archive_end(&archive);
    CHECK(lists("file a: abc\n"));
}

TEST(large_sizes, "sizes beyond octal are read from GNU's binary form and from pax")
{
    start_reading();
    archive.length = 0;
    uint8_t *header = archive_header(&archive, "a", '0', 0);
    memcpy(header + 124, "\x80\0\0\0\0\0\0\x10\0\0\0\0", 12);
    archive_checksum(header);
    CHECK(tar_reader_feed(&reader, archive.bytes, archive.length, &listing_sink, &failure));
    CHECK(reader.missing == (uint64_t)1 << 36);

    start_reading();
    archive.length = 0;
    archive_pax(&archive, "size", "1099511627777");
    archive_header(&archive, "a", '0', 0);
    CHECK(tar_reader_feed(&reader, archive.bytes, archive.length, &listing_sink, &failure));
    CHECK(reader.missing == 1099511627777u && reader.padding == TAR_BLOCK_BYTES - 1);
}

TEST(damaged_headers, "damaged headers are refused")
{
    static const struct {
        const char *what;
        size_t at, length;
        const char *bytes;
        bool keep_checksum;
    } cases[] = {
        {"a name that changed", 0, 1, "X", true},
        {"a checksum that is no number", 148, 8, "checksum", true},
        {"a negative checksum", 148, 8, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", true},
        {"a checksum of spaces", 148, 8, "        ", true},
        {"a size that is no number", 124, 12, "0000000000x\0", false},
        {"a size with an 8", 124, 12, "00000000008\0", false},
        {"a size of minus one", 124, 12, "-0000000001\0", false},
        {"a negative binary size", 124, 12, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", false},
        {"a binary size beyond 63 bits", 124, 12, "\x80\0\0\0\x80\0\0\0\0\0\0\0", false},
        {"a binary size beyond 64 bits", 124, 12, "\x80\0\x01\0\0\0\0\0\0\0\0\0", false},
        {"a mode that is no number", 100, 8, "rw-r--r-", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        archive.length = 0;
        uint8_t *header = archive_header(&archive, "name", '0', 0);
        memcpy(header + cases[i].at, cases[i].bytes, cases[i].length);
        if (!cases[i].keep_checksum)
            archive_checksum(header);
        archive_end(&archive);
        CHECK_CASE(!read_in(sizeof archive.bytes), "%s", cases[i].what);
        CHECK_CASE(failure_is(&failure, FAIL_BAD_ARCHIVE), "%s", cases[i].what);
    }
}

TEST(flipped_bits, "a header with one bit flipped is refused, whichever it is")
{
    for (size_t bit = 0; bit < (size_t)TAR_BLOCK_BYTES * 8; bit++) {
        if (bit / 8 >= 148 && bit / 8 < 156)
            continue; /* the checksum itself can be written in more than one way */
        archive.length = 0;
        archive_file(&archive, "name", "");
        archive_end(&archive);
        archive.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK_CASE(!read_in(sizeof archive.bytes), "bit %zu of byte %zu", bit % 8, bit / 8);
        CHECK(failure_is(&failure, FAIL_BAD_ARCHIVE));
    }
}

TEST(damaged_records, "malformed pax records are refused")
{
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {"x", 1},
        {"8 path=a\n", 9},     /* shorter than it says */
        {"11 path=ab\n\n", 12}, /* and something after it */
        {"99 path=ab\n", 11},
        {"path=ab\n", 8},
        {" path=ab\n", 9},
        {"-9 path=a\n", 10},
        {"+9 path=a\n", 10},
        {"0 path=a\n", 9},
        {"2 path=a\n", 9},
        {"3 \n", 3},
        {"2 ", 2},
        {"7 path\n", 7},
        {"10 path=ab", 10},
        {"18446744073709551625 path=ab\n", 29},
        {"99999999999999999999999999999 path=ab\n", 38},
        {"10 size=-1\n", 11},
        {"11 size=-1\n", 11},
        {"11 size=1x\n", 11},
        {"9 size=\n", 8},
        {"8 size=\n", 8},
        {"28 size=9223372036854775808\n", 28},
        {"29 size=99999999999999999999\n", 29},
        {"22 GNU.sparse.major=1\n", 22},
        {"\0", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        archive.length = 0;
        archive_pax_records(&archive, 'x', cases[i].bytes, cases[i].length);
        archive_file(&archive, "a", "");
        archive_end(&archive);
        CHECK_CASE(!read_in(sizeof archive.bytes), "records %s", cases[i].bytes);
        CHECK_CASE(failure_is(&failure, FAIL_BAD_ARCHIVE), "records %s", cases[i].bytes);
    }
}

TEST(extended_limit, "an extended header may have 64 KiB and no more")
{
    static char name[TAR_EXTENDED_MAX];
    memset(name, 'n', sizeof name - 1);
    archive.length = 0;
    archive_long_name(&archive, name);
    archive_file(&archive, "a", "");
    archive_end(&archive);
    CHECK(read_in(7) && listing.used == sizeof name - 1 + strlen("file : \n"));
    for (const char *type = "LKxg"; *type; type++) {
        archive.length = 0;
        archive_header(&archive, "extended", *type, TAR_EXTENDED_MAX + 1);
        CHECK_CASE(!read_in(sizeof archive.bytes) && failure_is(&failure, FAIL_BAD_ARCHIVE), "type %c", *type);
        CHECK_CASE(strstr(failure.message, "64 KiB"), "type %c: %s", *type, failure.message);
    }
}

TEST(end_rules, "nothing but zeros follows the end")
{
    archive.length = 0;
    archive_end(&archive);
    archive_file(&archive, "a", "");
    CHECK(!read_in(sizeof archive.bytes) && failure_is(&failure, FAIL_BAD_ARCHIVE));

    archive.length = 0;
    archive_end(&archive);
    archive.length -= TAR_BLOCK_BYTES;
    archive_file(&archive, "a", "");
    CHECK(!read_in(sizeof archive.bytes) && failure_is(&failure, FAIL_BAD_ARCHIVE));

    archive.length = 0;
    archive_pax(&archive, "path", "a");
    archive_end(&archive);
    CHECK(!read_in(sizeof archive.bytes) && failure_is(&failure, FAIL_BAD_ARCHIVE));
}

TEST(folder_with_content, "a folder with content is refused")
{
    archive.length = 0;
    archive_header(&archive, "a", '5', 1);
    archive_content(&archive, "x", 1);
    archive_end(&archive);
    CHECK(!read_in(sizeof archive.bytes) && failure_is(&failure, FAIL_BAD_ARCHIVE));
    CHECK(strstr(failure.message, "folder"));
}

static bool refuse_begin(void *context, const struct tar_entry *entry, struct failure *why)
{
    (void)context, (void)entry;
    return failure_set(why, FAIL_BAD_PATH, "No.");
}

static bool refuse_data(void *context, const uint8_t *bytes, size_t count, struct failure *why)
{
    (void)context, (void)bytes, (void)count;
    return failure_set(why, FAIL_WORKSPACE_FULL, "No.");
}

static bool refuse_end(void *context, struct failure *why)
{
    (void)context;
    return failure_set(why, FAIL_INTERNAL, "No.");
}

TEST(refusing_sink, "what the sink refuses ends the reading with the sink's failure")
{
    const struct {
        struct tar_sink sink;
        const char *code;
    } cases[] = {
        {{NULL, refuse_begin, listing_sink.data, listing_sink.end}, FAIL_BAD_PATH},
        {{NULL, listing_sink.begin, refuse_data, listing_sink.end}, FAIL_WORKSPACE_FULL},
        {{NULL, listing_sink.begin, listing_sink.data, refuse_end}, FAIL_INTERNAL},
    };
    archive.length = 0;
    archive_file(&archive, "a", "x");
    archive_end(&archive);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start_reading();
        CHECK(!tar_reader_feed(&reader, archive.bytes, archive.length, &cases[i].sink, &failure));
        CHECK(failure_is(&failure, cases[i].code));
    }
}

/* Runs a command in the test's folder and reads what it prints as the archive. */
static void archive_from(const char *folder, const char *command)
{
    char line[2000];
    snprintf(line, sizeof line, "cd %s && %s", folder, command);
    FILE *pipe = popen(line, "r");
    MUST(pipe != NULL);
    archive.length = fread(archive.bytes, 1, sizeof archive.bytes, pipe);
    CHECK_CASE(pclose(pipe) == 0, "%s", command);
}

TEST(system_tar, "what the system's tar packs is read, in each of its formats")
{
    static const char *const formats[] = {"ustar", "gnu", "oldgnu", "pax"};
    const char *folder = test_folder();
    char command[1000], expected[1000], name[97];
    repeat(name, "name", sizeof name / 4);
    snprintf(command, sizeof command, "mkdir -p a/folder && cd a && printf hello >x && : >empty && printf '#!' >folder/%s && chmod 755 folder/%s", name,
             name);
    archive_from(folder, command);
    snprintf(expected, sizeof expected, "folder a/\nfile a/empty: \nfolder a/folder/\nprogram a/folder/%s: #!\nfile a/x: hello\n", name);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        snprintf(command, sizeof command, "tar --sort=name --format=%s -c a", formats[i]);
        archive_from(folder, command);
        CHECK_CASE(lists(expected), "%s", formats[i]);
    }
}

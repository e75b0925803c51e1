#include "collect.h"

#include "check.h"
#include "listing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct workspace workspace;
static struct collect collect;
static struct outbox outbox;
static struct frame_reader frames;
static struct tar_reader reader;
static struct failure failure;
static int daemon_end = -1;

static void stop(void)
{
    if (daemon_end < 0)
        return;
    for (size_t i = 0; i < workspace.intake_count; i++)
        free(workspace.intake[i].path);
    free(workspace.intake);
    close(workspace.root);
    close(outbox.fd);
    close(daemon_end);
    daemon_end = -1;
}

/* An empty workspace, and an outbox into a pipe. */
static void start(void)
{
    int ends[2];
    stop(); /* what a test that failed has left */
    umask(022);
    CHECK(workspace_open(&workspace, test_folder(), &failure));
    MUST(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
    daemon_end = ends[0];
    outbox.fd = ends[1];
    outbox.start = outbox.end = 0;
}

/* Content beyond the text is zeros. */
static void write_file(const char *path, const char *content, off_t size)
{
    int file = openat(workspace.root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    MUST(file >= 0 && write(file, content, strlen(content)) == (ssize_t)strlen(content) && ftruncate(file, size) == 0 && close(file) == 0);
}

static void write_text(const char *path, const char *content)
{
    write_file(path, content, (off_t)strlen(content));
}

/* As if the daemon had sent it. */
static void take_in(const char *path, const char *content)
{
    const struct tar_entry entry = {path, strlen(path), false, false, strlen(content)};
    CHECK(workspace_sink.begin(&workspace, &entry, &failure));
    CHECK(workspace_sink.data(&workspace, (const uint8_t *)content, strlen(content), &failure));
    CHECK(workspace_sink.end(&workspace, &failure));
}

static bool starts(const char *request)
{
    const struct frame frame = {FRAME_COLLECT, false, (const uint8_t *)request, strlen(request)};
    failure.code = NULL;
    return collect_start(&collect, &workspace, &frame, &failure);
}

struct received {
    bool ended, limited;
    size_t frames;
};

/* Reads the pipe empty. The agent's frames are not for the frame reader, which knows the daemon's. */
static void receive(struct received *received)
{
    for (;;) {
        size_t room;
        uint8_t *space = frame_reader_space(&frames, &room);
        ssize_t count = read(daemon_end, space, room);
        if (count <= 0)
            return;
        frame_reader_added(&frames, (size_t)count);
        while (frames.end - frames.start >= FRAME_HEADER_BYTES) {
            const uint8_t *header = frames.bytes + frames.start;
            size_t length = frame_u32(header + 4);
            if (frames.end - frames.start < FRAME_HEADER_BYTES + length)
                break;
            CHECK(!received->ended);
            if (header[0] == FRAME_FILE)
                CHECK_CASE(tar_reader_feed(&reader, header + FRAME_HEADER_BYTES, length, &listing_sink, &failure), "%s", failure.message);
            else
                CHECK(header[0] == FRAME_FAIL && memmem(header + FRAME_HEADER_BYTES, length, "\"" FAIL_COLLECT_LIMIT "\"", 15) != NULL);
            received->limited |= header[0] == FRAME_FAIL;
            received->ended = header[0] == FRAME_FILE && (header[1] & FRAME_LAST) != 0;
            received->frames++;
            frames.start += FRAME_HEADER_BYTES + length;
        }
    }
}

static struct received collect_whole(const char *request)
{
    struct received received = {0};
    memset(&reader, 0, sizeof reader);
    memset(&frames, 0, sizeof frames);
    listing_start();
    CHECK_CASE(starts(request), "%s", failure.message);
    for (bool done = false; !done || !outbox_is_empty(&outbox);) {
        done = done || collect_pass(&collect, &workspace, &outbox);
        CHECK(outbox_flush(&outbox));
        receive(&received);
    }
    CHECK(received.ended && tar_reader_finish(&reader, &failure));
    return received;
}

/* Whether these files come, and whether it is said that others were left out. */
static bool collects(const char *request, bool limited, const char *expected)
{
    struct received received = collect_whole(request);
    if (strcmp(listing.text, expected) != 0 || received.limited != limited)
        fprintf(stderr, "collected%s\n%sand not\n%s", received.limited ? " with others left out" : "", listing.text, expected);
    return strcmp(listing.text, expected) == 0 && received.limited == limited;
}

#define ALL "{\"globs\":[\"**\"],\"maxFiles\":100,\"maxBytes\":10000000}"

TEST(collect_nothing, "without produced files an empty archive comes")
{
    start();
    CHECK(collects(ALL, false, ""));
    workspace_intake_done(&workspace);
    CHECK(collects(ALL, false, ""));
    stop();
}

TEST(collect_changed, "new and changed files come, those of the daemon do not")
{
    start();
    take_in("kept", "same");
    take_in("src/changed", "before");
    take_in("rewritten", "same");
    take_in("gone", "x");
    workspace_intake_done(&workspace);
    write_text("src/changed", "after!");
    write_text("rewritten", "same");
    write_text("new", "");
    MUST(unlinkat(workspace.root, "gone", 0) == 0 && mkdirat(workspace.root, "empty", 0755) == 0);
    CHECK(collects(ALL, false, "file new: \nfile src/changed: after!\n"));
    stop();
}

TEST(collect_globs, "only files that match one of the globs come")
{
    start();
    MUST(mkdirat(workspace.root, "out", 0755) == 0 && mkdirat(workspace.root, "out/deep", 0755) == 0);
    write_text("plot.png", "1");
    write_text("out/plot.png", "2");
    write_text("out/deep/plot.png", "3");
    write_text("out/table.csv", "4");
    CHECK(collects("{\"globs\":[\"*.png\"],\"maxFiles\":9,\"maxBytes\":99}", false, "file plot.png: 1\n"));
    CHECK(collects("{\"globs\":[\"out/*\",\"*.csv\"],\"maxFiles\":9,\"maxBytes\":99}", false, "file out/plot.png: 2\nfile out/table.csv: 4\n"));
    CHECK(collects("{\"globs\":[\"**/*.png\"],\"maxFiles\":9,\"maxBytes\":99}", false,
                   "file out/deep/plot.png: 3\nfile out/plot.png: 2\nfile plot.png: 1\n"));
    CHECK(collects("{\"globs\":[],\"maxFiles\":9,\"maxBytes\":99}", false, ""));
    stop();
}

TEST(collect_own_folder, "what compilers leave in the folder that is ours comes only where a glob names that folder")
{
    start();
    MUST(mkdirat(workspace.root, ".coderunner", 0755) == 0 && mkdirat(workspace.root, ".coderunner/lib", 0755) == 0);
    write_text(".coderunner/main", "1");
    write_text(".coderunner/lib/a.o", "2");
    write_text(".coderunners", "3");
    CHECK(collects(ALL, false, "file .coderunners: 3\n"));
    CHECK(collects("{\"globs\":[\"*/main\",\"**/*.o\"],\"maxFiles\":9,\"maxBytes\":99}", false, ""));
    CHECK(collects("{\"globs\":[\".coderunner/**\"],\"maxFiles\":9,\"maxBytes\":99}", false,
                   "file .coderunner/lib/a.o: 2\nfile .coderunner/main: 1\n"));
    stop();
}

TEST(collect_links, "nothing comes through a symbolic link, and what is no regular file does not come")
{
    start();
    MUST(symlinkat("/etc/passwd", workspace.root, "link") == 0 && symlinkat("/etc", workspace.root, "folder-link") == 0 &&
         symlinkat(".", workspace.root, "loop") == 0 && mkfifoat(workspace.root, "fifo", 0644) == 0);
    write_text("real", "x");
    CHECK(collects(ALL, false, "file real: x\n"));
    stop();
}

TEST(collect_limits, "files that would go over a limit are left out, others still come, and it is said")
{
    start();
    write_text("a", "12345");
    write_text("b", "123456789");
    write_text("c", "12345");
    CHECK(collects("{\"globs\":[\"*\"],\"maxFiles\":3,\"maxBytes\":19}", false, "file a: 12345\nfile b: 123456789\nfile c: 12345\n"));
    CHECK(collects("{\"globs\":[\"*\"],\"maxFiles\":3,\"maxBytes\":13}", true, "file a: 12345\nfile c: 12345\n"));
    CHECK(collects("{\"globs\":[\"*\"],\"maxFiles\":2,\"maxBytes\":100}", true, "file a: 12345\nfile b: 123456789\n"));
    CHECK(collects("{\"globs\":[\"*\"],\"maxFiles\":3,\"maxBytes\":1}", true, ""));
    stop();
}

TEST(collect_holes, "new files are left out by their size, without being read")
{
    start();
    take_in("brought", "same");
    workspace_intake_done(&workspace);
    write_file("brought", "more", (off_t)1 << 40);
    write_file("new", "", (off_t)1 << 40);
    write_text("small", "x");
    CHECK(collects(ALL, true, "file small: x\n"));
    stop();
}

TEST(collect_names, "executable files come as such, and names of every kind come as they are")
{
    char name[256];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    start();
    write_text("program", "x");
    MUST(fchmodat(workspace.root, "program", 0755, 0) == 0);
    write_text("\303\274 \360\237\216\210", "1");
    write_text(name, "2");
    write_text("\xff\xfe", "no UTF-8, which no client could name");
    char expected[1000];
    snprintf(expected, sizeof expected, "file %s: 2\nprogram program: x\nfile \303\274 \360\237\216\210: 1\n", name);
    CHECK(collects(ALL, false, expected));
    stop();
}

TEST(collect_large, "files larger than frames come whole, however slowly the daemon reads")
{
    static const off_t sizes[] = {FRAME_MAX_PAYLOAD - TAR_BLOCK_BYTES, FRAME_MAX_PAYLOAD, 1000000};
    char expected[1000];
    size_t used = 0;
    start();
    for (size_t i = 0; i < 3; i++) {
        static const uint8_t zeros[1000];
        struct fingerprint print = {0};
        char name[20];
        snprintf(name, sizeof name, "%zu", i);
        write_file(name, "start", sizes[i]);
        fingerprint_add(&print, (const uint8_t *)"start", 5);
        for (off_t left = sizes[i] - 5; left > 0; left -= (off_t)sizeof zeros)
            fingerprint_add(&print, zeros, left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros);
        used += (size_t)snprintf(expected + used, sizeof expected - used, "file %s: %lld bytes %016llx\n", name, (long long)sizes[i],
                                 (unsigned long long)fingerprint_value(&print));
    }
    CHECK(collects(ALL, false, expected));
    stop();
}

TEST(collect_exact_frame, "an archive that ends where a frame ends has its end in the next")
{
    for (off_t blocks = -3; blocks <= 0; blocks++) {
        off_t size = FRAME_MAX_PAYLOAD + blocks * TAR_BLOCK_BYTES;
        start();
        write_file("a", "", size);
        struct received received = collect_whole(ALL);
        CHECK_CASE(received.frames == (blocks < 0 ? 2 : 3), "%lld bytes in %zu frames", (long long)size, received.frames);
        stop();
    }
}

TEST(collect_bad, "a COLLECT that asks for nonsense is refused")
{
    start();
    write_text("a", "x");
    CHECK(!starts("{\"globs\":[\"*\"],\"maxFiles\":0,\"maxBytes\":1}") && failure_is(&failure, FAIL_BAD_COLLECT));
    CHECK(!starts("[]") && failure_is(&failure, FAIL_BAD_COLLECT));
    stop();
}

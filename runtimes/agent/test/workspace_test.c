#include "workspace.h"

#include "archive.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct archive archive;
static struct workspace workspace;
static struct failure failure;
static const char *outside; /* the test's folder; the workspace is in it */
static int outside_fd = -1;

/* What a test that failed has left is tidied by the next. */
static void stop(void)
{
    const int descriptors[] = {outside_fd, workspace.root, workspace.folder, workspace.file};
    for (size_t i = 0; outside_fd >= 0 && i < sizeof descriptors / sizeof *descriptors; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    outside_fd = -1;
    for (size_t i = 0; i < workspace.intake_count; i++)
        free(workspace.intake[i].path);
    free(workspace.intake);
    workspace = (struct workspace){.root = -1, .folder = -1, .file = -1};
}

static void start(void)
{
    char path[200];
    stop();
    umask(022);
    archive.length = 0;
    outside = test_folder();
    snprintf(path, sizeof path, "%s/workspace", outside);
    MUST(mkdir(path, 0755) == 0);
    outside_fd = open(outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    MUST(outside_fd >= 0);
    CHECK(workspace_open(&workspace, path, &failure));
}

/* Unpacks what was put into the archive, and makes it empty. */
static bool unpacks(void)
{
    static struct tar_reader reader;
    struct tar_sink sink = workspace_sink;
    sink.context = &workspace;
    memset(&reader, 0, sizeof reader);
    failure.code = NULL;
    archive_end(&archive);
    bool unpacked = tar_reader_feed(&reader, archive.bytes, archive.length, &sink, &failure) && tar_reader_finish(&reader, &failure);
    archive.length = 0;
    return unpacked;
}

static bool is_refused(const char *code, const char *path)
{
    return !unpacks() && failure_is(&failure, code) && failure.path_length == strlen(path) && memcmp(failure.path, path, failure.path_length) == 0;
}

/* Paths are from the folder that the workspace is in. */
static bool holds(const char *path, const char *content)
{
    char got[5000];
    int file = openat(outside_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t count = read(file, got, sizeof got);
    close(file);
    return count == (ssize_t)strlen(content) && memcmp(got, content, strlen(content)) == 0;
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    MUST(fstatat(outside_fd, path, &status, AT_SYMLINK_NOFOLLOW) == 0);
    return status.st_mode;
}

static void plant(const char *path, const char *content)
{
    int file = openat(outside_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    MUST(file >= 0 && write(file, content, strlen(content)) == (ssize_t)strlen(content) && close(file) == 0);
}

static uint64_t print_of(const char *content)
{
    struct fingerprint print = {0};
    fingerprint_add(&print, (const uint8_t *)content, strlen(content));
    return fingerprint_value(&print);
}

TEST(intake, "files and folders arrive with their content and with their modes")
{
    start();
    archive_file(&archive, "main.py", "print(1)");
    archive_folder(&archive, "empty/");
    archive_file(&archive, "a/b/c/deep.txt", "deep");
    archive_file(&archive, "./a//b/./flat.txt", "");
    uint8_t *header = archive_header(&archive, "a/run.sh", '0', 4);
    memcpy(header + 100, "0004777", 8); /* of which only the owner's execute bit counts */
    archive_checksum(header);
    archive_content(&archive, "true", 4);
    archive_folder(&archive, "./");
    archive_folder(&archive, "a");
    CHECK(unpacks());
    CHECK(holds("workspace/main.py", "print(1)") && mode_of("workspace/main.py") == (S_IFREG | 0644));
    CHECK(holds("workspace/a/b/c/deep.txt", "deep") && holds("workspace/a/b/flat.txt", ""));
    CHECK(holds("workspace/a/run.sh", "true") && mode_of("workspace/a/run.sh") == (S_IFREG | 0755));
    CHECK(mode_of("workspace/empty") == (S_IFDIR | 0755) && mode_of("workspace/a/b/c") == (S_IFDIR | 0755));
    stop();
}

TEST(changes, "what is not as intake left it is changed")
{
    start();
    archive_file(&archive, "a", "one");
    archive_file(&archive, "b/c", "two");
    archive_file(&archive, "a", "three");
    archive_file(&archive, "./b//c", "four");
    archive_file(&archive, "empty", "");
    CHECK(unpacks());
    workspace_intake_done(&workspace);
    CHECK(holds("workspace/a", "three") && holds("workspace/b/c", "four"));
    CHECK(!workspace_is_changed(&workspace, "a", print_of("three")) && !workspace_is_changed(&workspace, "b/c", print_of("four")));
    CHECK(!workspace_is_changed(&workspace, "empty", print_of("")));
    CHECK(workspace_is_changed(&workspace, "a", print_of("one")) && workspace_is_changed(&workspace, "b/c", print_of("two")));
    CHECK(workspace_has_intake(&workspace, "a", 5) && workspace_has_intake(&workspace, "empty", 0));
    CHECK(!workspace_has_intake(&workspace, "a", 3) && !workspace_has_intake(&workspace, "b", 0) && !workspace_has_intake(&workspace, "new", 0));
    CHECK(workspace_is_changed(&workspace, "b", print_of("two")) && workspace_is_changed(&workspace, "new", print_of("three")));
    stop();
}

TEST(no_intake, "without intake everything is new")
{
    start();
    CHECK(unpacks());
    workspace_intake_done(&workspace);
    CHECK(workspace_is_changed(&workspace, "a", print_of("")));
    stop();
}

TEST(many_files, "thousands of files are remembered, each by its last content")
{
    char path[50], content[50];
    start();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2000; i++) {
            snprintf(path, sizeof path, "folder %d/file %d", i % 37, i);
            snprintf(content, sizeof content, "%d in round %d", i, round);
            archive_file(&archive, path, content);
            if (i % 100 == 99)
                CHECK(unpacks());
        }
    }
    workspace_intake_done(&workspace);
    CHECK(workspace.intake_count == 2000);
    for (int i = 0; i < 2000; i++) {
        snprintf(path, sizeof path, "folder %d/file %d", i % 37, i);
        snprintf(content, sizeof content, "%d in round 1", i);
        CHECK_CASE(!workspace_is_changed(&workspace, path, print_of(content)), "%s", path);
        content[strlen(content) - 1] = '0';
        CHECK_CASE(workspace_is_changed(&workspace, path, print_of(content)), "%s", path);
    }
    stop();
}

TEST(escapes, "nothing is written outside the workspace")
{
    static const char *const paths[] = {"../escaped", "a/../../escaped", "/escaped", "/tmp/escaped", "..", "a\nb"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        start();
        archive_file(&archive, paths[i], "x");
        CHECK_CASE(is_refused(FAIL_BAD_PATH, paths[i]), "%s", paths[i]);
        CHECK(faccessat(outside_fd, "escaped", F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT);
        stop();
    }
}

TEST(planted_folder_link, "a path through a symbolic link is refused, be it to a folder, to itself or to nothing")
{
    static const char *const targets[] = {"..", "/tmp", "inside", "link", "nothing"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        start();
        MUST(mkdirat(workspace.root, "inside", 0755) == 0 && symlinkat(targets[i], workspace.root, "link") == 0);
        archive_file(&archive, "link/file", "x");
        CHECK_CASE(is_refused(FAIL_BAD_PATH, "link/file"), "%s", targets[i]);
        archive_file(&archive, "link/folder/file", "x");
        CHECK_CASE(is_refused(FAIL_BAD_PATH, "link/folder/file"), "%s", targets[i]);
        archive_folder(&archive, "link/");
        CHECK_CASE(is_refused(FAIL_BAD_PATH, "link"), "%s", targets[i]);
        CHECK(faccessat(outside_fd, "file", F_OK, 0) != 0 && faccessat(outside_fd, "workspace/inside/file", F_OK, 0) != 0);
        stop();
    }
}

TEST(planted_file_link, "a file takes the place of a symbolic link, and what it points to stays as it is")
{
    start();
    plant("secret", "untouched");
    MUST(symlinkat("../secret", workspace.root, "link") == 0);
    archive_file(&archive, "link", "mine");
    CHECK(unpacks());
    CHECK(holds("secret", "untouched") && holds("workspace/link", "mine") && S_ISREG(mode_of("workspace/link")));
    stop();
}

TEST(planted_fifo, "a file takes the place of a FIFO, which nobody waits for")
{
    start();
    MUST(mkfifoat(workspace.root, "fifo", 0600) == 0);
    archive_file(&archive, "fifo", "mine");
    CHECK(unpacks());
    CHECK(holds("workspace/fifo", "mine"));
    stop();
}

TEST(hard_link, "a file that replaces another does not write through to its other names")
{
    start();
    plant("other", "untouched");
    MUST(linkat(outside_fd, "other", workspace.root, "file", 0) == 0);
    archive_file(&archive, "file", "mine");
    CHECK(unpacks());
    CHECK(holds("other", "untouched") && holds("workspace/file", "mine"));
    stop();
}

TEST(file_for_folder, "a file does not replace a folder, nor a folder a file")
{
    start();
    archive_folder(&archive, "folder");
    archive_file(&archive, "file", "x");
    CHECK(unpacks());
    archive_file(&archive, "folder", "x");
    CHECK(is_refused(FAIL_BAD_PATH, "folder"));
    archive_folder(&archive, "file");
    CHECK(is_refused(FAIL_BAD_PATH, "file"));
    archive_file(&archive, "file/below", "x");
    CHECK(is_refused(FAIL_BAD_PATH, "file/below"));
    archive_file(&archive, ".", "x");
    CHECK(is_refused(FAIL_BAD_PATH, "."));
    CHECK(S_ISDIR(mode_of("workspace/folder")) && holds("workspace/file", "x"));
    stop();
}

TEST(long_path, "a path of 4,096 bytes, longer than system calls take, is written and opened again")
{
    char path[PATH_MAX_BYTES + 1];
    memset(path, 'd', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    for (size_t i = 200; i < sizeof path - 1; i += 200)
        path[i] = '/';
    start();
    archive_long_name(&archive, path);
    archive_file(&archive, "ignored", "deep");
    CHECK(unpacks());
    int file = workspace_open_at(&workspace, path, O_RDONLY);
    MUST(file >= 0);
    char content[5];
    ssize_t count = read(file, content, sizeof content);
    close(file);
    CHECK(count == 4 && memcmp(content, "deep", 4) == 0);
    stop();
}

TEST(open_at, "files are opened below the workspace and never through a symbolic link")
{
    start();
    archive_file(&archive, "a/b", "x");
    CHECK(unpacks());
    MUST(symlinkat("a", workspace.root, "folder-link") == 0 && symlinkat("a/b", workspace.root, "file-link") == 0);
    static const struct {
        const char *path;
        int flags, error;
    } cases[] = {
        {"", O_RDONLY | O_DIRECTORY, 0},
        {"a", O_RDONLY | O_DIRECTORY, 0},
        {"a/b", O_RDONLY, 0},
        {"a/b", O_RDONLY | O_DIRECTORY, ENOTDIR},
        {"folder-link/b", O_RDONLY, ENOTDIR},
        {"file-link", O_RDONLY, ELOOP},
        {"a/nothing", O_RDONLY, ENOENT},
        {"a/b/c", O_RDONLY, ENOTDIR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int file = workspace_open_at(&workspace, cases[i].path, cases[i].flags);
        int error = file < 0 ? errno : close(file);
        CHECK_CASE(error == cases[i].error, "%s: %s", cases[i].path, strerror(error));
    }
    stop();
}

TEST(no_workspace, "a workspace that is not there, or is a file, is a bad environment")
{
    static const char *const names[] = {"nothing", "file", "link"};
    start();
    plant("file", "");
    MUST(symlinkat("workspace", outside_fd, "link") == 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct workspace other;
        char path[200];
        snprintf(path, sizeof path, "%s/%s", outside, names[i]);
        CHECK_CASE(!workspace_open(&other, path, &failure) && failure_is(&failure, FAIL_BAD_ENVIRONMENT), "%s", names[i]);
    }
    stop();
}

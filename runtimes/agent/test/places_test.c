#include "places.h"

#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

static char outside[] = "/tmp/places-test-XXXXXX";

/* A folder to be emptied, below one that must stay as it is. */
static int make_root(void)
{
    strcpy(outside, "/tmp/places-test-XXXXXX");
    CHECK(mkdtemp(outside) != NULL);
    int folder = open(outside, O_RDONLY | O_DIRECTORY);
    CHECK(folder >= 0 && mkdirat(folder, "root", 0755) == 0 && mkdirat(folder, "kept", 0755) == 0);
    int file = openat(folder, "kept/file", O_CREAT | O_WRONLY, 0644);
    CHECK(file >= 0 && close(file) == 0);
    int root = openat(folder, "root", O_RDONLY | O_DIRECTORY);
    CHECK(root >= 0 && close(folder) == 0);
    return root;
}

/* Checks that the folder is empty and that nothing beside it is missing, and removes both. */
static void check_emptied(int root)
{
    char path[sizeof outside + 32];
    close(root);
    snprintf(path, sizeof path, "%s/root", outside);
    CHECK(rmdir(path) == 0);
    snprintf(path, sizeof path, "%s/kept/file", outside);
    CHECK(unlink(path) == 0);
    snprintf(path, sizeof path, "%s/kept", outside);
    CHECK(rmdir(path) == 0 && rmdir(outside) == 0);
}

static void make_file(int folder, const char *name)
{
    int file = openat(folder, name, O_CREAT | O_EXCL | O_WRONLY, 0);
    CHECK(file >= 0 && close(file) == 0);
}

TEST(nothing, "a folder that is empty is empty afterwards")
{
    int root = make_root();
    CHECK(places_empty_folder(root));
    check_emptied(root);
}

TEST(kinds, "whatever kind of file is there goes, and what a link leads to stays")
{
    int root = make_root();
    make_file(root, "file");
    make_file(root, "-rf * \n");
    CHECK(linkat(root, "file", root, "second name", 0) == 0);
    CHECK(symlinkat("../kept", root, "link to a folder") == 0 && symlinkat("../kept/file", root, "link") == 0);
    CHECK(symlinkat("nowhere", root, "dangling") == 0 && mkfifoat(root, "pipe", 0600) == 0);
    CHECK(places_empty_folder(root));
    check_emptied(root);
}

TEST(rights, "a folder without rights for its owner is emptied")
{
    int root = make_root();
    CHECK(mkdirat(root, "a", 0755) == 0 && mkdirat(root, "a/b", 0755) == 0);
    make_file(root, "a/b/file");
    make_file(root, "a/file");
    CHECK(fchmodat(root, "a/b", 0, 0) == 0 && fchmodat(root, "a", 0, 0) == 0);
    CHECK(places_empty_folder(root));
    check_emptied(root);
}

TEST(many, "many folders that hold something, beside each other, go")
{
    enum { FOLDERS = 3000 };
    int root = make_root();
    for (int i = 0; i < FOLDERS; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d", i);
        CHECK(mkdirat(root, name, 0755) == 0);
        snprintf(name, sizeof name, "%d/file", i);
        make_file(root, name);
    }
    CHECK(places_empty_folder(root));
    check_emptied(root);
}

TEST(deep, "a tree deeper than any path, and than there are descriptors, goes")
{
    enum { DEPTH = 5000 };
    static const char name[] = "a name that fills up the longest path in less than a hundred levels";
    int root = make_root(), folder = dup(root);
    for (int i = 0; i < DEPTH; i++) {
        CHECK(mkdirat(folder, name, 0700) == 0);
        int next = openat(folder, name, O_RDONLY | O_DIRECTORY);
        CHECK(next >= 0 && close(folder) == 0);
        folder = next;
        make_file(folder, "file");
    }
    close(folder);
    CHECK(places_empty_folder(root));
    check_emptied(root);
}

/* A place as it is before the first run, in memory of its own: on a disk others write, too. */
static struct places make_place(void)
{
    struct places places = {.count = 1, .all = true};
    struct place *place = &places.each[0];
    struct statvfs usage;
    struct stat root;
    strcpy(place->path, "/dev/shm/places-test-XXXXXX");
    MUST(mkdtemp(place->path) != NULL && chmod(place->path, 0770) == 0);
    MUST(stat(place->path, &root) == 0 && statvfs(place->path, &usage) == 0);
    place->mode = root.st_mode;
    place->owner = root.st_uid;
    place->group = root.st_gid;
    place->blocks = usage.f_blocks - usage.f_bfree;
    place->inodes = usage.f_files - usage.f_ffree;
    return places;
}

TEST(held, "a place is not clean as long as somebody holds what was removed from it")
{
    struct failure failure = {0};
    struct places places = make_place();
    char path[PLACE_PATH_BYTES + 8], why[PLACE_PATH_BYTES + 64];
    CHECK(places_are_clean(&places, &failure));
    snprintf(path, sizeof path, "%s/held", places.each[0].path);
    int held = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    MUST(held >= 0 && write(held, "x", 1) == 1);
    CHECK(!places_are_clean(&places, &failure) && places_empty(&places));
    CHECK(!places_are_clean(&places, &failure) && failure_is(&failure, FAIL_NOT_CLEAN));
    snprintf(why, sizeof why, "Something that was removed from %s is still in use.", places.each[0].path);
    CHECK(strcmp(failure.message, why) == 0);
    MUST(ftruncate(held, 0) == 0);
    CHECK(!places_are_clean(&places, &failure)); /* an empty file is one, too */
    MUST(close(held) == 0);
    CHECK(places_are_clean(&places, &failure));
    places.each[0].blocks++;
    CHECK(!places_are_clean(&places, &failure)); /* less in use than there was is not how it was, either */
    MUST(rmdir(places.each[0].path) == 0);
}

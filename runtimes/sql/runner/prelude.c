#include "prelude.h"
#include "memory.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct prelude {
    const char *entry; /* without ./ */
    void (*take)(void *context, const char *path);
    void *context;
    bool reached; /* the entry itself */
};

static void offer(struct prelude *prelude, const char *path)
{
    struct stat status;
    prelude->reached = prelude->reached || strcmp(path, prelude->entry) == 0;
    if (!prelude->reached && stat(path, &status) == 0 && S_ISREG(status.st_mode))
        prelude->take(prelude->context, path);
}

static int is_script(const struct dirent *file)
{
    size_t length = strlen(file->d_name);
    return file->d_name[0] != '.' && length > 4 && strcmp(file->d_name + length - 4, ".sql") == 0;
}

static int by_name(const struct dirent **one, const struct dirent **other)
{
    return strcmp((*one)->d_name, (*other)->d_name);
}

static void offer_folder(struct prelude *prelude, const char *folder)
{
    struct dirent **files;
    int count = scandir(folder, &files, is_script, by_name);
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s/%s", folder, files[i]->d_name) < PATH_MAX)
            offer(prelude, path);
        free(files[i]);
    }
    if (count >= 0)
        free(files);
}

void prelude_each(const char *entry, void (*take)(void *context, const char *path), void *context)
{
    static const char *const parts[] = {"schema", "data"};
    if (strncmp(entry, "./", 2) == 0)
        entry += 2;
    struct prelude prelude = {.entry = entry, .take = take, .context = context};
    /* An entry in one of the folders belongs to the place where that is. */
    const char *slash = strrchr(entry, '/');
    size_t length = slash ? (size_t)(slash - entry + 1) : 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t part = strlen(parts[i]);
        if (length > part && strncmp(entry + length - 1 - part, parts[i], part) == 0 &&
            (length == part + 1 || entry[length - part - 2] == '/')) {
            length -= part + 1;
            break;
        }
    }
    char *base = need_copy(entry, length);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s%s.sql", base, parts[i]) >= PATH_MAX)
            continue;
        offer(&prelude, path);
        path[strlen(path) - strlen(".sql")] = '\0';
        offer_folder(&prelude, path);
    }
    free(base);
}

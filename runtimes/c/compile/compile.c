/*
 * Makes a program of the file that is to be run: compiles it alone and links it, which is all that most programs need. Where symbols are
 * missing then, the other sources of the workspace are compiled too, and those that have no main of their own are linked with it. So a
 * folder may hold a program of several files, or many programs of one file each, and nobody has to say which.
 *
 *   compile COMPILER [FLAG...] ENTRY
 *
 * COMPILER is `gcc` or `g++`, and says which files are sources. `-std=c...` means the standard with GNU's extensions, as the compiler
 * has it by itself; `--warnings=none|default|all` stands for its flags. The program becomes `.coderunner/main` below the working
 * directory. No shell is involved, so a file may have any name.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <link.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char FOLDER[] = ".coderunner";
static const char PROGRAM[] = ".coderunner/main";

enum {
    MOST_SOURCES = 1000, /* beyond it a workspace is no program, and its search no help */
    MOST_FOLDERS = 200,
    DEEPEST = 32,
};

/* A list of strings that ends with a null pointer, as execve takes it. */
struct list {
    const char **items;
    size_t count;
};

static void add(struct list *list, const char *item)
{
    const char **items = reallocarray(list->items, list->count + 2, sizeof *items);
    if (items == NULL)
        error(1, errno, "compile");
    items[list->count++] = item;
    items[list->count] = NULL;
    list->items = items;
}

static void add_all(struct list *list, const struct list *more)
{
    for (size_t i = 0; i < more->count; i++)
        add(list, more->items[i]);
}

static char *copy(const char *text)
{
    char *copied = strdup(text);
    if (copied == NULL)
        error(1, errno, "compile");
    return copied;
}

static bool has_ending(const char *path, const char *const *endings)
{
    const char *dot = strrchr(path, '.');
    for (; dot != NULL && *endings != NULL; endings++)
        if (strcmp(dot, *endings) == 0)
            return true;
    return false;
}

static const char *const C_SOURCES[] = {".c", NULL};
static const char *const CPP_SOURCES[] = {".cpp", ".cc", ".cxx", ".c++", ".C", NULL};
static const char *const HEADERS[] = {".h", ".hh", ".hpp", ".hxx", ".h++", ".inl", ".ipp", ".tpp", ".inc", NULL};

/* What the walk through the workspace finds; nftw passes nothing along. */
static const char *const *source_endings;
static struct list sources;
static struct list header_folders;

static int visit(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    const char *name = path + place->base;
    if (place->level > 0 && type == FTW_D && (name[0] == '.' || place->level > DEEPEST))
        return FTW_SKIP_SUBTREE;
    if (type != FTW_F)
        return FTW_CONTINUE;
    const char *below = strncmp(path, "./", 2) == 0 ? path + 2 : path;
    if (has_ending(name, source_endings)) {
        /* A name that begins with a dash is no option, and one that begins with an at sign no file of options. */
        if (sources.count < MOST_SOURCES)
            add(&sources, copy(below[0] == '-' || below[0] == '@' ? path : below));
    } else if (has_ending(name, HEADERS) && header_folders.count < MOST_FOLDERS) {
        char *folder = copy(path);
        folder[place->base - 1] = '\0';
        bool known = false;
        for (size_t i = 0; i < header_folders.count; i++)
            known = known || strcmp(header_folders.items[i], folder) == 0;
        if (known)
            free(folder);
        else
            add(&header_folders, folder);
    }
    return FTW_CONTINUE;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void look_around(void)
{
    if (nftw(".", visit, 16, FTW_PHYS | FTW_ACTIONRETVAL) != 0)
        error(1, errno, "compile: the workspace cannot be read");
    /* The order of a folder's entries is nobody's wish. */
    if (sources.count > 0)
        qsort(sources.items, sources.count, sizeof *sources.items, by_name);
    if (header_folders.count > 0)
        qsort(header_folders.items, header_folders.count, sizeof *header_folders.items, by_name);
}

enum outcome { DONE, FAILED, SYMBOLS_MISSING };

static const char MISSING[] = "undefined reference to ";

/*
 * Passes on what a compiler prints, and tells whether symbols are missing. All of it goes on as it comes, so that what is without end
 * reaches the limit of whoever reads.
 */
static bool relay(int from, int to)
{
    char buffer[8192];
    size_t kept = 0;
    bool missing = false;
    for (;;) {
        ssize_t got = read(from, buffer + kept, sizeof buffer - kept);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return missing;
        for (ssize_t written = 0; written < got;) {
            ssize_t now = write(to, buffer + kept + written, (size_t)(got - written));
            if (now < 0 && errno != EINTR)
                error(1, errno, "compile");
            if (now > 0)
                written += now;
        }
        size_t length = kept + (size_t)got;
        missing = missing || memmem(buffer, length, MISSING, strlen(MISSING)) != NULL;
        kept = length < strlen(MISSING) ? length : strlen(MISSING);
        memmove(buffer, buffer + length - kept, kept);
    }
}

/*
 * Runs a compiler to its end. One that a signal ended ends this program by the same signal.
 * messages: where what it prints on stderr goes
 */
static enum outcome run(const struct list *command, int messages)
{
    int pipe_ends[2];
    if (pipe2(pipe_ends, O_CLOEXEC) < 0)
        error(1, errno, "compile");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDERR_FILENO);
    pid_t child;
    int failed = posix_spawnp(&child, command->items[0], &actions, NULL, (char *const *)command->items, environ);
    if (failed != 0)
        error(1, failed, "compile: %s", command->items[0]);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_ends[1]);
    bool missing = relay(pipe_ends[0], messages);
    close(pipe_ends[0]);
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            error(1, errno, "compile");
    if (WIFSIGNALED(status))
        raise(WTERMSIG(status));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return DONE;
    return missing ? SYMBOLS_MISSING : FAILED;
}

static int message_file(void)
{
    int file = memfd_create("messages", MFD_CLOEXEC);
    if (file < 0)
        error(1, errno, "compile");
    return file;
}

/* Passes on what was printed into a file, and closes that. */
static void show(int messages, int to)
{
    if (lseek(messages, 0, SEEK_SET) < 0)
        error(1, errno, "compile");
    relay(messages, to);
    close(messages);
}

/* Whether an object file defines a function `main`. */
static bool has_main(const char *object)
{
    int file = open(object, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) < 0)
        error(1, errno, "compile: %s", object);
    const char *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED)
        error(1, errno, "compile: %s", object);
    close(file);
    const ElfW(Ehdr) *header = (const void *)bytes;
    const ElfW(Shdr) *sections = (const void *)(bytes + header->e_shoff);
    bool found = false;
    for (size_t s = 0; s < header->e_shnum && !found; s++) {
        if (sections[s].sh_type != SHT_SYMTAB)
            continue;
        const ElfW(Sym) *symbols = (const void *)(bytes + sections[s].sh_offset);
        const char *names = bytes + sections[sections[s].sh_link].sh_offset;
        for (size_t i = 0; i < sections[s].sh_size / sizeof *symbols && !found; i++)
            found = symbols[i].st_shndx != SHN_UNDEF && strcmp(names + symbols[i].st_name, "main") == 0;
    }
    munmap((void *)bytes, (size_t)status.st_size);
    return found;
}

/* compiler flags... -c source -o object */
static enum outcome compile_unit(const struct list *compiler, const char *source, const char *object, int messages)
{
    struct list command = {0};
    add_all(&command, compiler);
    add(&command, "-c");
    add(&command, source);
    add(&command, "-o");
    add(&command, object);
    enum outcome outcome = run(&command, messages);
    free(command.items);
    return outcome;
}

/* compiler flags... inputs... -o program, with the mathematics that C programs expect to be there */
static enum outcome link_program(const struct list *compiler, const struct list *inputs, int messages)
{
    struct list command = {0};
    add_all(&command, compiler);
    add_all(&command, inputs);
    /* It serves link-time optimisation only, and costs every program its loading. */
    add(&command, "-fno-use-linker-plugin");
    add(&command, "-o");
    add(&command, PROGRAM);
    add(&command, "-lm");
    enum outcome outcome = run(&command, messages);
    free(command.items);
    return outcome;
}

/* A file in the folder that this program made for itself. */
static char *scratch(const char *folder, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        error(1, errno, "compile");
    return path;
}

static char *object_name(const char *folder, size_t number)
{
    char name[32];
    snprintf(name, sizeof name, "%zu.o", number);
    return scratch(folder, name);
}

/*
 * Says in the compiler's words in which lines the entry uses what is missing. The linker knows lines only of what was compiled for a
 * debugger, which takes longer and which nobody waits for while all goes well.
 * others: what was linked with it
 */
static void show_places(const struct list *compiler, const char *entry, const char *folder, const struct list *others)
{
    struct list debug = {0}, objects = {0};
    int ignored = message_file(), messages = message_file();
    const char *object = scratch(folder, "debug.o");
    add_all(&debug, compiler);
    add(&debug, "-g1");
    add(&objects, object);
    add_all(&objects, others);
    if (compile_unit(&debug, entry, object, ignored) != DONE || link_program(&debug, &objects, messages) == DONE)
        return;
    char here[PATH_MAX];
    FILE *lines = fdopen(messages, "r");
    if (lines == NULL || lseek(messages, 0, SEEK_SET) < 0 || getcwd(here, sizeof here) == NULL)
        error(1, errno, "compile");
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, lines) > 0) {
        /* /workspace/main.c:5:(.text+0xa): undefined reference to `name' */
        char *path = strstr(line, here), *section = strstr(line, ":(."), *what = strstr(line, MISSING);
        if (path == NULL || section == NULL || what == NULL || section < path || path[strlen(here)] != '/')
            continue;
        fprintf(stderr, "%.*s: error: %s", (int)(section - path) - (int)strlen(here) - 1, path + strlen(here) + 1, what);
    }
    free(line);
    fclose(lines);
}

/*
 * The program from all sources that have no main. Where two of them define the same, each stands for another program: then only
 * those are linked that define what is missing, those in the entry's own folder before others.
 */
static bool link_with_others(const struct list *compiler, const char *entry, const char *entry_object, const char *folder)
{
    const char *slash = strrchr(entry, '/');
    size_t own = slash == NULL ? 0 : (size_t)(slash - entry) + 1;
    struct list objects = {0}, near = {0}, far = {0};
    add(&objects, entry_object);
    int broken = message_file();
    for (size_t i = 0; i < sources.count; i++) {
        const char *source = sources.items[i];
        if (strcmp(source, entry) == 0)
            continue;
        char *object = object_name(folder, i + 1);
        int messages = message_file();
        if (compile_unit(compiler, source, object, messages) != DONE) {
            /* It may belong to another program: only worth a word where something is missing in the end. */
            show(messages, broken);
        } else if (has_main(object)) {
            close(messages);
        } else {
            add(&objects, object);
            add(strncmp(source, entry, own) == 0 ? &near : &far, object);
            show(messages, STDERR_FILENO);
        }
    }
    int messages = message_file();
    enum outcome outcome = link_program(compiler, &objects, messages);
    struct list others = {0};
    if (outcome != DONE && objects.count > 1) {
        const char *archive = scratch(folder, "others.a");
        struct list pack = {0}, chosen = {0};
        add(&pack, "ar");
        add(&pack, "rcs");
        add(&pack, archive);
        add_all(&pack, &near);
        add_all(&pack, &far);
        add(&others, archive);
        add(&chosen, entry_object);
        add(&chosen, archive);
        close(messages);
        messages = message_file();
        outcome = run(&pack, STDERR_FILENO);
        if (outcome == DONE)
            outcome = link_program(compiler, &chosen, messages);
    }
    if (outcome != DONE)
        show(broken, STDERR_FILENO);
    show(messages, STDERR_FILENO);
    if (outcome == SYMBOLS_MISSING)
        show_places(compiler, entry, folder, &others);
    return outcome == DONE;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        error(2, 0, "usage: compile COMPILER [FLAG...] ENTRY");
    const char *entry = argv[argc - 1];
    source_endings = strcmp(argv[1], "gcc") == 0 ? C_SOURCES : CPP_SOURCES;
    if (mkdir(FOLDER, 0700) < 0 && errno != EEXIST)
        error(1, errno, "compile: %s", FOLDER);
    look_around();

    struct list compiler = {0};
    add(&compiler, argv[1]);
    for (int i = 2; i < argc - 1; i++) {
        static const char STANDARD[] = "-std=c";
        if (strncmp(argv[i], STANDARD, strlen(STANDARD)) == 0) {
            char *flag;
            if (asprintf(&flag, "-std=gnu%s", argv[i] + strlen(STANDARD)) < 0)
                error(1, errno, "compile");
            add(&compiler, flag);
        } else if (strcmp(argv[i], "--warnings=none") == 0) {
            add(&compiler, "-w");
        } else if (strcmp(argv[i], "--warnings=all") == 0) {
            add(&compiler, "-Wall");
            add(&compiler, "-Wextra");
        } else if (strcmp(argv[i], "--warnings=default") != 0) {
            add(&compiler, argv[i]);
        }
    }
    for (size_t i = 0; i < header_folders.count; i++) {
        /* Found by either way of including, but never instead of a header of the system. */
        add(&compiler, "-iquote");
        add(&compiler, header_folders.items[i]);
        add(&compiler, "-idirafter");
        add(&compiler, header_folders.items[i]);
    }

    char folder[] = "/tmp/compile-XXXXXX";
    struct list alone = {0};
    bool others = sources.count > 1 || (sources.count == 1 && strcmp(sources.items[0], entry) != 0);
    if (!others) {
        add(&alone, entry);
        enum outcome outcome = link_program(&compiler, &alone, STDERR_FILENO);
        if (outcome == SYMBOLS_MISSING && mkdtemp(folder) != NULL)
            show_places(&compiler, entry, folder, &(struct list){0});
        return outcome == DONE ? 0 : 1;
    }

    if (mkdtemp(folder) == NULL)
        error(1, errno, "compile: %s", folder);
    const char *object = object_name(folder, 0);
    if (compile_unit(&compiler, entry, object, STDERR_FILENO) != DONE)
        return 1;
    add(&alone, object);
    int messages = message_file();
    enum outcome outcome = link_program(&compiler, &alone, messages);
    if (outcome == SYMBOLS_MISSING)
        return link_with_others(&compiler, entry, object, folder) ? 0 : 1;
    show(messages, STDERR_FILENO);
    return outcome == DONE ? 0 : 1;
}

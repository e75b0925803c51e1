/*
 * Runs a fuzz target without a fuzzer: over each file of a corpus, then over inputs made from them by a fixed sequence of mutations, so that
 * two runs do the same. What it dies of is left in a file that the target, given as the corpus, dies of again.
 *
 *     replay-TARGET MUTATIONS CORPUS…
 */
#include "fuzz.h"

#include <dirent.h>
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONGEST_INPUT (1u << 18)
#define MOST_SEEDS 1024

struct seed {
    uint8_t *bytes;
    size_t count;
};

static struct seed seeds[MOST_SEEDS];
static size_t seed_count;
static uint8_t input[LONGEST_INPUT];
static size_t input_count;
static const char *crash_file;

static void keep_input(void)
{
    FILE *file = fopen(crash_file, "w");
    if (file == NULL || fwrite(input, 1, input_count, file) != input_count || fclose(file) != 0)
        perror(crash_file);
    else
        fprintf(stderr, "The input is in %s.\n", crash_file);
}

static void keep_input_of_abort(int number)
{
    keep_input();
    signal(number, SIG_DFL);
    raise(number);
}

static void run(void)
{
    /* A copy of just that size, so that reading beyond it shows. */
    uint8_t *bytes = malloc(input_count ? input_count : 1);
    EXPECT(bytes != NULL);
    memcpy(bytes, input, input_count);
    LLVMFuzzerTestOneInput(bytes, input_count);
    free(bytes);
}

static void add_file(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL || seed_count == MOST_SEEDS) {
        fprintf(stderr, "%s cannot be added.\n", path);
        exit(EXIT_FAILURE);
    }
    input_count = fread(input, 1, sizeof input, file);
    fclose(file);
    struct seed *seed = &seeds[seed_count++];
    *seed = (struct seed){malloc(input_count ? input_count : 1), input_count};
    EXPECT(seed->bytes != NULL);
    memcpy(seed->bytes, input, input_count);
}

static int by_name(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

static void add_corpus(const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && S_ISREG(status.st_mode)) {
        add_file(path);
        return;
    }
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, by_name);
    for (int i = 0; i < count; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (stat(file, &status) == 0 && S_ISREG(status.st_mode))
            add_file(file);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

/* xorshift64*: the same on every machine. */
static size_t random_below(size_t bound)
{
    static uint64_t state = 0x9E3779B97F4A7C15u;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return bound ? (size_t)(state * 0x2545F4914F6CDD1Du >> 33) % bound : 0;
}

/* Puts bytes in at a place, as many as fit. They must not be of the input. */
static void insert(size_t at, const uint8_t *bytes, size_t count)
{
    if (count > sizeof input - input_count)
        count = sizeof input - input_count;
    memmove(input + at + count, input + at, input_count - at);
    memcpy(input + at, bytes, count);
    input_count += count;
}

static void mutate(void)
{
    static const uint8_t telling[] = {0, 1, 7, 8, 0x7F, 0x80, 0xFF, ' ', '/', '.', '"', '{', '[', '-', '0', '9', '*', '\n'};
    size_t at = random_below(input_count), count = random_below(input_count - at);
    const struct seed *other = &seeds[random_below(seed_count)];
    size_t other_at = random_below(other->count);
    uint8_t copy[256];
    count = count < sizeof copy ? count : sizeof copy;
    switch (random_below(8)) {
    case 0:
        if (input_count > 0)
            input[at] ^= (uint8_t)(1u << random_below(8));
        break;
    case 1:
        if (input_count > 0)
            input[at] = telling[random_below(sizeof telling)];
        break;
    case 2:
        if (input_count > 0)
            input[at] = (uint8_t)(input[at] + random_below(9) - 4);
        break;
    case 3:
        insert(at, &telling[random_below(sizeof telling)], 1);
        break;
    case 4: /* something again */
        memcpy(copy, input + at, count);
        insert(random_below(input_count), copy, count);
        break;
    case 5: /* something of another seed */
        insert(at, other->bytes + other_at, random_below(other->count - other_at));
        break;
    case 6:
        memmove(input + at, input + at + count, input_count - at - count);
        input_count -= count;
        break;
    default:
        if (random_below(8) == 0) /* seldom: what is cut off cannot be mutated */
            input_count = at;
        break;
    }
}

int main(int argument_count, char **arguments)
{
    if (argument_count < 3) {
        fprintf(stderr, "usage: %s MUTATIONS CORPUS…\n", arguments[0]);
        return EXIT_FAILURE;
    }
    static char path[4096];
    snprintf(path, sizeof path, "%s.crash", arguments[0]);
    crash_file = path;
    signal(SIGABRT, keep_input_of_abort);
    __sanitizer_set_death_callback(keep_input);

    for (int i = 2; i < argument_count; i++)
        add_corpus(arguments[i]);
    for (size_t i = 0; i < seed_count; i++) {
        input_count = seeds[i].count;
        memcpy(input, seeds[i].bytes, input_count);
        run();
    }
    unsigned long mutations = strtoul(arguments[1], NULL, 10);
    for (unsigned long i = 0; i < mutations && seed_count > 0; i++) {
        const struct seed *seed = &seeds[random_below(seed_count)];
        input_count = seed->count;
        memcpy(input, seed->bytes, input_count);
        for (size_t times = random_below(6) + 1; times > 0; times--)
            mutate();
        run();
    }
    printf("%s: %zu inputs of the corpus and %lu made from them\n", arguments[0], seed_count, mutations);
    for (size_t i = 0; i < seed_count; i++)
        free(seeds[i].bytes);
    return seed_count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Unit tests of what takes scripts apart and shows results: all of the runner that needs no server. */
#include "cell.h"
#include "prelude.h"
#include "results.h"
#include "script.h"
#include "table.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned failed, passed;

#define CHECK(condition, ...)                                                                                                                   \
    do {                                                                                                                                        \
        if (condition) {                                                                                                                        \
            passed++;                                                                                                                           \
        } else {                                                                                                                                \
            failed++;                                                                                                                           \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                                                     \
            fprintf(stderr, __VA_ARGS__);                                                                                                       \
            putc('\n', stderr);                                                                                                                 \
        }                                                                                                                                       \
    } while (0)

/* A system call of the test itself. */
#define MUST(condition)                                                                                                                         \
    do {                                                                                                                                        \
        if (!(condition)) {                                                                                                                     \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));                                                \
            exit(EXIT_FAILURE);                                                                                                                 \
        }                                                                                                                                       \
    } while (0)

static void check_text(const char *what, const char *found, const char *expected)
{
    CHECK(strcmp(found, expected) == 0, "%s\nexpected: %s\nfound:    %s", what, expected, found);
}

/* A script as a list of its items: S statement, G one that is shown vertically, F source, R refused, U unclosed, D bad delimiter; with lines. */
static void check_script(const char *script, bool escapes, const char *expected)
{
    static const char letters[] = {
        [SCRIPT_STATEMENT] = 'S', [SCRIPT_SOURCE] = 'F', [SCRIPT_REFUSED] = 'R', [SCRIPT_UNCLOSED] = 'U', [SCRIPT_BAD_DELIMITER] = 'D'};
    struct script reading;
    char *list;
    size_t size;
    FILE *out = open_memstream(&list, &size);
    MUST(out);
    script_open(&reading, script, strlen(script));
    for (struct script_item item; (item = script_next(&reading, escapes)).kind != SCRIPT_END;)
        fprintf(out, "%c%u[%.*s]", item.vertical ? 'G' : letters[item.kind], item.line, (int)item.length, item.text);
    MUST(fclose(out) == 0);
    check_text(script, list, expected);
    free(list);
}

static void scripts(void)
{
    static const struct {
        const char *script, *items;
    } cases[] = {
        {"", ""},
        {" ;; \n;", ""},
        {"SELECT 1", "S1[SELECT 1]"},
        {"SELECT 1;SELECT 2;\n", "S1[SELECT 1]S1[SELECT 2]"},
        {"\xef\xbb\xbfSELECT 1", "S1[SELECT 1]"},
        {"\n-- one; two\nSELECT 1 -- x;y\n+ 1;", "S3[SELECT 1 -- x;y\n+ 1]"},
        {"# c\n/* ; */SELECT /* ; */ 1;", "S2[SELECT /* ; */ 1]"},
        {"SELECT 1--1;", "S1[SELECT 1--1]"},
        {"--\nSELECT 1", "S2[SELECT 1]"},
        {"/*! SELECT 1; */;", "S1[/*! SELECT 1; */]"},
        {"/*M! SELECT 1 */;", "S1[/*M! SELECT 1 */]"},
        {"SELECT 'a;''b', \"c;\"\"d\", `e;``f`;", "S1[SELECT 'a;''b', \"c;\"\"d\", `e;``f`]"},
        {"SELECT 'a\\';b';x", "S1[SELECT 'a\\';b']S1[x]"},
        {"SELECT `a\\`;x", "S1[SELECT `a\\`]S1[x]"},
        {"SELECT 'a\n;\nb';\nSELECT 2", "S1[SELECT 'a\n;\nb']S4[SELECT 2]"},
        {"SELECT 1\\G SELECT 2\\g SELECT 3", "G1[SELECT 1]S1[SELECT 2]S1[SELECT 3]"},
        {"DELIMITER //\nBEGIN; END//\nSELECT 1;2//\ndelimiter ;\nSELECT 3;", "S2[BEGIN; END]S3[SELECT 1;2]S5[SELECT 3]"},
        {"DELIMITER $$ ignored\nx$$", "S2[x]"},
        {"DELIMITER\nx;", "D1[]S2[x]"},
        {"DELIMITER \\\nx;", "D1[\\]S2[x]"},
        {"DELIMITER abcdefghijklmnop\nx;", "D1[abcdefghijklmnop]S2[x]"},
        {"DELIMITER END\nSELECT 1 end SELECT 2 END", "S2[SELECT 1 ]S2[SELECT 2 ]"},
        {"SOURCE a b.sql;\nsource 'c.sql'\n\\. d.sql\nSELECT 1", "F1[a b.sql]F2[c.sql]F3[d.sql]S4[SELECT 1]"},
        {"SOURCE", "F1[]"},
        {"SELECT source; sourced", "S1[SELECT source]S1[sourced]"},
        {"system ls; SELECT 1\n\\! ls\nTEE x\n\\", "R1[system]R2[\\!]R3[tee]R4[\\]"},
        {"SELECT 'open\n;", "U1[']"},
        {"SELECT 1;\nSELECT\n`open;", "S1[SELECT 1]U3[`]"},
        {"SELECT 1;\n/* open", "S1[SELECT 1]U2[/*]"},
        {"SELECT /* open", "U1[/*]"},
        {"SELECT 'a\\", "U1[']"},
        {"SELECT 1 -- end", "S1[SELECT 1 -- end]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_script(cases[i].script, true, cases[i].items);
    check_script("SELECT 'a\\'; SELECT 2", false, "S1[SELECT 'a\\']S1[SELECT 2]");
}

/* No script, however it is cut or mixed, leads outside of its text or goes on for ever. */
static void any_script(void)
{
    static const char alphabet[] = "';\"`\\/*-#\nG.! aDELIMITER SOURCE";
    unsigned random = 1;
    for (unsigned turn = 0; turn < 20000; turn++) {
        char *text = malloc(40); /* of its own, so that the sanitizer sees what is read beyond it */
        size_t length = turn % 40;
        MUST(text);
        for (size_t i = 0; i < length; i++) {
            random = random * 1103515245u + 12345u;
            text[i] = alphabet[(random >> 16) % (sizeof alphabet - 1)];
        }
        text = realloc(text, length ? length : 1);
        MUST(text);
        struct script reading;
        unsigned items = 0, line = 1;
        script_open(&reading, text, length);
        for (struct script_item item; (item = script_next(&reading, turn % 2)).kind != SCRIPT_END; items++) {
            if (items > length || item.line < line) {
                CHECK(false, "turn %u: %u items of %zu bytes, line %u after %u", turn, items, length, item.line, line);
                break;
            }
            line = item.line;
        }
        free(text);
    }
    passed++;
}

static void check_cell(const char *value, size_t length, size_t most, const char *shown, size_t columns)
{
    struct arena arena = {0};
    struct cell cell = cell_text(&arena, value, length, most);
    CHECK(cell.bytes == strlen(shown) && memcmp(cell.text, shown, cell.bytes) == 0 && cell.columns == columns,
          "expected %s in %zu columns, found %.*s in %zu", shown, columns, (int)cell.bytes, cell.text, cell.columns);
    arena_clear(&arena);
}

static void cells(void)
{
    check_cell("", 0, 10, "", 0);
    check_cell("plain", 5, 5, "plain", 5);
    check_cell("plain", 5, 4, "pla…", 4);
    check_cell("漢字", 6, 10, "漢字", 4);
    check_cell("漢字", 6, 3, "漢…", 3);
    check_cell("漢字", 6, 2, "…", 1);
    check_cell("e\xcc\x81", 3, 10, "e\xcc\x81", 1);
    check_cell("a\nb\tc\rd", 7, 0, "a\\nb\\tc\\rd", 10);
    check_cell("\0\x1b\x7f", 3, 0, "\\0\\x1b\\x7f", 10);
    check_cell("\xc2\x9b"
               "31m",
               5, 0,
               "\xef\xbf\xbd"
               "31m",
               4);
    check_cell("\xff\xc3", 2, 0, "\xef\xbf\xbd\xef\xbf\xbd", 2);
    check_cell("\xed\xa0\x80", 3, 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 3);
    struct arena arena = {0};
    struct cell binary = cell_binary(&arena, "\x00\xff\x10", 3, 8);
    CHECK(binary.bytes == 8 && memcmp(binary.text, "0x00FF10", 8) == 0, "binary: %.*s", (int)binary.bytes, binary.text);
    struct cell cut = cell_binary(&arena, "\x00\xff\x10", 3, 7);
    CHECK(cut.bytes == 9 && cut.columns == 7 && memcmp(cut.text, "0x00FF…", 9) == 0, "cut: %.*s", (int)cut.bytes, cut.text);
    arena_clear(&arena);
}

static void tables(void)
{
    static const struct table_column columns[] = {{"id", 2, true, false}, {"name", 4, false, false}};
    static const char *const rows[][2] = {{"1", "Ann"}, {"20", NULL}};
    static const unsigned long lengths[][2] = {{1, 3}, {2, 0}};
    static const struct {
        size_t screen;
        bool vertical;
        const char *expected;
    } cases[] = {
        {0, false, "+----+------+\n| id | name |\n+----+------+\n|  1 | Ann  |\n| 20 | NULL |\n+----+------+\n"},
        {13, false, "+----+------+\n| id | name |\n+----+------+\n|  1 | Ann  |\n| 20 | NULL |\n+----+------+\n"},
        {12, false, "*** row 1\n  id: 1\nname: Ann\n*** row 2\n  id: 20\nname: NULL\n"},
        {0, true, "*** row 1\n  id: 1\nname: Ann\n*** row 2\n  id: 20\nname: NULL\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct table table;
        char *text;
        size_t size;
        FILE *out = open_memstream(&text, &size);
        MUST(out);
        table_open(&table, out, columns, 2, cases[i].screen, cases[i].vertical);
        for (size_t row = 0; row < 2; row++)
            table_row(&table, rows[row], lengths[row]);
        table_close(&table);
        MUST(fclose(out) == 0);
        check_text("a table", text, cases[i].expected);
        free(text);
    }
}

/* What is behind the rows that settle the widths is printed all the same, and in order. */
static void long_table(void)
{
    static const struct table_column column = {"n", 1, true, false};
    struct table table;
    char *text, number[16];
    size_t size;
    FILE *out = open_memstream(&text, &size);
    MUST(out);
    table_open(&table, out, &column, 1, 0, false);
    for (unsigned i = 1; i <= 2500; i++) {
        const char *value = number;
        unsigned long length = (unsigned long)snprintf(number, sizeof number, "%u", i);
        table_row(&table, &value, &length);
    }
    table_close(&table);
    MUST(fclose(out) == 0);
    CHECK(strstr(text, "|  999 |\n| 1000 |\n| 1001 |\n") && strstr(text, "| 2499 |\n| 2500 |\n+------+\n"), "a long table");
    free(text);
}

static char *contents(const char *path)
{
    static char text[8192];
    FILE *file = fopen(path, "r");
    MUST(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    MUST(fclose(file) == 0);
    return text;
}

static void recorded_results(void)
{
    static const struct results_column columns[] = {{"a\"b", 3, "int", false}, {"bytes", 5, "blob", true}};
    static const struct results_statement statement = {"main.sql", 3, "SELECT\n\\", 8};
    static const char *const row[] = {"x\x01\xff", "\x00\x0a"}, *const nothing[] = {NULL, NULL};
    static const unsigned long lengths[] = {3, 2};
    struct results results;
    results_open(&results);
    results_begin(&results, &statement, columns, 2);
    results_row(&results, columns, row, lengths, 2);
    results_row(&results, columns, nothing, lengths, 2);
    results_end(&results, &(struct results_ending){.row_count = 2, .milliseconds = 1.5}, true);
    results_begin(&results, &statement, NULL, 0);
    results_end(&results, &(struct results_ending){.error_number = 1064, .sql_state = "42000", .error = "no \"x\""}, false);
    results_close(&results);
    check_text("results", contents(".coderunner/results.jsonl"),
               "{\"file\":\"main.sql\",\"line\":3,\"statement\":\"SELECT\\u000a\\\\\",\"columns\":[{\"name\":\"a\\\"b\",\"type\":\"int\"},"
               "{\"name\":\"bytes\",\"type\":\"blob\"}],\"rows\":[[\"x\\u0001\xef\xbf\xbd\",\"0x000A\"],[null,null]],\"rowCount\":2,"
               "\"truncated\":false,\"ms\":1.500}\n"
               "{\"file\":\"main.sql\",\"line\":3,\"statement\":\"SELECT\\u000a\\\\\",\"columns\":[],\"rows\":[],\"rowsAffected\":0,"
               "\"truncated\":false,\"ms\":0.000,\"error\":{\"code\":1064,\"state\":\"42000\",\"message\":\"no \\\"x\\\"\"}}\n");
    /* A link that the files of a run cannot bring, but a script that ran before could have left. */
    MUST(unlink(".coderunner/results.jsonl") == 0 && symlink("../elsewhere", ".coderunner/results.jsonl") == 0);
    results_open(&results); /* says on stderr what it cannot do */
    results_begin(&results, &statement, NULL, 0);
    results_close(&results);
    CHECK(results.file == NULL && access("elsewhere", F_OK) != 0, "a link was followed");
}

static void touch(const char *path)
{
    FILE *file = fopen(path, "w");
    MUST(file && fclose(file) == 0);
}

static void add_path(void *context, const char *path)
{
    fprintf(context, "%s ", path);
}

static void preludes(void)
{
    static const struct {
        const char *entry, *expected;
    } cases[] = {
        {"app/main.sql", "app/schema.sql app/schema/a.sql app/schema/b.sql app/data.sql app/data/1.sql "},
        {"./app/main.sql", "app/schema.sql app/schema/a.sql app/schema/b.sql app/data.sql app/data/1.sql "},
        {"app/data.sql", "app/schema.sql app/schema/a.sql app/schema/b.sql "},
        {"app/schema/b.sql", "app/schema.sql app/schema/a.sql "},
        {"app/data/1.sql", "app/schema.sql app/schema/a.sql app/schema/b.sql app/data.sql "},
        {"app/schema.sql", ""},
        {"main.sql", ""},
        {"other/main.sql", ""},
    };
    MUST(mkdir("app", 0755) == 0 && mkdir("app/schema", 0755) == 0 && mkdir("app/data", 0755) == 0 && mkdir("app/schema/folder.sql", 0755) == 0);
    static const char *const files[] = {"app/main.sql",     "app/schema.sql",         "app/data.sql",         "app/schema/b.sql",
                                        "app/schema/a.sql", "app/schema/.hidden.sql", "app/schema/notes.txt", "app/data/1.sql"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        touch(files[i]);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *list;
        size_t size;
        FILE *out = open_memstream(&list, &size);
        MUST(out);
        prelude_each(cases[i].entry, add_path, out);
        MUST(fclose(out) == 0);
        check_text(cases[i].entry, list, cases[i].expected);
        free(list);
    }
}

int main(void)
{
    char folder[] = "/tmp/sql-test-XXXXXX";
    MUST(setlocale(LC_CTYPE, "C.UTF-8"));
    MUST(mkdtemp(folder) && chdir(folder) == 0);
    scripts();
    any_script();
    cells();
    tables();
    long_table();
    preludes();
    recorded_results();
    char remove[100];
    snprintf(remove, sizeof remove, "rm -r %s", folder);
    MUST(system(remove) == 0);
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "table.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>

/* So many rows, or so much text, decide how wide the columns are; longer values of later rows stick out. */
#define WAITING_ROWS 1000
#define WAITING_BYTES (4 * 1024 * 1024)
/* Longer values are cut in a table; line by line they are shown whole. */
#define WIDEST_CELL 120

void table_open(struct table *table, FILE *out, const struct table_column *columns, size_t count, size_t screen_columns, bool vertical)
{
    *table = (struct table){.out = out, .columns = columns, .column_count = count, .screen_columns = screen_columns, .vertical = vertical};
    table->widths = need(count * sizeof *table->widths);
    table->names = need(count * sizeof *table->names);
    for (size_t i = 0; i < count; i++) {
        table->names[i] = cell_text(&table->names_arena, columns[i].name, columns[i].name_length, WIDEST_CELL);
        table->widths[i] = table->names[i].columns;
    }
}

static void print_repeated(FILE *out, char character, size_t count)
{
    for (; count > 0; count--)
        putc(character, out);
}

static void print_border(const struct table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        putc('+', table->out);
        print_repeated(table->out, '-', table->widths[i] + 2);
    }
    fputs("+\n", table->out);
}

static const struct cell shown_null = {.text = "NULL", .bytes = 4, .columns = 4};

static const struct cell *shown(const struct cell *cell)
{
    return cell->text ? cell : &shown_null;
}

static void print_line(const struct table *table, const struct cell *cells)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const struct cell *cell = shown(&cells[i]);
        size_t padding = cell->columns < table->widths[i] ? table->widths[i] - cell->columns : 0;
        fputs("| ", table->out);
        if (table->columns[i].number)
            print_repeated(table->out, ' ', padding);
        fwrite(cell->text, 1, cell->bytes, table->out);
        if (!table->columns[i].number)
            print_repeated(table->out, ' ', padding);
        putc(' ', table->out);
    }
    fputs("|\n", table->out);
}

static void print_vertically(const struct table *table, size_t number, const struct cell *cells)
{
    size_t widest = 0;
    for (size_t i = 0; i < table->column_count; i++)
        if (table->names[i].columns > widest)
            widest = table->names[i].columns;
    fprintf(table->out, "*** row %zu\n", number);
    for (size_t i = 0; i < table->column_count; i++) {
        print_repeated(table->out, ' ', widest - table->names[i].columns);
        fwrite(table->names[i].text, 1, table->names[i].bytes, table->out);
        fputs(": ", table->out);
        fwrite(shown(&cells[i])->text, 1, shown(&cells[i])->bytes, table->out);
        putc('\n', table->out);
    }
}

static size_t total_width(const struct table *table)
{
    size_t width = 1;
    for (size_t i = 0; i < table->column_count; i++)
        width += table->widths[i] + 3;
    return width;
}

/* Settles how the table looks, and prints what waited for that. */
static void begin(struct table *table)
{
    table->begun = true;
    if (table->screen_columns > 0 && total_width(table) > table->screen_columns && table->waiting > 0)
        table->vertical = true;
    if (!table->vertical) {
        print_border(table);
        print_line(table, table->names);
        print_border(table);
    }
    for (size_t row = 0; row < table->waiting; row++) {
        const struct cell *cells = table->cells + row * table->column_count;
        table->printed++;
        if (table->vertical)
            print_vertically(table, table->printed, cells);
        else
            print_line(table, cells);
    }
    table->waiting = 0;
    arena_clear(&table->arena);
}

void table_row(struct table *table, const char *const *values, const unsigned long *lengths)
{
    size_t first = table->waiting * table->column_count, end = first + table->column_count;
    if (end > table->cells_room) {
        table->cells_room = 2 * end;
        table->cells = need_more(table->cells, table->cells_room * sizeof *table->cells);
    }
    struct cell *cells = table->cells + first;
    for (size_t i = 0; i < table->column_count; i++) {
        /* Whether it will be shown whole is not known yet where the screen decides. */
        size_t most = table->vertical ? 0 : WIDEST_CELL;
        if (values[i] == NULL)
            cells[i] = (struct cell){.text = NULL};
        else if (table->columns[i].binary)
            cells[i] = cell_binary(&table->arena, values[i], lengths[i], most);
        else
            cells[i] = cell_text(&table->arena, values[i], lengths[i], most);
        if (!table->begun && shown(&cells[i])->columns > table->widths[i])
            table->widths[i] = shown(&cells[i])->columns;
    }
    table->waiting++;
    if (table->begun || table->waiting == WAITING_ROWS || table->arena.bytes > WAITING_BYTES) {
        if (!table->begun) {
            begin(table);
            return;
        }
        table->waiting = 0;
        table->printed++;
        if (table->vertical)
            print_vertically(table, table->printed, cells);
        else
            print_line(table, cells);
        arena_clear(&table->arena);
    }
}

void table_close(struct table *table)
{
    if (!table->begun)
        begin(table);
    if (!table->vertical)
        print_border(table);
    free(table->widths);
    free(table->names);
    free(table->cells);
    arena_clear(&table->arena);
    arena_clear(&table->names_arena);
}

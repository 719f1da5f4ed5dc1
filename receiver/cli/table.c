/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table.c - see table.h. */
#include "receiver/cli/table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "receiver/cli/text.h"

#define COLUMNS_MAX 20

void table_init(struct table *table, const char *const *headings, size_t columns)
{
    assert(columns > 0 && columns <= COLUMNS_MAX);
    *table = (struct table){.headings = headings, .columns = columns, .terminal = isatty(STDOUT_FILENO) == 1};
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}

void table_add(struct table *table, const char *format, ...)
{
    char *cell = NULL;
    va_list args;
    if (table->failed)
        return;
    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? 2 * table->capacity : 8 * table->columns;
        char **cells = realloc(table->cells, capacity * sizeof *cells);
        if (!cells) {
            table->failed = true;
            return;
        }
        table->cells = cells;
        table->capacity = capacity;
    }
    va_start(args, format);
    if (vasprintf(&cell, format, args) < 0)
        table->failed = true;
    else
        table->cells[table->count++] = cell;
    va_end(args);
}

void table_add_time(struct table *table, int64_t at)
{
    char text[TEXT_MAX];
    text_time(text, at);
    table_add(table, "%s", text);
}

void table_add_length(struct table *table, int64_t seconds)
{
    char text[TEXT_MAX];
    text_length(text, seconds);
    if (table->terminal)
        table_add(table, "%s", text);
    else
        table_add(table, "%" PRId64, seconds);
}

static const char *heading_text(const char *heading)
{
    return *heading == '>' ? heading + 1 : heading;
}

static const char *cell_text(const struct table *table, size_t row, size_t column)
{
    const char *cell = table->cells[row * table->columns + column];
    return *cell ? cell : "-";
}

static void print_cell(const struct table *table, size_t column, const char *text, const int *widths)
{
    bool last = column + 1 == table->columns;
    if (!table->terminal)
        (void)printf("%s%s", text, last ? "\n" : "\t");
    else if (table->headings[column][0] == '>')
        (void)printf("%*s%s", widths[column], text, last ? "\n" : "  ");
    else
        (void)printf("%-*s%s", last ? 0 : widths[column], text, last ? "\n" : "  ");
}

int table_print(const struct table *table)
{
    int widths[COLUMNS_MAX];
    if (table->failed)
        return -1;
    size_t rows = table->count / table->columns;
    assert(rows * table->columns == table->count);
    for (size_t column = 0; column < table->columns; column++) {
        size_t width = strlen(heading_text(table->headings[column]));
        for (size_t row = 0; row < rows; row++)
            if (strlen(cell_text(table, row, column)) > width)
                width = strlen(cell_text(table, row, column));
        widths[column] = (int)width;
    }
    for (size_t column = 0; column < table->columns; column++)
        print_cell(table, column, heading_text(table->headings[column]), widths);
    for (size_t row = 0; row < rows; row++)
        for (size_t column = 0; column < table->columns; column++)
            print_cell(table, column, cell_text(table, row, column), widths);
    return fflush(stdout) == 0 ? 0 : -1;
}

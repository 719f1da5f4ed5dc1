/* SPDX-License-Identifier: GPL-2.0-or-later */
/* graph_command.c - see graph_command.h.
 *
 * The figure in the legend has the digits of `twobeat uptime` only if rrdtool works on the rows as they are stored.
 * It averages rows to the width of the picture first, so the picture is made one pixel a row or wider and then
 * zoomed to a size that fits a page. Begin and end lie on rows; the end is given one second earlier, else another
 * row slips in.
 *
 * A row of state.rrd is the mean over its known seconds: u / (u + d + a) x known is the share of the row that was
 * up. */
#include "receiver/cli/graph_command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receiver/cli/period.h"

#define DAY_S 86400
#define WIDTH_PX 900 /* of the plot in the finished picture */
#define HEIGHT_PX 100
#define FONT_PT 8

/* The archives of state.rrd: 60-second rows of the last 25 hours, 15-minute rows of 100 days, days in UTC of 10
 * years. */
#define ROW_MINUTE_S 60
#define ROW_QUARTER_S 900
#define ROW_QUARTER_COUNT 9600
#define ROW_DAY_S 86400

/* Rolling periods, and how their time axis is marked. */
static const struct {
    const char *name;
    int64_t length_s, row_s;
    const char *axis;
} periods[] = {
    {"day", DAY_S, ROW_MINUTE_S, "HOUR:1:HOUR:6:HOUR:3:0:%H:%M"},
    {"week", 7 * DAY_S, ROW_QUARTER_S, "HOUR:6:DAY:1:DAY:1:86400:%a %d"},
    {"month", 30 * DAY_S, ROW_QUARTER_S, "DAY:1:DAY:7:DAY:2:86400:%d"},
    {"year", 365 * INT64_C(86400), ROW_DAY_S, "MONTH:1:MONTH:3:MONTH:1:2592000:%b"},
};
#define PERIOD_COUNT (sizeof periods / sizeof periods[0])
#define MONTH_INDEX 2

/* What is drawn, on rows. */
struct span {
    int64_t from, to, row_s;
    const char *axis;
};

static int64_t round_down(int64_t at, int64_t step)
{
    return at - (at % step + step) % step;
}

static int span_find(struct span *out, const struct graph_request *request, struct error *error)
{
    struct period month = {0, 0};
    for (size_t i = 0; i < PERIOD_COUNT; i++)
        if (strcmp(request->period, periods[i].name) == 0) {
            int64_t to = round_down(request->now, periods[i].row_s);
            *out = (struct span){to - periods[i].length_s, to, periods[i].row_s, periods[i].axis};
            return 0;
        }
    if (period_parse_month(&month, request->period, error))
        return error_set(error, "--period %s: must be day, week, month, year or YYYY-MM", request->period);
    *out = (struct span){month.from, month.to, ROW_QUARTER_S, periods[MONTH_INDEX].axis};
    /* Midnight lies on a 15-minute row in every time zone, but those rows go after 100 days. */
    if (month.from < round_down(request->last, ROW_QUARTER_S) - ROW_QUARTER_S * ROW_QUARTER_COUNT)
        out->row_s = ROW_DAY_S;
    out->from = round_down(month.from + out->row_s / 2, out->row_s);
    out->to = round_down(month.to + out->row_s / 2, out->row_s);
    return 0;
}

__attribute__((format(printf, 2, 3))) static void add(struct graph_args *args, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (args->failed || args->count == GRAPH_ARGS_MAX || vasprintf(&args->items[args->count], format, list) < 0)
        args->failed = true;
    else
        args->items[++args->count] = NULL;
    va_end(list);
}

/* rrdtool's own arguments are separated by colons. NULL out of memory. */
static char *escape(const char *text)
{
    char *escaped = malloc(2 * strlen(text) + 1), *out = escaped;
    for (; escaped && *text; text++) {
        if (*text == ':')
            *out++ = '\\';
        *out++ = *text;
    }
    if (escaped)
        *out = '\0';
    return escaped;
}

/* Defines NAME NUMBER, as "u2", from a source of the file. */
static void add_def(struct graph_args *args, const char *name, const char *number, const struct graph_file *file,
                    const char *source)
{
    char *path = escape(file->path);
    char *daemon = escape(file->daemon ? file->daemon : "");
    if (path && daemon)
        add(args, "DEF:%s%s=%s:%s:AVERAGE%s%s", name, number, path, source, *daemon ? ":daemon=" : "", daemon);
    else
        args->failed = true;
    free(path);
    free(daemon);
}

/* The seconds' shares of up, down, planned and known in one record: us, ds, as, k. */
static void add_record(struct graph_args *args, const char *n, const struct graph_file *file)
{
    add_def(args, "u", n, file, "up");
    add_def(args, "d", n, file, "down");
    add_def(args, "a", n, file, "admin");
    add_def(args, "k", n, file, "known");
    add(args, "CDEF:t%s=u%s,d%s,+,a%s,+", n, n, n, n);
    add(args, "CDEF:us%s=u%s,t%s,/,k%s,*", n, n, n, n);
    add(args, "CDEF:as%s=a%s,t%s,/,k%s,*", n, n, n, n);
    if (!*n)
        add(args, "CDEF:ds=d,t,/,k,*");
}

/* The larger of what the records say: "us1,us2,MAXNAN,us3,MAXNAN". */
static void add_larger(struct graph_args *args, const char *result, const char *name, size_t count, const char *then)
{
    char text[16 * GRAPH_FILES_MAX];
    int len = snprintf(text, sizeof text, "%s1", name);
    for (size_t i = 2; i <= count; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, ",%s%zu,MAXNAN", name, i);
    add(args, "CDEF:%s=%s%s", result, text, then);
}

/* Each second is the best of what the records say. What is known, but neither up nor planned, was down: the larger of the
 * shares of down would count what was up in another record, too. */
static void add_records(struct graph_args *args, const struct graph_request *request)
{
    char number[24] = "";
    for (size_t i = 0; i < request->file_count; i++) {
        if (request->file_count > 1)
            (void)snprintf(number, sizeof number, "%zu", i + 1);
        add_record(args, number, &request->files[i]);
    }
    if (request->file_count == 1)
        return;
    add_larger(args, "k", "k", request->file_count, "");
    add_larger(args, "us", "us", request->file_count, "");
    add_larger(args, "as", "as", request->file_count, ",k,us,-,0,MAX,MIN");
    add(args, "CDEF:ds=k,us,-,as,-,0,MAX");
}

static void add_values(struct graph_args *args, const struct graph_request *request)
{
    add_records(args, request);
    add(args, "VDEF:U=us,TOTAL");
    add(args, "VDEF:D=ds,TOTAL");
    /* Whole seconds, and rounded down at the sixth decimal: nothing is rounded up to 100. */
    add(args, "CDEF:q=us,POP,U,0.5,+,FLOOR,100000000,*,U,0.5,+,FLOOR,D,0.5,+,FLOOR,+,/,FLOOR,1000000,/");
    add(args, "VDEF:R=q,MAXIMUM");
}

/* A band whose colours share each moment. What is not written yet has no colour. */
static void add_band(struct graph_args *args, int64_t last)
{
    add(args, "CDEF:bu=us,UN,0,us,IF");
    add(args, "CDEF:ba=as,UN,0,as,IF");
    add(args, "CDEF:bd=ds,UN,0,ds,IF");
    add(args, "CDEF:bn=TIME,%" PRId64 ",GT,0,1,bu,-,ba,-,bd,-,IF", last);
    add(args, "AREA:bu#33a02c:up");
    add(args, "AREA:ba#1f78b4:admin (planned):STACK");
    add(args, "AREA:bd#e31a1c:down:STACK");
    add(args, "AREA:bn#bbbbbb:unknown:STACK");
    add(args, "GPRINT:R:uptime %%.6lf %%%%");
    add(args, "PRINT:R:%%.6lf");
}

static const char *picture_format(const char *output)
{
    const char *ending = strrchr(output, '.');
    if (ending && strcmp(ending, ".png") == 0)
        return "PNG";
    return ending && strcmp(ending, ".svg") == 0 ? "SVG" : NULL;
}

int graph_command_build(struct graph_args *args, const struct graph_request *request, struct error *error)
{
    struct span span = {0};
    const char *format = picture_format(request->output);
    if (!format)
        return error_set(error, "-o %s: must end in .png or .svg", request->output);
    if (span_find(&span, request, error))
        return -1;
    int64_t rows = (span.to - span.from) / span.row_s;
    int64_t width = rows > WIDTH_PX ? rows : WIDTH_PX;
    double zoom = (double)WIDTH_PX / (double)width;
    add(args, "rrdtool");
    add(args, "graph");
    add(args, "%s%s", request->output[0] == '-' ? "./" : "", request->output);
    add(args, "--imgformat=%s", format);
    add(args, "--start=%" PRId64, span.from);
    add(args, "--end=%" PRId64, span.to - 1);
    add(args, "--step=%" PRId64, span.row_s);
    add(args, "--width=%" PRId64, width);
    add(args, "--height=%.0f", HEIGHT_PX / zoom);
    add(args, "--zoom=%.6f", zoom);
    add(args, "--font=DEFAULT:%.0f:", FONT_PT / zoom);
    add(args, "--title=%s: state, %s%s%s", request->host, strchr(request->period, '-') ? "" : "last ", request->period,
        span.row_s == ROW_DAY_S ? " (days in UTC)" : "");
    add(args, "--x-grid=%s", span.axis);
    add(args, "--y-grid=none");
    add(args, "--lower-limit=0");
    add(args, "--upper-limit=1");
    add(args, "--rigid");
    add(args, "--disable-rrdtool-tag");
    add_values(args, request);
    add_band(args, request->last);
    return args->failed ? error_set(error, "out of memory") : 0;
}

void graph_args_free(struct graph_args *args)
{
    for (size_t i = 0; i < args->count; i++)
        free(args->items[i]);
    *args = (struct graph_args){0};
}

/* Puts one word after `out`, in single quotes unless a shell reads it the same without. */
static char *format_word(char *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
    if (*word && strspn(word, plain) == strlen(word))
        return stpcpy(out, word);
    *out++ = '\'';
    for (; *word; word++) {
        if (*word == '\'')
            out = stpcpy(out, "'\\'");
        *out++ = *word;
    }
    *out++ = '\'';
    *out = '\0';
    return out;
}

char *graph_command_format(const struct graph_args *args)
{
    size_t size = 1;
    for (size_t i = 0; i < args->count; i++)
        size += 4 * strlen(args->items[i]) + 3; /* at worst every character is a quote */
    char *text = malloc(size), *out = text;
    if (!text)
        return NULL;
    *out = '\0';
    for (size_t i = 0; i < args->count; i++) {
        if (i > 0)
            *out++ = ' ';
        out = format_word(out, args->items[i]);
    }
    return text;
}

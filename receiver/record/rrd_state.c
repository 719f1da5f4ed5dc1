/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rrd_state.c - state.rrd: the log as seconds of up, down, admin and known in each row. See rrd_store.h.
 *
 * The share of a row that is up is `up / (up + down + admin) x known`, in every archive and to the second. That holds
 * only if `known` itself is never unknown. Hence a file begins with a UTC day, the longest row there is: had it begun
 * within a row, librrd would stretch `known` over the part of the row before the beginning (measured: up to a day of
 * uptime invented in the first daily row). For the same reason rows are carried over into a new file as seconds. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "receiver/record/rrd_file.h"
#include "receiver/record/rrd_store.h"
#include "receiver/record/rrd_store_internal.h"

#define MINUTE_S 60
#define DAY_S 86400
#define COLUMNS 4

/* A difference that is rounding: sums of 1440 minutes in doubles. */
#define TOLERANCE_S 0.001

/* A host may be in a state for years between two updates. */
#define SOURCE(name) "DS:" name ":GAUGE:1000000000:0:1"

static const char *const state_definitions[] = {
    SOURCE("up"),
    SOURCE("down"),
    SOURCE("admin"),
    SOURCE("known"),
    "RRA:AVERAGE:0.999999:1:1500",
    "RRA:AVERAGE:0.999999:15:9600",
    "RRA:AVERAGE:0.999999:1440:3660",
};

static const struct rrd_schema state_schema = {MINUTE_S, "up:down:admin:known", state_definitions,
                                               sizeof state_definitions / sizeof *state_definitions};

/* The archives of the schema, from the coarsest to the finest. */
static const struct archive {
    int64_t step_s;
    int64_t rows;
} archives[] = {{DAY_S, 3660}, {15 * MINUTE_S, 9600}, {MINUTE_S, 1500}};

#define ARCHIVE_COUNT (sizeof archives / sizeof *archives)

static int64_t floor_to(int64_t at, int64_t step_s)
{
    return at - at % step_s;
}

static int64_t ceil_to(int64_t at, int64_t step_s)
{
    return floor_to(at + step_s - 1, step_s);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Where an archive begins in a file whose last update was at `last`. */
static int64_t archive_begin(const struct archive *archive, int64_t last)
{
    return larger(floor_to(last, archive->step_s) - archive->rows * archive->step_s, 0);
}

static int add_update(void *context, const struct timeline_update *update)
{
    static const char *const values[STATE_COUNT] = {[STATE_UNKNOWN] = "0:0:0:0",
                                                    [STATE_UP] = "1:0:0:1",
                                                    [STATE_DOWN] = "0:1:0:1",
                                                    [STATE_ADMIN] = "0:0:1:1",
                                                    [STATE_LATE] = "0:0:0:0"};
    struct rrd_batch *batch = context;
    rrd_batch_add(batch, "%lld:%s", (long long)update->at,
                  update->whole_unknown_minutes ? "U:U:U:0" : values[update->state]);
    return batch->failed ? -1 : 0;
}

/* The seconds that a row holds, {up, down, admin} and their sum, all 0 if it is unknown. */
static void row_seconds(const double row[COLUMNS], int64_t step_s, double seconds[COLUMNS])
{
    double told = row[0] + row[1] + row[2];
    double known = row[3] * (double)step_s;
    bool tells = told > 0 && known > 0; /* false for NaN */
    for (int i = 0; i < 3; i++)
        seconds[i] = tells ? row[i] / told * known : 0;
    seconds[3] = tells ? known : 0;
}

/* Rows of an older file that go into a new one. */
struct older {
    struct rrd_batch *batch;
    int64_t start;   /* beginning of the new file, -1 while there is no row */
    int64_t written; /* its last update */
};

static void carry_row(struct older *older, const double row[COLUMNS], int64_t begin, int64_t step_s)
{
    double seconds[COLUMNS];
    row_seconds(row, step_s, seconds);
    if (seconds[3] <= 0)
        return;
    if (older->start < 0)
        older->start = older->written = floor_to(begin, DAY_S);
    if (begin > older->written)
        rrd_batch_add(older->batch, "%lld:U:U:U:0", (long long)begin);
    double step = (double)step_s;
    older->written = begin + step_s;
    rrd_batch_add(older->batch, "%lld:%.12g:%.12g:%.12g:%.12g", (long long)older->written, seconds[0] / step,
                  seconds[1] / step, seconds[2] / step, seconds[3] / step);
}

/* Carries over the rows that end before the log begins (of a restored backup, or after the database was lost), each
 * stretch of time from the finest archive that still has it. A file that cannot be read has none. */
static void carry_older_rows(const char *path, int64_t first, struct older *older)
{
    int64_t last = rrd_file_exists(path) ? rrd_file_last(path, NULL) : -1;
    int64_t from = 0;
    for (size_t i = 0; i < ARCHIVE_COUNT && last >= 0; i++) {
        int64_t step_s = archives[i].step_s;
        int64_t to = floor_to(smaller(first, last), step_s);
        if (i + 1 < ARCHIVE_COUNT)
            to = smaller(to, ceil_to(archive_begin(&archives[i + 1], last), step_s));
        from = larger(from, archive_begin(&archives[i], last));
        if (from >= to)
            continue;
        double *rows = rrd_file_fetch(path, state_schema.sources, step_s, from, to, NULL);
        if (!rows)
            return;
        for (int64_t begin = from; begin < to; begin += step_s)
            carry_row(older, rows + (begin - from) / step_s * COLUMNS, begin, step_s);
        rrd_file_free_rows(rows);
        from = to;
    }
}

void rrd_store_expect_state(struct rrd_store *store, const char *name)
{
    char path[RRD_STORE_PATH_MAX];
    if (rrd_store_path(store, name, "state.rrd", path, NULL) == 0 && access(path, F_OK) != 0 && errno == ENOENT)
        rrd_store_note(store, "%s is gone; it is made anew from the log", path);
}

/* Makes the file from the log and from what it held before the log. */
static int build(const char *path, const struct timeline *log, int64_t to, bool keep_old, struct error *error)
{
    struct rrd_batch batch = {0};
    struct older older = {.batch = &batch, .start = -1};
    int64_t first = log->spans[0].from;
    carry_older_rows(path, first, &older);
    if (older.start < 0)
        older.start = older.written = floor_to(first, DAY_S);
    (void)timeline_plan_updates(log, older.written, to, add_update, &batch);
    int result = rrd_file_create(path, &state_schema, older.start, &batch, keep_old, error);
    rrd_batch_free(&batch);
    return result;
}

/* What the receiver does by itself, it does without leaving a second file behind. */
static int rebuild(struct rrd_store *store, const char *name, const struct timeline *log, int64_t to, bool keep_old,
                   struct error *error)
{
    char path[RRD_STORE_PATH_MAX];
    if (rrd_store_path(store, name, "state.rrd", path, error) < 0)
        return -1;
    if (log->count == 0)
        return 0;
    int64_t last;
    if (rrd_store_make_folder(store, name, error) < 0)
        return -1;
    /* Whatever the old one is like, who asks for another has it as .bak afterwards. */
    if (!keep_old && rrd_store_look(store, path, &state_schema, to, &last, error) == RRD_LOOK_TROUBLE)
        return -1;
    return build(path, log, to, keep_old, error);
}

int rrd_store_rebuild_state(struct rrd_store *store, const char *name, const struct timeline *log, int64_t to,
                            struct error *error)
{
    return rebuild(store, name, log, to, true, error);
}

int rrd_store_write_state(struct rrd_store *store, const char *name, const struct timeline *log, int64_t changed_from,
                          int64_t to, struct error *error)
{
    char path[RRD_STORE_PATH_MAX];
    if (rrd_store_path(store, name, "state.rrd", path, error) < 0)
        return -1;
    bool asked = changed_from == INT64_MIN; /* whatever the old file is like */
    int64_t last = 0;
    enum rrd_look look = asked ? RRD_LOOK_NONE : rrd_store_look(store, path, &state_schema, to, &last, error);
    if (look == RRD_LOOK_TROUBLE)
        return -1;
    if (look == RRD_LOOK_NONE && (log->count == 0 || to <= log->spans[0].from))
        return 0; /* nothing to tell yet */
    if (look == RRD_LOOK_NONE || changed_from < last)
        return rebuild(store, name, log, to, asked, error);
    struct rrd_batch batch = {0};
    (void)timeline_plan_updates(log, last, to, add_update, &batch);
    int result = rrd_file_update(path, &state_schema, &batch, error);
    rrd_batch_free(&batch);
    return result;
}

int64_t rrd_store_state_begin(int64_t step_s, int64_t last)
{
    size_t i = 0;
    while (archives[i].step_s != step_s)
        assert(++i < ARCHIVE_COUNT);
    return archive_begin(&archives[i], last);
}

int rrd_store_state_rows(const char *path, int64_t step_s, int64_t from, int64_t to, double (*rows)[COLUMNS],
                         struct error *error)
{
    memset(rows, 0, (size_t)((to - from) / step_s) * sizeof *rows);
    int64_t last = rrd_file_last(path, error);
    if (last < 0)
        return -1;
    int64_t first = larger(from, rrd_store_state_begin(step_s, last));
    to = smaller(to, floor_to(last, step_s));
    if (first >= to)
        return 0;
    double *stored = rrd_file_fetch(path, state_schema.sources, step_s, first, to, error);
    if (!stored)
        return -1;
    for (int64_t begin = first; begin < to; begin += step_s)
        row_seconds(stored + (begin - first) / step_s * COLUMNS, step_s, rows[(begin - from) / step_s]);
    rrd_file_free_rows(stored);
    return 0;
}

/* Whether a row tells what the log tells of the same time. */
static bool row_agrees(const double row[COLUMNS], const struct timeline *log, int64_t begin, int64_t step_s)
{
    double seconds[COLUMNS];
    struct timeline_seconds truth;
    row_seconds(row, step_s, seconds);
    timeline_count(log, begin, begin + step_s, &truth);
    double up = (double)truth.state[STATE_UP];
    double down = (double)truth.state[STATE_DOWN];
    double admin = (double)truth.state[STATE_ADMIN];
    return fabs(seconds[0] - up) <= TOLERANCE_S && fabs(seconds[1] - down) <= TOLERANCE_S &&
           fabs(seconds[2] - admin) <= TOLERANCE_S && fabs(seconds[3] - (up + down + admin)) <= TOLERANCE_S;
}

bool rrd_store_state_agrees(struct rrd_store *store, const char *name, const struct timeline *log, int64_t to)
{
    char path[RRD_STORE_PATH_MAX];
    uint64_t differing;
    int64_t last = 0, first;
    if (rrd_store_path(store, name, "state.rrd", path, NULL) < 0 ||
        rrd_look(path, &state_schema, &last, NULL) != RRD_LOOK_FINE ||
        rrd_store_verify_state(path, log, smaller(last, to), &differing, &first, NULL) != 0 || differing == 0)
        return true;
    rrd_store_note(store, "%s does not hold what the log says, as after a power cut; it is made anew", path);
    return false;
}

struct comparison {
    const struct timeline *log;
    int64_t last, to;
    uint64_t *differing;
    int64_t *first;
};

static int compare_archive(const char *path, const struct archive *archive, const struct comparison *comparison,
                           struct error *error)
{
    static const double unknown[COLUMNS] = {NAN, NAN, NAN, NAN};
    int64_t step_s = archive->step_s;
    int64_t to = floor_to(comparison->to, step_s);
    int64_t written = smaller(to, floor_to(comparison->last, step_s));
    /* Rows that the file does not have yet count as unknown, so the range is that of a file written up to `to`. */
    int64_t from = larger(archive_begin(archive, larger(comparison->last, comparison->to)),
                          ceil_to(comparison->log->spans[0].from, step_s));
    double *rows = NULL;
    if (from < written && !(rows = rrd_file_fetch(path, state_schema.sources, step_s, from, written, error)))
        return -1;
    for (int64_t begin = from; begin < to; begin += step_s) {
        const double *row = begin < written ? rows + (begin - from) / step_s * COLUMNS : unknown;
        if (row_agrees(row, comparison->log, begin, step_s))
            continue;
        int64_t end = begin + step_s;
        *comparison->first = *comparison->differing == 0 ? end : smaller(*comparison->first, end);
        ++*comparison->differing;
    }
    if (rows)
        rrd_file_free_rows(rows);
    return 0;
}

int rrd_store_verify_state(const char *path, const struct timeline *log, int64_t to, uint64_t *differing,
                           int64_t *first, struct error *error)
{
    *differing = 0;
    *first = 0;
    int64_t last = rrd_file_last(path, error);
    if (last < 0)
        return -1;
    struct comparison comparison = {.log = log, .last = last, .to = to, .differing = differing, .first = first};
    for (size_t i = 0; i < ARCHIVE_COUNT && log->count > 0; i++)
        if (compare_archive(path, &archives[i], &comparison, error) < 0)
            return -1;
    return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* averages.c - see averages.h.
 *
 * A beat brings for each metric one value that holds over a stretch of time which ends with the beat; there are only
 * two such stretches, one for gauges and one for counters. They are laid over the periods one after the other. Sums are
 * kept as floats, since 100,000 hosts hold them, but are computed as doubles; only traffic is kept exact. */
#include "receiver/record/averages.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD_NS (AVERAGES_PERIOD_S * NS_PER_S)

/* Nothing that can be measured is larger; what is comes from a broken host and counts as unknown. It also keeps every
 * sum within a float. */
#define VALUE_MAX 1e30

enum { ROWS_MAX = 7 * 24 * 12 };

/* A row of a checkpoint is at least this long: guards the reader against a made-up number of rows. */
#define ROW_BYTES_MIN 9

static_assert(METRIC_NET_OUT == METRIC_NET_IN + 1, "`bytes` holds the two side by side");

/* What one beat says: its values, and from when on they hold, up to the beat. */
struct share {
    int64_t from_ns[2]; /* by enum metric_kind */
    int64_t to_ns;
    double values[METRIC_COUNT]; /* NaN where unknown */
};

static bool is_traffic(int metric)
{
    return metric == METRIC_NET_IN || metric == METRIC_NET_OUT;
}

void averages_init(struct averages *averages)
{
    *averages = (struct averages){0};
}

void averages_free(struct averages *averages)
{
    free(averages->rows);
    averages_init(averages);
}

static struct averages_row *append_row(struct averages *averages)
{
    if (averages->row_count == ROWS_MAX) { /* a file that cannot be written for a week: the oldest rows go */
        memmove(averages->rows, averages->rows + 1, (ROWS_MAX - 1) * sizeof *averages->rows);
        averages->row_count--;
    }
    if (averages->row_count == averages->row_capacity) {
        /* Grown in small steps: waiting rows are most of what a host takes in memory. */
        uint32_t capacity = averages->row_capacity + averages->row_capacity / 4 + 1;
        struct averages_row *rows = realloc(averages->rows, capacity * sizeof *rows);
        if (!rows)
            return NULL;
        averages->rows = rows;
        averages->row_capacity = capacity;
    }
    return &averages->rows[averages->row_count++];
}

static float period_average(const struct averages *averages, int metric)
{
    double seconds = averages->seconds[metric];
    if (is_traffic(metric))
        return seconds > 0 ? (float)(averages->bytes[metric - METRIC_NET_IN] / AVERAGES_PERIOD_S) : NAN;
    /* The half itself is enough; a millisecond is left to the rounding of many beats. */
    if (seconds < AVERAGES_PERIOD_S / 2.0 - 1e-3)
        return NAN;
    return (float)(averages->sum[metric] / seconds);
}

/* Closes the period, which stands for `periods` in a row, and begins the next one. */
static int close_period(struct averages *averages, int64_t periods)
{
    struct averages_row row = {.periods = (uint32_t)periods};
    bool known = false;
    averages->period += periods * AVERAGES_PERIOD_S;
    row.at = averages->period;
    for (int i = 0; i < METRIC_COUNT; i++) {
        row.values[i] = period_average(averages, i);
        known = known || !isnan(row.values[i]);
        averages->sum[i] = 0;
        averages->seconds[i] = 0;
    }
    averages->bytes[0] = averages->bytes[1] = 0;
    if (!known)
        return 0;
    struct averages_row *place = append_row(averages);
    if (!place)
        return -1;
    *place = row;
    return 0;
}

/* Adds what the beat says about the current period. */
static void fill_period(struct averages *averages, const struct share *share)
{
    int64_t begin = averages->period * NS_PER_S;
    int64_t end = begin + PERIOD_NS < share->to_ns ? begin + PERIOD_NS : share->to_ns;
    for (int i = 0; i < METRIC_COUNT; i++) {
        int64_t from = share->from_ns[metric_catalogue[i].kind];
        if (from < begin)
            from = begin;
        if (from >= end || isnan(share->values[i]))
            continue;
        double seconds = (double)(end - from) / (double)NS_PER_S;
        if (is_traffic(i))
            averages->bytes[i - METRIC_NET_IN] += share->values[i] * seconds;
        else
            averages->sum[i] = (float)(averages->sum[i] + share->values[i] * seconds);
        seconds += averages->seconds[i]; /* many tiny pieces may round up beyond the period */
        averages->seconds[i] = (float)(seconds < AVERAGES_PERIOD_S ? seconds : AVERAGES_PERIOD_S);
    }
}

/* How many periods from the current one on are covered by the beat in the same way: those before the next of its
 * edges, 0 if an edge lies within this period. */
static int64_t like_periods(const struct averages *averages, const struct share *share)
{
    int64_t begin = averages->period * NS_PER_S;
    int64_t edge = share->to_ns;
    for (int kind = 0; kind < 2; kind++)
        if (share->from_ns[kind] > begin && share->from_ns[kind] < edge)
            edge = share->from_ns[kind];
    return (edge - begin) / PERIOD_NS;
}

static int spread(struct averages *averages, const struct share *share)
{
    int result = 0;
    while (averages->period * NS_PER_S + PERIOD_NS <= share->to_ns) {
        /* The period in which the gap begins may hold something from before, so it stands alone. */
        bool begun = averages->last.ns > averages->period * NS_PER_S;
        int64_t periods = begun ? 1 : like_periods(averages, share);
        fill_period(averages, share);
        if (close_period(averages, periods > 0 ? periods : 1) < 0)
            result = -1;
    }
    fill_period(averages, share);
    return result;
}

static double limit(const struct metric_info *info, double value)
{
    if (!isfinite(value) || value > VALUE_MAX)
        return NAN;
    if (value < 0)
        return 0;
    /* Ticks of a counter do not fall exactly on the beats. */
    if (info->kind == METRIC_COUNTER && strcmp(info->unit, "%") == 0 && value > 100)
        return 100;
    return value;
}

/* The growth of a counter per second, NaN if it went back: then what it had counted is gone. */
static double rate(double before, double now, double seconds)
{
    return now >= before ? (now - before) / seconds : NAN;
}

int averages_add(struct averages *averages, struct wall at, const double metrics[METRIC_COUNT], const struct wall *boot,
                 int64_t reach_ns)
{
    if (at.ns < 0 || (averages->begun && at.ns <= averages->last.ns))
        return 0;
    int64_t start = averages->begun ? averages->last.ns : at.ns;
    int64_t gap = at.ns - start;
    bool rebooted = averages->begun && boot != NULL;
    /* A boot outside the gap is an error of clocks; the counters did begin anew, somewhere in it. */
    if (rebooted && boot->ns > start && boot->ns < at.ns)
        start = boot->ns;
    struct share share = {.to_ns = at.ns};
    share.from_ns[METRIC_COUNTER] = start;
    share.from_ns[METRIC_GAUGE] = at.ns - start > reach_ns ? at.ns - reach_ns : start;

    bool countable = averages->begun && gap <= AVERAGES_GAP_MAX_S * NS_PER_S;
    double seconds = (double)(at.ns - start) / (double)NS_PER_S;
    for (int i = 0; i < METRIC_COUNT; i++) {
        double value = metrics[i];
        if (metric_catalogue[i].kind == METRIC_COUNTER) {
            value = countable ? rate(rebooted ? 0 : averages->counters[i], metrics[i], seconds) : NAN;
            averages->counters[i] = metrics[i];
        }
        share.values[i] = limit(&metric_catalogue[i], value);
        averages->latest[i] = (float)share.values[i];
    }
    int result = 0;
    if (averages->begun)
        result = spread(averages, &share);
    else
        averages->period = wall_seconds(at) - wall_seconds(at) % AVERAGES_PERIOD_S;
    averages->begun = true;
    averages->last = at;
    return result;
}

void averages_show(struct averages *averages, struct wall before_at, const double before[METRIC_COUNT], struct wall at,
                   const double metrics[METRIC_COUNT])
{
    double seconds = (double)(at.ns - before_at.ns) / (double)NS_PER_S;
    for (int i = 0; i < METRIC_COUNT; i++) {
        double value = metrics[i];
        if (metric_catalogue[i].kind == METRIC_COUNTER)
            value = seconds > 0 ? rate(before[i], metrics[i], seconds) : NAN;
        averages->latest[i] = (float)limit(&metric_catalogue[i], value);
    }
}

void averages_drop_rows(struct averages *averages, uint32_t count)
{
    assert(count <= averages->row_count);
    averages->row_count -= count;
    if (averages->row_count == 0) {
        /* Most hosts have no rows waiting most of the time. */
        free(averages->rows);
        averages->rows = NULL;
        averages->row_capacity = 0;
        return;
    }
    memmove(averages->rows, averages->rows + count, averages->row_count * sizeof *averages->rows);
}

void averages_cut(struct averages *averages, int64_t at)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < averages->row_count && averages->rows[i].at <= at; i++)
        kept++;
    struct averages_row *rows = averages->rows;
    uint32_t capacity = averages->row_capacity;
    averages_init(averages);
    averages->rows = rows;
    averages->row_capacity = capacity;
    averages->row_count = kept;
}

/* Visits as many floats as the checkpoint has; a shorter catalogue's missing tail is NaN or zero. */
static void visit_floats(struct codec *codec, uint64_t stored, float *values, float missing)
{
    for (uint64_t i = 0; i < stored || i < METRIC_COUNT; i++) {
        float ignored = missing;
        float *value = i < METRIC_COUNT ? &values[i] : &ignored;
        if (i < stored)
            codec_f32(codec, value);
        else
            *value = missing;
    }
}

static void visit_counters(struct codec *codec, uint64_t stored, double *values)
{
    for (uint64_t i = 0; i < stored || i < METRIC_COUNT; i++) {
        double ignored = NAN;
        double *value = i < METRIC_COUNT ? &values[i] : &ignored;
        if (i < stored)
            codec_f64(codec, value);
        else
            *value = NAN;
    }
}

static void visit_row(struct codec *codec, uint64_t stored, struct averages_row *row)
{
    uint64_t periods = row->periods;
    codec_i64(codec, &row->at);
    codec_varint(codec, &periods);
    if (periods == 0 || periods > UINT32_MAX)
        codec->failed = true;
    row->periods = (uint32_t)periods;
    visit_floats(codec, stored, row->values, NAN);
}

/* A checkpoint is our own, yet what follows from it must hold: a wrong period would let the next beat run wild. */
static bool is_sound(const struct averages *averages)
{
    int64_t begin = averages->period * NS_PER_S;
    if (averages->begun && (averages->period % AVERAGES_PERIOD_S != 0 || averages->last.ns < begin ||
                            averages->last.ns >= begin + PERIOD_NS))
        return false;
    for (int i = 0; i < METRIC_COUNT; i++)
        if (!(averages->seconds[i] >= 0 && averages->seconds[i] <= AVERAGES_PERIOD_S + 1 && averages->sum[i] >= 0 &&
              isfinite(averages->sum[i])))
            return false;
    if (!(averages->bytes[0] >= 0 && averages->bytes[1] >= 0 && isfinite(averages->bytes[0] + averages->bytes[1])))
        return false;
    int64_t next = averages->begun ? averages->period : INT64_MIN;
    for (uint32_t i = averages->row_count; i-- > 0;) {
        const struct averages_row *row = &averages->rows[i];
        if (row->at % AVERAGES_PERIOD_S != 0 || row->at > next || row->at < 0)
            return false;
        next = row->at - (int64_t)row->periods * AVERAGES_PERIOD_S;
    }
    return true;
}

void averages_visit(struct codec *codec, struct averages *averages)
{
    uint8_t begun = averages->begun;
    uint64_t stored = METRIC_COUNT;
    uint64_t row_count = averages->row_count;
    codec_u8(codec, &begun);
    codec_i64(codec, &averages->last.ns);
    codec_i64(codec, &averages->period);
    codec_varint(codec, &stored);
    if (codec->failed || begun > 1 || (codec_is_reading(codec) && stored > codec_left(codec) / sizeof(float))) {
        codec->failed = true;
        return;
    }
    averages->begun = begun;
    visit_counters(codec, stored, averages->counters);
    visit_floats(codec, stored, averages->sum, 0);
    codec_f64(codec, &averages->bytes[0]);
    codec_f64(codec, &averages->bytes[1]);
    visit_floats(codec, stored, averages->seconds, 0);
    visit_floats(codec, stored, averages->latest, NAN);
    codec_varint(codec, &row_count);
    if (codec_is_reading(codec)) {
        averages->row_count = 0;
        if (row_count > codec_left(codec) / ROW_BYTES_MIN)
            codec->failed = true;
    }
    for (uint64_t i = 0; i < row_count && !codec->failed; i++) {
        struct averages_row *row = codec_is_reading(codec) ? append_row(averages) : &averages->rows[i];
        if (row)
            visit_row(codec, stored, row);
        else
            codec->failed = true;
    }
    /* The period's start is bounded first: multiplied into nanoseconds it must not overflow. */
    if (averages->period > INT64_MAX / NS_PER_S - AVERAGES_PERIOD_S || averages->period < 0 || !is_sound(averages))
        codec->failed = true;
}

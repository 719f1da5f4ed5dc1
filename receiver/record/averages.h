/* SPDX-License-Identifier: GPL-2.0-or-later */
/* averages.h - heartbeats into 5-minute averages, one row each for metrics.rrd and net.rrd.
 *
 * A gauge holds from the beat before to the beat that carries it; a counter becomes its growth per second between two
 * beats. Both are spread over the 5-minute periods they touch, weighted by time, so nothing is lost or invented at a
 * boundary. A lost beat therefore costs no byte. When the host rebooted, counters have grown from zero since the boot.
 * When a counter goes back without a reboot (an interface vanished), its growth is not known for that time.
 * librrd gets finished rows only. Pure value; times are wall seconds with fractions (nanoseconds). */
#ifndef RECEIVER_RECORD_AVERAGES_H
#define RECEIVER_RECORD_AVERAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/codec.h"
#include "common/metric.h"
#include "common/time.h"

#define AVERAGES_PERIOD_S 300

/* Longest gap over which a counter's growth is spread: as long as the record remembers. After a longer one (a clock
 * that was decades off) the growth is forgotten. */
#define AVERAGES_GAP_MAX_S (INT64_C(3660) * 24 * 3600)

/* Finished periods: the average of each metric over each of the `periods` periods that end with `at`. It is NaN if it
 * was known for less than half of the period (traffic, METRIC_NET_IN and METRIC_NET_OUT: NaN only if wholly unknown;
 * bytes of the period / 300). More than one period comes from a gap only, whose inner periods are all alike: so a day
 * without beats costs a host three rows, not 288. Periods of which nothing is known have no row. */
struct averages_row {
    int64_t at; /* end of the last period, a multiple of 300 */
    uint32_t periods;
    float values[METRIC_COUNT];
};

struct averages {
    bool begun;                    /* `last` and what follows are valid */
    struct wall last;              /* due instant of the last beat */
    double counters[METRIC_COUNT]; /* as of the last beat */
    int64_t period;                /* start of the period being filled, Unix seconds */
    float sum[METRIC_COUNT];       /* value x seconds in this period; that of traffic is in `bytes` */
    double bytes[2];               /* METRIC_NET_IN, METRIC_NET_OUT: totals must come out exact, also of 1 s beats */
    float seconds[METRIC_COUNT];   /* seconds of this period in which the value is known */
    float latest[METRIC_COUNT];    /* of the last beat, as shown to people: gauges, and rates since the beat before */
    struct averages_row *rows;     /* finished, not yet written; owned */
    uint32_t row_count, row_capacity;
};

/* Zeroes everything. Release the rows with averages_free. */
void averages_init(struct averages *averages);
void averages_free(struct averages *averages);

/* Takes the next beat: `at` its due instant as wall time, strictly after the last one (else ignored); `metrics` by the
 * catalogue; `boot` the wall time of the host's boot if it is a new boot since the last beat, else NULL; `reach_ns`: a
 * gauge speaks for at most this long before its beat (2 intervals), the rest of a longer gap is unknown for it. A
 * counter's growth is spread over the whole gap, however long (at most back to the boot). A gauge is unknown if this
 * beat lacks it, a counter if this beat or the one before does. Returns 0, or -1 out of memory (rows are then lost). */
int averages_add(struct averages *averages, struct wall at, const double metrics[METRIC_COUNT], const struct wall *boot,
                 int64_t reach_ns);

/* Only shows (`latest`) what a beat tells that will be averaged later: rates since `before_at`, when the counters stood at `before`. */
void averages_show(struct averages *averages, struct wall before_at, const double before[METRIC_COUNT], struct wall at,
                   const double metrics[METRIC_COUNT]);

/* Forgets the first `count` rows: they are written. */
void averages_drop_rows(struct averages *averages, uint32_t count);

/* Forgets what was averaged of second `at` and later; the next beat begins anew. */
void averages_cut(struct averages *averages, int64_t at);

/* Visits everything, rows included, for a checkpoint. When reading, `averages` must be initialised; it takes one of a
 * shorter or longer catalogue too. Marks the codec failed on nonsense or out of memory. */
void averages_visit(struct codec *codec, struct averages *averages);

#endif

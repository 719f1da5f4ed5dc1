/* SPDX-License-Identifier: GPL-2.0-or-later */
/* expectation.c - see expectation.h. The constants were chosen by simulation over quiet, jittery, splayed, mobile and
 * stalling senders; tests/sim repeats the figures that matter. */
#include "receiver/judge/expectation.h"

#include <stdlib.h>
#include <string.h>

enum {
    MARGIN_FLOOR_DIVISOR = 8, /* T/8 leaves room for the retries at R, 3R and 7R */
    MARGIN_CAP_DIVISOR = 2,   /* so the latest verdict is at last + 2.5 T */
    PEAK_DECAY_DIVISOR = 128, /* per beat: remembers a splay for about 90 beats */
    ODD_DIVISOR = 4,          /* a gap off by more than T/4 is odd ... */
    AGREE_DIVISOR = 8,        /* ... and two odd ones within an eighth of each other agree */
    ADOPT_COUNT = 2,
    WARM_COUNT = 4,          /* samples until the margin is trusted to shrink */
    RESTART_NUMBERS = 100000 /* a jump this wide says that numbers mean nothing */
};

#define MARGIN_FLOOR_MIN_NS (500 * NS_PER_MS)
#define MARGIN_FLOOR_MAX_NS (30 * NS_PER_S)
#define SAMPLE_MIN_NS (250 * NS_PER_MS)
#define SAMPLE_MAX_NS (4500 * NS_PER_S)
#define COLD_WAIT_NS (7260 * NS_PER_S) /* heard once, nothing announced: the longest interval, and a minute */
#define REGRACE_NS (660 * NS_PER_S)    /* heard once in a new session, interval known from before */

void expectation_init(struct expectation *e)
{
    memset(e, 0, sizeof *e);
}

/* The first beat of a session: the interval survives as a prior, what was learned on top of it does not. */
static void begin_session(struct expectation *e, struct instant at, uint64_t session, uint32_t number,
                          int64_t announced_ns)
{
    e->session = session;
    e->number = number;
    e->last = at;
    e->samples = 0;
    e->odd = 0;
    e->peak_ns = 0;
    e->hinted = announced_ns > 0;
    if (e->hinted)
        e->interval_ns = announced_ns;
    e->longest_ns = e->interval_ns;
}

/* An odd gap. True if it agrees with the one before and is adopted as the new interval. */
static bool adopt_odd(struct expectation *e, int64_t sample_ns)
{
    if (e->odd && llabs(sample_ns - e->candidate_ns) <= e->candidate_ns / AGREE_DIVISOR) {
        e->candidate_ns += (sample_ns - e->candidate_ns) / 2;
        e->odd++;
    } else {
        e->candidate_ns = sample_ns;
        e->odd = 1;
    }
    if (e->odd < ADOPT_COUNT)
        return false;
    e->interval_ns = e->longest_ns = e->candidate_ns;
    e->peak_ns = 0;
    e->samples = 1;
    e->odd = 0;
    return true;
}

/* One sample of the interval: the gap over the difference in numbers. */
static void learn(struct expectation *e, int64_t gap_ns, int64_t steps, bool was_down)
{
    int64_t sample_ns = gap_ns / steps;
    if (sample_ns < SAMPLE_MIN_NS || sample_ns > SAMPLE_MAX_NS)
        return; /* a catch-up burst or a long silence: life, but no sample */
    if (e->samples == 0 && !e->hinted) {
        e->interval_ns = sample_ns;
        if (sample_ns > e->longest_ns)
            e->longest_ns = sample_ns;
        e->samples = 1;
        return;
    }
    int64_t error_ns = sample_ns - e->interval_ns;
    int64_t tolerance_ns = e->interval_ns / ODD_DIVISOR;
    if (tolerance_ns < 2 * e->peak_ns)
        tolerance_ns = 2 * e->peak_ns;
    if (tolerance_ns > e->interval_ns)
        tolerance_ns = e->interval_ns;
    int64_t late_ns = gap_ns - steps * e->interval_ns;
    if (late_ns > e->interval_ns)
        late_ns = e->interval_ns;
    if (llabs(error_ns) > tolerance_ns) {
        if (adopt_odd(e, sample_ns) || was_down)
            return;
        error_ns = error_ns < 0 ? -tolerance_ns : tolerance_ns;
    } else {
        e->odd = 0;
    }
    e->interval_ns += error_ns / (e->samples < 2 ? 2 : e->samples < 6 ? 4 : 8);
    if (e->samples < WARM_COUNT && sample_ns > e->longest_ns)
        e->longest_ns = sample_ns;
    e->peak_ns = late_ns > e->peak_ns ? late_ns : e->peak_ns - e->peak_ns / PEAK_DECAY_DIVISOR;
    if (e->samples < UINT8_MAX)
        e->samples++;
}

bool expectation_observe(struct expectation *e, struct instant at, uint64_t session, uint32_t number,
                         int64_t announced_ns, bool was_down)
{
    if (session != e->session) {
        begin_session(e, at, session, number, announced_ns);
        return true;
    }
    int64_t steps = (int64_t)number - (int64_t)e->number;
    if (steps <= 0)
        return false;
    int64_t gap_ns = instant_since(at, e->last);
    e->number = number;
    e->last = at;
    if (steps <= RESTART_NUMBERS)
        learn(e, gap_ns, steps, was_down);
    return true;
}

int64_t expectation_interval_ns(const struct expectation *e)
{
    return e->samples < WARM_COUNT && e->longest_ns > e->interval_ns ? e->longest_ns : e->interval_ns;
}

int64_t expectation_margin_ns(const struct expectation *e)
{
    int64_t interval_ns = expectation_interval_ns(e);
    int64_t low_ns = interval_ns / MARGIN_FLOOR_DIVISOR;
    if (low_ns > MARGIN_FLOOR_MAX_NS)
        low_ns = MARGIN_FLOOR_MAX_NS;
    if (low_ns < MARGIN_FLOOR_MIN_NS)
        low_ns = MARGIN_FLOOR_MIN_NS;
    int64_t high_ns = interval_ns / MARGIN_CAP_DIVISOR;
    if (high_ns < low_ns)
        high_ns = low_ns;
    if (e->samples < WARM_COUNT)
        return high_ns;
    int64_t margin_ns = e->peak_ns + e->peak_ns / 2;
    return margin_ns < low_ns ? low_ns : margin_ns > high_ns ? high_ns : margin_ns;
}

struct instant expectation_lapse(const struct expectation *e, unsigned which)
{
    if (e->samples == 0 && !e->hinted) {
        int64_t wait_ns = COLD_WAIT_NS;
        if (e->interval_ns > 0) {
            wait_ns = (int64_t)which * e->interval_ns + e->interval_ns / 2;
            if (wait_ns < REGRACE_NS)
                wait_ns = REGRACE_NS;
        }
        return instant_add(e->last, wait_ns);
    }
    return instant_add(e->last, (int64_t)which * expectation_interval_ns(e) + expectation_margin_ns(e));
}

int64_t expectation_grace_ns(const struct expectation *e)
{
    return instant_since(expectation_lapse(e, 2), e->last);
}

/* Twice the longest sample is more than learning ever comes to. */
static bool is_sane_length(int64_t ns)
{
    return ns >= 0 && ns <= 2 * SAMPLE_MAX_NS;
}

void expectation_visit(struct codec *codec, struct expectation *e)
{
    uint8_t hinted = e->hinted;
    codec_i64(codec, &e->last.ns);
    codec_i64(codec, &e->interval_ns);
    codec_i64(codec, &e->peak_ns);
    codec_i64(codec, &e->candidate_ns);
    codec_i64(codec, &e->longest_ns);
    codec_u64(codec, &e->session);
    codec_u32(codec, &e->number);
    codec_u8(codec, &e->samples);
    codec_u8(codec, &e->odd);
    codec_u8(codec, &hinted);
    e->hinted = hinted != 0;
    if (!instant_is_sane(e->last) || !is_sane_length(e->interval_ns) || !is_sane_length(e->peak_ns) ||
        !is_sane_length(e->candidate_ns) || !is_sane_length(e->longest_ns))
        codec->failed = true;
}

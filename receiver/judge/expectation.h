/* SPDX-License-Identifier: GPL-2.0-or-later */
/* expectation.h - learns the rhythm of one host, and says by when its next beats must come.
 *
 * Four integers do the work. The gap between two beats divided by the difference of their numbers is a sample of the
 * interval that loss cannot bend. The anchor is the last beat, not a mean of phases, so a sleeping sender or one late
 * beat shifts nothing. The margin is 1.5 times the largest recent lateness, decaying by 1/128 a beat, but at least an
 * eighth and at most half of the interval. Gaps far off the interval are distrusted until a second one agrees; a gap
 * that spanned a verdict teaches nothing else, and neither locks learning out nor poisons it.
 *
 * Nothing here beats the arithmetic of loss: whoever judges after two missed expectations is wrong (year/T) p^2 (1-p)
 * times a year at loss p. Acknowledged retransmission is what makes p small (PROTOCOL.md section 5).
 *
 * Only current beats of a proven session come here, never kept ones. Pure value; integers only. */
#ifndef RECEIVER_JUDGE_EXPECTATION_H
#define RECEIVER_JUDGE_EXPECTATION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/codec.h"
#include "common/time.h"

struct expectation {
    struct instant last;  /* due instant of the last beat */
    int64_t interval_ns;  /* learned; 0: nothing known yet */
    int64_t peak_ns;      /* decaying peak of lateness */
    int64_t candidate_ns; /* an odd gap that waits for a second one to agree */
    int64_t longest_ns;   /* longest gap while still learning */
    uint64_t session;     /* of the last beat */
    uint32_t number;      /* of the last beat */
    uint8_t samples;      /* of the interval, saturating */
    uint8_t odd;          /* odd gaps in a row that agree */
    bool hinted;          /* the interval is what the agent announced */
};

void expectation_init(struct expectation *e);

/* Takes a beat that was due `at`, beat `number` of `session`, with the interval the agent announced (0: none).
 * `was_down` tells that a verdict was reached since the last beat. Returns false if the beat is not newer than the last
 * one (a duplicate, or overtaken): then nothing has changed. */
bool expectation_observe(struct expectation *e, struct instant at, uint64_t session, uint32_t number,
                         int64_t announced_ns, bool was_down);

/* The instant by which the first (1) or second (2) beat after the last one must have come. */
struct instant expectation_lapse(const struct expectation *e, unsigned which);

/* How long a silence must last, from a fresh start, until a verdict is due: two intervals and a margin. */
int64_t expectation_grace_ns(const struct expectation *e);

/* The interval that is judged by, and the allowance on top of it; 0 while nothing is known. */
int64_t expectation_interval_ns(const struct expectation *e);
int64_t expectation_margin_ns(const struct expectation *e);

/* Bounds for what an agent may announce. */
#define EXPECTATION_ANNOUNCED_MIN_NS (250 * NS_PER_MS)
#define EXPECTATION_ANNOUNCED_MAX_NS (4500 * NS_PER_S)

void expectation_visit(struct codec *codec, struct expectation *e);

#endif

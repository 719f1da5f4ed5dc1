/* SPDX-License-Identifier: GPL-2.0-or-later */
/* message.c - see message.h.
 *
 * Decoding refuses what no agent of this version could mean, so that the cores can trust every enum and counter.
 * Reserved bits and bytes are ignored when read: a later agent may use them for what an older receiver can miss. */
#include "common/message.h"

#include <assert.h>
#include <math.h>

#include "common/codec.h"

static_assert(METRIC_COUNT <= MESSAGE_METRIC_MAX, "the catalogue must fit into a beat");

static void beat_visit(struct codec *c, struct beat *beat)
{
    codec_u64(c, &beat->session);
    codec_u64(c, &beat->counter);
    codec_u32(c, &beat->number);
    codec_u32(c, &beat->age_ms);
    codec_u32(c, &beat->interval_ms);
    codec_bytes(c, beat->boot_id, BOOT_ID_LEN);
    codec_u64(c, &beat->uptime_ms);
    codec_u64(c, &beat->run_ms);
    codec_u64(c, &beat->agent_start);
    codec_u8(c, &beat->previous_end);
    codec_bytes(c, beat->echo, ECHO_LEN);
    codec_u32(c, &beat->oldest_kept);
    codec_u8(c, &beat->flags);
}

static void ack_visit(struct codec *c, struct ack *ack)
{
    codec_u64(c, &ack->session);
    codec_u64(c, &ack->counter);
    codec_u32(c, &ack->safe);
}

static void challenge_visit(struct codec *c, struct challenge *challenge)
{
    codec_u64(c, &challenge->session);
    codec_u64(c, &challenge->counter);
    codec_bytes(c, challenge->value, ECHO_LEN);
}

static void bye_visit(struct codec *c, struct bye *bye)
{
    uint8_t reason = bye->reason == BYE_MOVED ? BYE_STOPPING : bye->reason;
    uint8_t flags = bye->reason == BYE_MOVED ? BYE_FLAG_MOVED : 0;
    uint8_t zeros[2] = {0, 0};
    codec_u64(c, &bye->session);
    codec_u64(c, &bye->counter);
    codec_u32(c, &bye->age_ms);
    codec_u64(c, &bye->agent_start);
    codec_bytes(c, bye->echo, ECHO_LEN);
    codec_u8(c, &reason);
    codec_u8(c, &flags);
    codec_bytes(c, zeros, sizeof zeros);
    bye->reason = reason > BYE_SHUTDOWN ? 0 : reason == BYE_STOPPING && flags & BYE_FLAG_MOVED ? BYE_MOVED : reason;
}

/* Every encoder works on a copy, because a visit takes what it may write to; and the room is there by contract. */
static size_t encoded(const struct codec *c)
{
    assert(!c->failed);
    return c->pos;
}

size_t beat_encode(const struct beat *beat, uint8_t *out)
{
    struct beat copy = *beat;
    struct codec c = codec_writer(out, BEAT_LEN_MAX);
    beat_visit(&c, &copy);
    assert(c.pos == BEAT_FIXED_LEN);
    for (size_t i = 0; i < METRIC_COUNT; i++)
        codec_f64(&c, &copy.metrics[i]);
    return encoded(&c);
}

size_t ack_encode(const struct ack *ack, uint8_t *out)
{
    struct ack copy = *ack;
    struct codec c = codec_writer(out, BEAT_LEN_MAX);
    ack_visit(&c, &copy);
    return encoded(&c);
}

size_t challenge_encode(const struct challenge *challenge, uint8_t *out)
{
    struct challenge copy = *challenge;
    struct codec c = codec_writer(out, BEAT_LEN_MAX);
    challenge_visit(&c, &copy);
    return encoded(&c);
}

size_t bye_encode(const struct bye *bye, uint8_t *out)
{
    struct bye copy = *bye;
    struct codec c = codec_writer(out, BEAT_LEN_MAX);
    bye_visit(&c, &copy);
    return encoded(&c);
}

/* An older agent sends fewer metrics than the catalogue has, a newer one more: the tail is NaN, or skipped. */
static int metrics_decode(struct codec *c, double metrics[METRIC_COUNT])
{
    size_t count = codec_left(c) / 8;
    if (codec_left(c) % 8 != 0 || count > MESSAGE_METRIC_MAX)
        return -1;
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        metrics[i] = (double)NAN;
        if (i < count)
            codec_f64(c, &metrics[i]);
    }
    return 0;
}

int beat_decode(struct beat *beat, const uint8_t *payload, size_t len)
{
    struct codec c = codec_reader(payload, len);
    *beat = (struct beat){.number = 0};
    beat_visit(&c, beat);
    if (c.failed || metrics_decode(&c, beat->metrics) || c.failed)
        return -1;
    if (beat->counter == 0 || beat->number == 0 || beat->previous_end > PREVIOUS_DIED)
        return -1;
    return 0;
}

int ack_decode(struct ack *ack, const uint8_t *payload, size_t len)
{
    struct codec c = codec_reader(payload, len);
    *ack = (struct ack){.counter = 0};
    ack_visit(&c, ack);
    return c.failed || ack->counter == 0 ? -1 : 0;
}

int challenge_decode(struct challenge *challenge, const uint8_t *payload, size_t len)
{
    struct codec c = codec_reader(payload, len);
    *challenge = (struct challenge){.counter = 0};
    challenge_visit(&c, challenge);
    return c.failed || challenge->counter == 0 ? -1 : 0;
}

int bye_decode(struct bye *bye, const uint8_t *payload, size_t len)
{
    struct codec c = codec_reader(payload, len);
    *bye = (struct bye){.reason = 0};
    bye_visit(&c, bye);
    if (c.failed || bye->counter == 0)
        return -1;
    return bye->reason != 0 ? 0 : -1;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unaveraged.c - see unaveraged.h. */
#include "receiver/record/unaveraged.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct unaveraged *unaveraged_create(struct instant since)
{
    struct unaveraged *unaveraged = calloc(1, sizeof *unaveraged);
    if (unaveraged)
        unaveraged->since = since;
    return unaveraged;
}

void unaveraged_destroy(struct unaveraged *unaveraged)
{
    if (unaveraged)
        free(unaveraged->beats);
    free(unaveraged);
}

static int reserve(struct unaveraged *unaveraged, uint32_t capacity)
{
    if (capacity <= unaveraged->capacity)
        return 0;
    if (capacity > UNAVERAGED_MAX)
        return -1;
    capacity = capacity < 8 ? 8 : capacity + capacity / 2;
    struct unaveraged_beat *beats = realloc(unaveraged->beats, capacity * sizeof *beats);
    if (!beats)
        return -1;
    unaveraged->beats = beats;
    unaveraged->capacity = capacity;
    return 0;
}

int unaveraged_put(struct unaveraged *unaveraged, const struct unaveraged_beat *beat)
{
    uint32_t i = unaveraged->count;
    while (i > 0 && unaveraged->beats[i - 1].number > beat->number)
        i--;
    if (i > 0 && unaveraged->beats[i - 1].number == beat->number)
        return 0;
    if (unaveraged->count == UNAVERAGED_MAX || reserve(unaveraged, unaveraged->count + 1) != 0)
        return -1;
    memmove(&unaveraged->beats[i + 1], &unaveraged->beats[i], (unaveraged->count - i) * sizeof *unaveraged->beats);
    unaveraged->beats[i] = *beat;
    unaveraged->count++;
    return 0;
}

void unaveraged_drop(struct unaveraged *unaveraged, uint32_t count)
{
    unaveraged->count -= count;
    memmove(unaveraged->beats, unaveraged->beats + count, unaveraged->count * sizeof *unaveraged->beats);
}

static void visit_wall(struct codec *codec, struct wall *wall)
{
    codec_i64(codec, &wall->ns);
    if (!instant_is_sane((struct instant){wall->ns}))
        codec->failed = true;
}

/* The catalogue of whoever wrote this may be shorter or longer than ours. */
static void visit_metrics(struct codec *codec, double values[METRIC_COUNT], uint32_t stored)
{
    for (uint32_t i = 0; i < stored || i < METRIC_COUNT; i++) {
        double ignored = NAN;
        double *value = i < METRIC_COUNT ? &values[i] : &ignored;
        if (i < stored)
            codec_f64(codec, value);
        else
            *value = NAN;
    }
}

static void visit_beat(struct codec *codec, struct unaveraged_beat *beat, uint32_t metrics)
{
    uint8_t new_boot = beat->new_boot;
    codec_u32(codec, &beat->number);
    visit_wall(codec, &beat->at);
    codec_u8(codec, &new_boot);
    visit_wall(codec, &beat->boot);
    codec_i64(codec, &beat->reach_ns);
    beat->new_boot = new_boot != 0;
    if (beat->reach_ns < 0 || beat->reach_ns > INSTANT_LIMIT_NS)
        codec->failed = true;
    visit_metrics(codec, beat->metrics, metrics);
}

void unaveraged_visit(struct codec *codec, struct unaveraged *unaveraged)
{
    uint32_t count = unaveraged->count, metrics = METRIC_COUNT;
    codec_i64(codec, &unaveraged->since.ns);
    codec_u32(codec, &count);
    codec_u32(codec, &metrics);
    if (!instant_is_sane(unaveraged->since) || metrics > 64 || count > UNAVERAGED_MAX)
        codec->failed = true;
    if (codec->failed || (codec_is_reading(codec) && reserve(unaveraged, count) != 0)) {
        codec->failed = true;
        return;
    }
    unaveraged->count = count;
    uint32_t before = 0;
    for (uint32_t i = 0; i < count && !codec->failed; i++) {
        if (codec_is_reading(codec))
            unaveraged->beats[i] = (struct unaveraged_beat){0};
        visit_beat(codec, &unaveraged->beats[i], metrics);
        if (unaveraged->beats[i].number <= before)
            codec->failed = true;
        before = unaveraged->beats[i].number;
    }
    if (codec->failed)
        unaveraged->count = 0;
}

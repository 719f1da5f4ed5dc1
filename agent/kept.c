/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kept.c - see kept.h. */
#include "agent/kept.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

void kept_init(struct kept *kept, uint32_t limit)
{
    assert(limit <= AGENT_KEEP_MAX);
    memset(kept, 0, offsetof(struct kept, beats));
    kept->limit = limit;
}

static void drop_first(struct kept *kept)
{
    kept->free[kept->free_count++] = kept->place[kept->first % AGENT_KEEP_MAX];
    kept->first++;
    kept->count--;
}

void kept_set_limit(struct kept *kept, uint32_t limit)
{
    assert(limit <= AGENT_KEEP_MAX);
    kept->limit = limit;
    while (kept->count > limit)
        drop_first(kept);
}

void kept_add(struct kept *kept, uint32_t number, const struct agent_sample *sample)
{
    if (kept->limit == 0)
        return;
    if (kept->count == kept->limit)
        drop_first(kept);
    if (kept->count == 0)
        kept->first = number;
    assert(number == kept->first + kept->count);
    uint32_t place = kept->free_count > 0 ? kept->free[--kept->free_count] : kept->fresh++;
    assert(place < AGENT_KEEP_MAX);
    kept->place[number % AGENT_KEEP_MAX] = (uint8_t)place;
    kept->beats[place] = (struct kept_beat){number, *sample};
    kept->count++;
}

void kept_drop(struct kept *kept, uint32_t number)
{
    while (kept->count > 0 && kept->first <= number)
        drop_first(kept);
}

uint32_t kept_after(const struct kept *kept, uint32_t number)
{
    if (kept->count == 0 || number >= kept->first + kept->count - 1)
        return 0;
    return number < kept->first ? kept->first : number + 1;
}

const struct kept_beat *kept_get(const struct kept *kept, uint32_t number)
{
    const struct kept_beat *beat = &kept->beats[kept->place[number % AGENT_KEEP_MAX]];
    assert(kept->count > 0 && beat->number == number);
    return beat;
}

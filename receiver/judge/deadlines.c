/* SPDX-License-Identifier: GPL-2.0-or-later */
/* deadlines.c - see deadlines.h. */
#include "receiver/judge/deadlines.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void deadlines_free(struct deadlines *deadlines)
{
    free(deadlines->entries);
    free(deadlines->place);
    memset(deadlines, 0, sizeof *deadlines);
}

int deadlines_reserve(struct deadlines *deadlines, uint32_t host)
{
    size_t need = (size_t)host + 1;
    if (need <= deadlines->place_capacity)
        return 0;
    size_t capacity = deadlines->place_capacity ? deadlines->place_capacity * 2 : 64;
    while (capacity < need)
        capacity *= 2;
    uint32_t *place = realloc(deadlines->place, capacity * sizeof *place);
    if (!place)
        return -1;
    deadlines->place = place;
    struct deadline_entry *entries = realloc(deadlines->entries, capacity * sizeof *entries);
    if (!entries)
        return -1;
    deadlines->entries = entries;
    memset(place + deadlines->place_capacity, 0, (capacity - deadlines->place_capacity) * sizeof *place);
    deadlines->place_capacity = deadlines->capacity = capacity;
    return 0;
}

static void put(struct deadlines *deadlines, size_t index, struct deadline_entry entry)
{
    deadlines->entries[index] = entry;
    deadlines->place[entry.host] = (uint32_t)index + 1;
}

static void sift_up(struct deadlines *deadlines, size_t index, struct deadline_entry entry)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!instant_before(entry.at, deadlines->entries[parent].at))
            break;
        put(deadlines, index, deadlines->entries[parent]);
        index = parent;
    }
    put(deadlines, index, entry);
}

static void sift_down(struct deadlines *deadlines, size_t index, struct deadline_entry entry)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= deadlines->count)
            break;
        if (child + 1 < deadlines->count &&
            instant_before(deadlines->entries[child + 1].at, deadlines->entries[child].at))
            child++;
        if (!instant_before(deadlines->entries[child].at, entry.at))
            break;
        put(deadlines, index, deadlines->entries[child]);
        index = child;
    }
    put(deadlines, index, entry);
}

void deadlines_promise(struct deadlines *deadlines, uint32_t host, struct instant at)
{
    assert(host < deadlines->place_capacity);
    struct deadline_entry entry = {at, host};
    if (deadlines->place[host] == 0)
        sift_up(deadlines, deadlines->count++, entry);
    else if (instant_before(at, deadlines->entries[deadlines->place[host] - 1].at))
        sift_up(deadlines, deadlines->place[host] - 1, entry);
}

struct instant deadlines_next(const struct deadlines *deadlines)
{
    return deadlines->count ? deadlines->entries[0].at : INSTANT_NEVER;
}

uint32_t deadlines_take(struct deadlines *deadlines)
{
    assert(deadlines->count > 0);
    uint32_t host = deadlines->entries[0].host;
    deadlines->place[host] = 0;
    struct deadline_entry last = deadlines->entries[--deadlines->count];
    if (deadlines->count > 0)
        sift_down(deadlines, 0, last);
    return host;
}

size_t deadlines_walk(const struct deadlines *deadlines, size_t i, bool descend)
{
    if (descend && 2 * i + 1 < deadlines->count)
        return 2 * i + 1;
    while (i > 0 && (i % 2 == 0 || i + 1 >= deadlines->count))
        i = (i - 1) / 2;
    return i == 0 ? deadlines->count : i + 1;
}

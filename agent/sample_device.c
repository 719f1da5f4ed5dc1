/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_device.c - see sample_device.h. */
#include "agent/sample_device.h"

#include <limits.h>
#include <string.h>

static uint64_t fingerprint(const char *text, device_split *split)
{
    struct span line, name, rest;
    uint64_t hash = SPAN_HASH_START;
    while (text_next_line(&line, &text)) {
        if (!split(&name, &rest, line))
            continue;
        hash = span_hash(name, hash);
        hash = span_hash((struct span){"/", 1}, hash); /* so that moving a letter to the next name shows */
    }
    return hash;
}

/* Makes the table's devices those of the choice that is being made: known ones keep what is known. */
static void append_device(struct device_table *table, uint64_t id, size_t before_count)
{
    struct device *device = &table->devices[table->count++];
    *device = (struct device){.id = id, .known = !table->begun};
    for (size_t i = 0; i < before_count; i++) {
        if (table->before[i].id == id) {
            *device = table->before[i];
            table->before[i].id = 0; /* taken: what is left over has gone */
            return;
        }
    }
    table->changed = true;
}

/* Asks the filter about each line. */
static void choose(struct device_table *table, const char *text, device_split *split,
                   const struct device_filter *filter, size_t before_count)
{
    struct span line, name, rest;
    char terminated[DEVICE_NAME_SIZE];
    for (size_t index = 0; text_next_line(&line, &text) && index < DEVICE_LINE_MAX && table->count < DEVICE_MAX;) {
        if (!split(&name, &rest, line))
            continue;
        if (name.len > 0 && name.len < sizeof terminated) {
            memcpy(terminated, name.at, name.len);
            terminated[name.len] = '\0';
            uint64_t id = filter->identify(filter->context, terminated);
            if (id != 0) {
                table->chosen[index / 8] |= (uint8_t)(1u << index % 8);
                append_device(table, id, before_count);
            }
        }
        index++;
    }
}

void device_table_choose(struct device_table *table, const char *text, device_split *split,
                         const struct device_filter *filter, const struct device_filter *otherwise)
{
    uint64_t names = fingerprint(text, split);
    if (names == table->fingerprint && !table->look_again)
        return;
    table->look_again = names != table->fingerprint;
    table->fingerprint = names;
    size_t before_count = table->count;
    memcpy(table->before, table->devices, before_count * sizeof table->devices[0]);
    memset(table->chosen, 0, sizeof table->chosen);
    table->count = 0;
    choose(table, text, split, filter, before_count);
    if (table->count == 0 && otherwise)
        choose(table, text, split, otherwise, before_count);
    for (size_t i = 0; i < before_count; i++)
        if (table->before[i].id != 0)
            table->changed = true;
}

void device_table_reconsider(struct device_table *table)
{
    table->look_again = true;
}

bool device_table_has(const struct device_table *table, size_t index)
{
    return index < DEVICE_LINE_MAX && (table->chosen[index / 8] >> index % 8 & 1);
}

uint64_t counter_growth(uint64_t *before, uint64_t now, bool *changed)
{
    uint64_t growth = 0;
    if (now >= *before)
        growth = now - *before;
    else if (ULONG_MAX == UINT32_MAX && *before <= UINT32_MAX && *before - now > UINT32_MAX / 2)
        growth = (uint32_t)(now - *before);
    else if (now >= *before / 2)
        return 0; /* it will come back: some drivers add up while others read */
    else
        *changed = true;
    *before = now;
    return growth;
}

void device_table_add(struct device_table *table, size_t order, const uint64_t *raw, size_t count)
{
    if (order >= table->count)
        return;
    struct device *device = &table->devices[order];
    for (size_t i = 0; i < count; i++) {
        if (device->known)
            table->totals[i] += counter_growth(&device->raw[i], raw[i], &table->changed);
        else
            device->raw[i] = raw[i];
    }
    device->known = table->begun = true;
}

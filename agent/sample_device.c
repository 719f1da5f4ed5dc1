/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_device.c - see sample_device.h. */
#include "agent/sample_device.h"

#include <string.h>

/* FNV-1a, 64 bits: not for enemies, the names are the kernel's. */
#define FNV_START UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

bool device_choice_is_current(struct device_choice *choice, const char *text, device_split *split)
{
    struct span line, name, rest;
    uint64_t hash = FNV_START;
    while (text_next_line(&line, &text)) {
        if (!split(&name, &rest, line))
            continue;
        for (size_t i = 0; i < name.len; i++)
            hash = (hash ^ (uint8_t)name.at[i]) * FNV_PRIME;
        hash = (hash ^ '/') * FNV_PRIME; /* so that moving a letter to the next name shows */
    }
    bool current = hash == choice->fingerprint;
    choice->fingerprint = hash;
    return current;
}

void device_choice_make(struct device_choice *choice, const char *text, device_split *split,
                        const struct device_filter *filter)
{
    struct span line, name, rest;
    char terminated[DEVICE_NAME_SIZE];
    size_t index = 0;
    choice->count = 0;
    memset(choice->chosen, 0, sizeof choice->chosen);
    while (text_next_line(&line, &text) && index < DEVICE_MAX) {
        if (!split(&name, &rest, line))
            continue;
        if (name.len < sizeof terminated) {
            memcpy(terminated, name.at, name.len);
            terminated[name.len] = '\0';
            if (filter->is_wanted(filter->context, terminated)) {
                choice->chosen[index / 8] |= (uint8_t)(1u << index % 8);
                choice->count++;
            }
        }
        index++;
    }
}

bool device_choice_has(const struct device_choice *choice, size_t index)
{
    return index < DEVICE_MAX && (choice->chosen[index / 8] >> index % 8 & 1);
}

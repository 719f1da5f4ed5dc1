/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_device.h - which devices of a table in /proc are counted.
 *
 * Whether a device is a real one has to be looked up elsewhere (in /sys), device by device. That is done only when the
 * names in the table have changed; until then the answer for each line is remembered. Pure. */
#ifndef AGENT_SAMPLE_DEVICE_H
#define AGENT_SAMPLE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/sample_text.h"

#define DEVICE_MAX 4096 /* lines; those behind are not counted */
#define DEVICE_NAME_SIZE 64

struct device_choice {
    uint64_t fingerprint; /* of all names, in order; 0 before the first choice */
    size_t count;         /* how many are chosen */
    uint8_t chosen[DEVICE_MAX / 8];
};

/* Decides about one device. */
struct device_filter {
    bool (*is_wanted)(void *context, const char *name);
    void *context;
};

/* Splits a line into the name of its device and the rest; false if it is about none. */
typedef bool device_split(struct span *name, struct span *rest, struct span line);

/* Whether the names in the text are still those of the choice; takes their new fingerprint in any case. */
bool device_choice_is_current(struct device_choice *choice, const char *text, device_split *split);

/* Chooses anew. */
void device_choice_make(struct device_choice *choice, const char *text, device_split *split,
                        const struct device_filter *filter);

/* Whether the device of the index-th line that is about one is chosen. */
bool device_choice_has(const struct device_choice *choice, size_t index);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_device.h - which devices of a table in /proc are counted, and what moved through all of them together.
 *
 * The kernel counts per device, and devices come, go, are renamed and begin anew. A sum of what is there would jump with
 * each of that: back when a disk is pulled, up by terabytes when an interface enters with an old counter. Hence the
 * total of a table grows by the growth of each device from one sample to the next, and by nothing else. A device that is
 * seen for the first time adds nothing yet; one that goes back a little is waited for; one that went back by more than
 * half began anew, and adds nothing this once.
 *
 * The very first sample of a boot takes the counters as they are: that much moved since the boot. After that the total
 * is the sum of the counters plus a constant, as long as no device comes, goes or begins anew. So it is enough to save
 * a table when that happened (`changed`): another run of the agent that starts from the saved table arrives at the very
 * total that this run would have told, however long ago that was. Nothing is counted twice, nothing is lost.
 *
 * Which devices count has to be looked up elsewhere (in /sys). That is done when the names in the table have changed,
 * and once more at the sample after, since what belongs to what may be settled a moment after a device appears. Pure. */
#ifndef AGENT_SAMPLE_DEVICE_H
#define AGENT_SAMPLE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/sample_text.h"

#define DEVICE_LINE_MAX 8192 /* lines; devices behind are not counted */
#define DEVICE_MAX 1024      /* counted devices; nor are those behind */
#define DEVICE_COUNTER_MAX 6
#define DEVICE_NAME_SIZE 64

struct device {
    uint64_t id;                      /* tells it from all others of this boot, whatever its name; 0: none */
    uint64_t raw[DEVICE_COUNTER_MAX]; /* its counters at the last sample */
    bool known;                       /* `raw` is valid */
};

/* Zero-initialise. Large, but only the memory of devices that exist is touched. */
struct device_table {
    bool begun;   /* there has been a device: the totals mean something */
    bool changed; /* ought to be saved; cleared by the owner */
    uint64_t totals[DEVICE_COUNTER_MAX];
    size_t count;
    struct device devices[DEVICE_MAX]; /* in the order of their lines */

    uint64_t fingerprint; /* of all names, in order; 0 before the first choice */
    bool look_again;
    uint8_t chosen[DEVICE_LINE_MAX / 8];
    struct device before[DEVICE_MAX]; /* room for the devices of the choice before */
};

/* Decides about one device: its id, 0 if it does not count. */
struct device_filter {
    uint64_t (*identify)(void *context, const char *name);
    void *context;
};

/* Splits a line into the name of its device and the rest; false if it is about none. */
typedef bool device_split(struct span *name, struct span *rest, struct span line);

/* Chooses among the devices in the text if that is needed; `otherwise` (or NULL) is asked if `filter` wants none. */
void device_table_choose(struct device_table *table, const char *text, device_split *split,
                         const struct device_filter *filter, const struct device_filter *otherwise);

/* Chooses anew at the next sample, because the filter has changed. */
void device_table_reconsider(struct device_table *table);

/* Whether the device of the index-th line that is about one counts. */
bool device_table_has(const struct device_table *table, size_t index);

/* Takes `count` counters of the order-th device that counts, adding their growth to the totals. */
void device_table_add(struct device_table *table, size_t order, const uint64_t *raw, size_t count);

/* The growth of one counter since `*before`, which becomes `now`. Sets `*changed` if it began anew. On kernels whose
 * numbers have 32 bits, a step from the top to the bottom of these is growth. */
uint64_t counter_growth(uint64_t *before, uint64_t now, bool *changed);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_totals.h - the totals of the agent as a text, for the next run of the agent on the same boot.
 *
 *     boot 32 hexadecimal digits
 *     cpu COUNT BASE_TICKS... BASE_MICROPERCENT...
 *     disks TOTALS...                                and then, for each disk,
 *     disk ID COUNTERS...
 *     interfaces TOTALS...  interface ID COUNTERS... likewise
 *     end
 * Pure. */
#ifndef AGENT_SAMPLE_TOTALS_H
#define AGENT_SAMPLE_TOTALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/sample_device.h"
#include "agent/sample_stat.h"

#define TOTALS_BOOT_SIZE 33 /* of the boot id as text */

/* What belongs together; borrowed. */
struct totals {
    char boot[TOTALS_BOOT_SIZE];
    struct cpu_state *cpu;
    struct device_table *disks, *interfaces;
};

/* How much room totals_print needs at most. */
size_t totals_size(const struct totals *totals);
/* Returns the length. `size`: at least totals_size. */
size_t totals_print(const struct totals *totals, char *text, size_t size);

/* Fills zeroed states. False, with all of them zero again, if the text is of another boot, cut off or nonsense. */
bool totals_parse(struct totals *totals, const char *text);

#endif

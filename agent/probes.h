/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probes.h - what has to be asked beside the loop because the answer may never come: the list of mounts, the size of
 * each file system, the sensors, the memory of the control group; and the writing of totals to the state folder.
 *
 * A beat asks, and waits PROBES_WAIT_MS at most, once: what is not there by then is told at the next beat. An answer
 * that is missing for two beats is told as NaN, of a file system that hangs as if it were not there.
 *
 * While all answer, the next beats tell the same answers until these are PROBES_AGE_MS old: at short intervals waking
 * the helper would cost more than anything else, for what changes slowly. While something does not answer, each beat
 * asks. */
#ifndef AGENT_PROBES_H
#define AGENT_PROBES_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/agent_settings.h"
#include "common/metric.h"

#define PROBES_WAIT_MS 20
#define PROBES_AGE_MS 4500 /* less than 5 s, so that beats every 5 s ask each time, also when one is late */

struct probes;

/* NULL: out of memory. `totals_path` is copied. Starts no thread yet. */
struct probes *probes_create(const struct string_list *ignore_filesystems, const char *totals_path);
/* False: a call hangs and the process must end by _exit. NULL is fine. */
bool probes_destroy(struct probes *probes);

/* Other mount points to leave out; copied. False: out of memory, and nothing has changed. */
bool probes_ignore(struct probes *probes, const struct string_list *ignore_filesystems);
/* Devices came or went: there may be other sensors. */
void probes_find_sensors(struct probes *probes);
/* Writes a text to the totals path at the next measuring. Takes `text` (from malloc) over. */
void probes_save(struct probes *probes, char *text, size_t len);

/* Fills in disk_root, disk_fullest, inodes_fullest and sensor_hottest, and corrects the memory figures that are there
 * already if a control group stands for the machine. True: it asked, instead of telling the same once more. */
bool probes_measure(struct probes *probes, double metrics[METRIC_COUNT]);

#endif

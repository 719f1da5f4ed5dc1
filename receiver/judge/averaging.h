/* SPDX-License-Identifier: GPL-2.0-or-later */
/* averaging.h - in which order the heartbeats of a host go into its averages.
 *
 * Averages go forward only. So after an absence, beats wait (record/unaveraged.h) for those that the agent still keeps: until
 * nothing from its oldest kept one on is missing, at most 15 minutes after the host is back. Only then is a gap unknown. Pure. */
#ifndef RECEIVER_JUDGE_AVERAGING_H
#define RECEIVER_JUDGE_AVERAGING_H

#include <stdbool.h>

#include "receiver/judge/verdict.h"

/* Takes a beat; host->numbers knows of it already. `boot` is the wall time of the boot if it is a new one, else NULL; `newest`: it is
 * the latest one, not kept and not overtaken. `afresh`: numbers begin anew with it, and nothing is still to come
 * but what this run of the agent keeps. */
void averaging_beat(struct host *host, const struct fact_beat *beat, const struct wall *boot, bool newest, bool afresh,
                    const struct verdict_context *context);
/* What is missing will not come: all that waits is averaged. */
void averaging_give_up(struct host *host, const struct verdict_context *context);

#endif

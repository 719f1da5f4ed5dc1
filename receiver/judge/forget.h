/* SPDX-License-Identifier: GPL-2.0-or-later */
/* forget.h - takes a host out of alarms and averages, as an operator asked or because it speaks to other receivers now: its record
 * is closed until it is heard again. Pure. */
#ifndef RECEIVER_JUDGE_FORGET_H
#define RECEIVER_JUDGE_FORGET_H

#include "receiver/judge/verdict.h"

/* From `at` on the host is unknown by that cause, and nothing is expected of it. What was told before stays as it is. */
void forget_host(struct host *host, struct instant at, enum cause cause, const struct verdict_context *context);
/* A beat opens the record of a forgotten host again: what was learned before does not count. */
void forget_no_more(struct host *host);

#endif

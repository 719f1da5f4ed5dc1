/* SPDX-License-Identifier: GPL-2.0-or-later */
/* retry.h - when a beat or a bye that is not acked is sent again (PROTOCOL.md section 5). Pure. */
#ifndef AGENT_RETRY_H
#define AGENT_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/message.h"
#include "common/time.h"

/* R of an interval: the unit of the schedule. */
int64_t retry_unit_ns(int64_t interval_ns);

/* The smallest age of the schedule that is larger than `age_ns`; INT64_MAX if there is none. `burst`: the beat before
 * got no ack. Computed from the age alone, so that a late wake-up skips what it missed. */
int64_t retry_next_age_ns(int64_t interval_ns, bool burst, int64_t age_ns);

/* For how long a bye is repeated. */
int64_t retry_bye_limit_ns(enum bye_reason reason);
/* When a bye of an agent that stopped at `stop`, sent `now`, is sent again; INSTANT_NEVER: no more. */
struct instant retry_next_bye(int64_t interval_ns, enum bye_reason reason, struct instant stop, struct instant now);

#endif

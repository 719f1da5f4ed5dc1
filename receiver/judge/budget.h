/* SPDX-License-Identifier: GPL-2.0-or-later */
/* budget.h - so many a second, and more at once after a pause. Pure. */
#ifndef RECEIVER_JUDGE_BUDGET_H
#define RECEIVER_JUDGE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/time.h"

/* Zero-initialised it is full. */
struct budget {
    int64_t left;
    struct instant at; /* ... then; 0: full */
};

/* Takes one. False: it is used up. `per_s` come back each second, up to `max`. */
bool budget_take(struct budget *budget, struct instant now, int64_t per_s, int64_t max);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* budget.c - see budget.h. */
#include "receiver/judge/budget.h"

bool budget_take(struct budget *budget, struct instant now, int64_t per_s, int64_t max)
{
    int64_t more = instant_since(now, budget->at) / (NS_PER_S / per_s);
    if (budget->at.ns == 0 || budget->left + more >= max) {
        budget->left = max;
        budget->at = now;
    } else {
        budget->left += more;
        budget->at = instant_add(budget->at, more * (NS_PER_S / per_s));
    }
    if (budget->left <= 0)
        return false;
    budget->left--;
    return true;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* text.c - see text.h. */
#include "receiver/cli/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MINUTE_S INT64_C(60)
#define HOUR_S INT64_C(3600)
#define DAY_S INT64_C(86400)

void text_time(char out[TEXT_MAX], int64_t at)
{
    struct tm parts;
    time_t t = (time_t)at;
    if (!localtime_r(&t, &parts) || strftime(out, TEXT_MAX, "%Y-%m-%d %H:%M:%S %Z", &parts) == 0)
        (void)snprintf(out, TEXT_MAX, "%" PRId64, at);
}

void text_time_iso(char out[TEXT_MAX], int64_t at)
{
    struct tm parts;
    time_t t = (time_t)at;
    if (!localtime_r(&t, &parts) || strftime(out, TEXT_MAX, "%Y-%m-%dT%H:%M:%S%z", &parts) == 0) {
        (void)snprintf(out, TEXT_MAX, "%" PRId64, at);
        return;
    }
    /* strftime writes +0100; ISO 8601 in its extended form has a colon there. */
    size_t len = strlen(out);
    memmove(out + len - 1, out + len - 2, 3);
    out[len - 2] = ':';
}

void text_length(char out[TEXT_MAX], int64_t seconds)
{
    const char *sign = seconds < 0 ? "-" : "";
    int64_t s = seconds < 0 ? -seconds : seconds;
    if (s < MINUTE_S)
        (void)snprintf(out, TEXT_MAX, "%s%" PRId64 "s", sign, s);
    else if (s < HOUR_S)
        (void)snprintf(out, TEXT_MAX, "%s%" PRId64 "m %" PRId64 "s", sign, s / MINUTE_S, s % MINUTE_S);
    else if (s < DAY_S)
        (void)snprintf(out, TEXT_MAX, "%s%" PRId64 "h %" PRId64 "m", sign, s / HOUR_S, s % HOUR_S / MINUTE_S);
    else
        (void)snprintf(out, TEXT_MAX, "%s%" PRId64 "d %" PRId64 "h", sign, s / DAY_S, s % DAY_S / HOUR_S);
}

void text_amount(char out[TEXT_MAX], double amount)
{
    static const char prefixes[] = {'k', 'M', 'G', 'T', 'P', 'E'};
    int prefix = -1;
    while (amount >= 999.5 && prefix + 1 < (int)sizeof prefixes) {
        amount /= 1000;
        prefix++;
    }
    if (prefix < 0)
        (void)snprintf(out, TEXT_MAX, "%.0f", amount);
    else
        (void)snprintf(out, TEXT_MAX, "%.*f%c", amount < 9.95 ? 1 : 0, amount, prefixes[prefix]);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* period.c - see period.h. */
#include "receiver/cli/period.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "receiver/record/calendar.h"

#define DAYS_DEFAULT 90
#define DAYS_MAX 36500
#define DAY_S 86400
#define DIGITS_MAX 12 /* of Unix seconds: the year 33658 */

/* Takes exactly `digits` digits. Returns NULL if they are not there, so that calls can follow each other. */
static const char *take_number(const char *text, int digits, int *out)
{
    *out = 0;
    if (!text)
        return NULL;
    for (int i = 0; i < digits; i++, text++) {
        if (!isdigit((unsigned char)*text))
            return NULL;
        *out = *out * 10 + (*text - '0');
    }
    return text;
}

static const char *take_char(const char *text, char wanted)
{
    return text && *text == wanted ? text + 1 : NULL;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* "HH:MM[:SS[.fraction]]". */
static const char *take_clock(const char *text, struct tm *parts)
{
    text = take_number(text, 2, &parts->tm_hour);
    text = take_number(take_char(text, ':'), 2, &parts->tm_min);
    if (text && *text == ':')
        text = take_number(text + 1, 2, &parts->tm_sec);
    if (text && *text == '.' && isdigit((unsigned char)text[1]))
        for (text++; isdigit((unsigned char)*text); text++) {
        }
    bool good = text && parts->tm_hour < 24 && parts->tm_min < 60 && parts->tm_sec <= 60;
    return good ? text : NULL;
}

/* "Z", "+HH", "+HH:MM", "+HHMM". Sets the seconds east of Greenwich. */
static const char *take_zone(const char *text, int *east)
{
    int hours, minutes = 0, sign = *text == '-' ? -1 : 1;
    if (*text == 'Z') {
        *east = 0;
        return text + 1;
    }
    text = take_number(text + 1, 2, &hours);
    if (text && *text == ':')
        text++;
    if (text && *text)
        text = take_number(text, 2, &minutes);
    *east = sign * (hours * 3600 + minutes * 60);
    return text && hours <= 15 && minutes < 60 ? text : NULL;
}

/* A civil time as it was typed. */
struct civil {
    int64_t shown; /* what a clock shows, counted as if it stood in Greenwich */
    bool is_date;  /* no time of day: the first second of that day is meant */
    bool is_zoned;
    int east; /* if zoned: seconds */
};

/* Everything but plain seconds. Returns 0 or -1. */
static int parse_civil(struct civil *out, const char *text)
{
    struct tm parts = {0};
    int year, month;
    memset(out, 0, sizeof *out);
    text = take_number(text, 4, &year);
    text = take_number(take_char(text, '-'), 2, &month);
    text = take_number(take_char(text, '-'), 2, &parts.tm_mday);
    if (!text || year < 1970 || month < 1 || month > 12 || parts.tm_mday < 1 ||
        parts.tm_mday > days_of_month(year, month))
        return -1;
    parts.tm_year = year - 1900;
    parts.tm_mon = month - 1;
    out->is_date = *text != ' ' && *text != 'T';
    if (!out->is_date)
        text = take_clock(text + 1, &parts);
    if (text && *text == ' ')
        text++;
    out->is_zoned = text && (*text == 'Z' || *text == '+' || *text == '-');
    if (out->is_zoned)
        text = take_zone(text, &out->east);
    if (!text || *text)
        return -1;
    out->shown = (int64_t)timegm(&parts);
    return 0;
}

static int parse_local(int64_t *out, const struct civil *civil, const char *text, struct error *error)
{
    int64_t found[2];
    int count = calendar_find(found, civil->shown);
    *out = found[0];
    if (count == 1 || civil->is_date)
        return 0;
    if (count == 0)
        return error_set(error, "\"%s\" does not exist in this time zone: its clocks skip that hour", text);
    int east[] = {(int)(civil->shown - found[0]), (int)(civil->shown - found[1])};
    return error_set(
        error,
        "\"%s\" comes twice in this time zone; write %+03d:%02d behind it for the first, %+03d:%02d for the second",
        text, east[0] / 3600, abs(east[0]) / 60 % 60, east[1] / 3600, abs(east[1]) / 60 % 60);
}

int period_parse_time(int64_t *out, const char *text, struct error *error)
{
    struct civil civil;
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && digits <= DIGITS_MAX && !text[digits]) {
        *out = strtoll(text, NULL, 10);
        return 0;
    }
    if (parse_civil(&civil, text) != 0)
        return error_set(
            error, "\"%s\" is no time; write Unix seconds, YYYY-MM-DD, \"YYYY-MM-DD HH:MM:SS\" or ISO 8601", text);
    if (!civil.is_zoned)
        return parse_local(out, &civil, text, error);
    *out = civil.shown - civil.east;
    return 0;
}

int period_parse_month(struct period *out, const char *text, struct error *error)
{
    int year, month;
    const char *rest = take_number(take_char(take_number(text, 4, &year), '-'), 2, &month);
    if (!rest || *rest || year < 1970 || month < 1 || month > 12)
        return error_set(error, "\"%s\" is no month; write YYYY-MM", text);
    out->from = calendar_month_begin(12 * year + month - 1);
    out->to = calendar_month_begin(12 * year + month);
    return 0;
}

static int parse_days(int64_t *out, const char *text, struct error *error)
{
    char *end;
    errno = 0;
    *out = text ? strtoll(text, &end, 10) : DAYS_DEFAULT;
    if (text && (errno || end == text || *end || *out < 1 || *out > DAYS_MAX))
        return error_set(error, "--days %s: must be a whole number from 1 to %d", text, DAYS_MAX);
    return 0;
}

int period_parse(struct period *out, const struct period_options *options, int64_t now, struct error *error)
{
    int64_t days;
    if ((options->days != NULL) + (options->month != NULL) + (options->from != NULL || options->to != NULL) > 1)
        return error_set(error, "give only one of --days, --month and --from with --to");
    if (options->to && !options->from)
        return error_set(error, "--to needs --from");
    out->to = now;
    if (options->month) {
        if (period_parse_month(out, options->month, error))
            return -1;
    } else if (options->from) {
        if (period_parse_time(&out->from, options->from, error) ||
            (options->to && period_parse_time(&out->to, options->to, error)))
            return -1;
    } else {
        if (parse_days(&days, options->days, error))
            return -1;
        out->from = now - days * DAY_S;
    }
    if (out->to > now)
        out->to = now;
    if (out->from >= out->to)
        return error_set(error, "the period ends before it begins, or lies in the future");
    return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* calendar.c - see calendar.h. */
#include "receiver/record/calendar.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ZONES "/usr/share/zoneinfo"
#define DAY_S 86400
#define MONTHS 12
#define FIRST (1970 * MONTHS)
#define LAST (9999 * MONTHS + MONTHS - 1)

bool calendar_knows_zone(const char *zone)
{
    char path[PATH_MAX], magic[4] = "";
    const char *folder = getenv("TZDIR");
    if (strcmp(zone, "UTC") == 0)
        return true; /* also where no zones are installed */
    if (strlen(zone) >= CALENDAR_ZONE_MAX || zone[0] == '/' || strstr(zone, ".."))
        return false;
    int len = snprintf(path, sizeof path, "%s/%s", folder ? folder : ZONES, zone);
    if (len < 0 || (size_t)len >= sizeof path)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, magic, sizeof magic);
    (void)close(fd);
    return n == (ssize_t)sizeof magic && memcmp(magic, "TZif", sizeof magic) == 0;
}

/* What the system's zone is called: by TZ, else by where /etc/localtime leads. */
static void find_name(char name[CALENDAR_ZONE_MAX])
{
    char target[PATH_MAX];
    const char *zone = getenv("TZ");
    ssize_t len = readlink("/etc/localtime", target, sizeof target - 1);
    if (zone && zone[0]) {
        zone += zone[0] == ':';
    } else {
        zone = len < 0 && errno == ENOENT ? "UTC" : "localtime";
        target[len > 0 ? len : 0] = '\0';
        const char *found = strstr(target, "zoneinfo/");
        if (found)
            zone = found + strlen("zoneinfo/");
    }
    (void)snprintf(name, CALENDAR_ZONE_MAX, "%s", zone);
}

int calendar_use_zone(const char *zone, char name[CALENDAR_ZONE_MAX], struct error *error)
{
    if (zone && !calendar_knows_zone(zone))
        return error_set(error, "time zone \"%s\" is not known on this machine; write one as \"Europe/Berlin\"", zone);
    if (zone && setenv("TZ", zone, 1) != 0)
        return error_set(error, "out of memory");
    tzset();
    find_name(name);
    return 0;
}

/* Seconds east of Greenwich of the clocks here, at that instant. */
static int64_t offset_at(int64_t at)
{
    struct tm parts;
    time_t t = (time_t)at;
    return localtime_r(&t, &parts) ? parts.tm_gmtoff : 0;
}

/* mktime() tells neither how often, and what it makes of such times depends on what it was asked before. */
int calendar_find(int64_t out[2], int64_t shown)
{
    int count = 0;
    int64_t before = offset_at(shown - DAY_S), after = offset_at(shown + DAY_S);
    if (offset_at(shown - before) == before)
        out[count++] = shown - before;
    if (after != before && offset_at(shown - after) == after)
        out[count++] = shown - after;
    if (count == 0)
        out[0] = shown - before;
    return count;
}

int64_t calendar_month_begin(int month)
{
    int64_t found[2];
    struct tm first = {.tm_year = month / MONTHS - 1900, .tm_mon = month % MONTHS, .tm_mday = 1};
    (void)calendar_find(found, (int64_t)timegm(&first));
    return found[0];
}

int calendar_month_of(int64_t at)
{
    struct tm parts;
    time_t t = (time_t)at;
    if (at < 0)
        return FIRST;
    if (!localtime_r(&t, &parts) || parts.tm_year > 9999 - 1900)
        return LAST;
    int month = (parts.tm_year + 1900) * MONTHS + parts.tm_mon;
    return month < FIRST ? FIRST : month;
}

void calendar_month_format(char out[CALENDAR_MONTH_MAX], int month)
{
    unsigned number = (unsigned)(month < FIRST ? FIRST : month > LAST ? LAST : month);
    (void)snprintf(out, CALENDAR_MONTH_MAX, "%04u-%02u", number / MONTHS % 10000, number % MONTHS + 1);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transition_log.c - see transition_log.h. */
#include "receiver/listen/transition_log.h"

#include <time.h>

#include "common/log.h"

static void format_second(char *out, size_t size, int64_t second)
{
    time_t t = (time_t)second;
    struct tm tm;
    (void)strftime(out, size, "%F %T %Z", localtime_r(&t, &tm));
}

void transition_log(const struct receiver *receiver, const struct transition *line)
{
    const struct host *host = receiver_hosts(receiver)->hosts[line->host];
    const struct labels *labels = receiver_labels(receiver);
    char since[64], heard[64];
    format_second(since, sizeof since, line->at);
    format_second(heard, sizeof heard, labels_second(labels, host->heard_at));
    log_line(LOG_LEVEL_NOTICE, "%s: %s -> %s since %s%s%s, last heard %s", host->name, state_token(line->before),
             state_token(line->state), since, line->cause == CAUSE_NONE ? "" : ", ", cause_text(line->cause), heard);
}

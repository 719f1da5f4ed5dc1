/* SPDX-License-Identifier: GPL-2.0-or-later */
/* relabelled.c - see relabelled.h. */
#include "receiver/listen/relabelled.h"

#include <stdlib.h>

#include "receiver/record/log_reader.h"

/* The last span of the log is the state in which the host is now. */
static int load_label(struct log_reader *reader, struct host *host, struct error *error)
{
    struct timeline log = {0};
    int rc = log_reader_timeline(reader, host->id, &log, error);
    const struct timeline_span *last = rc == 0 && log.count > 0 ? &log.spans[log.count - 1] : NULL;
    if (last && last->relabel) {
        host->relabelled = true;
        host->label = last->state;
    }
    timeline_free(&log);
    return rc;
}

int relabelled_load(struct receiver *receiver, const char *data, struct error *error)
{
    const struct host_table *table = receiver_hosts(receiver);
    struct log_relabelled *list;
    size_t count;
    struct log_reader *reader = log_reader_open(data, error);
    if (!reader)
        return -1;
    int rc = log_reader_relabelled(reader, &list, &count, error);
    for (size_t i = 0; i < count && rc == 0; i++) {
        struct host *host = list[i].host <= table->count ? table->hosts[list[i].host] : NULL;
        if (!host)
            continue;
        /* A later checkpoint knows of it. One of the very same fact may not: it is done once more then. */
        if (list[i].position >= host->position)
            host->changed_from = HOST_CHANGED_ALL;
        if (host->state != STATE_UP)
            rc = load_label(reader, host, error);
    }
    free(list);
    log_reader_close(reader);
    return rc;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* batch_names.c - see batch_names.h. */
#include "receiver/listen/batch_names.h"

#include <stdlib.h>
#include <string.h>

/* The names and first heartbeats of new hosts. Their ids are consecutive, and each has a first line. */
static bool fill_created(struct journal_batch *batch, const struct host_table *table)
{
    const struct receiver_output *output = &batch->output;
    size_t count = output->created_count;
    if (count == 0)
        return true;
    batch->hosts = calloc(count, sizeof *batch->hosts);
    if (!batch->hosts)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct host *host = table->hosts[output->created[i]];
        batch->hosts[i].id = host->id;
        memcpy(batch->hosts[i].name, host->name, sizeof batch->hosts[i].name);
        batch->hosts[i].first_at = host->since;
    }
    for (size_t i = 0; i < output->lines.count; i++) {
        const struct transition *line = &output->lines.lines[i];
        if (line->number == 1 && line->host >= output->created[0] && line->host - output->created[0] < count)
            batch->hosts[line->host - output->created[0]].first_at = line->at;
    }
    batch->host_count = count;
    return true;
}

bool batch_names_fill(struct journal_batch *batch, const struct host_table *table)
{
    const struct receiver_output *output = &batch->output;
    if (!fill_created(batch, table))
        return false;
    if (output->renamed_count == 0)
        return true;
    batch->names = calloc(output->renamed_count, sizeof *batch->names);
    if (!batch->names)
        return false;
    for (size_t i = 0; i < output->renamed_count; i++) {
        const struct host *host = table->hosts[output->renamed[i]];
        struct journal_names *names = &batch->names[batch->name_count++];
        names->host = host->id;
        memcpy(names->name, host->name, sizeof names->name);
        if (host->alias)
            memcpy(names->alias, host->alias, strlen(host->alias));
        if (host->moved_from)
            memcpy(names->moved_from, host->moved_from, strlen(host->moved_from));
    }
    return true;
}

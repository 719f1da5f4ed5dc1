/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receiver_names.c - hosts that get another name.
 *
 * Names are no facts: what fits a name (maintenance) is judged by the names that the database has. So with a change of names
 * goes a checkpoint of the host, and no fact before it is ever replayed under the new name. */
#include <stdlib.h>
#include <string.h>

#include "receiver/judge/receiver_internal.h"

static struct host *host_of(const struct receiver *receiver, uint32_t id)
{
    return id <= receiver->hosts.count ? receiver->hosts.hosts[id] : NULL;
}

/* Makes room for one more id among those to be stored. */
static bool reserve(struct receiver *receiver)
{
    struct receiver_output *out = &receiver->output;
    void *renamed = out->renamed;
    bool room = receiver_grow(&renamed, &out->renamed_capacity, out->renamed_count, sizeof *out->renamed);
    if (room)
        out->renamed = renamed;
    return room;
}

static void note_names(struct receiver *receiver, const struct host *host)
{
    struct receiver_output *out = &receiver->output;
    for (size_t i = 0; i < out->renamed_count; i++)
        if (out->renamed[i] == host->id)
            return;
    out->renamed[out->renamed_count++] = host->id;
}

int receiver_load_names(struct receiver *receiver, uint32_t id, const char *alias, const char *moved_from)
{
    struct host *host = host_of(receiver, id);
    if (!host ||
        (alias && (!name_is_valid(alias, strlen(alias)) || host_table_find(&receiver->hosts, alias, strlen(alias)))))
        return -1;
    if (moved_from && (!name_is_valid(moved_from, strlen(moved_from)) || !(host->moved_from = strdup(moved_from))))
        return -1;
    return alias ? host_table_set_alias(&receiver->hosts, host, alias) : 0;
}

/* Two changes of names in one batch could stand in each other's way. */
static bool is_busy(const struct receiver *receiver, const struct host *host)
{
    const struct receiver_output *out = &receiver->output;
    for (size_t i = 0; i < out->created_count; i++)
        if (out->created[i] == host->id)
            return true;
    return out->renamed_count > 0 || host->moved_from;
}

enum rename_result receiver_rename(struct receiver *receiver, struct instant now, uint32_t id, const char *name)
{
    struct host *host = host_of(receiver, id);
    const struct host *other = host_table_find(&receiver->hosts, name, strlen(name));
    if (!host || (other && other != host))
        return RENAME_TAKEN;
    if (is_busy(receiver, host))
        return RENAME_BUSY;
    char *moved_from = strdup(host->name);
    if (!moved_from || !reserve(receiver) || host_table_rename(&receiver->hosts, host, name) != 0) {
        free(moved_from);
        return RENAME_NO_MEMORY;
    }
    host->moved_from = moved_from;
    host->renamed_at = host->alias ? now : (struct instant){0};
    note_names(receiver, host);
    /* Maintenance of the new name begins for it. */
    struct fact fact = {.type = FACT_WINDOWS, .now = now};
    receiver_note(receiver, &fact);
    return RENAME_DONE;
}

void receiver_folder_moved(struct receiver *receiver, uint32_t id)
{
    struct host *host = host_of(receiver, id);
    if (!host || !host->moved_from || !reserve(receiver))
        return; /* without memory: found to be moved the next time */
    free(host->moved_from);
    host->moved_from = NULL;
    note_names(receiver, host);
}

/* The old name is let go of when nothing is left that was told under it: the files, and a silence that is not settled. */
void receiver_heard_name(struct receiver *receiver, struct host *host, const char *name, size_t name_len)
{
    if (!host->alias || host->moved_from || host->silence || strlen(host->name) != name_len ||
        memcmp(host->name, name, name_len) != 0 || !reserve(receiver))
        return;
    if (host_table_set_alias(&receiver->hosts, host, NULL) == 0)
        note_names(receiver, host);
}

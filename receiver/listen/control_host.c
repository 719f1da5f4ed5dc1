/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_host.c - requests about one host as a whole, see control.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/name.h"
#include "receiver/listen/control_internal.h"

/* The one host that a request names, no pattern. NULL: refused. */
static struct host *named_host(struct client *client, const json_t *patterns)
{
    const char *name = json_string_value(json_array_get(patterns, 0));
    struct host *host = NULL;
    if (json_array_size(patterns) == 1)
        host = host_table_find(receiver_hosts(client->control->options.receiver), name, strlen(name));
    if (host && strcmp(host->name, name) == 0)
        return host; /* and not by a name that it had */
    control_refuse(client, "want the name of one host that is known");
    return NULL;
}

void control_handle_forget(struct client *client, const json_t *patterns)
{
    const struct control_options *o = &client->control->options;
    struct host *host = named_host(client, patterns);
    if (!host)
        return;
    struct instant now = o->now(o->context);
    enum state state = host_live_state(host);
    /* One that is down may come back, but is not heard now. */
    bool heard = host->heard && (state == STATE_UP || state == STATE_LATE);
    bool already = receiver_forget(o->receiver, now, host->id, now) != 0;
    if (!already)
        log_line(LOG_LEVEL_INFO, "%s: forgotten, until it is heard again", host->name);
    control_answer_when_stored(client, json_pack("{s:b, s:s, s:I, s:b}", "ok", 1, "forgotten", host->name, "at",
                                                 (json_int_t)host->since, "heard", heard));
}

/* Whether there are files under that name, which are nobody's. */
static bool has_folder(const struct control *control, const char *name)
{
    char *path = NULL;
    int data_len = (int)(strrchr(control->path, '/') - control->path);
    bool found = asprintf(&path, "%.*s/hosts/%s", data_len, control->path, name) < 0 || access(path, F_OK) == 0;
    free(path);
    return found;
}

/* Why a host cannot have that name; NULL: the core may know more. */
static const char *objection(const struct control *control, const struct host *host, const char *to)
{
    if (!to || !name_is_valid(to, strlen(to)))
        return "\"to\" must be the name of a host: a-z, 0-9, . _ - and at most 100 of them";
    if (strcmp(host->name, to) == 0)
        return "that is its name already";
    if (!host_table_find(receiver_hosts(control->options.receiver), to, strlen(to)) && has_folder(control, to))
        return "there are files of that name in the folder hosts, of no host; move them away";
    return NULL;
}

static const char *rename_text(enum rename_result result)
{
    switch (result) {
    case RENAME_TAKEN: return "another host has that name, or may still speak under it";
    case RENAME_BUSY: return "the host is new, or another renaming is not stored yet; try again";
    case RENAME_NO_MEMORY: return "out of memory";
    case RENAME_DONE: break;
    }
    return NULL;
}

/* The folder was to be moved before this. */
static void on_moved(void *context)
{
    struct client *client = context;
    const struct host *host = receiver_hosts(client->control->options.receiver)->hosts[client->rebuilt[0]];
    if (host->moved_from) {
        json_decref(client->pending);
        client->pending = json_pack("{s:b, s:s}", "ok", 0, "error",
                                    "the host is renamed, but its folder is not, see the log; it is tried again");
    }
    free(client->rebuilt);
    client->rebuilt = NULL;
    control_answer_pending(client);
}

void control_handle_rename(struct client *client, const json_t *request, const json_t *patterns)
{
    const struct control_options *o = &client->control->options;
    const char *to = json_string_value(json_object_get(request, "to"));
    struct host *host = named_host(client, patterns);
    if (!host)
        return;
    char from[NAME_LEN_MAX + 1];
    memcpy(from, host->name, sizeof from);
    uint32_t *ids = malloc(sizeof *ids);
    const char *why = ids ? objection(client->control, host, to) : "out of memory";
    if (!why)
        why = rename_text(receiver_rename(o->receiver, o->now(o->context), host->id, to));
    if (why) {
        free(ids);
        control_refuse(client, why);
        return;
    }
    intake_forget_host(o->intake, host->id);
    log_line(LOG_LEVEL_INFO, "%s is renamed to %s; it may speak under the old name until it is heard under the new one",
             from, host->name);
    ids[0] = host->id;
    client->rebuilt = ids;
    client->rebuilt_count = 1;
    control_answer_when_stored(client, json_pack("{s:b, s:s, s:s}", "ok", 1, "renamed", from, "to", host->name));
    if (keeper_flush(o->keeper, ids, 1, on_moved, client) != 0)
        on_moved(client); /* the folder follows in its turn */
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_host.c - requests about one host as a whole, see control.h. */
#include <string.h>

#include "common/log.h"
#include "receiver/listen/control_internal.h"

/* The one host that a request names, no pattern. NULL: refused. */
static struct host *named_host(struct client *client, const json_t *patterns)
{
    const char *name = json_string_value(json_array_get(patterns, 0));
    struct host *host = NULL;
    if (json_array_size(patterns) == 1)
        host = host_table_find(receiver_hosts(client->control->options.receiver), name, strlen(name));
    if (!host)
        control_refuse(client, "want the name of one host that is known");
    return host;
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

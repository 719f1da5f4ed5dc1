/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_relabel.c - what somebody says about an outage, see control.h.
 *
 * The command line has looked the outage up in the record. Nothing here can do harm to it if it was wrong: what is said is laid
 * over the log, and only over what is no up. */
#include <string.h>

#include "common/log.h"
#include "receiver/listen/control_internal.h"

enum { REASON_LEN_MAX = 500 };

/* One line of text, as the command line takes it. */
static bool is_reason(const char *text)
{
    size_t len = 0;
    for (; text && text[len]; len++)
        if ((unsigned char)text[len] < ' ')
            return false;
    return len > 0 && len <= REASON_LEN_MAX;
}

/* Takes the members of a request. False: not understood. */
static bool parse(struct journal_relabel *relabel, const struct host *host, const json_t *request)
{
    const json_t *number = json_object_get(request, "number");
    const char *as = json_string_value(json_object_get(request, "as"));
    const char *reason = json_string_value(json_object_get(request, "reason"));
    int state = state_find(as ? as : "?");
    if (!json_is_integer(number) || json_integer_value(number) < 1 || json_integer_value(number) > host->lines)
        return false;
    if (state < 0 || state == STATE_LATE || !is_reason(reason) ||
        !json_is_boolean(json_object_get(request, "to_end")) || !json_is_boolean(json_object_get(request, "open")))
        return false;
    const json_t *from = json_object_get(request, "from"), *to = json_object_get(request, "to");
    if (!json_is_integer(from) || !(json_is_integer(to) || json_is_null(to)))
        return false;
    relabel->from = json_integer_value(from);
    relabel->to = json_is_null(to) ? INT64_MAX : json_integer_value(to);
    relabel->number = (uint32_t)json_integer_value(number);
    relabel->to_end = json_is_true(json_object_get(request, "to_end"));
    relabel->state = (enum state)state;
    return true;
}

void control_handle_relabel(struct client *client, const json_t *request, const json_t *patterns)
{
    const struct control_options *o = &client->control->options;
    const char *name = json_string_value(json_array_get(patterns, 0));
    struct host *host =
        json_array_size(patterns) == 1 ? host_table_find(receiver_hosts(o->receiver), name, strlen(name)) : NULL;
    struct journal_relabel relabel = {.entered = labels_second(receiver_labels(o->receiver), o->now(o->context))};
    if (!host || !parse(&relabel, host, request)) {
        control_refuse(
            client, "want one host that is known, the \"number\" of a line of its log, \"as\" up, down, admin "
                    "or unknown, a \"reason\", \"from\" and \"to\", and whether it holds \"to_end\" and is \"open\"");
        return;
    }
    const char *reason = json_string_value(json_object_get(request, "reason"));
    if (entered_add_relabel(o->entered, host, &relabel, reason, json_is_true(json_object_get(request, "open"))) != 0) {
        control_refuse(client, "out of memory");
        return;
    }
    log_line(LOG_LEVEL_INFO, "%s: its outage of line %u counts as %s from now on: %s", host->name,
             (unsigned)relabel.number, state_token(relabel.state), reason);
    control_answer_when_stored(client, json_pack("{s:b}", "ok", 1));
}

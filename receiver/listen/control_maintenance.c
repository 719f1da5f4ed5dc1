/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_maintenance.c - requests that enter or end maintenance, see control.h.
 *
 * The core and the journal are told at once; the answer waits until it is stored. Nothing here reaches into the past: a window
 * begins now or later, and ends now or where it begins. So what was settled stays as it was told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/name.h"
#include "receiver/listen/control_internal.h"

#define AHEAD_MAX_S (INT64_C(3660) * 86400) /* ten years */

static struct instant instant_of_second(const struct labels *labels, struct instant now, int64_t second)
{
    int64_t ahead_ns = second * NS_PER_S - labels_of(labels, now).ns;
    return instant_add(now, ahead_ns);
}

static int64_t second_now(const struct control_options *o)
{
    return labels_second(receiver_labels(o->receiver), o->now(o->context));
}

/* What a request says of a window, the same for all its patterns. */
struct wish {
    int64_t starts, ends; /* Unix seconds; `ends` INT64_MAX: until somebody ends it */
    const char *reason;
};

/* One window a pattern. Returns its id, 0: out of memory. */
static int64_t put_window(const struct control_options *o, const char *pattern, const struct wish *wish)
{
    struct instant now = o->now(o->context);
    const struct labels *labels = receiver_labels(o->receiver);
    struct entered_wish entry = {
        .pattern = pattern, .reason = wish->reason, .starts = wish->starts, .ends = wish->ends};
    /* This second has begun already: what begins in it begins now. */
    entry.window.from = instant_later(now, instant_of_second(labels, now, wish->starts));
    entry.window.to = wish->ends == INT64_MAX ? INSTANT_NEVER : instant_of_second(labels, now, wish->ends);
    return entered_add_window(o->entered, now, &entry);
}

static void put_windows(struct client *client, const json_t *patterns, const struct wish *wish)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < json_array_size(patterns); i++) {
        int64_t id = put_window(&client->control->options, json_string_value(json_array_get(patterns, i)), wish);
        if (id == 0) {
            json_decref(ids);
            control_refuse(client, "out of memory");
            return;
        }
        json_array_append_new(ids, json_integer(id));
    }
    control_answer_when_stored(client,
                               json_pack("{s:b, s:o, s:I}", "ok", 1, "ids", ids, "from", (json_int_t)wish->starts));
}

void control_handle_start(struct client *client, const json_t *request, const json_t *patterns)
{
    const json_t *reason = json_object_get(request, "reason");
    const json_t *until = json_object_get(request, "until");
    if ((reason && !json_is_string(reason)) || (until && !json_is_null(until) && !json_is_integer(until))) {
        control_refuse(client, "\"reason\" must be a text, and \"until\" Unix seconds or null");
        return;
    }
    struct wish wish = {second_now(&client->control->options), INT64_MAX, reason ? json_string_value(reason) : ""};
    if (json_is_integer(until)) {
        wish.ends = json_integer_value(until);
        if (wish.ends <= wish.starts || wish.ends > wish.starts + AHEAD_MAX_S) {
            control_refuse(client, "maintenance must end in the future, and within ten years");
            return;
        }
    }
    put_windows(client, patterns, &wish);
}

void control_handle_plan(struct client *client, const json_t *request, const json_t *patterns)
{
    const json_t *reason = json_object_get(request, "reason");
    const json_t *from = json_object_get(request, "from"), *to = json_object_get(request, "to");
    if ((reason && !json_is_string(reason)) || !json_is_integer(from) || !json_is_integer(to)) {
        control_refuse(client, "\"reason\" must be a text, and \"from\" and \"to\" Unix seconds");
        return;
    }
    int64_t now = second_now(&client->control->options);
    struct wish wish = {json_integer_value(from), json_integer_value(to), reason ? json_string_value(reason) : ""};
    if (wish.starts < now)
        control_refuse(client, "planned maintenance begins in the past; what was recorded is not changed by it");
    else if (wish.ends <= wish.starts || wish.ends > now + AHEAD_MAX_S)
        control_refuse(client, "planned maintenance must end after it begins, and within ten years");
    else
        put_windows(client, patterns, &wish);
}

/* A pattern ends the windows that were started with it, and those of single hosts that it fits. */
static bool ends_window(const json_t *patterns, const char *window_pattern)
{
    for (size_t i = 0; i < json_array_size(patterns); i++) {
        const char *pattern = json_string_value(json_array_get(patterns, i));
        if (strcmp(pattern, window_pattern) == 0 || name_matches(pattern, window_pattern))
            return true;
    }
    return false;
}

void control_handle_end(struct client *client, const json_t *patterns)
{
    const struct control_options *o = &client->control->options;
    struct instant now = o->now(o->context);
    json_t *ended = json_array();
    size_t count;
    const struct planned *planned = receiver_windows(o->receiver, &count);
    for (size_t i = 0; i < count; i++) {
        if (!instant_before(now, planned[i].window.to) || instant_before(now, planned[i].window.from) ||
            !ends_window(patterns, planned[i].pattern))
            continue;
        if (entered_end_window(o->entered, now, planned[i].id) != 0)
            break;
        json_array_append_new(ended, json_integer(planned[i].id));
    }
    if (json_array_size(ended) == 0) {
        json_decref(ended);
        control_refuse(client, "no maintenance is running that was started with such a pattern");
        return;
    }
    control_answer_when_stored(client, json_pack("{s:b, s:o}", "ok", 1, "ended", ended));
}

void control_handle_cancel(struct client *client, const json_t *request)
{
    const struct control_options *o = &client->control->options;
    struct instant now = o->now(o->context);
    const json_t *id = json_object_get(request, "id");
    const struct planned *planned = json_is_integer(id) ? entered_planned(o->entered, json_integer_value(id)) : NULL;
    if (!planned)
        control_refuse(client, "no maintenance has this id; `twobeat maintenance list` shows them");
    else if (entered_is_over(planned, now))
        control_refuse(client, "this maintenance is over; what was recorded is not changed");
    else if (entered_end_window(o->entered, now, planned->id) != 0)
        control_refuse(client, "out of memory");
    else
        control_answer_when_stored(client, json_pack("{s:b, s:I}", "ok", 1, "cancelled", (json_int_t)planned->id));
}

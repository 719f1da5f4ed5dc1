/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status_json.c - see status_json.h. */
#include "receiver/listen/status_json.h"

#include <math.h>
#include <sodium.h>

enum { LOSS_BEATS = 100 }; /* over which loss is shown */

static json_t *second_or_null(const struct labels *labels, struct instant t)
{
    return instant_before(t, INSTANT_NEVER) ? json_integer(labels_second(labels, t)) : json_null();
}

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *seconds_or_null(int64_t ns)
{
    return ns > 0 ? json_real((double)ns / (double)NS_PER_S) : json_null();
}

static json_t *metrics_of(const struct host *host)
{
    json_t *metrics = json_object();
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        json_object_set_new(metrics, metric_catalogue[i].name,
                            host->heard ? real_or_null((double)host->averages.latest[i]) : json_null());
    return metrics;
}

static json_t *clone_of(const struct host *host, const struct labels *labels, struct instant now)
{
    if (!host_has_clone(host, now))
        return json_null();
    char boot_id[2 * BOOT_ID_LEN + 1];
    (void)sodium_bin2hex(boot_id, sizeof boot_id, host->clone->boot_id, BOOT_ID_LEN);
    return json_pack("{s:s, s:I, s:I}", "boot_id", boot_id, "last_heard",
                     (json_int_t)labels_second(labels, host->clone->heard_at), "heartbeats",
                     (json_int_t)host->clone->beats);
}

json_t *status_json_absence(const struct receiver *receiver)
{
    const struct absence *open = receiver_absence(receiver);
    if (!open)
        return json_null();
    return json_pack("{s:s, s:I}", "cause", cause_token(open->cause), "since",
                     (json_int_t)labels_second(receiver_labels(receiver), open->from));
}

json_t *status_json_peers(const struct receiver *receiver, struct instant now)
{
    const struct peers *peers = receiver_peers(receiver);
    json_t *list = json_array();
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        const struct peer *peer = peers->peers[i];
        if (!peer)
            continue;
        json_t *last_heard =
            peer->datagrams && !peer->stopped ? second_or_null(receiver_labels(receiver), peer->heard_at) : json_null();
        json_array_append_new(list, json_pack("{s:s, s:b, s:o}", "name", peer->name, "heard", peer_is_heard(peer, now),
                                              "last_heard", last_heard));
    }
    return list;
}

json_t *status_json_host(const struct host *host, const struct labels *labels, struct instant now)
{
    enum state state = host_live_state(host);
    json_t *json = json_object();
    if (!json)
        return NULL;
    json_object_set_new(json, "host", json_string(host->name));
    json_object_set_new(json, "state", json_string(state_token(host->relabelled ? host->label : state)));
    json_object_set_new(json, "cause", host->cause == CAUSE_NONE ? json_null() : json_string(cause_token(host->cause)));
    /* A late host has been so since the expectation that it missed. */
    json_object_set_new(json, "since",
                        state == STATE_LATE              ? json_integer(labels_second(labels, host->deadline[0]))
                        : host->heard || host->forgotten ? json_integer(host->since)
                                                         : json_null());
    json_object_set_new(json, "last_heard", host->heard ? second_or_null(labels, host->heard_at) : json_null());
    json_object_set_new(json, "next_expected",
                        host->heard ? second_or_null(labels, instant_add(host->expectation.last,
                                                                         expectation_interval_ns(&host->expectation)))
                                    : json_null());
    json_object_set_new(json, "interval", seconds_or_null(expectation_interval_ns(&host->expectation)));
    json_object_set_new(json, "margin", seconds_or_null(expectation_margin_ns(&host->expectation)));
    json_object_set_new(json, "loss", real_or_null(numbers_loss(&host->numbers, LOSS_BEATS)));
    json_object_set_new(json, "clone", clone_of(host, labels, now));
    json_object_set_new(json, "metrics", metrics_of(host));
    return json;
}

json_t *status_json_statistics(const struct receiver *receiver, const struct intake *intake, uint64_t dropped)
{
    json_t *json = json_object();
    const uint64_t *in = intake_statistics(intake);
    const uint64_t *core = receiver_statistics(receiver);
#define PUT_INTAKE(id, token, meaning) json_object_set_new(json, token, json_integer((json_int_t)in[INTAKE_##id]));
    INTAKE_STATISTICS_TABLE(PUT_INTAKE)
#undef PUT_INTAKE
#define PUT_RECEIVER(id, token, meaning) \
    json_object_set_new(json, token, json_integer((json_int_t)core[RECEIVER_##id]));
    RECEIVER_STATISTICS_TABLE(PUT_RECEIVER)
#undef PUT_RECEIVER
    json_object_set_new(json, "dropped", json_integer((json_int_t)dropped));
    return json;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status_merge.c - see status_merge.h. */
#include "receiver/cli/status_merge.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/status_source.h"
#include "receiver/judge/state.h"

/* Copies that were made together, or receivers that stopped together, end within this time. */
#define TOGETHER_S 10

/* What one record tells. */
struct source {
    const char *name;
    json_t *by_name; /* its hosts, owned */
    int64_t updated;
    bool runs;
};

struct sources {
    struct source items[CLI_DATA_MAX];
    size_t count;
    bool any_runs;
};

static int rank_of(const char *state)
{
    static const enum state order[] = {STATE_UNKNOWN, STATE_DOWN, STATE_ADMIN, STATE_LATE, STATE_UP};
    int id = state_find(state), rank = 0;
    for (int i = 0; i < (int)(sizeof order / sizeof *order); i++)
        if ((int)order[i] == id)
            rank = i;
    return rank;
}

/* Hosts by their names: of a fleet each is looked for once a record. */
static json_t *index_hosts(const json_t *hosts)
{
    json_t *by_name = json_object(), *host;
    size_t index;
    json_array_foreach(hosts, index, host)(void) json_object_set(by_name, status_text(host, "host"), host);
    return by_name;
}

/* The latest end of the records that know the host. */
static int64_t latest_end(const struct sources *sources, const char *host)
{
    int64_t latest = 0;
    for (size_t i = 0; i < sources->count; i++)
        if (json_object_get(sources->items[i].by_name, host) && sources->items[i].updated > latest)
            latest = sources->items[i].updated;
    return latest;
}

/* What a record that no longer counts says of now. */
static json_t *seen_unknown(const struct source *source)
{
    return json_pack("{s:s, s:s, s:n, s:o, s:n}", "receiver", source->name, "state", state_token(STATE_UNKNOWN),
                     "cause", "since", source->updated ? json_integer((json_int_t)source->updated) : json_null(),
                     "last_heard");
}

static json_t *seen_host(const struct source *source, const json_t *host)
{
    json_t *seen = json_pack("{s:s}", "receiver", source->name);
    static const char *const members[] = {"state", "cause", "since", "last_heard"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *value = json_object_get(host, members[i]);
        (void)(value ? json_object_set(seen, members[i], value) : json_object_set_new(seen, members[i], json_null()));
    }
    return seen;
}

/* Of two that tell the same, the one for which it began first: in the other it was worse meanwhile. */
static bool is_better(const json_t *a, const json_t *b)
{
    int rank_a = rank_of(status_text(a, "state")), rank_b = rank_of(status_text(b, "state"));
    if (rank_a != rank_b)
        return rank_a > rank_b;
    return status_number(a, "since", INFINITY) < status_number(b, "since", INFINITY);
}

/* Rhythm and metrics come from the one that heard the host last, state and cause from the one whose state is the best. */
static json_t *merge_host(const struct sources *sources, const char *name)
{
    const json_t *best = NULL, *heard = NULL;
    json_t *list = json_array();
    int64_t latest = latest_end(sources, name);
    for (size_t i = 0; i < sources->count; i++) {
        const struct source *source = &sources->items[i];
        const json_t *host = json_object_get(source->by_name, name);
        if (!host)
            continue;
        bool counts = source->runs || (!sources->any_runs && source->updated >= latest - TOGETHER_S);
        json_t *seen = counts ? seen_host(source, host) : seen_unknown(source);
        (void)json_array_append_new(list, seen);
        if (!best || is_better(seen, best))
            best = seen;
        if (!heard || status_number(host, "last_heard", -1) > status_number(heard, "last_heard", -1))
            heard = host;
    }
    json_t *merged = json_copy((json_t *)(uintptr_t)heard);
    (void)json_object_set(merged, "state", json_object_get(best, "state"));
    (void)json_object_set(merged, "cause", json_object_get(best, "cause"));
    (void)json_object_set(merged, "since", json_object_get(best, "since"));
    (void)json_object_set_new(merged, "seen", list);
    return merged;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The hosts of all records, by name. NULL: out of memory. */
static json_t *merge_hosts(const struct sources *sources)
{
    json_t *all = json_object(), *hosts = json_array(), *ignored;
    const char *name;
    size_t count = 0;
    for (size_t i = 0; i < sources->count; i++)
        (void)json_object_update(all, sources->items[i].by_name);
    const char **names = calloc(json_object_size(all) + 1, sizeof *names);
    if (names) {
        json_object_foreach(all, name, ignored) names[count++] = name;
        qsort(names, count, sizeof *names, by_bytes);
        for (size_t i = 0; i < count; i++)
            (void)json_array_append_new(hosts, merge_host(sources, names[i]));
    }
    json_decref(all);
    if (!names) {
        json_decref(hosts);
        return NULL;
    }
    free(names);
    return hosts;
}

json_t *status_merge(const char *const *names, json_t *const *statuses, size_t count)
{
    struct sources sources = {.count = count};
    json_t *receivers = json_array();
    int64_t updated = 0;
    for (size_t i = 0; i < count; i++) {
        struct source *source = &sources.items[i];
        json_t *receiver = json_object_get(statuses[i], "receiver");
        *source = (struct source){.name = names[i],
                                  .by_name = index_hosts(json_object_get(statuses[i], "hosts")),
                                  .updated = (int64_t)status_number(statuses[i], "updated", 0),
                                  .runs = !json_object_get(receiver, "stopped")};
        json_t *entry = json_pack("{s:s, s:I}", "receiver", names[i], "updated", (json_int_t)source->updated);
        (void)json_object_update(entry, receiver);
        (void)json_array_append_new(receivers, entry);
        sources.any_runs |= source->runs;
        updated = source->updated > updated ? source->updated : updated;
    }
    json_t *hosts = merge_hosts(&sources);
    for (size_t i = 0; i < count; i++)
        json_decref(sources.items[i].by_name);
    if (hosts)
        return json_pack("{s:I, s:o, s:o}", "updated", (json_int_t)updated, "hosts", hosts, "receivers", receivers);
    json_decref(receivers);
    return NULL;
}

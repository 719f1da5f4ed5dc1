/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receiver_load.c - fills a fresh core with what was stored, and replays the facts since (receiver.h tells the order). */
#include <stdlib.h>
#include <string.h>

#include "receiver/judge/receiver_internal.h"

int receiver_load_label(struct receiver *receiver, const struct label_part *part)
{
    const struct labels *labels = &receiver->labels;
    if (!instant_is_sane(part->from) || !instant_is_sane((struct instant){part->base.ns}) ||
        !instant_is_sane((struct instant){part->offset_ns}) ||
        (labels->count > 0 && instant_before(part->from, labels->parts[labels->count - 1].from)))
        return -1;
    labels_load(&receiver->labels, part);
    return 0;
}

int receiver_load_absence(struct receiver *receiver, const struct absence *absence)
{
    if (!instant_before(absence->from, absence->to))
        return -1;
    receiver_add_absence(receiver, absence);
    return 0;
}

int receiver_load_window(struct receiver *receiver, int64_t id, const char *pattern, struct window window)
{
    char *copy = strdup(pattern);
    void *planned = receiver->planned;
    if (!copy ||
        !receiver_grow(&planned, &receiver->planned_capacity, receiver->planned_count, sizeof *receiver->planned)) {
        free(copy);
        return -1;
    }
    receiver->planned = planned;
    receiver->planned[receiver->planned_count++] = (struct planned){.id = id, .pattern = copy, .window = window};
    return 0;
}

struct host *receiver_take_on(struct receiver *receiver, uint32_t id, const char *name, size_t name_len)
{
    if (deadlines_reserve(&receiver->deadlines, id) != 0 || deadlines_reserve(&receiver->peers.inquiries, id) != 0)
        return NULL;
    return host_table_add(&receiver->hosts, id, name, name_len);
}

int receiver_load_host(struct receiver *receiver, uint32_t id, const char *name, const uint8_t *checkpoint, size_t len,
                       uint64_t position)
{
    size_t name_len = strlen(name);
    if (!name_is_valid(name, name_len))
        return -1;
    struct host *host = receiver_take_on(receiver, id, name, name_len);
    if (!host)
        return -1;
    host->position = position;
    if (checkpoint) {
        struct codec codec = codec_reader(checkpoint, len);
        host_visit(&codec, host);
        if (codec.failed)
            return -1;
    }
    receiver_promise(receiver, host);
    if (position > receiver->last_fact)
        receiver->last_fact = position;
    return 0;
}

void receiver_load_lines(struct receiver *receiver, uint32_t id, uint32_t lines)
{
    struct host *host = id <= receiver->hosts.count ? receiver->hosts.hosts[id] : NULL;
    if (host && host->lines < lines)
        host->lines = lines;
}

void receiver_load_forgotten(struct receiver *receiver, uint32_t id)
{
    if (id <= receiver->hosts.count && receiver->hosts.hosts[id])
        receiver->hosts.hosts[id]->to_forget = true;
}

void receiver_load_change(struct receiver *receiver, uint32_t id, int64_t from)
{
    struct host *host = id <= receiver->hosts.count ? receiver->hosts.hosts[id] : NULL;
    if (host && from < host->changed_from)
        host->changed_from = from;
}

int receiver_replay(struct receiver *receiver, const uint8_t *facts, size_t len, uint64_t first)
{
    struct codec codec = codec_reader(facts, len);
    struct instant previous = {0};
    for (uint64_t number = first; codec_left(&codec) > 0; number++) {
        struct fact fact = {0};
        fact_visit(&codec, &fact, &previous);
        if (codec.failed)
            return -1;
        if (number > receiver->last_fact)
            receiver->last_fact = number;
        if (fact_has_host(fact.type)) {
            struct host *host = fact.host <= receiver->hosts.count ? receiver->hosts.hosts[fact.host] : NULL;
            if (!host)
                return -1;
            if (host->position >= number)
                continue;
        }
        receiver_apply(receiver, &fact, number);
    }
    return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shelf.c - see shelf.h. Out of memory ends the test. */
#include "tests/lib/shelf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receiver/judge/receiver.h"

static void *append(void *array, size_t count, size_t size)
{
    void *grown = array;
    if ((count & (count - 1)) == 0) /* it is full: its room is a power of two */
        grown = realloc(array, (count ? 2 * count : 1) * size);
    if (!grown)
        abort();
    memset((char *)grown + count * size, 0, size);
    return grown;
}

void shelf_start(struct shelf *shelf, struct receiver *receiver, struct instant now, struct wall wall)
{
    (void)receiver_start(receiver, now, wall, shelf->has_run ? shelf->alive : INSTANT_NEVER);
    shelf->has_run = true;
    shelf->alive = now;
}

static bool same_line(const struct transition *a, const struct transition *b)
{
    return a->at == b->at && a->state == b->state && a->cause == b->cause && a->earliest == b->earliest &&
           a->latest == b->latest && a->decided == b->decided && a->restates == b->restates;
}

static void take_line(struct shelf *shelf, const struct transition *line)
{
    uint32_t last = 0;
    for (size_t i = 0; i < shelf->line_count; i++) {
        const struct transition *old = &shelf->lines[i];
        if (old->host != line->host)
            continue;
        last = old->number > last ? old->number : last;
        if (old->number == line->number) {
            if (!same_line(old, line))
                shelf->fault = "a replay told a line otherwise than before";
            return;
        }
    }
    if (line->number != last + 1)
        shelf->fault = "the lines of a host have a hole";
    if (line->earliest > line->latest)
        shelf->fault = "the bounds of a line are the wrong way round";
    shelf->lines = append(shelf->lines, shelf->line_count, sizeof *shelf->lines);
    shelf->lines[shelf->line_count++] = *line;
}

/* One that was open comes again when it has ended. */
static void take_absence(struct shelf *shelf, const struct absence *absence)
{
    for (size_t i = 0; i < shelf->absence_count; i++)
        if (shelf->absences[i].from.ns == absence->from.ns) {
            shelf->absences[i].to = absence->to;
            return;
        }
    shelf->absences = append(shelf->absences, shelf->absence_count, sizeof *shelf->absences);
    shelf->absences[shelf->absence_count++] = *absence;
}

void shelf_store(struct shelf *shelf, struct receiver *receiver, struct instant now)
{
    struct receiver_output out;
    receiver_take(receiver, &out);
    for (size_t i = 0; i < out.created_count; i++) {
        const struct host *host = receiver_hosts(receiver)->hosts[out.created[i]];
        shelf->hosts = append(shelf->hosts, shelf->host_count, sizeof *shelf->hosts);
        (void)snprintf(shelf->hosts[shelf->host_count++].name, NAME_LEN_MAX + 1, "%s", host->name);
    }
    for (size_t i = 0; i < out.lines.count; i++)
        take_line(shelf, &out.lines.lines[i]);
    for (size_t i = 0; i < out.absence_count; i++)
        take_absence(shelf, &out.absences[i]);
    for (size_t i = 0; i < out.part_count; i++) {
        if (shelf->part_count == SHELF_PARTS_MAX)
            memmove(&shelf->parts[0], &shelf->parts[1], --shelf->part_count * sizeof shelf->parts[0]);
        shelf->parts[shelf->part_count++] = out.parts[i];
    }
    for (size_t i = 0; i < out.moved_count; i++)
        for (size_t k = 0; k < shelf->window_count; k++)
            if (shelf->windows[k].id == out.moved[i].id)
                shelf->windows[k].window = out.moved[i].window;
    if (out.facts_len > 0) {
        shelf->entries = append(shelf->entries, shelf->entry_count, sizeof *shelf->entries);
        shelf->entries[shelf->entry_count++] = (struct shelf_entry){out.first_fact, out.facts, out.facts_len};
        out.facts = NULL;
    }
    receiver_stored(receiver, out.heard, out.heard_count);
    receiver_output_free(&out);
    shelf->alive = now;
}

void shelf_add_window(struct shelf *shelf, struct receiver *receiver, struct instant now, int64_t id,
                      const char *pattern, struct window window)
{
    if (receiver_add_window(receiver, now, id, pattern, window) != 0)
        abort();
    shelf->windows = append(shelf->windows, shelf->window_count, sizeof *shelf->windows);
    struct shelf_window *added = &shelf->windows[shelf->window_count++];
    *added = (struct shelf_window){.id = id, .window = window};
    (void)snprintf(added->pattern, sizeof added->pattern, "%s", pattern);
    shelf_store(shelf, receiver, now);
}

void shelf_end_window(struct shelf *shelf, struct receiver *receiver, struct instant now, int64_t id)
{
    for (size_t i = 0; i < shelf->window_count; i++) {
        struct window *window = &shelf->windows[i].window;
        if (shelf->windows[i].id != id || !instant_before(now, window->to))
            continue; /* what is over is not ended again */
        if (receiver_end_window(receiver, now, id) != 0)
            abort();
        window->to = instant_later(now, window->from);
        shelf_store(shelf, receiver, now);
    }
}

uint8_t *shelf_bytes(const struct host *host, size_t *len)
{
    size_t len_max = host_checkpoint_len_max(host);
    uint8_t *bytes = malloc(len_max);
    struct host copy = *host; /* a visit that writes changes nothing, but does not say so */
    struct codec codec = codec_writer(bytes, len_max);
    if (!bytes)
        abort();
    host_visit(&codec, &copy);
    if (codec.failed)
        abort();
    *len = codec.pos;
    return bytes;
}

void shelf_checkpoint(struct shelf *shelf, struct receiver *receiver, uint32_t host, struct instant now)
{
    shelf_store(shelf, receiver, now);
    struct host *live = receiver_hosts(receiver)->hosts[host];
    struct shelf_host *stored = &shelf->hosts[host - 1];
    free(stored->checkpoint);
    stored->checkpoint = shelf_bytes(live, &stored->len);
    stored->position = live->position = receiver_last_fact(receiver);
}

void shelf_trim(struct shelf *shelf)
{
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < shelf->host_count; i++)
        lowest = shelf->hosts[i].position < lowest ? shelf->hosts[i].position : lowest;
    size_t gone = 0;
    while (gone + 1 < shelf->entry_count && shelf->host_count > 0 && shelf->entries[gone + 1].first <= lowest + 1)
        free(shelf->entries[gone++].facts);
    if (gone == 0)
        return;
    shelf->entry_count -= gone;
    memmove(shelf->entries, shelf->entries + gone, shelf->entry_count * sizeof *shelf->entries);
}

static int load_record(const struct shelf *shelf, struct receiver *receiver)
{
    for (size_t i = 0; i < shelf->part_count; i++)
        if (receiver_load_label(receiver, &shelf->parts[i]) != 0)
            return -1;
    size_t count = shelf->absence_count;
    while (count > 0 && shelf->entry_count > 0 && shelf->absences[count - 1].fact >= shelf->entries[0].first)
        count--;
    for (size_t i = count > RECEIVER_ABSENCES_LOADED ? count - RECEIVER_ABSENCES_LOADED : 0; i < count; i++)
        if (receiver_load_absence(receiver, &shelf->absences[i]) != 0)
            return -1;
    for (size_t i = 0; i < shelf->window_count; i++)
        if (receiver_load_window(receiver, shelf->windows[i].id, shelf->windows[i].pattern, shelf->windows[i].window) !=
            0)
            return -1;
    for (size_t i = 0; i < shelf->host_count; i++) {
        const struct shelf_host *host = &shelf->hosts[i];
        if (receiver_load_host(receiver, (uint32_t)i + 1, host->name, host->checkpoint, host->len, host->position) != 0)
            return -1;
    }
    for (size_t i = 0; i < shelf->entry_count; i++)
        if (receiver_replay(receiver, shelf->entries[i].facts, shelf->entries[i].len, shelf->entries[i].first) != 0)
            return -1;
    return 0;
}

struct receiver *shelf_load(const struct shelf *shelf)
{
    struct receiver *receiver = receiver_create(&shelf->options);
    if (!receiver)
        abort();
    if (load_record(shelf, receiver) != 0) {
        receiver_destroy(receiver);
        return NULL;
    }
    return receiver;
}

void shelf_free(struct shelf *shelf)
{
    for (size_t i = 0; i < shelf->entry_count; i++)
        free(shelf->entries[i].facts);
    for (size_t i = 0; i < shelf->host_count; i++)
        free(shelf->hosts[i].checkpoint);
    free(shelf->entries);
    free(shelf->hosts);
    free(shelf->lines);
    free(shelf->absences);
    free(shelf->windows);
    memset(shelf, 0, sizeof *shelf);
}

bool shelf_same(const struct receiver *a, const struct receiver *b)
{
    const struct host_table *hosts_a = receiver_hosts(a), *hosts_b = receiver_hosts(b);
    if (hosts_a->count != hosts_b->count)
        return false;
    bool same = true;
    for (uint32_t id = 1; id <= hosts_a->count && same; id++) {
        size_t len_a, len_b;
        uint8_t *bytes_a = shelf_bytes(hosts_a->hosts[id], &len_a);
        uint8_t *bytes_b = shelf_bytes(hosts_b->hosts[id], &len_b);
        same = len_a == len_b && memcmp(bytes_a, bytes_b, len_a) == 0;
        free(bytes_a);
        free(bytes_b);
    }
    return same;
}

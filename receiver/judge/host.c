/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host.c - see host.h. */
#include "receiver/judge/host.h"

#include <stdlib.h>
#include <string.h>

enum { CHECKPOINT_VERSION = 4 };
#define CLONE_TOLD_NS (3600 * NS_PER_S)

enum state host_live_state(const struct host *host)
{
    const struct silence_record *record = host->silence;
    if (record && !record->facts.ended && record->facts.late && host->state == STATE_UP)
        return STATE_LATE;
    return host->state;
}

struct silence *host_open_silence(const struct host *host)
{
    return host->silence && !host->silence->facts.ended ? &host->silence->facts : NULL;
}

bool host_has_clone(const struct host *host, struct instant now)
{
    return host->clone && instant_since(now, host->clone->heard_at) < CLONE_TOLD_NS;
}

int64_t host_changed_from(const struct host *host)
{
    return host->flushing_from < host->changed_from ? host->flushing_from : host->changed_from;
}

bool host_is_outdated(const struct host *host)
{
    int64_t from = host_changed_from(host);
    return from == HOST_CHANGED_ALL || from < host->written_to;
}

void host_end_silence(struct host *host)
{
    if (!host->silence)
        return;
    free(host->silence->told);
    free(host->silence);
    host->silence = NULL;
}

static void visit_bool(struct codec *codec, bool *value)
{
    uint8_t byte = *value;
    codec_u8(codec, &byte);
    *value = byte != 0;
}

/* An enumerator below `count`. */
static unsigned visit_enum(struct codec *codec, unsigned value, unsigned count)
{
    uint8_t byte = (uint8_t)value;
    codec_u8(codec, &byte);
    if (byte >= count)
        codec->failed = true;
    return codec->failed ? 0 : byte;
}

static void visit_instant(struct codec *codec, struct instant *t)
{
    codec_i64(codec, &t->ns);
    if (!instant_is_sane(*t))
        codec->failed = true;
}

/* ... which may be never. */
static void visit_deadline(struct codec *codec, struct instant *t)
{
    codec_i64(codec, &t->ns);
    if (!instant_is_sane(*t) && instant_before(*t, INSTANT_NEVER))
        codec->failed = true;
}

static void visit_facts(struct codec *codec, struct silence *s)
{
    visit_instant(codec, &s->last);
    codec_i64(codec, &s->interval_ns);
    if (s->interval_ns < 0 || s->interval_ns > INSTANT_LIMIT_NS)
        codec->failed = true;
    visit_instant(codec, &s->expected);
    visit_bool(codec, &s->late);
    visit_bool(codec, &s->judged);
    visit_bool(codec, &s->unobserved);
    visit_bool(codec, &s->lost_with_many);
    s->goodbye = (enum goodbye)visit_enum(codec, s->goodbye, GOODBYE_SHUTDOWN + 1);
    visit_instant(codec, &s->goodbye_at);
    visit_bool(codec, &s->goodbye_reported);
    visit_bool(codec, &s->by_path);
    visit_bool(codec, &s->agreed);
    visit_bool(codec, &s->cut_off);
    visit_deadline(codec, &s->contact_at);
    visit_bool(codec, &s->ended);
    visit_instant(codec, &s->beat_at);
    visit_bool(codec, &s->path);
    visit_bool(codec, &s->broken);
    s->broken_state = (enum state)visit_enum(codec, s->broken_state, STATE_COUNT);
    s->broken_cause = (enum cause)visit_enum(codec, s->broken_cause, CAUSE_COUNT);
    visit_bool(codec, &s->new_boot);
    codec_i64(codec, &s->boot_at.ns);
    visit_bool(codec, &s->new_start);
    codec_i64(codec, &s->frozen_ns);
    if (s->frozen_ns < 0 || s->frozen_ns > 2 * INSTANT_LIMIT_NS)
        codec->failed = true;
}

static void visit_told(struct codec *codec, struct told *told)
{
    codec_i64(codec, &told->at);
    told->state = (enum state)visit_enum(codec, told->state, STATE_COUNT);
    told->cause = (enum cause)visit_enum(codec, told->cause, CAUSE_COUNT);
    codec_u32(codec, &told->number);
}

static void visit_silence(struct codec *codec, struct host *host)
{
    bool present = host->silence != NULL;
    visit_bool(codec, &present);
    if (!present || codec->failed)
        return;
    if (codec_is_reading(codec) && !(host->silence = calloc(1, sizeof *host->silence))) {
        codec->failed = true;
        return;
    }
    struct silence_record *record = host->silence;
    visit_facts(codec, &record->facts);
    codec_u32(codec, &record->beats_since);
    codec_u64(codec, &record->run_ms);
    visit_deadline(codec, &record->next_span);
    codec_u32(codec, &record->told_count);
    if (codec->failed || record->told_count > SILENCE_SPANS_MAX) {
        record->told_count = 0;
        codec->failed = true;
        return;
    }
    if (codec_is_reading(codec) && record->told_count > 0) {
        record->told = calloc(record->told_count, sizeof *record->told);
        record->told_capacity = record->told_count;
        if (!record->told) {
            record->told_count = record->told_capacity = 0;
            codec->failed = true;
            return;
        }
    }
    for (uint32_t i = 0; i < record->told_count; i++)
        visit_told(codec, &record->told[i]);
}

static void visit_displaced(struct codec *codec, struct host *host)
{
    bool present = host->displaced != NULL;
    visit_bool(codec, &present);
    if (!present || codec->failed)
        return;
    if (codec_is_reading(codec) && !(host->displaced = calloc(1, sizeof *host->displaced))) {
        codec->failed = true;
        return;
    }
    struct displaced *d = host->displaced;
    codec_bytes(codec, d->boot_id, sizeof d->boot_id);
    codec_u64(codec, &d->agent_start);
    codec_u64(codec, &d->uptime_ms);
    codec_u64(codec, &d->run_ms);
    numbers_visit(codec, &d->numbers);
    expectation_visit(codec, &d->expectation);
    visit_instant(codec, &d->deadline[0]);
    visit_instant(codec, &d->deadline[1]);
}

static void visit_unaveraged(struct codec *codec, struct host *host)
{
    bool present = host->unaveraged != NULL;
    visit_bool(codec, &present);
    if (!present || codec->failed)
        return;
    if (codec_is_reading(codec) && !(host->unaveraged = unaveraged_create((struct instant){0}))) {
        codec->failed = true;
        return;
    }
    unaveraged_visit(codec, host->unaveraged);
    if (host->unaveraged->count == 0) /* an empty list is none */
        codec->failed = true;
}

void host_visit(struct codec *codec, struct host *host)
{
    uint8_t version = CHECKPOINT_VERSION;
    codec_u8(codec, &version);
    if (version != CHECKPOINT_VERSION)
        codec->failed = true;
    visit_instant(codec, &host->renamed_at);
    visit_bool(codec, &host->heard);
    visit_bool(codec, &host->forgotten);
    if (host->heard && host->forgotten)
        codec->failed = true;
    codec_bytes(codec, host->boot_id, sizeof host->boot_id);
    codec_u64(codec, &host->agent_start);
    codec_u64(codec, &host->uptime_ms);
    codec_u64(codec, &host->run_ms);
    visit_instant(codec, &host->heard_at);
    numbers_visit(codec, &host->numbers);
    expectation_visit(codec, &host->expectation);
    visit_deadline(codec, &host->deadline[0]);
    visit_deadline(codec, &host->deadline[1]);
    if (host->heard && !(instant_is_sane(host->deadline[0]) && instant_is_sane(host->deadline[1])))
        codec->failed = true; /* who was heard is expected */
    codec_u8(codec, &host->moves);
    visit_bool(codec, &host->restarted);
    visit_bool(codec, &host->recovered);
    visit_bool(codec, &host->waiting);
    codec_i64(codec, &host->lost_last.ns);
    visit_displaced(codec, host);
    visit_silence(codec, host);
    host->state = (enum state)visit_enum(codec, host->state, STATE_COUNT);
    host->cause = (enum cause)visit_enum(codec, host->cause, CAUSE_COUNT);
    codec_i64(codec, &host->since);
    visit_instant(codec, &host->back_at);
    host->back_state = (enum state)visit_enum(codec, host->back_state, STATE_COUNT);
    host->back_cause = (enum cause)visit_enum(codec, host->back_cause, CAUSE_COUNT);
    codec_u32(codec, &host->lines);
    averages_visit(codec, &host->averages);
    codec_u32(codec, &host->averaged);
    codec_u32(codec, &host->oldest_kept);
    visit_unaveraged(codec, host);
    codec_i64(codec, &host->settled_to);
    codec_i64(codec, &host->written_to);
    int64_t changed_from = host_changed_from(host);
    codec_i64(codec, &changed_from);
    if (codec_is_reading(codec))
        host->changed_from = changed_from;
}

size_t host_checkpoint_len_max(const struct host *host)
{
    size_t told = host->silence ? host->silence->told_count : 0;
    size_t row = sizeof(struct averages_row) + 16;
    size_t waiting = host->unaveraged ? host->unaveraged->count * sizeof(struct unaveraged_beat) : 0;
    return 1024 + waiting + sizeof(struct displaced) + sizeof(struct averages) + host->averages.row_count * row +
           told * 24;
}

void host_table_free(struct host_table *table)
{
    for (uint32_t id = 1; id <= table->count; id++) {
        struct host *host = table->hosts[id];
        if (!host)
            continue;
        host_end_silence(host);
        averages_free(&host->averages);
        unaveraged_destroy(host->unaveraged);
        free(host->displaced);
        free(host->clone);
        free(host->alias);
        free(host->moved_from);
        free(host);
    }
    free(table->hosts);
    free(table->slots);
    memset(table, 0, sizeof *table);
}

/* FNV-1a: names come from datagrams that were proven, so nobody can choose collisions without a site key. */
static uint32_t hash_name(const char *name, size_t len)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    return hash;
}

static bool is_called(const struct host *host, const char *name, size_t len)
{
    return (strncmp(host->name, name, len) == 0 && host->name[len] == '\0') ||
           (host->alias && strncmp(host->alias, name, len) == 0 && host->alias[len] == '\0');
}

/* The slot that holds the name, or the free one where it belongs. There is always a free one. */
static uint32_t find_slot(const struct host_table *table, const char *name, size_t len)
{
    uint32_t mask = table->slot_count - 1;
    uint32_t slot = hash_name(name, len) & mask;
    while (table->slots[slot] && !is_called(table->hosts[table->slots[slot]], name, len))
        slot = (slot + 1) & mask;
    return slot;
}

struct host *host_table_find(const struct host_table *table, const char *name, size_t name_len)
{
    if (table->slot_count == 0 || name_len > NAME_LEN_MAX)
        return NULL;
    uint32_t id = table->slots[find_slot(table, name, name_len)];
    return id ? table->hosts[id] : NULL;
}

static void enter(struct host_table *table, const struct host *host)
{
    table->slots[find_slot(table, host->name, strlen(host->name))] = host->id;
    if (host->alias)
        table->slots[find_slot(table, host->alias, strlen(host->alias))] = host->id;
}

/* All names anew: nothing can be taken out of open addressing. */
static void enter_all(struct host_table *table)
{
    memset(table->slots, 0, table->slot_count * sizeof *table->slots);
    for (uint32_t id = 1; id <= table->count; id++)
        if (table->hosts[id])
            enter(table, table->hosts[id]);
}

/* Keeps the slots at most half full. */
static int grow_slots(struct host_table *table, uint32_t names)
{
    uint32_t slot_count = table->slot_count ? table->slot_count : 64;
    while (slot_count < 2 * (names + 1))
        slot_count *= 2;
    if (slot_count == table->slot_count)
        return 0;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return -1;
    free(table->slots);
    table->slots = slots;
    table->slot_count = slot_count;
    enter_all(table);
    return 0;
}

static int grow_hosts(struct host_table *table, uint32_t id)
{
    if (id < table->capacity)
        return 0;
    uint32_t capacity = table->capacity ? table->capacity * 2 : 64;
    while (capacity <= id)
        capacity *= 2;
    struct host **hosts = realloc(table->hosts, capacity * sizeof *hosts);
    if (!hosts)
        return -1;
    memset(hosts + table->capacity, 0, (capacity - table->capacity) * sizeof *hosts);
    table->hosts = hosts;
    table->capacity = capacity;
    return 0;
}

struct host *host_table_add(struct host_table *table, uint32_t id, const char *name, size_t name_len)
{
    if (id == 0 || id > INT32_MAX / 4 || (id <= table->count && table->hosts[id]) ||
        host_table_find(table, name, name_len))
        return NULL;
    uint32_t count = id > table->count ? id : table->count;
    if (grow_hosts(table, id) != 0 || grow_slots(table, count + table->alias_count) != 0)
        return NULL;
    struct host *host = calloc(1, sizeof *host);
    if (!host)
        return NULL;
    host->id = id;
    memcpy(host->name, name, name_len);
    averages_init(&host->averages);
    expectation_init(&host->expectation);
    host->deadline[0] = host->deadline[1] = INSTANT_NEVER;
    host->changed_from = host->flushing_from = INT64_MAX;
    host->lost_last.ns = INT64_MIN;
    table->hosts[id] = host;
    table->count = count;
    enter(table, host);
    return host;
}

/* Takes `alias` over. */
static void set_names(struct host_table *table, struct host *host, const char *name, char *alias)
{
    table->alias_count += (alias != NULL);
    table->alias_count -= (host->alias != NULL);
    if (name != host->name) {
        memset(host->name, 0, sizeof host->name);
        memcpy(host->name, name, strlen(name));
    }
    free(host->alias);
    host->alias = alias;
    enter_all(table);
}

int host_table_set_alias(struct host_table *table, struct host *host, const char *alias)
{
    char *copy = alias ? strdup(alias) : NULL;
    if ((alias && !copy) || grow_slots(table, table->count + table->alias_count + 1) != 0) {
        free(copy);
        return -1;
    }
    set_names(table, host, host->name, copy);
    return 0;
}

int host_table_rename(struct host_table *table, struct host *host, const char *name)
{
    const char *alias = host->alias ? host->alias : host->name;
    char *copy = strcmp(alias, name) != 0 ? strdup(alias) : NULL;
    if ((!copy && strcmp(alias, name) != 0) || grow_slots(table, table->count + table->alias_count + 1) != 0) {
        free(copy);
        return -1;
    }
    set_names(table, host, name, copy);
    return 0;
}

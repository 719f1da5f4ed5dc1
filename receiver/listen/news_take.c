/* SPDX-License-Identifier: GPL-2.0-or-later */
/* news_take.c - what peers tell of is entered here, see news.h.
 *
 * A peer is believed as a person at it would be, but for three things: nothing reaches into the past, nothing that is over here begins
 * again, and there is an end to how much one peer can enter. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "receiver/listen/news_internal.h"

/* Edges that differ by less are the same: a datagram takes its time. */
#define SAME_EDGE_NS (2 * NS_PER_S)
/* For so long an outage is looked for: this receiver may find out later than the other one. */
#define LOOK_FOR_NS (3600 * NS_PER_S)
#define LOOK_AGAIN_NS (5 * NS_PER_S)
#define MARGIN_MIN_S 2
#define AHEAD_MAX_MS (INT64_C(11) * 366 * 86400 * MS_PER_S) /* somewhat more than a person may plan ahead */
enum { LOOK_AGAIN_DOUBLINGS = 8 };

static const char *peer_name(const struct news *news, unsigned place)
{
    return receiver_peers(news->receiver)->peers[place]->name;
}

/* The list of maintenance is JSON, too: only what a person could have typed is taken. */
static bool is_utf8(const char *text)
{
    json_t *json = json_string(text);
    json_decref(json);
    return json != NULL;
}

/* ---- windows ---- */

/* The latest one that stands for it. */
static struct entered_window *find_window(const struct entered *entered, const char *origin, uint64_t key)
{
    for (size_t i = entered->window_count; i > 0; i--) {
        struct entered_window *window = &entered->windows[i - 1];
        if (window->source.key == key && entered_is_from(&window->source, origin))
            return window;
    }
    return NULL;
}

static bool is_same(struct instant a, struct instant b)
{
    if (a.ns == b.ns)
        return true;
    if (!instant_is_sane(a) || !instant_is_sane(b))
        return false;
    int64_t ns = instant_since(a, b);
    return ns <= SAME_EDGE_NS && ns >= -SAME_EDGE_NS;
}

/* Enters the part of it that is to come. Returns its id, 0: out of memory. */
static int64_t enter(struct news *news, struct instant now, const char *origin, uint64_t key, const char *pattern,
                     const char *reason, struct window place)
{
    const struct labels *labels = receiver_labels(news->receiver);
    struct entered_wish wish = {.pattern = pattern, .reason = reason, .origin = origin, .key = key};
    wish.window = (struct window){instant_later(now, place.from), place.to};
    wish.starts = labels_second(labels, wish.window.from);
    wish.ends = instant_before(place.to, INSTANT_NEVER) ? labels_second(labels, place.to) : INT64_MAX;
    int64_t id = entered_add_window(news->entered, now, &wish);
    struct entered_window *entry = id ? find_window(news->entered, origin, key) : NULL;
    if (entry) {
        entry->has_place = true;
        entry->place = place;
    }
    return id;
}

/* Puts a known window to where its peer says that it lies. What has begun can only end; one that lies elsewhere is another one. */
static void settle(struct news *news, struct instant now, struct entered_window *entry)
{
    const struct planned *planned = entered_planned(news->entered, entry->id);
    if (!planned || !entry->has_place || entered_is_over(planned, now))
        return;
    struct window place = entry->place;
    bool is_cancelled = !instant_before(place.from, place.to), is_over = !instant_before(now, place.to);
    struct instant from = instant_later(now, place.from), to = instant_later(now, place.to);
    if (!is_cancelled && is_same(from, instant_later(now, planned->window.from)) && is_same(to, planned->window.to))
        return;
    int64_t id = entry->id;
    char origin[NAME_LEN_MAX + 1];
    uint64_t key = entry->source.key;
    char *pattern = strdup(planned->pattern), *reason = strdup(entry->reason);
    memcpy(origin, entry->source.origin, sizeof origin);
    if (pattern && reason && entered_end_window(news->entered, now, id) == 0) {
        int64_t next = is_cancelled || is_over ? 0 : enter(news, now, origin, key, pattern, reason, place);
        if (next)
            log_line(LOG_LEVEL_INFO, "maintenance %lld of %s was moved at %s, and is %lld now", (long long)id, pattern,
                     origin, (long long)next);
        else
            log_line(LOG_LEVEL_INFO, "maintenance %lld of %s was ended at %s", (long long)id, pattern, origin);
    }
    free(pattern);
    free(reason);
}

/* Whether there is room for another one of this peer; told once if not. */
static bool has_room(struct news *news, unsigned place, enum peer_news_kind kind, size_t count)
{
    bool *is_full = &news->places[place].is_full[kind == PEER_NEWS_WINDOW];
    bool was_full = *is_full;
    *is_full = count >= NEWS_TAKEN_MAX;
    if (*is_full && !was_full)
        log_line(LOG_LEVEL_WARNING, "receiver %s tells of more than %d %s; those beyond are not taken",
                 peer_name(news, place), NEWS_TAKEN_MAX,
                 kind == PEER_NEWS_WINDOW ? "windows of maintenance" : "relabelled outages");
    return !*is_full;
}

static size_t count_windows(const struct news *news, const char *origin, struct instant now)
{
    size_t count = 0;
    for (size_t i = 0; i < news->entered->window_count; i++) {
        const struct entered_window *window = &news->entered->windows[i];
        const struct planned *planned = entered_planned(news->entered, window->id);
        count += planned && entered_is_from(&window->source, origin) && !entered_is_over(planned, now);
    }
    return count;
}

static struct instant instant_of(struct instant now, int64_t ms)
{
    return instant_add(now, ms * NS_PER_MS);
}

/* Returns whether it need not be told again. */
static bool take_window(struct news *news, struct instant now, unsigned from, const struct peer_news *item)
{
    const char *origin = peer_name(news, from);
    struct window place = {instant_of(now, item->from_ms), INSTANT_NEVER};
    if (!item->open)
        place.to = instant_of(now, item->to_ms);
    struct entered_window *entry = find_window(news->entered, origin, item->key);
    if (entry) {
        entry->has_place = true;
        entry->place = place;
        settle(news, now, entry);
        return true;
    }
    if (!instant_before(place.from, place.to) || !instant_before(now, place.to))
        return true; /* it is over */
    if (item->from_ms > AHEAD_MAX_MS || (!item->open && item->to_ms > AHEAD_MAX_MS))
        return false;
    if (!has_room(news, from, PEER_NEWS_WINDOW, count_windows(news, origin, now)))
        return false;
    int64_t id = enter(news, now, origin, item->key, item->name, item->reason, place);
    if (id)
        log_line(LOG_LEVEL_INFO, "maintenance %lld of %s was entered at %s%s%s", (long long)id, item->name, origin,
                 *item->reason ? ": " : "", item->reason);
    return id != 0;
}

/* ---- outages ---- */

static void set_done(struct news *news, struct news_waiting *waiting)
{
    int place = peers_find(receiver_peers(news->receiver), waiting->origin, strlen(waiting->origin));
    waiting->done = true;
    if (place >= 0)
        news_confirm(news, (unsigned)place, &waiting->taken);
}

static struct news_waiting *find_waiting(struct news *news, const char *origin, uint64_t key)
{
    for (size_t i = 0; i < news->waiting_count; i++)
        if (news->waiting[i].taken.key == key && strcmp(news->waiting[i].origin, origin) == 0)
            return &news->waiting[i];
    return NULL;
}

static struct host *find_host(const struct news *news, const char *name)
{
    return host_table_find(receiver_hosts(news->receiver), name, strlen(name));
}

/* Returns how many words of the peer are known, or SIZE_MAX if this is one of them. */
static size_t count_relabels(const struct news *news, const char *origin, uint64_t key)
{
    size_t count = 0;
    for (size_t i = 0; i < news->entered->relabel_count; i++) {
        const struct entered_source *source = &news->entered->relabels[i].source;
        if (entered_is_from(source, origin) && source->key == key)
            return SIZE_MAX;
        count += entered_is_from(source, origin);
    }
    return count;
}

static int64_t second_of(const struct news *news, struct instant now, int64_t ms)
{
    struct wall wall = labels_of(receiver_labels(news->receiver), now);
    return wall_seconds((struct wall){wall.ns + ms * NS_PER_MS + NS_PER_S / 2});
}

/* One that is done with may be forgotten for it. NULL: there is no room. */
static struct news_waiting *new_waiting(struct news *news)
{
    if (news->waiting_count < NEWS_WAITING_MAX)
        return &news->waiting[news->waiting_count++];
    for (size_t i = 0; i < news->waiting_count; i++)
        if (news->waiting[i].done)
            return &news->waiting[i];
    return NULL;
}

/* Returns whether it need not be told again. */
static bool take_relabel(struct news *news, struct instant now, unsigned from, const struct peer_news *item)
{
    const char *origin = peer_name(news, from);
    size_t count = count_relabels(news, origin, item->key);
    const struct news_waiting *known = find_waiting(news, origin, item->key);
    const struct host *host = find_host(news, item->name);
    if (count == SIZE_MAX || !host || known)
        return !known || known->done;
    struct news_waiting *waiting = has_room(news, from, PEER_NEWS_RELABEL, count) ? new_waiting(news) : NULL;
    if (!waiting)
        return false;
    *waiting = (struct news_waiting){.taken = {item->key, item->version}, .since = now, .next_at = now};
    memcpy(waiting->origin, origin, strlen(origin) + 1);
    memcpy(waiting->host, item->name, (size_t)item->name_len + 1);
    memcpy(waiting->reason, item->reason, strlen(item->reason) + 1);
    waiting->wish = (struct outage_wish){.host = host->id, .to = INT64_MAX, .state = (enum state)item->state};
    waiting->wish.from = second_of(news, now, item->from_ms);
    waiting->wish.entered = second_of(news, now, item->entered_ms < 0 ? item->entered_ms : 0);
    if (!item->open)
        waiting->wish.to = second_of(news, now, item->to_ms);
    return false;
}

static void put_found(struct news *news, struct host *host, const struct news_waiting *waiting,
                      const struct outage_found *found)
{
    struct journal_relabel relabel = {.number = found->number,
                                      .to_end = found->to_end,
                                      .state = waiting->wish.state,
                                      .entered = waiting->wish.entered,
                                      .from = waiting->wish.from,
                                      .to = waiting->wish.to,
                                      .origin_key = waiting->taken.key};
    memcpy(relabel.origin, waiting->origin, sizeof relabel.origin);
    if (found->number <= host->lines &&
        entered_add_relabel(news->entered, host, &relabel, waiting->reason, found->open) == 0)
        log_line(LOG_LEVEL_INFO, "%s: its outage of line %u counts as %s from now on, said at %s: %s", host->name,
                 (unsigned)found->number, state_token(relabel.state), waiting->origin, waiting->reason);
}

/* But for the time at which it is looked for. */
static bool is_same_wish(const struct outage_wish *a, const struct outage_wish *b)
{
    return a->host == b->host && a->from == b->from && a->to == b->to && a->entered == b->entered &&
           a->state == b->state;
}

static void on_looked_up(struct outage_lookup *lookup)
{
    struct news *news = lookup->context;
    if (!news) { /* the receiver stops */
        outage_lookup_free(lookup);
        return;
    }
    news->lookup = NULL;
    for (size_t i = 0; i < news->waiting_count; i++) {
        struct news_waiting *waiting = &news->waiting[i];
        struct host *host = find_host(news, waiting->host);
        if (waiting->done || !is_same_wish(&waiting->wish, &lookup->wish) || !host || lookup->count < 0 || !lookup->any)
            continue;
        for (int k = 0; k < lookup->count; k++)
            put_found(news, host, waiting, &lookup->found[k]);
        set_done(news, waiting);
    }
    outage_lookup_free(lookup);
}

static void look_up(struct news *news, struct instant now, struct news_waiting *waiting)
{
    const struct host *host = find_host(news, waiting->host);
    if (!host) {
        set_done(news, waiting);
        return;
    }
    int64_t interval_ns = expectation_interval_ns(&host->expectation);
    waiting->wish.margin_s = interval_ns / NS_PER_S + MARGIN_MIN_S;
    waiting->wish.now = labels_second(receiver_labels(news->receiver), now);
    waiting->next_at = instant_add(now, LOOK_AGAIN_NS << waiting->tries);
    if (waiting->tries < LOOK_AGAIN_DOUBLINGS)
        waiting->tries++;
    news->lookup = outage_look_up(news->loop, news->data, &waiting->wish, on_looked_up, news);
}

/* One look-up at a time. What was not found for an hour is given up, and what is done with is forgotten an hour later: the peer
 * may not have heard yet that it is. */
void news_look_for_outages(struct news *news, struct instant now)
{
    for (size_t i = 0; i < news->waiting_count;) {
        struct news_waiting *waiting = &news->waiting[i];
        int64_t age_ns = instant_since(now, waiting->since);
        if (!waiting->done && age_ns > LOOK_FOR_NS) {
            log_line(LOG_LEVEL_INFO, "%s: no outage here is the one that counts as %s at %s (%s)", waiting->host,
                     state_token(waiting->wish.state), waiting->origin, waiting->reason);
            set_done(news, waiting);
        }
        if (waiting->done && age_ns > 2 * LOOK_FOR_NS) {
            *waiting = news->waiting[--news->waiting_count];
            continue;
        }
        if (!waiting->done && !news->lookup && !instant_before(now, waiting->next_at))
            look_up(news, now, waiting);
        i++;
    }
}

/* ---- all ---- */

void news_take(struct news *news, struct instant now, unsigned place, const struct peer_news *item)
{
    struct peer_taken taken = {item->key, item->version};
    if (!is_utf8(item->name) || !is_utf8(item->reason))
        return;
    if (item->kind == PEER_NEWS_WINDOW ? take_window(news, now, place, item) : take_relabel(news, now, place, item))
        news_confirm(news, place, &taken);
}

void news_tidy(struct news *news, struct instant now)
{
    entered_trim(news->entered, now);
    for (size_t i = 0; i < news->entered->window_count; i++)
        if (news->entered->windows[i].has_place)
            settle(news, now, &news->entered->windows[i]); /* may add one, and move the list */
}

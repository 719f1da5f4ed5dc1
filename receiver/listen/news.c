/* SPDX-License-Identifier: GPL-2.0-or-later */
/* news.c - see news.h. Here is what is told; news_take.c has what is taken. */
#include "receiver/listen/news.h"

#include <stdlib.h>
#include <string.h>

#include "receiver/listen/news_internal.h"

#define LOOK_EVERY_NS (100 * NS_PER_MS)
#define DATAGRAM_EVERY_NS (100 * NS_PER_MS)
#define TELL_AGAIN_NS (2 * NS_PER_S)
enum { TELL_AGAIN_DOUBLINGS = 7 }; /* 256 s: peers of older versions never confirm */

struct news *news_create(uv_loop_t *loop, struct receiver *receiver, struct entered *entered, const char *data)
{
    struct news *news = calloc(1, sizeof *news);
    struct news_waiting *waiting = calloc(NEWS_WAITING_MAX, sizeof *waiting);
    char *copy = strdup(data); /* the settings may change */
    if (!news || !waiting || !copy) {
        free(news);
        free(waiting);
        free(copy);
        return NULL;
    }
    *news = (struct news){.loop = loop, .receiver = receiver, .entered = entered, .data = copy, .waiting = waiting};
    news->looked_at = news->tidied_at = INSTANT_LONG_AGO;
    return news;
}

void news_close(struct news *news)
{
    if (!news || !news->lookup)
        return;
    news->lookup->context = NULL;
    (void)uv_cancel((uv_req_t *)&news->lookup->request);
    news->lookup = NULL;
}

void news_destroy(struct news *news)
{
    if (!news)
        return;
    free(news->waiting);
    free(news->data);
    free(news);
}

/* ---- what there is to tell ---- */

/* Which of its states an entry is in. */
static uint32_t version_of(struct window window)
{
    uint64_t mixed = (uint64_t)window.from.ns * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 29) ^ (uint64_t)window.to.ns) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(mixed >> 32);
}

static bool is_due(const struct entered *entered, const struct entered_source *source, unsigned place, uint32_t version,
                   struct instant now)
{
    const struct entered_told *told = &source->told[place];
    if (!entered_is_from(source, NULL) || !entered_is_stored(entered, source))
        return false;
    return told->version != version || told->tries == 0 || (!told->confirmed && !instant_before(now, told->next_at));
}

/* The next window that is to be told to this peer, from `*i` on; NULL: none. */
static struct entered_window *next_window(struct news *news, unsigned place, struct instant now, size_t *i,
                                          const struct planned **planned)
{
    struct entered *entered = news->entered;
    for (; *i < entered->window_count; (*i)++) {
        struct entered_window *window = &entered->windows[*i];
        *planned = entered_planned(entered, window->id);
        if (*planned && strlen((*planned)->pattern) <= PEER_NEWS_NAME_MAX &&
            is_due(entered, &window->source, place, version_of((*planned)->window), now))
            return window;
    }
    return NULL;
}

static struct entered_relabel *next_relabel(struct news *news, unsigned place, struct instant now, size_t *i)
{
    struct entered *entered = news->entered;
    for (; *i < entered->relabel_count; (*i)++)
        if (is_due(entered, &entered->relabels[*i].source, place, 0, now))
            return &entered->relabels[*i];
    return NULL;
}

static bool has_news(struct news *news, unsigned place, struct instant now)
{
    const struct planned *planned;
    size_t i = 0, k = 0;
    return news->places[place].confirmed_count > 0 || next_window(news, place, now, &i, &planned) ||
           next_relabel(news, place, now, &k);
}

/* ---- telling ---- */

static int64_t ms_to(struct instant now, struct instant t)
{
    return instant_since(t, now) / NS_PER_MS;
}

static void set_texts(struct peer_news *item, const char *name, const char *reason)
{
    size_t reason_len = strnlen(reason, PEER_NEWS_REASON_MAX);
    item->name_len = (uint16_t)strnlen(name, PEER_NEWS_NAME_MAX);
    memcpy(item->name, name, item->name_len);
    memcpy(item->reason, reason, reason_len);
}

/* The wall time that the record has, as a difference to now. */
static int64_t label_ms(const struct news *news, struct instant now, int64_t second)
{
    int64_t now_ms = labels_of(receiver_labels(news->receiver), now).ns / NS_PER_MS;
    return second * MS_PER_S - now_ms;
}

/* Writes the item if there is room. */
static bool put(struct codec *codec, struct peer_news *item, struct entered_told *told, struct instant now)
{
    uint8_t type = PEER_NEWS;
    uint16_t len = peer_news_len(item);
    if (codec_left(codec) < PEER_ITEM_HEAD_LEN + (size_t)len)
        return false;
    peer_item_visit(codec, &type, &len);
    peer_news_visit(codec, item, len);
    if (told->version != item->version)
        *told = (struct entered_told){.version = item->version};
    told->next_at = instant_add(now, TELL_AGAIN_NS << told->tries);
    if (told->tries < TELL_AGAIN_DOUBLINGS)
        told->tries++;
    return true;
}

static bool put_window(struct news *news, struct codec *codec, struct instant now, struct entered_window *window,
                       const struct planned *planned, unsigned place)
{
    struct peer_news item = {.key = window->source.key, .kind = PEER_NEWS_WINDOW};
    item.version = version_of(planned->window);
    item.from_ms = ms_to(now, planned->window.from);
    item.open = !instant_before(planned->window.to, INSTANT_NEVER);
    if (!item.open)
        item.to_ms = ms_to(now, planned->window.to);
    item.entered_ms = label_ms(news, now, window->source.entered);
    set_texts(&item, planned->pattern, window->reason);
    return put(codec, &item, &window->source.told[place], now);
}

static bool put_relabel(struct news *news, struct codec *codec, struct instant now, struct entered_relabel *relabel,
                        unsigned place)
{
    const struct host_table *table = receiver_hosts(news->receiver);
    if (relabel->host > table->count || !table->hosts[relabel->host]) { /* not known any more: nothing can be told */
        relabel->source.told[place] = (struct entered_told){.tries = 1, .confirmed = true};
        return true;
    }
    struct peer_news item = {.key = relabel->source.key, .kind = PEER_NEWS_RELABEL, .state = (uint8_t)relabel->state};
    item.from_ms = label_ms(news, now, relabel->from);
    item.open = relabel->to == INT64_MAX;
    if (!item.open)
        item.to_ms = label_ms(news, now, relabel->to);
    item.entered_ms = label_ms(news, now, relabel->source.entered);
    set_texts(&item, table->hosts[relabel->host]->name, relabel->reason);
    return put(codec, &item, &relabel->source.told[place], now);
}

static void put_confirmed(struct news_place *to, struct codec *codec)
{
    while (to->confirmed_count > 0 && codec_left(codec) >= PEER_ITEM_HEAD_LEN + PEER_TAKEN_LEN) {
        uint8_t type = PEER_TAKEN;
        uint16_t len = PEER_TAKEN_LEN;
        peer_item_visit(codec, &type, &len);
        peer_taken_visit(codec, &to->confirmed[--to->confirmed_count]);
    }
}

/* Whether each of us hears the other, so that it would not be wasted. */
static bool is_reached(const struct peer *peer, struct instant now)
{
    return peer && peer->proven && peer_is_heard(peer, now) && instant_since(now, peer->contact_at) < PEER_LOST_NS;
}

size_t news_append(struct news *news, struct instant now, unsigned place, uint8_t payload[PEER_PAYLOAD_MAX], size_t len)
{
    struct news_place *to = &news->places[place];
    struct codec codec = codec_writer(payload + len, PEER_PAYLOAD_MAX - len);
    if (!is_reached(receiver_peers(news->receiver)->peers[place], now) || instant_before(now, to->next_at))
        return len;
    put_confirmed(to, &codec);
    const struct planned *planned = NULL;
    struct entered_window *window;
    struct entered_relabel *relabel;
    for (size_t i = 0; (window = next_window(news, place, now, &i, &planned)); i++)
        if (!put_window(news, &codec, now, window, planned, place))
            break;
    for (size_t i = 0; (relabel = next_relabel(news, place, now, &i)); i++)
        if (!put_relabel(news, &codec, now, relabel, place))
            break;
    if (codec.pos > 0)
        to->next_at = instant_add(now, DATAGRAM_EVERY_NS);
    return len + codec.pos;
}

/* ---- being told ---- */

static void note_confirmed(struct entered_source *source, unsigned place, const struct peer_taken *taken)
{
    struct entered_told *told = &source->told[place];
    if (entered_is_from(source, NULL) && source->key == taken->key && told->tries > 0 &&
        told->version == taken->version)
        told->confirmed = true;
}

static void hear_taken(struct news *news, unsigned place, const struct peer_taken *taken)
{
    for (size_t i = 0; i < news->entered->window_count; i++)
        note_confirmed(&news->entered->windows[i].source, place, taken);
    for (size_t i = 0; i < news->entered->relabel_count; i++)
        note_confirmed(&news->entered->relabels[i].source, place, taken);
}

void news_confirm(struct news *news, unsigned place, const struct peer_taken *taken)
{
    struct news_place *from = &news->places[place];
    if (from->confirmed_count < NEWS_CONFIRMED_MAX) /* else it will be told again */
        from->confirmed[from->confirmed_count++] = *taken;
}

/* A peer that was started anew may have another record; one that is there for the first time knows nothing. */
static void see_session(struct news *news, unsigned place)
{
    const struct peer *peer = receiver_peers(news->receiver)->peers[place];
    uint64_t session = peer && peer->proven ? peer->their_session : 0;
    if (news->places[place].session == session)
        return;
    news->places[place] = (struct news_place){.session = session, .next_at = INSTANT_LONG_AGO};
    for (size_t i = 0; i < news->entered->window_count; i++)
        news->entered->windows[i].source.told[place] = (struct entered_told){0};
    for (size_t i = 0; i < news->entered->relabel_count; i++)
        news->entered->relabels[i].source.told[place] = (struct entered_told){0};
}

void news_hear(struct news *news, struct instant now, unsigned place, const uint8_t *items, size_t len)
{
    struct codec codec = codec_reader(items, len);
    see_session(news, place);
    struct codec body;
    uint8_t type;
    while (peer_item_next(&codec, &type, &body)) {
        struct peer_news item;
        struct peer_taken taken;
        if (type == PEER_NEWS) {
            peer_news_visit(&body, &item, (uint16_t)body.len);
            if (!body.failed)
                news_take(news, now, place, &item);
        } else if (type == PEER_TAKEN) {
            peer_taken_visit(&body, &taken);
            if (!body.failed)
                hear_taken(news, place, &taken);
        }
    }
}

void news_turn(struct news *news, struct instant now)
{
    const struct peers *peers = receiver_peers(news->receiver);
    if (instant_since(now, news->looked_at) < LOOK_EVERY_NS)
        return;
    news->looked_at = now;
    if (instant_since(now, news->tidied_at) >= NS_PER_S) {
        news->tidied_at = now;
        news_tidy(news, now);
    }
    news_look_for_outages(news, now);
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        see_session(news, i);
        if (is_reached(peers->peers[i], now) && !instant_before(now, news->places[i].next_at) && has_news(news, i, now))
            receiver_greet_peer(news->receiver, i);
    }
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* entered.c - see entered.h. */
#include "receiver/listen/entered.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "receiver/record/log_reader.h"

/* Somewhat longer than peers tell of it, by whatever clock: so nothing is taken twice. */
#define TAKEN_WINDOW_KEPT_NS (2 * ENTERED_WINDOW_KEPT_NS)
#define TAKEN_RELABEL_KEPT_S (2 * ENTERED_RELABEL_KEPT_S)

struct entered *entered_create(struct receiver *receiver, struct keeper *keeper, int64_t last_window_id)
{
    struct entered *entered = calloc(1, sizeof *entered);
    if (!entered)
        return NULL;
    entered->receiver = receiver;
    entered->keeper = keeper;
    entered->last_window_id = last_window_id;
    return entered;
}

void entered_destroy(struct entered *entered)
{
    if (!entered)
        return;
    for (size_t i = 0; i < entered->window_count; i++)
        free(entered->windows[i].reason);
    for (size_t i = 0; i < entered->relabel_count; i++)
        free(entered->relabels[i].reason);
    free(entered->windows);
    free(entered->relabels);
    free(entered);
}

/* ---- the lists ---- */

/* Room for one more; NULL: out of memory. */
static void *room(void **list, size_t count, size_t *capacity, size_t size)
{
    if (count == *capacity) {
        size_t more = *capacity ? 2 * *capacity : 16;
        void *grown = realloc(*list, more * size);
        if (!grown)
            return NULL;
        *list = grown;
        *capacity = more;
    }
    return (char *)*list + count * size;
}

static struct entered_window *new_window(struct entered *entered, const char *reason)
{
    void *list = entered->windows;
    struct entered_window *window =
        room(&list, entered->window_count, &entered->window_capacity, sizeof *entered->windows);
    entered->windows = list;
    char *copy = window ? strdup(reason) : NULL;
    if (!copy)
        return NULL;
    *window = (struct entered_window){.reason = copy};
    entered->window_count++;
    return window;
}

static struct entered_relabel *new_relabel(struct entered *entered, const char *reason)
{
    void *list = entered->relabels;
    struct entered_relabel *relabel =
        room(&list, entered->relabel_count, &entered->relabel_capacity, sizeof *entered->relabels);
    entered->relabels = list;
    char *copy = relabel ? strdup(reason) : NULL;
    if (!copy)
        return NULL;
    *relabel = (struct entered_relabel){.reason = copy};
    entered->relabel_count++;
    return relabel;
}

static void drop_relabel(struct entered *entered, size_t i)
{
    free(entered->relabels[i].reason);
    entered->relabels[i] = entered->relabels[--entered->relabel_count];
}

static void set_origin(struct entered_source *source, const char *origin, uint64_t key)
{
    memcpy(source->origin, origin, strnlen(origin, NAME_LEN_MAX));
    source->key = key;
}

bool entered_is_from(const struct entered_source *source, const char *origin)
{
    return strcmp(source->origin, origin ? origin : "") == 0;
}

bool entered_is_stored(const struct entered *entered, const struct entered_source *source)
{
    return source->change <= entered->stored;
}

/* The same in every run on this record, and another one in every other record: that also counts its ids from 1. */
static uint64_t make_key(uint64_t id, uint64_t more, int64_t entered, const char *text, const char *reason)
{
    uint8_t numbers[24], hash[crypto_generichash_BYTES_MIN];
    struct codec codec = codec_writer(numbers, sizeof numbers);
    uint64_t key;
    codec_u64(&codec, &id);
    codec_u64(&codec, &more);
    codec_i64(&codec, &entered);
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, NULL, 0, sizeof hash);
    (void)crypto_generichash_update(&state, numbers, sizeof numbers);
    (void)crypto_generichash_update(&state, (const uint8_t *)text, strlen(text) + 1);
    (void)crypto_generichash_update(&state, (const uint8_t *)reason, strlen(reason));
    (void)crypto_generichash_final(&state, hash, sizeof hash);
    memcpy(&key, hash, sizeof key);
    return key;
}

static uint64_t key_of_relabel(const struct entered_relabel *relabel)
{
    return make_key(relabel->host, relabel->number, relabel->source.entered, state_token(relabel->state),
                    relabel->reason);
}

/* Batches are stored in their order, and each tells once for each change that was in it. */
static void on_stored(void *context)
{
    struct entered *entered = context;
    entered->stored++;
}

static void note_change(struct entered *entered, struct entered_source *source)
{
    if (keeper_when_stored(entered->keeper, on_stored, entered) == 0)
        source->change = ++entered->changes;
}

/* ---- windows ---- */

const struct planned *entered_planned(const struct entered *entered, int64_t id)
{
    size_t low = 0, high;
    const struct planned *planned = receiver_windows(entered->receiver, &high); /* in the order of their ids */
    size_t count = high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (planned[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && planned[low].id == id ? &planned[low] : NULL;
}

bool entered_is_over(const struct planned *planned, struct instant now)
{
    return !instant_before(planned->window.from, planned->window.to) || !instant_before(now, planned->window.to);
}

int64_t entered_add_window(struct entered *entered, struct instant now, const struct entered_wish *wish)
{
    struct journal_window window = {
        .id = ++entered->last_window_id, .is_new = true, .window = wish->window, .ends = wish->ends};
    window.starts = wish->starts;
    window.entered = labels_second(receiver_labels(entered->receiver), now);
    window.pattern = strdup(wish->pattern);
    window.reason = strdup(wish->reason);
    struct entered_source source = {.entered = window.entered};
    set_origin(&source, wish->origin ? wish->origin : "",
               wish->origin ? wish->key
                            : make_key((uint64_t)window.id, 0, window.entered, wish->pattern, wish->reason));
    memcpy(window.origin, source.origin, sizeof window.origin);
    window.origin_key = source.key;
    if (!window.pattern || !window.reason || keeper_put_window(entered->keeper, &window) != 0) {
        free(window.pattern);
        free(window.reason);
        return 0;
    }
    note_change(entered, &source);
    if (receiver_add_window(entered->receiver, now, window.id, wish->pattern, wish->window) != 0)
        return 0;
    struct entered_window *entry = new_window(entered, wish->reason);
    if (entry) { /* else peers are not told before the next start */
        entry->source = source;
        entry->id = window.id;
    }
    return window.id;
}

int entered_end_window(struct entered *entered, struct instant now, int64_t id)
{
    const struct planned *planned = entered_planned(entered, id);
    if (!planned)
        return -1;
    struct instant to = instant_later(now, planned->window.from);
    struct journal_window window = {.id = id, .window = {planned->window.from, to}};
    window.ends = labels_second(receiver_labels(entered->receiver), to);
    if (keeper_put_window(entered->keeper, &window) != 0)
        return -1;
    for (size_t i = 0; i < entered->window_count; i++)
        if (entered->windows[i].id == id)
            note_change(entered, &entered->windows[i].source);
    return receiver_end_window(entered->receiver, now, id);
}

/* ---- outages ---- */

/* Of two words on an outage the later counts, so peers need not hear the earlier one. */
static void drop_earlier(struct entered *entered, const struct entered_relabel *relabel)
{
    for (size_t i = 0; i < entered->relabel_count; i++) {
        const struct entered_relabel *other = &entered->relabels[i];
        if (other != relabel && other->host == relabel->host && other->number == relabel->number &&
            !*other->source.origin && !*relabel->source.origin) {
            drop_relabel(entered, i);
            return;
        }
    }
}

int entered_add_relabel(struct entered *entered, struct host *host, const struct journal_relabel *relabel,
                        const char *reason, bool open)
{
    struct journal_relabel copy = *relabel;
    copy.host = host->id;
    copy.position = receiver_last_fact(entered->receiver);
    copy.reason = strdup(reason);
    if (!copy.reason || keeper_put_relabel(entered->keeper, &copy) != 0) {
        free(copy.reason);
        return -1;
    }
    keeper_remake(entered->keeper, host);
    if (open && host->state != STATE_UP) {
        host->relabelled = true;
        host->label = relabel->state;
    }
    struct entered_source source = {.entered = relabel->entered};
    note_change(entered, &source);
    struct entered_relabel *entry = new_relabel(entered, reason);
    if (!entry)
        return 0;
    entry->source = source;
    entry->host = host->id;
    entry->number = relabel->number;
    entry->state = relabel->state;
    entry->from = relabel->from;
    entry->to = relabel->to;
    set_origin(&entry->source, relabel->origin, *relabel->origin ? relabel->origin_key : key_of_relabel(entry));
    drop_earlier(entered, entry);
    return 0;
}

/* ---- what an earlier run stored ---- */

static bool window_is_kept(const struct entered *entered, const struct entered_window *window, struct instant now)
{
    const struct planned *planned = entered_planned(entered, window->id);
    int64_t kept_ns = *window->source.origin ? TAKEN_WINDOW_KEPT_NS : ENTERED_WINDOW_KEPT_NS;
    return planned && instant_before(instant_add(now, -kept_ns), planned->window.to);
}

static bool relabel_is_kept(const struct entered_relabel *relabel, int64_t second)
{
    int64_t kept_s = *relabel->source.origin ? TAKEN_RELABEL_KEPT_S : ENTERED_RELABEL_KEPT_S;
    return relabel->source.entered >= second - kept_s;
}

void entered_trim(struct entered *entered, struct instant now)
{
    int64_t second = labels_second(receiver_labels(entered->receiver), now);
    size_t kept = 0;
    for (size_t i = 0; i < entered->window_count; i++) { /* in the order of their ids, which is also that of time */
        if (window_is_kept(entered, &entered->windows[i], now))
            entered->windows[kept++] = entered->windows[i];
        else
            free(entered->windows[i].reason);
    }
    entered->window_count = kept;
    for (size_t i = entered->relabel_count; i > 0; i--)
        if (!relabel_is_kept(&entered->relabels[i - 1], second))
            drop_relabel(entered, i - 1);
}

static int load_windows(struct entered *entered, struct log_reader *reader, struct error *error)
{
    struct log_window *windows;
    size_t count;
    if (log_reader_windows(reader, &windows, &count, error) != 0)
        return -1;
    bool failed = false;
    for (size_t i = 0; i < count; i++) {
        const struct log_window *w = &windows[i];
        struct entered_window *entry = new_window(entered, w->reason);
        if (entry) {
            entry->id = w->id;
            entry->source.entered = w->entered;
            set_origin(&entry->source, w->origin,
                       *w->origin ? w->origin_key : make_key((uint64_t)w->id, 0, w->entered, w->pattern, w->reason));
        }
        failed = failed || !entry;
        log_window_free(&windows[i]);
    }
    free(windows);
    return failed ? error_set(error, "out of memory") : 0;
}

static int load_relabels(struct entered *entered, struct log_reader *reader, int64_t since, struct error *error)
{
    struct log_relabel *relabels;
    size_t count;
    if (log_reader_relabels_since(reader, since, &relabels, &count, error) != 0)
        return -1;
    bool failed = false;
    for (size_t i = 0; i < count; i++) {
        const struct log_relabel *r = &relabels[i];
        struct entered_relabel *entry = new_relabel(entered, r->reason);
        if (entry) {
            entry->host = r->host;
            entry->number = r->number;
            entry->state = r->state;
            entry->from = r->from;
            entry->to = r->to ? r->to : INT64_MAX;
            entry->source.entered = r->entered;
            set_origin(&entry->source, r->origin, *r->origin ? r->origin_key : key_of_relabel(entry));
            drop_earlier(entered, entry);
        }
        failed = failed || !entry;
        free(relabels[i].reason);
    }
    free(relabels);
    return failed ? error_set(error, "out of memory") : 0;
}

int entered_load(struct entered *entered, const char *data, struct instant now, struct error *error)
{
    int64_t second = labels_second(receiver_labels(entered->receiver), now);
    struct log_reader *reader = log_reader_open(data, error);
    if (!reader)
        return -1;
    int rc = load_windows(entered, reader, error);
    if (rc == 0)
        rc = load_relabels(entered, reader, second - TAKEN_RELABEL_KEPT_S, error);
    log_reader_close(reader);
    entered_trim(entered, now);
    return rc;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* farewell_uv.c - see farewell_uv.h. */
#include "agent/farewell_uv.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "agent/link_uv.h"
#include "common/log.h"

#define SETTLE_NS (2 * NS_PER_S)

struct farewell {
    struct farewell *next;
    const struct voice *voice; /* borrowed */
    struct contact contact;
    struct agent_core *core;
    struct link *link;
    struct instant since, wake;
    uint32_t tries;
    bool heard; /* it knows now */
    bool done;
    struct agent_actions actions;
};

static struct instant now_monotonic(void)
{
    return (struct instant){(int64_t)uv_hrtime()};
}

static void fill_random(void *context, void *buf, size_t len)
{
    (void)context;
    randombytes_buf(buf, len);
}

/* Carries out what the core decided. What is done is taken away by the next tick: we may be in a call of its link. */
static void act(struct farewell *farewell, struct instant now)
{
    uint8_t datagram[DATAGRAM_LEN_MAX];
    const struct agent_actions *actions = &farewell->actions;
    farewell->wake = actions->done ? now : actions->wake;
    farewell->done = actions->done;
    for (size_t i = 0; i < actions->message_count; i++)
        link_send(farewell->link, now, datagram, voice_seal(farewell->voice, &actions->messages[i], datagram));
}

static void on_received(void *context, struct link *link, const uint8_t *bytes, size_t len)
{
    struct farewell *farewell = context;
    struct voice_answer answer;
    struct instant now = now_monotonic();
    (void)link;
    if (farewell->done || !voice_open(farewell->voice, &answer, bytes, len))
        return;
    if (answer.is_challenge)
        (void)agent_challenge(farewell->core, 0, now, &answer.challenge, &farewell->actions);
    else if (agent_ack(farewell->core, 0, now, &answer.ack, &farewell->actions))
        farewell->heard = true;
    act(farewell, now);
}

static void on_changed(void *context, struct link *link)
{
    struct farewell *farewell = context;
    struct instant now = now_monotonic();
    (void)link;
    agent_receiver_changed(farewell->core, 0, now, &farewell->actions);
    act(farewell, now);
}

/* Returns what link_close does. */
static bool end(struct farewell *farewell)
{
    bool may_wait = !farewell->link || link_close(farewell->link);
    agent_destroy(farewell->core);
    free(farewell);
    return may_wait;
}

/* NULL: out of memory. */
static struct farewell *begin(const struct farewells *farewells, struct instant now, const struct contact *contact)
{
    struct farewell *farewell = calloc(1, sizeof *farewell);
    if (!farewell)
        return NULL;
    struct agent_options options = {.interval_ns = farewells->settings->interval_ns,
                                    .receiver_count = 1,
                                    .agent_start = contact->agent_start,
                                    .random = fill_random};
    struct link_handler handler = {.received = on_received, .changed = on_changed, .context = farewell};
    farewell->voice = farewells->voice;
    farewell->contact = *contact;
    farewell->since = now;
    farewell->core = agent_create(&options);
    farewell->link = link_create(farewells->loop, &contact->address, &handler);
    if (!farewell->core || !farewell->link) {
        (void)end(farewell);
        return NULL;
    }
    agent_stop(farewell->core, now, BYE_MOVED, &farewell->actions);
    act(farewell, now); /* goes nowhere before the first tick looks the address up, which sends it again */
    return farewell;
}

static bool is_spoken_to(const struct farewells *farewells, const struct receiver_address *address)
{
    for (size_t i = 0; i < farewells->settings->receiver_count; i++)
        if (memcmp(&farewells->settings->receivers[i], address, sizeof *address) == 0)
            return true;
    return false;
}

static bool is_under_way(const struct farewells *farewells, const struct receiver_address *address)
{
    for (const struct farewell *at = farewells->first; at; at = at->next)
        if (memcmp(&at->contact.address, address, sizeof *address) == 0)
            return true;
    return false;
}

static int save(const struct farewells *farewells, struct error *error)
{
    struct contact contacts[CONTACTS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < farewells->settings->receiver_count; i++)
        contacts[count++] = (struct contact){farewells->settings->receivers[i], farewells->agent_start};
    for (const struct farewell *at = farewells->first; at && count < CONTACTS_MAX; at = at->next)
        contacts[count++] = at->contact;
    return contacts_save(farewells->settings->state_dir, contacts, count, error);
}

static void tell_end(const struct farewell *farewell)
{
    char address[AGENT_SETTINGS_ADDRESS_SIZE];
    (void)receiver_address_text(address, &farewell->contact.address);
    if (farewell->heard)
        log_line(LOG_LEVEL_NOTICE, "receiver %s knows that this host has moved to others", address);
    else
        log_line(LOG_LEVEL_WARNING,
                 "receiver %s could not be told that this host has moved to others; it may record it as down until "
                 "it forgets it (twobeat host forget)",
                 address);
}

/* Takes away those that are done, or with a receiver that is spoken to again. Returns whether there were any. */
static bool sweep(struct farewells *farewells)
{
    bool any = false;
    for (struct farewell **at = &farewells->first; *at;) {
        struct farewell *farewell = *at;
        if (!farewell->done && !is_spoken_to(farewells, &farewell->contact.address)) {
            at = &farewell->next;
            continue;
        }
        if (farewell->done)
            tell_end(farewell);
        *at = farewell->next;
        (void)end(farewell);
        any = true;
    }
    return any;
}

int farewells_begin(struct farewells *farewells, struct instant now, const struct contact *before, size_t count,
                    struct error *error)
{
    (void)sweep(farewells);
    for (size_t i = 0; i < count; i++) {
        if (is_spoken_to(farewells, &before[i].address) || is_under_way(farewells, &before[i].address))
            continue;
        struct farewell *farewell = begin(farewells, now, &before[i]);
        if (!farewell)
            return error_set(error, "not enough memory to tell a receiver that this host has moved to others");
        farewell->next = farewells->first;
        farewells->first = farewell;
    }
    return save(farewells, error);
}

void farewells_tick(struct farewells *farewells, struct instant now)
{
    struct error error;
    for (struct farewell *at = farewells->first; at; at = at->next) {
        link_tick(at->link, now);
        if (at->done || instant_before(now, at->wake))
            continue;
        agent_wake(at->core, now, &at->actions);
        /* An answer of the first seconds may still be under way to this socket. After that, as with beats: after two in a row
         * without an answer another way is tried. */
        if (at->actions.message_count > 0 && instant_since(now, at->since) > SETTLE_NS && ++at->tries % 2 == 0)
            link_unanswered(at->link, now, at->tries);
        act(at, now);
    }
    if (sweep(farewells) && save(farewells, &error))
        log_line(LOG_LEVEL_WARNING, "%s", error.text);
}

struct instant farewells_due(const struct farewells *farewells)
{
    struct instant due = INSTANT_NEVER;
    for (const struct farewell *at = farewells->first; at; at = at->next)
        due = instant_earlier(due, instant_earlier(at->wake, link_due(at->link)));
    return due;
}

bool farewells_close(struct farewells *farewells)
{
    bool may_wait = true;
    while (farewells->first) {
        struct farewell *farewell = farewells->first;
        farewells->first = farewell->next;
        may_wait = end(farewell) && may_wait;
    }
    return may_wait;
}

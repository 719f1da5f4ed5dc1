/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent.c - see agent.h. The rules are those of PROTOCOL.md sections 4 and 5.
 *
 * Everything that can differ between receivers is in `struct peer`; the beat itself is one for all. What was heard
 * from a receiver is judged once a beat, when the next one is due: that is what "at most one new session an interval"
 * means here. The current beat comes first: a kept one is sent to a receiver that has acked the current one. */
#include "agent/agent.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "agent/backlog.h"
#include "agent/kept.h"
#include "agent/retry.h"

/* How many of the latest transmissions are remembered. An answer to an older one still shows that somebody listens,
 * but no longer which beat arrived; at R/2 this is half a minute and more. */
#define SENT_MAX 64
#define SENT_BYE UINT32_MAX /* in place of a beat number */

/* Two receivers that take turns behind one address would challenge each other's values for ever. */
#define CHALLENGES_ANSWERED_MAX 8

/* What there is between this agent and one receiver. */
struct peer {
    uint64_t session;
    uint64_t counter; /* of the latest transmission in this session; 0 before the first */
    uint8_t echo[ECHO_LEN];
    uint32_t sent[SENT_MAX]; /* [counter % SENT_MAX]: which beat that transmission carried */

    bool beat_sent;               /* the current beat went out at least once: there is something to judge */
    bool acked;                   /* the current beat, or the bye, has arrived, and no challenge came after that */
    bool burst;                   /* the beat before got no ack: the current one is sent more often */
    bool ack_heard;               /* since the current beat was due: any ack ... */
    bool challenge_heard;         /* ... any challenge */
    uint32_t challenges_answered; /* with the current beat */
    bool echo_answered;           /* the current beat already went out in answer to `echo` */
    uint32_t silent_beats;
    struct instant next_send; /* when the current beat or bye is sent again */
    struct backlog backlog;   /* goes on over sessions */
};

struct agent_core {
    struct agent_options options;
    struct instant next_due;
    bool started;
    bool sampling; /* a sample of the beat due at `sampling_due` was asked for */
    struct instant sampling_due;

    uint32_t number; /* of the current beat; 0 before the first */
    struct agent_sample sample;
    struct instant due;

    bool stopping;
    struct instant stop;
    enum bye_reason reason;

    size_t peer_count;
    struct peer peers[AGENT_RECEIVER_MAX];

    struct kept kept; /* the last member: most of it is never touched */
};

static uint32_t age_ms(struct instant now, struct instant since)
{
    int64_t ms = instant_since(now, since) / NS_PER_MS;
    return ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static void start_session(struct agent_core *core, struct peer *peer)
{
    backlog_doubt(&peer->backlog, 0);
    *peer = (struct peer){.silent_beats = peer->silent_beats, .next_send = INSTANT_NEVER, .backlog = peer->backlog};
    core->options.random(core->options.random_context, &peer->session, sizeof peer->session);
}

/* A receiver that is owed all beats from now on. */
static void add_peer(struct agent_core *core, struct peer *peer)
{
    *peer = (struct peer){0};
    backlog_init(&peer->backlog, core->number);
    start_session(core, peer);
}

static void set_interval(struct agent_core *core, int64_t interval_ns)
{
    assert(interval_ns >= AGENT_INTERVAL_MIN_NS && interval_ns <= AGENT_INTERVAL_MAX_NS);
    core->options.interval_ns = interval_ns;
}

struct agent_core *agent_create(const struct agent_options *options)
{
    assert(options->receiver_count > 0 && options->receiver_count <= AGENT_RECEIVER_MAX);
    struct agent_core *core = malloc(sizeof *core);
    if (!core)
        return NULL;
    memset(core, 0, offsetof(struct agent_core, kept));
    kept_init(&core->kept, options->keep);
    core->options = *options;
    set_interval(core, options->interval_ns);
    core->peer_count = options->receiver_count;
    for (size_t i = 0; i < core->peer_count; i++)
        add_peer(core, &core->peers[i]);
    return core;
}

void agent_destroy(struct agent_core *core)
{
    free(core);
}

static void plan_retry(const struct agent_core *core, struct peer *peer, struct instant now)
{
    if (core->stopping) {
        peer->next_send = retry_next_bye(core->options.interval_ns, core->reason, core->stop, now);
        return;
    }
    int64_t age = retry_next_age_ns(core->options.interval_ns, peer->burst, instant_since(now, core->due));
    peer->next_send = age == INT64_MAX ? INSTANT_NEVER : instant_add(core->due, age);
}

/* The next transmission to a receiver: the beat with that number, or SENT_BYE. */
static struct agent_message *begin_message(struct agent_core *core, size_t receiver, uint32_t number,
                                           struct agent_actions *out)
{
    struct peer *peer = &core->peers[receiver];
    assert(out->message_count < AGENT_RECEIVER_MAX);
    struct agent_message *message = &out->messages[out->message_count++];
    peer->counter++;
    peer->sent[peer->counter % SENT_MAX] = number;
    message->receiver = receiver;
    message->is_bye = number == SENT_BYE;
    return message;
}

static void fill_bye(const struct agent_core *core, const struct peer *peer, struct instant now, struct bye *bye)
{
    *bye = (struct bye){.session = peer->session,
                        .counter = peer->counter,
                        .age_ms = age_ms(now, core->stop),
                        .agent_start = core->options.agent_start,
                        .reason = (uint8_t)core->reason};
    memcpy(bye->echo, peer->echo, ECHO_LEN);
}

static void fill_beat(const struct agent_core *core, const struct peer *peer, uint32_t number,
                      const struct agent_sample *sample, struct beat *beat)
{
    *beat = (struct beat){.session = peer->session,
                          .counter = peer->counter,
                          .number = number,
                          .interval_ms = (uint32_t)(core->options.interval_ns / NS_PER_MS),
                          .uptime_ms = sample->uptime_ms,
                          .run_ms = sample->run_ms,
                          .agent_start = core->options.agent_start,
                          .previous_end = (uint8_t)core->options.previous_end,
                          .oldest_kept = backlog_oldest(&peer->backlog, &core->kept, core->number)};
    memcpy(beat->boot_id, core->options.boot_id, BOOT_ID_LEN);
    memcpy(beat->echo, peer->echo, ECHO_LEN);
    memcpy(beat->metrics, sample->metrics, sizeof beat->metrics);
}

/* The current beat, or the bye once we are stopping. */
static void send_to(struct agent_core *core, size_t receiver, struct instant now, struct agent_actions *out)
{
    struct peer *peer = &core->peers[receiver];
    struct agent_message *message = begin_message(core, receiver, core->stopping ? SENT_BYE : core->number, out);
    if (core->stopping) {
        fill_bye(core, peer, now, &message->bye);
    } else {
        peer->beat_sent = true;
        fill_beat(core, peer, core->number, &core->sample, &message->beat);
        message->beat.age_ms = age_ms(now, core->due);
    }
    plan_retry(core, peer, now);
}

/* The kept beat that this receiver is to get next, and when; 0: none. The current one and the bye come first. */
static uint32_t kept_for(const struct agent_core *core, const struct peer *peer, struct instant now, struct instant *at)
{
    *at = INSTANT_NEVER;
    return core->stopping || !peer->acked ? 0 : backlog_next(&peer->backlog, &core->kept, now, at);
}

/* Sends a kept beat if it is time for one. Its age counts the time that the machine slept, as its uptime does. */
static void send_kept(struct agent_core *core, size_t receiver, struct instant now, struct agent_actions *out)
{
    struct peer *peer = &core->peers[receiver];
    struct instant at;
    uint32_t number = kept_for(core, peer, now, &at);
    if (instant_before(now, at))
        return;
    const struct agent_sample *sample = &kept_get(&core->kept, number)->sample;
    struct beat *beat = &begin_message(core, receiver, number, out)->beat;
    fill_beat(core, peer, number, sample, beat);
    int64_t before_ms = (int64_t)(core->sample.uptime_ms - sample->uptime_ms);
    beat->age_ms = age_ms(now, instant_add(core->due, -before_ms * NS_PER_MS));
    beat->flags = BEAT_FLAG_KEPT;
    backlog_sent(&peer->backlog, number, now, core->options.interval_ns);
}

/* A beat that every receiver has on its disk is kept no longer. */
static void drop_safe(struct agent_core *core)
{
    uint32_t safe = UINT32_MAX;
    for (size_t i = 0; i < core->peer_count; i++)
        if (core->peers[i].backlog.safe < safe)
            safe = core->peers[i].backlog.safe;
    kept_drop(&core->kept, safe);
}

/* Fills in what every list of actions tells: when to come back, and whether all is done. */
static void finish(struct agent_core *core, struct instant now, struct agent_actions *out)
{
    bool all_acked = true;
    struct instant wake = core->stopping ? instant_add(core->stop, retry_bye_limit_ns(core->reason)) : core->next_due;
    for (size_t i = 0; i < core->peer_count; i++) {
        const struct peer *peer = &core->peers[i];
        struct instant kept_at;
        (void)kept_for(core, peer, now, &kept_at);
        wake = instant_earlier(wake, instant_earlier(peer->next_send, kept_at));
        all_acked = all_acked && peer->acked;
    }
    out->wake = wake;
    if (core->stopping)
        out->done = all_acked || instant_since(now, core->stop) >= retry_bye_limit_ns(core->reason);
}

static void begin(struct agent_actions *out)
{
    /* The messages themselves are large and are written when counted. */
    out->sample = false;
    out->due = INSTANT_NEVER;
    out->done = false;
    out->message_count = 0;
}

/* If a beat is due: asks for its sample. A late wake-up gives one beat, at the latest instant of the grid. */
static void ask_for_sample(struct agent_core *core, struct instant now, struct agent_actions *out)
{
    if (!core->started) {
        core->started = true;
        core->next_due = now;
    }
    int64_t late_ns = instant_since(now, core->next_due);
    if (late_ns < 0)
        return;
    core->sampling = true;
    core->sampling_due = instant_add(core->next_due, late_ns - late_ns % core->options.interval_ns);
    out->sample = true;
    out->due = core->sampling_due;
}

void agent_wake(struct agent_core *core, struct instant now, struct agent_actions *out)
{
    begin(out);
    if (!core->stopping)
        ask_for_sample(core, now, out);
    /* A beat that is about to be replaced is not sent again. */
    for (size_t i = 0; i < core->peer_count && !out->sample; i++) {
        if (!instant_before(now, core->peers[i].next_send))
            send_to(core, i, now, out);
        else
            send_kept(core, i, now, out);
    }
    finish(core, now, out);
}

/* The current beat is over: what did this receiver make of it? */
static void judge_peer(struct agent_core *core, struct peer *peer)
{
    if (!peer->beat_sent) {
        peer->burst = false;
        return;
    }
    bool answered = peer->ack_heard || peer->challenge_heard;
    peer->silent_beats = answered ? 0 : peer->silent_beats + 1;
    bool burst = !peer->acked;
    /* Challenges alone: our counters or our echo are of no use there, as after a restored snapshot. Every second
     * beat of a silence: whatever the receiver holds against this session ends with it. */
    bool unproven = peer->challenge_heard && !peer->ack_heard;
    if (unproven || (!answered && peer->silent_beats % 2 == 0))
        start_session(core, peer);
    peer->burst = burst;
}

void agent_sampled(struct agent_core *core, struct instant now, const struct agent_sample *sample,
                   struct agent_actions *out)
{
    begin(out);
    if (!core->sampling || core->stopping) { /* stopped meanwhile */
        finish(core, now, out);
        return;
    }
    for (size_t i = 0; i < core->peer_count; i++) {
        struct peer *peer = &core->peers[i];
        backlog_add(&peer->backlog, core->number, peer->acked);
        judge_peer(core, peer);
        peer->beat_sent = peer->acked = peer->ack_heard = peer->challenge_heard = peer->echo_answered = false;
        peer->challenges_answered = 0;
    }
    if (core->number > 0)
        kept_add(&core->kept, core->number, &core->sample);
    drop_safe(core);
    core->sampling = false;
    core->due = core->sampling_due;
    core->next_due = instant_add(core->due, core->options.interval_ns);
    core->number++;
    core->sample = *sample;
    for (size_t i = 0; i < core->peer_count; i++)
        send_to(core, i, now, out);
    finish(core, now, out);
}

/* Whether an answer is for this session and for something that was sent in it. */
static bool is_answer(const struct peer *peer, uint64_t session, uint64_t counter)
{
    return session == peer->session && counter >= 1 && counter <= peer->counter;
}

/* Which beat the transmission with this counter carried, or 0 if that is forgotten. */
static uint32_t beat_of_counter(const struct peer *peer, uint64_t counter)
{
    return peer->counter - counter < SENT_MAX ? peer->sent[counter % SENT_MAX] : 0;
}

bool agent_ack(struct agent_core *core, size_t receiver, struct instant now, const struct ack *ack,
               struct agent_actions *out)
{
    assert(receiver < core->peer_count);
    begin(out);
    struct peer *peer = &core->peers[receiver];
    bool counts = is_answer(peer, ack->session, ack->counter);
    if (counts) {
        peer->ack_heard = true;
        peer->silent_beats = 0;
        uint32_t number = beat_of_counter(peer, ack->counter);
        bool counted =
            backlog_ack(&peer->backlog, ack->counter, number == SENT_BYE ? 0 : number, ack->safe, core->number);
        drop_safe(core);
        if (counted && number == (core->stopping ? SENT_BYE : core->number)) {
            peer->acked = true;
            peer->next_send = INSTANT_NEVER;
            backlog_watch(&peer->backlog, &core->kept, core->number, core->due, now);
        }
        send_kept(core, receiver, now, out);
    }
    finish(core, now, out);
    return counts;
}

bool agent_challenge(struct agent_core *core, size_t receiver, struct instant now, const struct challenge *challenge,
                     struct agent_actions *out)
{
    assert(receiver < core->peer_count);
    begin(out);
    struct peer *peer = &core->peers[receiver];
    bool counts = is_answer(peer, challenge->session, challenge->counter);
    if (counts) {
        peer->challenge_heard = true;
        peer->silent_beats = 0;
        bool same = memcmp(peer->echo, challenge->value, ECHO_LEN) == 0;
        if (!(same && peer->echo_answered) && peer->challenges_answered < CHALLENGES_ANSWERED_MAX) {
            memcpy(peer->echo, challenge->value, ECHO_LEN);
            backlog_doubt(&peer->backlog, peer->counter);
            peer->acked = false;
            peer->echo_answered = true;
            peer->challenges_answered++;
            send_to(core, receiver, now, out);
        }
    }
    finish(core, now, out);
    return counts;
}

void agent_receiver_changed(struct agent_core *core, size_t receiver, struct instant now, struct agent_actions *out)
{
    assert(receiver < core->peer_count);
    begin(out);
    struct peer *peer = &core->peers[receiver];
    if ((core->stopping || peer->beat_sent) && !peer->acked)
        send_to(core, receiver, now, out);
    finish(core, now, out);
}

void agent_stop(struct agent_core *core, struct instant now, enum bye_reason reason, struct agent_actions *out)
{
    begin(out);
    if (!core->stopping) {
        core->stopping = true;
        core->stop = now;
        core->reason = reason;
        for (size_t i = 0; i < core->peer_count; i++) {
            if (reason == BYE_MOVED) /* a beat that is still under way must not look as if the host were back */
                start_session(core, &core->peers[i]);
            core->peers[i].acked = core->peers[i].echo_answered = false;
            core->peers[i].challenges_answered = 0;
            send_to(core, i, now, out);
        }
    }
    finish(core, now, out);
}

void agent_set_interval(struct agent_core *core, struct instant now, int64_t interval_ns, struct agent_actions *out)
{
    begin(out);
    if (interval_ns != core->options.interval_ns && !core->stopping) {
        set_interval(core, interval_ns);
        core->sampling = false;
        core->next_due = now;
        for (size_t i = 0; i < core->peer_count; i++)
            start_session(core, &core->peers[i]);
    }
    finish(core, now, out);
}

void agent_set_receivers(struct agent_core *core, struct instant now, const int *previous, size_t count,
                         struct agent_actions *out)
{
    assert(count > 0 && count <= AGENT_RECEIVER_MAX);
    begin(out);
    struct peer old[AGENT_RECEIVER_MAX];
    size_t old_count = core->peer_count;
    memcpy(old, core->peers, sizeof old);
    core->peer_count = count;
    for (size_t i = 0; i < count; i++) {
        assert(previous[i] < 0 || (size_t)previous[i] < old_count);
        if (previous[i] < 0)
            add_peer(core, &core->peers[i]);
        else
            core->peers[i] = old[previous[i]];
    }
    drop_safe(core);
    finish(core, now, out);
}

void agent_set_keep(struct agent_core *core, uint32_t keep)
{
    kept_set_limit(&core->kept, keep);
}

uint32_t agent_silent_beats(const struct agent_core *core, size_t receiver)
{
    assert(receiver < core->peer_count);
    return core->peers[receiver].silent_beats;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent.c - see agent.h. The rules are those of PROTOCOL.md sections 4 and 5.
 *
 * Everything that can differ between receivers is in `struct peer`; the beat itself is one for all. What was heard
 * from a receiver is judged once a beat, when the next one is due: that is what "at most one new session an interval"
 * means here. */
#include "agent/agent.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* How many of the latest transmissions are remembered. An answer to an older one still shows that somebody listens,
 * but no longer which beat arrived; at R/2 this is half a minute and more. */
#define SENT_MAX 64
#define SENT_BYE UINT32_MAX /* in place of a beat number */

/* Two receivers that take turns behind one address would challenge each other's values for ever. */
#define CHALLENGES_ANSWERED_MAX 8

/* Half a minute of trying often is enough: with an interval of an hour, T/8 would be a thousand datagrams a beat. */
#define BURST_MAX_NS (30 * NS_PER_S)

#define RETRY_MIN_NS (200 * NS_PER_MS)
#define RETRY_MAX_NS NS_PER_S

/* What there is between this agent and one receiver. */
struct peer {
    uint64_t session;
    uint64_t counter; /* of the latest transmission in this session; 0 before the first */
    uint8_t echo[ECHO_LEN];
    uint32_t sent[SENT_MAX]; /* [counter % SENT_MAX]: which beat that transmission carried */

    bool beat_sent;               /* the current beat went out at least once: there is something to judge */
    bool acked;                   /* the current beat, or the bye, has arrived */
    bool burst;                   /* the beat before got no ack: the current one is sent more often */
    bool ack_heard;               /* since the current beat was due: any ack ... */
    bool challenge_heard;         /* ... any challenge */
    uint32_t challenges_answered; /* with the current beat */
    bool echo_answered;           /* the current beat already went out in answer to `echo` */
    uint32_t silent_beats;
    struct instant next_send; /* when the current beat or bye is sent again */
};

struct agent_core {
    struct agent_options options;
    int64_t retry_ns; /* R */
    struct instant next_due;
    bool started;
    bool sampling; /* a sample of the beat due at `sampling_due` was asked for */
    struct instant sampling_due;

    struct beat beat; /* the current one; session, counter, age and echo differ for each receiver */
    struct instant due;

    bool stopping;
    struct instant stop;
    enum bye_reason reason;

    size_t peer_count;
    struct peer peers[AGENT_RECEIVER_MAX];
};

static int64_t clamp_ns(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static uint32_t age_ms(struct instant now, struct instant since)
{
    int64_t ms = instant_since(now, since) / NS_PER_MS;
    return (uint32_t)clamp_ns(ms, 0, UINT32_MAX);
}

static void start_session(struct agent_core *core, struct peer *peer)
{
    *peer = (struct peer){.silent_beats = peer->silent_beats, .next_send = INSTANT_NEVER};
    core->options.random(core->options.random_context, &peer->session, sizeof peer->session);
}

static void set_interval(struct agent_core *core, int64_t interval_ns)
{
    assert(interval_ns >= AGENT_INTERVAL_MIN_NS && interval_ns <= AGENT_INTERVAL_MAX_NS);
    core->options.interval_ns = interval_ns;
    core->retry_ns = clamp_ns(interval_ns / 60, RETRY_MIN_NS, RETRY_MAX_NS);
}

struct agent_core *agent_create(const struct agent_options *options)
{
    assert(options->receiver_count > 0 && options->receiver_count <= AGENT_RECEIVER_MAX);
    struct agent_core *core = calloc(1, sizeof *core);
    if (!core)
        return NULL;
    core->options = *options;
    set_interval(core, options->interval_ns);
    core->peer_count = options->receiver_count;
    for (size_t i = 0; i < core->peer_count; i++)
        start_session(core, &core->peers[i]);
    return core;
}

void agent_destroy(struct agent_core *core)
{
    free(core);
}

/* When the beat is sent again after its age was `age_ns`: the smallest time of the schedule that is larger, as an age;
 * INT64_MAX if there is none. Computed from the age alone, so that a late wake-up skips what it missed. */
static int64_t next_retry_age(const struct agent_core *core, bool burst, int64_t age_ns)
{
    int64_t interval = core->options.interval_ns;
    int64_t retry = core->retry_ns;
    int64_t next = INT64_MAX;
    for (int64_t factor = 31; factor >= 1; factor /= 2) /* 31, 15, 7, 3, 1 */
        if (factor * retry > age_ns && factor * retry <= interval * 55 / 100)
            next = factor * retry;
    if (burst) {
        int64_t in_burst = (age_ns / (retry / 2) + 1) * (retry / 2);
        if (in_burst <= interval / 8 && in_burst <= BURST_MAX_NS && in_burst < next)
            next = in_burst;
    }
    return next;
}

static void plan_retry(const struct agent_core *core, struct peer *peer, struct instant now)
{
    if (core->stopping) {
        struct instant next = instant_add(now, core->retry_ns);
        bool in_time = instant_since(next, core->stop) < AGENT_BYE_LIMIT_NS;
        peer->next_send = in_time ? next : INSTANT_NEVER;
        return;
    }
    int64_t age = next_retry_age(core, peer->burst, instant_since(now, core->due));
    peer->next_send = age == INT64_MAX ? INSTANT_NEVER : instant_add(core->due, age);
}

/* One transmission: the current beat, or the bye once we are stopping. */
static void send_to(struct agent_core *core, size_t receiver, struct instant now, struct agent_actions *out)
{
    struct peer *peer = &core->peers[receiver];
    assert(out->message_count < AGENT_RECEIVER_MAX);
    struct agent_message *message = &out->messages[out->message_count++];
    peer->counter++;
    peer->sent[peer->counter % SENT_MAX] = core->stopping ? SENT_BYE : core->beat.number;
    message->receiver = receiver;
    message->is_bye = core->stopping;
    if (core->stopping) {
        message->bye = (struct bye){.session = peer->session,
                                    .counter = peer->counter,
                                    .age_ms = age_ms(now, core->stop),
                                    .agent_start = core->options.agent_start,
                                    .reason = (uint8_t)core->reason};
        memcpy(message->bye.echo, peer->echo, ECHO_LEN);
    } else {
        peer->beat_sent = true;
        message->beat = core->beat;
        message->beat.session = peer->session;
        message->beat.counter = peer->counter;
        message->beat.age_ms = age_ms(now, core->due);
        memcpy(message->beat.echo, peer->echo, ECHO_LEN);
    }
    plan_retry(core, peer, now);
}

/* Fills in what every list of actions tells: when to come back, and whether all is done. */
static void finish(struct agent_core *core, struct instant now, struct agent_actions *out)
{
    bool all_acked = true;
    struct instant wake = core->stopping ? instant_add(core->stop, AGENT_BYE_LIMIT_NS) : core->next_due;
    for (size_t i = 0; i < core->peer_count; i++) {
        wake = instant_earlier(wake, core->peers[i].next_send);
        all_acked = all_acked && core->peers[i].acked;
    }
    out->wake = wake;
    if (core->stopping)
        out->done = all_acked || instant_since(now, core->stop) >= AGENT_BYE_LIMIT_NS;
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
    for (size_t i = 0; i < core->peer_count && !out->sample; i++)
        if (!instant_before(now, core->peers[i].next_send))
            send_to(core, i, now, out);
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
        judge_peer(core, peer);
        peer->beat_sent = peer->acked = peer->ack_heard = peer->challenge_heard = peer->echo_answered = false;
        peer->challenges_answered = 0;
    }
    core->sampling = false;
    core->due = core->sampling_due;
    core->next_due = instant_add(core->due, core->options.interval_ns);
    struct beat *beat = &core->beat;
    beat->number++;
    beat->interval_ms = (uint32_t)(core->options.interval_ns / NS_PER_MS);
    memcpy(beat->boot_id, core->options.boot_id, BOOT_ID_LEN);
    beat->uptime_ms = sample->uptime_ms;
    beat->run_ms = sample->run_ms;
    beat->agent_start = core->options.agent_start;
    beat->previous_end = (uint8_t)core->options.previous_end;
    beat->oldest_kept = beat->number; /* nothing older is kept yet */
    memcpy(beat->metrics, sample->metrics, sizeof beat->metrics);
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
        if (beat_of_counter(peer, ack->counter) == (core->stopping ? SENT_BYE : core->beat.number)) {
            peer->acked = true;
            peer->next_send = INSTANT_NEVER;
        }
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
        core->peers[i] = (struct peer){0};
        if (previous[i] < 0) {
            start_session(core, &core->peers[i]);
        } else {
            assert((size_t)previous[i] < old_count);
            core->peers[i] = old[previous[i]];
        }
    }
    finish(core, now, out);
}

uint32_t agent_silent_beats(const struct agent_core *core, size_t receiver)
{
    assert(receiver < core->peer_count);
    return core->peers[receiver].silent_beats;
}

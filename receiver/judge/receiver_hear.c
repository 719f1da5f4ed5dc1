/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receiver_hear.c - what an opened datagram makes of the receiver: challenged, dropped, or accepted as a fact and acknowledged
 * (PROTOCOL.md section 4). Nothing is changed before the proof holds. */
#include <stdlib.h>
#include <string.h>

#include "receiver/judge/clone.h"
#include "receiver/judge/receiver_internal.h"

/* So many facts have room when a new host is taken on: most of it is for the others, until the next batch. */
enum { FACTS_AHEAD = 128 };

static bool reserve(struct receiver_output *out)
{
    void *heard = out->heard;
    if (!receiver_grow(&heard, &out->heard_capacity, out->heard_count, sizeof *out->heard))
        return false;
    out->heard = heard;
    return receiver_grow_facts(out, FACTS_AHEAD);
}

/* Takes on a host that has just proven itself. NULL: no room. What its first beat needs must be there before: that there is no
 * memory for a host that is known ends the process, since what is not heard would be down. */
static struct host *create_host(struct receiver *receiver, const char *name, size_t name_len)
{
    struct receiver_output *out = &receiver->output;
    void *created = out->created;
    if (receiver->hosts.count >= receiver->options.host_count_max || !reserve(&receiver->output) ||
        !receiver_grow(&created, &out->created_capacity, out->created_count, sizeof *out->created))
        return NULL;
    out->created = created;
    struct host *host = receiver_take_on(receiver, receiver->hosts.count + 1, name, name_len);
    if (!host)
        return NULL;
    host->position = receiver->last_fact;
    out->created[out->created_count++] = host->id;
    return host;
}

static struct receiver_answer challenge(struct receiver *receiver, const struct host *host, const char *name,
                                        size_t name_len, uint64_t session, uint64_t counter)
{
    struct receiver_answer answer = {.type = ANSWER_CHALLENGE};
    answer.challenge.session = session;
    answer.challenge.counter = counter;
    proof_challenge(answer.challenge.value, receiver->options.secret, name, name_len, session,
                    host ? host->sessions_proven : 0);
    receiver->statistics[RECEIVER_CHALLENGED]++;
    return answer;
}

/* Counts what arrived `now` at its arrival minus its age, but does not trust an age beyond half an interval. */
static struct instant due_instant(struct instant now, uint32_t age_ms, int64_t interval_ns)
{
    int64_t age_ns = (int64_t)age_ms * NS_PER_MS;
    return instant_add(now, age_ns > interval_ns / 2 ? -(interval_ns / 2) : -age_ns);
}

static void fill_beat(struct fact_beat *out, const struct host *host, struct instant now, const struct beat *beat)
{
    uint32_t announced_ms = beat->interval_ms;
    if (announced_ms > 0 && announced_ms < EXPECTATION_ANNOUNCED_MIN_NS / NS_PER_MS)
        announced_ms = EXPECTATION_ANNOUNCED_MIN_NS / NS_PER_MS;
    if (announced_ms > EXPECTATION_ANNOUNCED_MAX_NS / NS_PER_MS)
        announced_ms = EXPECTATION_ANNOUNCED_MAX_NS / NS_PER_MS;
    out->kept = beat->flags & BEAT_FLAG_KEPT;
    /* What was learned holds for the session; a new one may come with another interval. */
    int64_t interval_ns = expectation_interval_ns(&host->expectation);
    if (announced_ms > 0 && (interval_ns == 0 || beat->session != host->expectation.session))
        interval_ns = announced_ms * NS_PER_MS;
    out->at =
        out->kept ? instant_add(now, -(int64_t)beat->age_ms * NS_PER_MS) : due_instant(now, beat->age_ms, interval_ns);
    if ((host->heard || host->forgotten) && !out->kept)
        out->at = instant_later(out->at, host->expectation.last); /* time does not go back */
    out->same_run = host->heard && beat->session == host->expectation.session &&
                    beat->agent_start == host->agent_start &&
                    memcmp(beat->boot_id, host->boot_id, sizeof host->boot_id) == 0;
    out->session = beat->session;
    memcpy(out->boot_id, beat->boot_id, sizeof out->boot_id);
    out->agent_start = beat->agent_start;
    out->previous_end = beat->previous_end;
    out->interval_ms = announced_ms;
    out->number = beat->number;
    out->oldest_kept = beat->oldest_kept < beat->number ? beat->oldest_kept : beat->number;
    out->uptime_ms = beat->uptime_ms < FACT_UPTIME_MS_MAX ? beat->uptime_ms : FACT_UPTIME_MS_MAX;
    out->run_ms = beat->run_ms < FACT_UPTIME_MS_MAX ? beat->run_ms : FACT_UPTIME_MS_MAX;
    memcpy(out->metrics, beat->metrics, sizeof out->metrics);
    fact_round_metrics(out->metrics);
}

/* A stolen key must not fill the disk of all: a host is heard 50 times a second, 500 times at once. The fastest agent needs four,
 * and retransmissions. */
enum { BUDGET_PER_S = 50, BUDGET_MAX = 500 };

static bool has_budget(struct receiver *receiver, struct host *host, struct instant now)
{
    if (budget_take(&host->budget, now, BUDGET_PER_S, BUDGET_MAX))
        return true;
    receiver->statistics[RECEIVER_TOO_MANY]++;
    return false;
}

/* Two machines with one key: which of them the record is about is decided in clone.c; the other one is only counted. */
static void count_clone(struct receiver *receiver, struct host *host, struct instant now, const struct fact_beat *beat)
{
    if (!host->clone && !(host->clone = calloc(1, sizeof *host->clone))) {
        receiver->failed = true;
        return;
    }
    if (memcmp(host->clone->boot_id, beat->boot_id, sizeof host->clone->boot_id) != 0)
        *host->clone = (struct clone){0};
    memcpy(host->clone->boot_id, beat->boot_id, sizeof host->clone->boot_id);
    host->clone->beats++;
    host->clone->heard_at = now;
    receiver->statistics[RECEIVER_CLONED]++;
}

/* Returns whether the beat is news of the host. */
static bool accept_beat(struct receiver *receiver, struct host *host, struct instant now, const struct beat *beat)
{
    struct fact fact = {.type = FACT_BEAT, .now = now, .host = host->id};
    fill_beat(&fact.beat, host, now, beat);
    int64_t waited_ns = absence_wait_ns(receiver->absences, receiver->absence_count, host->heard_at);
    if (clone_is_other(host, &fact.beat, fact.beat.same_run ? 0 : waited_ns)) {
        count_clone(receiver, host, now, &fact.beat);
        return false;
    }
    if (verdict_is_known(host, &fact.beat)) {
        receiver->statistics[RECEIVER_KNOWN]++;
        return false;
    }
    struct receiver_output *out = &receiver->output;
    void *heard = out->heard;
    if (!receiver_grow(&heard, &out->heard_capacity, out->heard_count, sizeof *out->heard)) {
        receiver->failed = true;
        return false;
    }
    out->heard = heard;
    if (verdict_returns(host, &fact.beat))
        receiver_look_for_lost(receiver, now, host);
    out->heard[out->heard_count++] = (struct heard_beat){host->id, beat->number, beat->agent_start};
    receiver_note(receiver, &fact);
    receiver->statistics[RECEIVER_BEATS]++;
    return true;
}

/* Whether the agent was set back, as by a restored snapshot, and its counters have caught up: what is sent last has the largest counter,
 * but a number of the past. It gets no answer, so that it takes a new session within two intervals. Were it acked as known, nothing would be
 * heard of it until its numbers have caught up as well. */
static bool is_set_back(const struct host *host, const struct beat *beat)
{
    return host->heard && !(beat->flags & BEAT_FLAG_KEPT) && beat->counter == host->window.largest &&
           beat->session == host->expectation.session && beat->agent_start == host->agent_start &&
           beat->number < host->expectation.number;
}

struct receiver_answer receiver_hear_beat(struct receiver *receiver, struct instant now, const char *name,
                                          size_t name_len, const struct beat *beat)
{
    struct host *host = host_table_find(&receiver->hosts, name, name_len);
    switch (proof_check(host, receiver->options.secret, name, name_len, beat->session, beat->counter, beat->echo)) {
    case PROOF_REPEATED:
        receiver->statistics[RECEIVER_REPEATED]++;
        return (struct receiver_answer){.type = ANSWER_NONE, .host = host};
    case PROOF_NEEDED: return challenge(receiver, host, name, name_len, beat->session, beat->counter);
    case PROOF_NEW:
        if (!host && !(host = create_host(receiver, name, name_len))) {
            receiver->statistics[RECEIVER_NO_ROOM]++;
            return (struct receiver_answer){.type = ANSWER_NONE};
        }
        proof_install(host, beat->session, beat->counter);
        receiver->statistics[RECEIVER_PROVEN]++;
        break;
    case PROOF_FRESH: break;
    }
    if (is_set_back(host, beat)) {
        receiver->statistics[RECEIVER_REPEATED]++;
        return (struct receiver_answer){.type = ANSWER_NONE, .host = host};
    }
    if (!has_budget(receiver, host, now))
        return (struct receiver_answer){.type = ANSWER_NONE, .host = host};
    receiver_observe_heard(receiver, host, now);
    if (accept_beat(receiver, host, now, beat))
        receiver_heard_name(receiver, host, name, name_len);
    struct receiver_answer answer = {.type = ANSWER_ACK, .host = host};
    uint32_t safe = beat->agent_start == host->agent_start ? numbers_safe(&host->numbers, beat->oldest_kept) : 0;
    answer.ack = (struct ack){beat->session, beat->counter, safe};
    return answer;
}

struct receiver_answer receiver_hear_bye(struct receiver *receiver, struct instant now, const char *name,
                                         size_t name_len, const struct bye *bye)
{
    struct host *host = host_table_find(&receiver->hosts, name, name_len);
    struct receiver_answer answer = {.type = ANSWER_ACK, .host = host};
    answer.ack = (struct ack){bye->session, bye->counter, 0};
    switch (proof_check(host, receiver->options.secret, name, name_len, bye->session, bye->counter, bye->echo)) {
    case PROOF_REPEATED:
        receiver->statistics[RECEIVER_REPEATED]++;
        return (struct receiver_answer){.type = ANSWER_NONE, .host = host};
    case PROOF_NEEDED: return challenge(receiver, host, name, name_len, bye->session, bye->counter);
    case PROOF_NEW:
        if (!host)
            return answer; /* never heard: nothing to take leave of */
        proof_install(host, bye->session, bye->counter);
        receiver->statistics[RECEIVER_PROVEN]++;
        break;
    case PROOF_FRESH: break;
    }
    struct fact fact = {.type = FACT_BYE, .now = now, .host = host->id};
    if (!has_budget(receiver, host, now))
        return (struct receiver_answer){.type = ANSWER_NONE, .host = host};
    receiver_observe_heard(receiver, host, now);
    struct instant at = due_instant(now, bye->age_ms, expectation_interval_ns(&host->expectation));
    fact.bye = (struct fact_bye){at, bye->agent_start, bye->reason};
    const struct silence *silence = host_open_silence(host);
    if (silence && silence->judged && silence->goodbye == GOODBYE_NONE && bye->agent_start == host->agent_start)
        receiver_look_for_lost(receiver, now, host); /* it ran on, and takes its leave now */
    receiver_note(receiver, &fact);
    receiver->statistics[RECEIVER_BYES]++;
    return answer;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receiver_peers.c - asks other receivers about hosts that are silent here, and answers what they ask. */
#include <string.h>

#include "receiver/judge/receiver_internal.h"

/* Questions go out in batches of some forty; so many batches a second are enough for ten thousand hosts lost at once. */
enum { BATCHES_PER_S = 400 };
#define ASK_MIN_NS (100 * NS_PER_MS)
#define ASK_MAX_NS (5 * NS_PER_S)
#define ASK_SELDOM_NS (60 * NS_PER_S)

static int64_t clamp_ns(int64_t ns, int64_t low, int64_t high)
{
    return ns < low ? low : ns > high ? high : ns;
}

static uint32_t ms_since(struct instant now, struct instant then)
{
    int64_t ms = instant_since(now, then) / NS_PER_MS;
    return ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

/* ---- who there is ---- */

int receiver_add_peer(struct receiver *receiver, const char *name, uint64_t session)
{
    return peers_add(&receiver->peers, name, session);
}

void receiver_remove_peer(struct receiver *receiver, struct instant now, unsigned place)
{
    uint16_t others = (uint16_t) ~(1U << place);
    peers_remove(&receiver->peers, place);
    receiver->peers.batch.count = 0;
    for (uint32_t id = 1; id <= receiver->hosts.count; id++) {
        struct silence_record *record = receiver->hosts.hosts[id] ? receiver->hosts.hosts[id]->silence : NULL;
        if (!record)
            continue;
        record->peers_silent &= others;
        record->peers_strange &= others;
    }
    receiver_expect_contact(receiver, now);
}

void receiver_greet_peer(struct receiver *receiver, unsigned place)
{
    receiver->peers.peers[place]->beat_at = INSTANT_LONG_AGO;
}

const struct peers *receiver_peers(const struct receiver *receiver)
{
    return &receiver->peers;
}

static bool any_heard(const struct peers *peers, struct instant now)
{
    for (unsigned i = 0; i < PEERS_MAX; i++)
        if (peers->peers[i] && peer_is_heard(peers->peers[i], now))
            return true;
    return false;
}

/* ---- asking ---- */

void receiver_inquire(struct receiver *receiver, const struct host *host, struct instant at)
{
    if (host_open_silence(host) && peers_any(&receiver->peers))
        deadlines_promise(&receiver->peers.inquiries, host->id, at);
}

/* When a silent host is to be asked for: often while it is late, seldom once it is judged. One that is up by what a peer heard is asked for
 * when its next beat should have come, before it is late. INSTANT_NEVER: not at all. */
static struct instant next_inquiry(const struct host *host, struct instant now)
{
    const struct silence *s = host_open_silence(host);
    if (!s)
        return INSTANT_NEVER;
    int64_t interval_ns = expectation_interval_ns(&host->expectation);
    if (s->by_path && !s->late) {
        struct instant due = instant_add(s->last, interval_ns + interval_ns / 16);
        if (instant_before(now, due))
            return due;
    }
    if (s->judged || s->cut_off || host->waiting || s->goodbye != GOODBYE_NONE)
        return instant_add(now, clamp_ns(interval_ns, ASK_MAX_NS, ASK_SELDOM_NS));
    return instant_add(now, clamp_ns(interval_ns / 8, ASK_MIN_NS, ASK_MAX_NS));
}

/* The host's last sign of life as far as it is known here. */
static void ask_for(struct codec *codec, const struct host *host, struct instant now)
{
    struct peer_question question = {.agent_start = host->agent_start, .number = host->expectation.number};
    question.age_ms = ms_since(now, host->expectation.last);
    question.name_len = strlen(host->name);
    memcpy(question.name, host->name, question.name_len);
    uint8_t type = PEER_QUESTION;
    uint16_t len = (uint16_t)(PEER_QUESTION_FIXED_LEN + question.name_len);
    peer_item_visit(codec, &type, &len);
    peer_question_visit(codec, &question, len);
}

static void fill_batch(struct receiver *receiver, struct instant now)
{
    struct peers *peers = &receiver->peers;
    struct peer_batch *batch = &peers->batch;
    struct codec codec = codec_writer(batch->items, PEER_PAYLOAD_MAX - PEER_HEAD_LEN);
    batch->count = 0;
    batch->next = 0;
    if (instant_before(now, deadlines_next(&peers->inquiries)) ||
        !budget_take(&peers->budget, now, BATCHES_PER_S, BATCHES_PER_S))
        return;
    while (!instant_before(now, deadlines_next(&peers->inquiries)) && batch->count < PEER_QUESTIONS_MAX) {
        const struct host *host = receiver->hosts.hosts[peers->inquiries.entries[0].host];
        if (codec_left(&codec) < PEER_ITEM_HEAD_LEN + PEER_QUESTION_FIXED_LEN + strlen(host->name))
            break;
        (void)deadlines_take(&peers->inquiries);
        struct instant next = next_inquiry(host, now);
        if (!instant_before(next, INSTANT_NEVER))
            continue;
        receiver_inquire(receiver, host, next);
        const struct silence *s = host_open_silence(host);
        if (s->by_path && !s->late && instant_before(now, instant_add(s->last, s->interval_ns)))
            continue; /* heard meanwhile */
        ask_for(&codec, host, now);
        batch->hosts[batch->count++] = host->id;
    }
    batch->len = codec.pos;
}

static size_t tell(struct receiver *receiver, struct instant now, unsigned place, const struct peer_batch *batch,
                   uint8_t payload[PEER_PAYLOAD_MAX])
{
    struct codec codec = codec_writer(payload, PEER_PAYLOAD_MAX);
    peer_tell(receiver->peers.peers[place], receiver->configured.secret, &codec);
    peer_note_told(receiver->peers.peers[place], now, batch);
    if (!batch)
        return codec.pos;
    memcpy(payload + codec.pos, batch->items, batch->len);
    return codec.pos + batch->len;
}

size_t receiver_tell_peer(struct receiver *receiver, struct instant now, uint8_t payload[PEER_PAYLOAD_MAX],
                          unsigned *place)
{
    struct peers *peers = &receiver->peers;
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        if (!peers->peers[i] || !peer_is_due(peers->peers[i], now))
            continue;
        *place = i;
        return tell(receiver, now, i, NULL, payload);
    }
    if (!any_heard(peers, now))
        return 0;
    for (;;) {
        if (peers->batch.count == 0)
            fill_batch(receiver, now);
        if (peers->batch.count == 0)
            return 0;
        while (peers->batch.next < PEERS_MAX) {
            unsigned i = peers->batch.next++;
            if (!peers->peers[i] || !peer_is_heard(peers->peers[i], now))
                continue;
            *place = i;
            return tell(receiver, now, i, &peers->batch, payload);
        }
        peers->batch.count = 0;
    }
}

size_t receiver_leave_peer(struct receiver *receiver, struct instant now, unsigned place,
                           uint8_t payload[PEER_PAYLOAD_MAX])
{
    const struct peer *peer = receiver->peers.peers[place];
    if (!peer || !peer_is_heard(peer, now))
        return 0;
    size_t len = tell(receiver, now, place, NULL, payload);
    struct codec codec = codec_writer(payload + len, PEER_PAYLOAD_MAX - len);
    uint8_t type = PEER_LEAVE;
    uint16_t body_len = 0;
    peer_item_visit(&codec, &type, &body_len);
    return len + codec.pos;
}

/* ---- answering ---- */

/* Since when this receiver would have heard the host, had it spoken. */
static struct instant attests_from(const struct receiver *receiver, const struct host *host)
{
    struct instant from = instant_later(host->expectation.last, receiver->observation.began);
    if (receiver->absence_count > 0)
        from = instant_later(from, receiver->absences[receiver->absence_count - 1].to);
    return from;
}

/* When its newest beat was due. What waited in the socket while this receiver stood still is dated at the end of that, and may have come
 * at its beginning: others are told no more than is certain. */
static struct instant surely_due(const struct receiver *receiver, const struct host *host)
{
    return instant_add(host->expectation.last,
                       -absence_wait_ns(receiver->absences, receiver->absence_count, host->heard_at));
}

static struct peer_answer answer_question(const struct receiver *receiver, const struct peer_question *question,
                                          struct instant now)
{
    struct peer_answer answer = {.kind = PEER_NOT_MINE, .back_ms = UINT32_MAX, .state = STATE_DOWN};
    const struct host *host = host_table_find(&receiver->hosts, question->name, question->name_len);
    if (!host || !host->heard || receiver_absence(receiver))
        return answer;
    uint32_t age_ms = ms_since(now, surely_due(receiver, host));
    bool late = !instant_before(now, host->deadline[0]);
    bool later = host->agent_start == question->agent_start ? host->expectation.number > question->number
                                                            : age_ms < question->age_ms;
    if (later) {
        bool lapsed =
            !instant_before(now, expectation_lapse(&host->expectation, 1)); /* whoever gave it a fresh chance */
        answer.kind = lapsed ? PEER_LATE : PEER_HEARD;
        answer.age_ms = age_ms;
        if (host->back_at.ns != 0) {
            answer.back_ms = ms_since(now, host->back_at);
            answer.state = (uint8_t)host->back_state;
            answer.cause = (uint8_t)host->back_cause;
        }
    } else if (late) {
        answer.kind = PEER_SILENT;
        answer.age_ms = ms_since(now, attests_from(receiver, host));
    }
    return answer;
}

/* Answers every question of a datagram. Returns false if there is none. */
static bool answer_all(const struct receiver *receiver, struct instant now, uint64_t counter, struct codec items,
                       struct codec *out)
{
    struct peer_answer answers[PEER_QUESTIONS_MAX];
    struct codec body;
    uint16_t count = 0;
    uint8_t type;
    while (peer_item_next(&items, &type, &body)) {
        if (type != PEER_QUESTION || count == PEER_QUESTIONS_MAX)
            continue;
        struct peer_question question;
        peer_question_visit(&body, &question, (uint16_t)body.len);
        answers[count++] = body.failed ? (struct peer_answer){.kind = PEER_NOT_MINE, .state = STATE_DOWN}
                                       : answer_question(receiver, &question, now);
    }
    if (count == 0)
        return false;
    type = PEER_ANSWERS;
    uint16_t len = (uint16_t)(PEER_ANSWERS_FIXED_LEN + count * PEER_ANSWER_LEN);
    peer_item_visit(out, &type, &len);
    codec_u64(out, &counter);
    for (uint16_t i = 0; i < count; i++)
        peer_answer_visit(out, &answers[i]);
    return true;
}

/* ---- being answered ---- */

/* A peer has a later sign of life. False: it is the one that is known. */
static bool take_path(struct receiver *receiver, struct host *host, struct instant now, struct instant asked_at,
                      const struct peer_answer *answer)
{
    const struct silence *s = host_open_silence(host);
    struct instant at = instant_add(asked_at, -(int64_t)answer->age_ms * NS_PER_MS);
    /* The answer travelled, so the same beat is told of as up to that much older: the next one is an interval away. */
    if (!instant_before(instant_add(s->last, s->interval_ns / 2), at))
        return false;
    struct fact fact = {.type = FACT_PATH, .now = now, .host = host->id, .path = {.at = at}};
    fact.path.late = answer->kind == PEER_LATE;
    if (answer->back_ms != UINT32_MAX) {
        struct instant back = instant_earlier(instant_add(asked_at, -(int64_t)answer->back_ms * NS_PER_MS), at);
        fact.path.broken = instant_before(s->last, back);
        fact.path.back = back;
        fact.path.state = (enum state)answer->state;
        fact.path.cause = (enum cause)answer->cause;
    }
    receiver_note(receiver, &fact);
    receiver_inquire(receiver, host, next_inquiry(host, now));
    return true;
}

static void take_answer(struct receiver *receiver, unsigned place, struct instant now, struct instant asked_at,
                        uint32_t id, const struct peer_answer *answer)
{
    struct host *host = receiver->hosts.hosts[id];
    const struct silence *s = host_open_silence(host);
    uint16_t bit = (uint16_t)(1U << place);
    if (!s || receiver_absence(receiver)) /* what others hear does not make this receiver one that can observe */
        return;
    bool later = answer->kind == PEER_HEARD || answer->kind == PEER_LATE;
    if (later && take_path(receiver, host, now, asked_at, answer))
        return;
    if (instant_before(asked_at, s->expected))
        return; /* it was not late then */
    struct silence_record *record = host->silence;
    record->peers_silent &= (uint16_t)~bit;
    record->peers_strange &= (uint16_t)~bit;
    if (answer->kind == PEER_NOT_MINE)
        record->peers_strange |= bit;
    struct instant from = instant_add(asked_at, -(int64_t)answer->age_ms * NS_PER_MS);
    if (answer->kind == PEER_LATE || (answer->kind == PEER_SILENT && !instant_before(s->expected, from)))
        record->peers_silent |= bit;
    if (record->peers_silent && (s->judged || s->cut_off) && !s->agreed) {
        struct fact fact = {.type = FACT_AGREED, .now = now, .host = id};
        receiver_note(receiver, &fact);
    }
}

static void take_answers(struct receiver *receiver, unsigned place, struct instant now, struct codec *body)
{
    uint64_t counter;
    codec_u64(body, &counter);
    const struct peer_sent *sent = body->failed ? NULL : peer_asked(receiver->peers.peers[place], counter);
    for (uint16_t i = 0; sent && i < sent->count && codec_left(body) >= PEER_ANSWER_LEN; i++) {
        struct peer_answer answer;
        peer_answer_visit(body, &answer);
        take_answer(receiver, place, now, sent->at, sent->hosts[i], &answer);
    }
}

static void take_items(struct receiver *receiver, unsigned place, struct instant now, struct codec items)
{
    struct codec body;
    uint8_t type;
    while (peer_item_next(&items, &type, &body)) {
        if (type == PEER_ANSWERS)
            take_answers(receiver, place, now, &body);
        else if (type == PEER_LEAVE)
            peer_take_leave(receiver->peers.peers[place]);
    }
}

/* Asks for everybody who is silent: somebody is there who can tell. */
static void inquire_all(struct receiver *receiver, struct instant now)
{
    for (uint32_t id = 1; id <= receiver->hosts.count; id++)
        if (receiver->hosts.hosts[id])
            receiver_inquire(receiver, receiver->hosts.hosts[id], now);
}

size_t receiver_hear_peer(struct receiver *receiver, struct instant now, unsigned place, const uint8_t *payload,
                          size_t len, uint8_t answer[PEER_PAYLOAD_MAX])
{
    struct peer *peer = receiver->peers.peers[place];
    struct codec codec = codec_reader(payload, len);
    struct peer_head head;
    bool was_heard = peer_is_heard(peer, now);
    peer_head_visit(&codec, &head);
    if (codec.failed)
        return 0;
    bool asks = false, proven = false;
    uint8_t items[PEER_PAYLOAD_MAX];
    struct codec answers = codec_writer(items, PEER_PAYLOAD_MAX - PEER_HEAD_LEN);
    switch (peer_hear(peer, now, receiver->configured.secret, &head)) {
    case PEER_DROPPED: return 0;
    case PEER_UNPROVEN: break;
    case PEER_PROVEN:
        proven = true;
        receiver_observe_contact(receiver, now);
        if (receiver->peers.cut_off)
            receiver_note_contact(receiver, now);
        if (!was_heard)
            inquire_all(receiver, now);
        take_items(receiver, place, now, codec);
        asks = answer_all(receiver, now, head.counter, codec, &answers);
        break;
    }
    /* Questions without a name are shorter than what is said of them. */
    if (asks && PEER_HEAD_LEN + answers.pos > len)
        asks = false;
    if (!asks && !peer->echo_is_new && !peer->challenge_is_new)
        return 0;
    struct codec out = codec_writer(answer, PEER_PAYLOAD_MAX);
    peer_tell(peer, receiver->configured.secret, &out);
    if (proven)
        peer_note_told(peer, now, NULL);
    if (!asks)
        return out.pos;
    memcpy(answer + out.pos, items, answers.pos);
    return out.pos + answers.pos;
}

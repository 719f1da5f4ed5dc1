/* SPDX-License-Identifier: GPL-2.0-or-later */
/* speaker.c - see speaker.h. Sessions, starts and boots are counted, so that a failure can be repeated. */
#include "tests/lib/speaker.h"

#include <string.h>

#include "receiver/judge/receiver.h"

void speaker_init(struct speaker *speaker, const char *name, struct instant now, uint32_t interval_ms)
{
    *speaker = (struct speaker){.name = name,
                                .session = 1000,
                                .agent_start = 100,
                                .interval_ms = interval_ms,
                                .oldest_kept = 1,
                                .booted = instant_add(now, -1000 * NS_PER_S),
                                .metric = 1};
    speaker->boot_id[0] = 1;
}

void speaker_renew(struct speaker *speaker)
{
    speaker->session++;
    speaker->counter = 0;
    memset(speaker->echo, 0, sizeof speaker->echo);
}

void speaker_restart(struct speaker *speaker, uint8_t previous_end)
{
    speaker_renew(speaker);
    speaker->agent_start++;
    speaker->number = 0;
    speaker->oldest_kept = 1;
    speaker->previous_end = previous_end;
}

void speaker_reboot(struct speaker *speaker, struct instant at, uint8_t previous_end)
{
    speaker_restart(speaker, previous_end);
    speaker->booted = at;
    speaker->frozen_ns = 0;
    if (++speaker->boot_id[0] == 0)
        speaker->boot_id[1]++;
}

struct beat speaker_beat(struct speaker *speaker, struct instant due, struct instant now)
{
    int64_t up_ns = instant_since(due, speaker->booted);
    struct beat beat = {.session = speaker->session,
                        .number = ++speaker->number,
                        .age_ms = (uint32_t)(instant_since(now, due) / NS_PER_MS),
                        .interval_ms = speaker->interval_ms,
                        .uptime_ms = (uint64_t)(up_ns / NS_PER_MS),
                        .run_ms = (uint64_t)((up_ns - speaker->frozen_ns) / NS_PER_MS),
                        .agent_start = speaker->agent_start,
                        .previous_end = speaker->previous_end,
                        .oldest_kept = speaker->oldest_kept};
    memcpy(beat.boot_id, speaker->boot_id, sizeof beat.boot_id);
    for (int i = 0; i < METRIC_COUNT; i++)
        beat.metrics[i] = speaker->metric;
    return beat;
}

struct bye speaker_bye(const struct speaker *speaker, uint8_t reason)
{
    return (struct bye){.session = speaker->session, .agent_start = speaker->agent_start, .reason = reason};
}

struct receiver_answer speaker_send(struct speaker *speaker, struct receiver *receiver, struct instant now,
                                    const struct beat *beat)
{
    struct beat sent = *beat;
    sent.counter = ++speaker->counter;
    memcpy(sent.echo, speaker->echo, sizeof sent.echo);
    struct receiver_answer answer = receiver_hear_beat(receiver, now, speaker->name, strlen(speaker->name), &sent);
    if (answer.type != ANSWER_CHALLENGE)
        return answer;
    memcpy(speaker->echo, answer.challenge.value, sizeof speaker->echo);
    memcpy(sent.echo, speaker->echo, sizeof sent.echo);
    sent.counter = ++speaker->counter;
    return receiver_hear_beat(receiver, now, speaker->name, strlen(speaker->name), &sent);
}

struct receiver_answer speaker_send_bye(struct speaker *speaker, struct receiver *receiver, struct instant now,
                                        const struct bye *bye)
{
    struct bye sent = *bye;
    sent.counter = ++speaker->counter;
    memcpy(sent.echo, speaker->echo, sizeof sent.echo);
    struct receiver_answer answer = receiver_hear_bye(receiver, now, speaker->name, strlen(speaker->name), &sent);
    if (answer.type != ANSWER_CHALLENGE)
        return answer;
    memcpy(speaker->echo, answer.challenge.value, sizeof speaker->echo);
    memcpy(sent.echo, speaker->echo, sizeof sent.echo);
    sent.counter = ++speaker->counter;
    return receiver_hear_bye(receiver, now, speaker->name, strlen(speaker->name), &sent);
}

struct receiver_answer speaker_tell(struct speaker *speaker, struct receiver *receiver, struct instant now)
{
    struct beat beat = speaker_beat(speaker, now, now);
    return speaker_send(speaker, receiver, now, &beat);
}

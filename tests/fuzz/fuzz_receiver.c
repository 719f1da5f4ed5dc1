/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_receiver.c - any sequence of events through the receiver core, and what must hold whatever happens.
 *
 * The input is read three bytes at a time: a pause, an event, a parameter. Three hosts speak; the receiver stalls, drops,
 * dies with or without its last facts stored, and comes back. Checked: the log folds into spans in order; no line tells of
 * the future; a host is not called silent before the grace that an absence of the receiver gives it; what is not proven
 * changes nothing; and a restart finds every host exactly as it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receiver/record/timeline.h"
#include "tests/lib/shelf.h"
#include "tests/fuzz/require.h"
#include "tests/lib/speaker.h"

#define HOSTS 3
#define LABEL_ZERO INT64_C(1700000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scene {
    struct shelf shelf;
    struct receiver *receiver;
    struct speaker speakers[HOSTS];
    struct instant now;
    struct instant off_to[HOSTS]; /* first end of an absence in the present silence that gives a grace; 0: none */
    bool touched[HOSTS];          /* something else moved the deadlines: the grace is another */
    int64_t step_ns;              /* of the wall clock */
    int64_t windows;
    size_t lines_seen;
};

static const int64_t pauses_ms[16] = {0,     1,     100,   250,   1000,   5000,   15000,   30000,
                                      60000, 61000, 67500, 90000, 150000, 600000, 3600000, 86400000};

static struct wall wall_now(const struct scene *scene)
{
    return (struct wall){LABEL_ZERO * NS_PER_S + scene->now.ns + scene->step_ns};
}

static struct host *host_of(const struct scene *scene, const struct speaker *speaker)
{
    return host_table_find(receiver_hosts(scene->receiver), speaker->name, 1);
}

/* ---- what must hold ---- */

/* Nobody may be called silent within the grace that the first absence of the silence gave. */
static void check_grace(const struct scene *scene, const struct transition *line)
{
    const struct host *host = receiver_hosts(scene->receiver)->hosts[line->host];
    size_t index = (size_t)(host->name[0] - 'a');
    if (line->state != STATE_DOWN || line->cause != CAUSE_SILENT || scene->touched[index] || !scene->off_to[index].ns)
        return;
    int64_t grace_ns = expectation_grace_ns(&host->expectation);
    REQUIRE(line->before == STATE_DOWN || line->before == STATE_ADMIN || line->before == STATE_UNKNOWN ||
                instant_since(scene->now, scene->off_to[index]) >= grace_ns,
            "down without the grace after an absence");
}

static void check_line(const struct transition *line)
{
    REQUIRE(line->state != STATE_LATE && line->state < STATE_COUNT, "late is never recorded");
    REQUIRE(line->at <= line->decided, "a line tells of the future");
    REQUIRE(line->earliest <= line->latest, "bounds the wrong way round");
}

static void check_log(struct scene *scene)
{
    struct timeline timelines[HOSTS + 1] = {0};
    int64_t decided[HOSTS + 1] = {0};
    for (size_t i = 0; i < scene->shelf.line_count; i++) {
        const struct transition *line = &scene->shelf.lines[i];
        REQUIRE(line->host <= HOSTS, "a line of no host");
        REQUIRE(line->decided >= decided[line->host], "lines are decided in order");
        decided[line->host] = line->decided;
        REQUIRE(timeline_add(&timelines[line->host], line) == 0, "out of memory");
    }
    for (size_t id = 1; id <= HOSTS; id++) {
        const struct timeline *timeline = &timelines[id];
        const struct host *host =
            id <= receiver_hosts(scene->receiver)->count ? receiver_hosts(scene->receiver)->hosts[id] : NULL;
        for (size_t i = 1; i < timeline->count; i++)
            REQUIRE(timeline->spans[i - 1].from < timeline->spans[i].from, "spans out of order");
        if (timeline->count > 0 && host)
            REQUIRE(timeline->spans[timeline->count - 1].state == host->state, "the log is not what the host is");
        timeline_free(&timelines[id]);
    }
}

/* Looks at the lines that came since the last look. */
static void look(struct scene *scene)
{
    const struct line_list *lines = receiver_lines(scene->receiver);
    for (; scene->lines_seen < lines->count; scene->lines_seen++) {
        check_line(&lines->lines[scene->lines_seen]);
        check_grace(scene, &lines->lines[scene->lines_seen]);
    }
    REQUIRE(!receiver_has_failed(scene->receiver), "failed");
}

static void store(struct scene *scene)
{
    look(scene);
    shelf_store(&scene->shelf, scene->receiver, scene->now);
    scene->lines_seen = 0;
    REQUIRE(!scene->shelf.fault, scene->shelf.fault);
}

/* ---- events ---- */

static void take_note_of_beat(struct scene *scene, size_t index)
{
    scene->off_to[index].ns = 0;
    scene->touched[index] = false;
}

static void send_beat(struct scene *scene, size_t index, uint8_t parameter)
{
    struct speaker *speaker = &scene->speakers[index];
    int64_t age_ns = parameter & 0x10 ? pauses_ms[parameter & 0xf] * NS_PER_MS : 0;
    if (parameter & 0x20)
        speaker->number += 3; /* some were lost */
    struct beat beat = speaker_beat(speaker, instant_add(scene->now, -age_ns), scene->now);
    if (parameter & 0x40)
        beat.flags = BEAT_FLAG_KEPT;
    if (parameter & 0x80)
        beat.number = beat.number > 2 ? beat.number - 2 : 1; /* overtaken, or known */
    const struct host *host = host_of(scene, speaker);
    struct instant last = host ? host->expectation.last : (struct instant){0};
    struct receiver_answer answer = speaker_send(speaker, scene->receiver, scene->now, &beat);
    bool set_back = !(beat.flags & BEAT_FLAG_KEPT) && answer.host && beat.number < answer.host->expectation.number;
    if (set_back && answer.type == ANSWER_NONE)
        return; /* the newest counter with a number of the past: it is to begin a new session */
    REQUIRE(answer.type == ANSWER_ACK, "a proven beat was not acknowledged");
    REQUIRE(answer.ack.safe <= answer.host->numbers.newest, "safe beyond what was heard");
    if (answer.host->expectation.last.ns != last.ns) /* neither kept nor overtaken nor known */
        take_note_of_beat(scene, index);
}

/* A stranger, a recording, a forged echo. */
static void send_unproven(struct scene *scene, size_t index, uint8_t parameter)
{
    struct speaker *speaker = &scene->speakers[index];
    const struct host *host = host_of(scene, speaker);
    struct beat beat = speaker_beat(speaker, scene->now, scene->now);
    speaker->number--;
    beat.counter = parameter & 1 ? 1 : 1000000;
    beat.session += 1000 + parameter; /* never one that was current */
    memcpy(beat.echo, speaker->echo, ECHO_LEN);
    beat.boot_id[1] = parameter;
    if (parameter & 2 && host && host->proven) { /* or the current one, with a counter that is used */
        beat.session = host->session;
        beat.counter = host->window.largest;
    }
    uint64_t fact = receiver_last_fact(scene->receiver);
    size_t len = 0, len_after = 0;
    uint8_t *bytes = host ? shelf_bytes(host, &len) : NULL;
    struct receiver_answer answer = receiver_hear_beat(scene->receiver, scene->now, speaker->name, 1, &beat);
    REQUIRE(answer.type != ANSWER_ACK, "an unproven beat was acknowledged");
    REQUIRE(host == host_of(scene, speaker) && fact == receiver_last_fact(scene->receiver), "unproven, yet a fact");
    uint8_t *after = host ? shelf_bytes(host, &len_after) : NULL;
    REQUIRE(len == len_after && (len == 0 || memcmp(bytes, after, len) == 0), "unproven, yet it changed the host");
    free(bytes);
    free(after);
}

static void send_bye(struct scene *scene, size_t index, uint8_t parameter)
{
    struct speaker *speaker = &scene->speakers[index];
    struct bye bye = speaker_bye(speaker, parameter & 1 ? BYE_SHUTDOWN : parameter & 8 ? BYE_MOVED : BYE_STOPPING);
    bye.age_ms = parameter & 2 ? (uint32_t)pauses_ms[parameter >> 4] : 0;
    if (parameter & 4)
        bye.agent_start--;
    if (speaker_send_bye(speaker, scene->receiver, scene->now, &bye).type != ANSWER_NONE)
        scene->touched[index] = true;
}

static void stall(struct scene *scene, uint8_t parameter)
{
    struct instant from = scene->now;
    scene->now = instant_add(from, 1 + pauses_ms[parameter & 0xf] * NS_PER_MS);
    if (parameter & 0x10) /* what had arrived meanwhile */
        send_beat(scene, (parameter >> 5) % HOSTS, 0);
    for (size_t i = 0; i < HOSTS; i++)
        scene->touched[i] = true;
    receiver_stalled(scene->receiver, from, scene->now);
}

static void restart(struct scene *scene, uint8_t parameter)
{
    bool stored = parameter & 0x10;
    if (scene->shelf.part_count == SHELF_PARTS_MAX)
        return; /* labels of runs before those are not kept */
    if (stored)
        store(scene);
    else
        look(scene);
    scene->shelf.options.secret[0]++;
    struct receiver *fresh = shelf_load(&scene->shelf);
    REQUIRE(fresh, "refused what it wrote itself");
    REQUIRE(!stored || shelf_same(fresh, scene->receiver), "a restart does not find the hosts as they were");
    receiver_destroy(scene->receiver);
    scene->receiver = fresh;
    scene->lines_seen = 0;
    shelf_store(&scene->shelf, fresh, scene->now); /* lines that the replay told again */
    REQUIRE(!scene->shelf.fault, scene->shelf.fault);
    scene->now = instant_add(scene->now, 1 + pauses_ms[parameter & 0xf] * NS_PER_MS);
    if (parameter & 0x20)
        scene->step_ns += (parameter & 0x40 ? 1 : -1) * 100 * NS_PER_S;
    for (size_t i = 0; i < HOSTS; i++) {
        const struct host *host = host_of(scene, &scene->speakers[i]);
        if (!stored) /* what happened since is not known any more */
            scene->touched[i] = true;
        if (host && !scene->off_to[i].ns && (host->state == STATE_UP || host->waiting))
            scene->off_to[i] = scene->now;
    }
    shelf_start(&scene->shelf, scene->receiver, scene->now, wall_now(scene));
    scene->now.ns += 2; /* a jump of the wall clock lies right after the start */
}

static void change_windows(struct scene *scene, uint8_t parameter)
{
    static const char *const patterns[4] = {"*", "a", "[ab]", "z"};
    look(scene);
    scene->now.ns++; /* a command is never taken in the very nanosecond of a judgement */
    if (parameter & 0x80) {
        shelf_end_window(&scene->shelf, scene->receiver, scene->now, 1 + parameter % 8);
    } else if (scene->windows < 8) {
        shelf_add_window(
            &scene->shelf, scene->receiver, scene->now, ++scene->windows, patterns[parameter & 3],
            (struct window){scene->now, parameter & 4
                                            ? INSTANT_NEVER
                                            : instant_add(scene->now, 1 + pauses_ms[parameter >> 3] * NS_PER_MS)});
    }
    if (!receiver_has_output(scene->receiver)) /* stored */
        scene->lines_seen = 0;
}

static void change_host(struct scene *scene, size_t index, uint8_t parameter)
{
    struct speaker *speaker = &scene->speakers[index];
    int64_t ago_ns = pauses_ms[parameter & 0xf] * NS_PER_MS;
    switch (parameter >> 4 & 3) {
    case 0: speaker_reboot(speaker, instant_add(scene->now, -ago_ns), parameter >> 6); break;
    case 1: speaker_restart(speaker, parameter >> 6); break;
    case 2: speaker_renew(speaker); break;
    default:
        speaker_renew(speaker);
        speaker->number /= 2; /* restored from a snapshot */
        break;
    }
}

static void checkpoint(struct scene *scene, uint8_t parameter)
{
    store(scene);
    if (scene->shelf.host_count > 0)
        shelf_checkpoint(&scene->shelf, scene->receiver, 1 + parameter % (uint32_t)scene->shelf.host_count, scene->now);
    if (parameter & 0x80)
        shelf_trim(&scene->shelf);
}

/* The receiver's own: datagrams dropped, no interface, a wall clock that was set. */
static void trouble(struct scene *scene, uint8_t parameter)
{
    int64_t step_ns = pauses_ms[parameter >> 4] * NS_PER_MS;
    for (size_t i = 0; i < HOSTS; i++)
        scene->touched[i] = true;
    switch (parameter & 7) {
    case 0: receiver_isolated(scene->receiver, scene->now, true); return;
    case 1: receiver_isolated(scene->receiver, scene->now, false); return;
    case 2:
    case 3:
        if (scene->shelf.part_count >= SHELF_PARTS_MAX - 1)
            return;
        scene->step_ns += parameter & 1 ? step_ns : -step_ns;
        (void)receiver_see_wall(scene->receiver, scene->now, wall_now(scene));
        scene->now.ns += 2; /* a jump lies right after the look */
        return;
    default: receiver_took(scene->receiver, scene->now, 100, parameter >> 3); return;
    }
}

static void happen(struct scene *scene, uint8_t event, uint8_t parameter)
{
    size_t index = (event >> 4) % HOSTS;
    switch (event & 0xf) {
    case 0: send_unproven(scene, index, parameter); break;
    case 1: send_bye(scene, index, parameter); break;
    case 2: stall(scene, parameter); break;
    case 3: restart(scene, parameter); break;
    case 4: change_windows(scene, parameter); break;
    case 5: change_host(scene, index, parameter); break;
    case 6: checkpoint(scene, parameter); break;
    case 7: trouble(scene, parameter); break;
    case 8:
        receiver_set_options(scene->receiver, scene->now, pauses_ms[parameter & 0xf] * NS_PER_MS, parameter & 0x10);
        break;
    case 9:
        if ((parameter & 7) == 0 && host_of(scene, &scene->speakers[index])) {
            scene->touched[index] = true;
            (void)receiver_forget(scene->receiver, scene->now, host_of(scene, &scene->speakers[index])->id, scene->now);
            break;
        }
        receiver_judge(scene->receiver, scene->now);
        break;
    case 10: receiver_judge(scene->receiver, scene->now); break;
    default: send_beat(scene, index, parameter); break;
    }
}

static void open_scene(struct scene *scene)
{
    static const char *const names[HOSTS] = {"a", "b", "c"};
    static const uint32_t intervals_ms[HOSTS] = {60000, 1000, 0};
    memset(scene, 0, sizeof *scene);
    scene->now.ns = 10000 * NS_PER_S;
    scene->shelf.options =
        (struct receiver_options){.secret = {7}, .planned_limit_ns = 1800 * NS_PER_S, .host_count_max = 10};
    scene->receiver = receiver_create(&scene->shelf.options);
    REQUIRE(scene->receiver, "out of memory");
    shelf_start(&scene->shelf, scene->receiver, scene->now, wall_now(scene));
    for (size_t i = 0; i < HOSTS; i++)
        speaker_init(&scene->speakers[i], names[i], scene->now, intervals_ms[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scene scene;
    open_scene(&scene);
    for (size_t i = 0; i + 3 <= size && i < 3000; i += 3) {
        int64_t pause_ns = pauses_ms[data[i] & 0xf] * NS_PER_MS * (1 + (data[i] >> 6));
        scene.now = instant_add(scene.now, pause_ns);
        if (data[i] & 0x20)
            receiver_judge(scene.receiver, scene.now);
        look(&scene);
        happen(&scene, data[i + 1], data[i + 2]);
        look(&scene);
    }
    store(&scene);
    check_log(&scene);
    struct receiver *fresh = shelf_load(&scene.shelf);
    REQUIRE(fresh && shelf_same(fresh, scene.receiver), "a restart would not find the hosts as they were");
    receiver_destroy(fresh);
    receiver_destroy(scene.receiver);
    shelf_free(&scene.shelf);
    return 0;
}

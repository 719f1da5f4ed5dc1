/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim.c - see sim.h: the clock, the machines and their agents. */
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"

#define SHUTDOWN_NS (3 * NS_PER_S) /* from the end of the agent until the power is off */
#define TEXT_KEPT 16384            /* of the trace of a long run, for the case of a failure */

void *sim_grow(void *array, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity)
        return array;
    size_t wanted = *capacity ? *capacity * 2 : 16;
    void *grown = realloc(array, wanted * size);
    if (!grown) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
    *capacity = wanted;
    return grown;
}

/* ---- the trace ---- */

static void append_text(struct sim *sim, const char *line, size_t len)
{
    if (!sim->options.keep && sim->text_len > 2 * TEXT_KEPT) {
        memmove(sim->text, sim->text + sim->text_len - TEXT_KEPT, TEXT_KEPT);
        sim->text_len = TEXT_KEPT;
    }
    while (sim->text_len + len + 1 > sim->text_capacity)
        sim->text = sim_grow(sim->text, &sim->text_capacity, sim->text_capacity, 1);
    memcpy(sim->text + sim->text_len, line, len);
    sim->text_len += len;
    sim->text[sim->text_len] = '\0';
}

void sim_note(struct sim *sim, const char *format, ...)
{
    char line[256];
    int64_t ms = sim->now / NS_PER_MS;
    int len = snprintf(line, sizeof line, "[%8" PRId64 ".%03d] ", ms / 1000, (int)(ms % 1000));
    va_list arguments;
    va_start(arguments, format);
    len += vsnprintf(line + len, sizeof line - (size_t)len - 1, format, arguments);
    va_end(arguments);
    if ((size_t)len > sizeof line - 2)
        len = sizeof line - 2;
    line[len++] = '\n';
    append_text(sim, line, (size_t)len);
}

__attribute__((format(printf, 2, 0))) static _Noreturn void fail(struct sim *sim, const char *format, va_list arguments)
{
    fprintf(stdout, "FAILED at %.3f s, seed %" PRIu64 ": ", (double)sim->now / (double)NS_PER_S, sim->options.seed);
    (void)vfprintf(stdout, format, arguments);
    fputs("\n", stdout);
    (void)fflush(stdout);
    exit(1);
}

_Noreturn void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list arguments;
    const char *kept = getenv("SIM_TRACE"); /* how many bytes of the trace are wanted */
    size_t wanted = kept ? strtoull(kept, NULL, 10) : 4000;
    size_t begin = sim->text_len > wanted ? sim->text_len - wanted : 0;
    fprintf(stdout, "%s", sim->text ? sim->text + begin : "");
    va_start(arguments, format);
    fail(sim, format, arguments);
}

/* Whether a line of the trace tells of the host, or of what concerns all of them. */
static bool is_about(const char *line, const char *end, const char *name)
{
    static const char *const common[] = {"receiver", "maintenance", "group"};
    size_t len = (size_t)(end - line);
    bool about = memmem(line, len, name, strlen(name)) != NULL;
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        about = about || memmem(line, len, common[i], strlen(common[i]));
    return about;
}

_Noreturn void sim_fail_about(struct sim *sim, size_t host, int64_t from, int64_t to, const char *format, ...)
{
    va_list arguments;
    const char *line = sim->text ? sim->text : "";
    while (*line) {
        const char *end = strchrnul(line, '\n');
        double at = strtod(line + 1, NULL) * (double)NS_PER_S;
        if (at >= (double)from && at <= (double)to && is_about(line, end, sim->hosts[host].name))
            fprintf(stdout, "%.*s\n", (int)(end - line), line);
        line = *end ? end + 1 : end;
    }
    va_start(arguments, format);
    fail(sim, format, arguments);
}

static void happened(struct sim *sim, struct sim_host *host, enum sim_what what)
{
    static const char *const names[] = {"boots",      "is off",       "starts its agent", "has no agent now",
                                        "is cut off", "is connected", "sleeps",           "is awake"};
    sim_note(sim, "-- %s %s", host->name, names[what]);
    if (!sim->options.keep)
        return;
    host->truth = sim_grow(host->truth, &host->truth_capacity, host->truth_count, sizeof *host->truth);
    host->truth[host->truth_count++] = (struct sim_truth){sim->now, what};
}

/* ---- agents ---- */

static void agent_random(void *context, void *buf, size_t len)
{
    sim_random_fill(context, buf, len);
}

static struct instant run_clock(const struct sim *sim, const struct sim_host *host)
{
    return (struct instant){sim->now - host->run_offset};
}

static void end_agent(struct sim *sim, struct sim_host *host)
{
    agent_destroy(host->agent);
    host->agent = NULL;
    host->wake = INT64_MAX;
    happened(sim, host, SIM_AGENT_OFF);
}

/* When the beat in a message was due: the current one, or one that was kept. */
static int64_t due_of(const struct sim *sim, const struct sim_host *host, const struct agent_message *message)
{
    if (message->is_bye)
        return sim->now - (int64_t)message->bye.age_ms * NS_PER_MS;
    if (!(message->beat.flags & BEAT_FLAG_KEPT))
        return host->beat_due;
    for (size_t i = host->made_count; i > 0 && host->made[i - 1].agent_start == host->agent_start; i--)
        if (host->made[i - 1].number == message->beat.number)
            return host->made[i - 1].due;
    return sim->now - (int64_t)message->beat.age_ms * NS_PER_MS;
}

double sim_traffic(size_t host, int64_t uptime_ms)
{
    double s = (double)uptime_ms / 1000;
    return floor(s * (double)(1000 * (host + 1)) + s * s / 16);
}

static void measure(struct sim *sim, struct sim_host *host)
{
    struct agent_actions *actions = &sim->actions;
    int64_t due = actions->due.ns + host->run_offset;
    struct agent_sample sample = {.uptime_ms = (uint64_t)((due - host->uptime_offset) / NS_PER_MS),
                                  .run_ms = (uint64_t)(actions->due.ns / NS_PER_MS)};
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        sample.metrics[i] = NAN;
    sample.metrics[METRIC_UPTIME] = (double)sample.uptime_ms / 1000;
    if (sim->options.traffic) {
        sample.metrics[METRIC_NET_IN] = sim_traffic((size_t)(host - sim->hosts), (int64_t)sample.uptime_ms);
        sample.metrics[METRIC_LOAD1] = (double)(sample.uptime_ms % 7919) / 1000;
    }
    host->beat_due = due;
    agent_sampled(host->agent, run_clock(sim, host), &sample, actions);
    if (!sim->options.keep || actions->message_count == 0)
        return;
    uint32_t number = actions->messages[0].beat.number;
    host->made = sim_grow(host->made, &host->made_capacity, host->made_count, sizeof *host->made);
    host->made[host->made_count++] = (struct sim_made){due, host->agent_start, number};
}

/* Carries out what an agent decided. */
static void act(struct sim *sim, size_t index, bool answers)
{
    struct sim_host *host = &sim->hosts[index];
    struct agent_actions *actions = &sim->actions;
    if (actions->sample)
        measure(sim, host);
    host->wake = actions->wake.ns + host->run_offset;
    if (sim->options.stagger_ns > 0)
        host->wake += sim_random_exponential(&host->random, sim->options.stagger_ns);
    if (host->wake <= sim->now)
        host->wake = sim->now + 1;
    for (size_t i = 0; i < actions->message_count; i++) {
        struct agent_message *message = &actions->messages[i];
        bool is_kept = !message->is_bye && message->beat.flags & BEAT_FLAG_KEPT;
        if (sim->options.plain && !message->is_bye && !answers &&
            (message->beat.number == host->plain_number || is_kept))
            continue;
        host->plain_number = message->beat.number;
        sim->kept_datagrams += is_kept;
        sim_network_send(sim, index, message, due_of(sim, host, message));
    }
    if (actions->done) {
        end_agent(sim, host);
        if (host->going_down)
            host->off_at = sim->now + SHUTDOWN_NS;
    }
}

static void wake_agent(struct sim *sim, size_t index)
{
    struct sim_host *host = &sim->hosts[index];
    agent_wake(host->agent, run_clock(sim, host), &sim->actions);
    act(sim, index, false);
}

static void agent_hears(struct sim *sim, const struct sim_datagram *datagram)
{
    struct sim_host *host = &sim->hosts[datagram->host];
    struct receiver_answer answer = datagram->answer;
    bool is_ack = answer.type == ANSWER_ACK;
    if (!host->agent || host->asleep || host->agent_start != datagram->agent_start)
        return;
    if (is_ack)
        (void)agent_ack(host->agent, 0, run_clock(sim, host), &answer.ack, &sim->actions);
    else
        (void)agent_challenge(host->agent, 0, run_clock(sim, host), &answer.challenge, &sim->actions);
    act(sim, datagram->host, !is_ack);
}

/* ---- the clock ---- */

struct sim *sim_create(const struct sim_options *options)
{
    struct sim *sim = calloc(1, sizeof *sim);
    if (!sim)
        exit(2);
    sim->options = *options;
    if (sim->options.planned_limit_ns == 0)
        sim->options.planned_limit_ns = 1800 * NS_PER_S;
    sim_random_init(&sim->network, options->seed, 1);
    sim_random_init(&sim->receiver_random, options->seed, 2);
    sim_random_init(&sim->script, options->seed, 3);
    sim->commit_at = sim->stall_until = INT64_MAX;
    for (size_t i = 0; i <= SIM_HOSTS_MAX; i++)
        sim->shown[i] = STATE_COUNT;
    return sim;
}

void sim_destroy(struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        agent_destroy(sim->hosts[i].agent);
        free(sim->hosts[i].snapshot.agent);
        free(sim->hosts[i].truth);
        free(sim->hosts[i].made);
    }
    receiver_destroy(sim->receiver);
    sim_store_free(sim);
    sim_network_free(sim);
    free(sim->heard);
    free(sim->text);
    free(sim);
}

/* The agent that wakes up next, or whose machine goes off; host_count if none does. */
static size_t next_host(const struct sim *sim, int64_t *at)
{
    size_t next = sim->host_count;
    for (size_t i = 0; i < sim->host_count; i++) {
        const struct sim_host *host = &sim->hosts[i];
        int64_t due = host->agent && !host->asleep ? host->wake : INT64_MAX;
        if (host->off_at < due)
            due = host->off_at;
        if (due < *at) {
            *at = due;
            next = i;
        }
    }
    return next;
}

static void step_host(struct sim *sim, size_t index)
{
    if (sim->hosts[index].off_at <= sim->now)
        sim_crash(sim, index);
    else
        wake_agent(sim, index);
}

void sim_run(struct sim *sim, int64_t until)
{
    for (;;) {
        int64_t network_due = sim_network_due(sim);
        int64_t receiver_due = sim_receiver_due(sim);
        int64_t at = network_due < receiver_due ? network_due : receiver_due;
        size_t host = next_host(sim, &at);
        if (at > until)
            break;
        if (at > sim->now)
            sim->now = at;
        if (host < sim->host_count) {
            step_host(sim, host);
        } else if (network_due <= receiver_due) {
            const struct sim_datagram *datagram = sim_network_take(sim);
            if (datagram->to_agent)
                agent_hears(sim, datagram);
            else
                sim_receiver_hear(sim, datagram);
        } else {
            sim_receiver_turn(sim);
        }
    }
    if (until > sim->now)
        sim->now = until;
}

void sim_run_for(struct sim *sim, int64_t ns)
{
    sim_run(sim, sim->now + ns);
}

/* ---- machines ---- */

size_t sim_add_host(struct sim *sim, const char *name, int64_t interval_ns)
{
    size_t index = sim->host_count++;
    struct sim_host *host = &sim->hosts[index];
    (void)snprintf(host->name, sizeof host->name, "%s", name);
    host->interval_ns = interval_ns;
    host->wake = host->off_at = INT64_MAX;
    sim_random_init(&host->random, sim->options.seed, 100 + index);
    return index;
}

void sim_boot(struct sim *sim, size_t index)
{
    struct sim_host *host = &sim->hosts[index];
    host->powered = true;
    host->asleep = host->going_down = false;
    host->run_offset = host->uptime_offset = sim->now;
    sim_random_fill(&host->random, host->boot_id, sizeof host->boot_id);
    happened(sim, host, SIM_BOOT);
}

void sim_start_agent(struct sim *sim, size_t index)
{
    struct sim_host *host = &sim->hosts[index];
    struct agent_options options = {.interval_ns = host->interval_ns,
                                    .receiver_count = 1,
                                    .keep = sim->options.keepless || sim->options.plain ? 0 : AGENT_KEEP_MAX,
                                    .previous_end = host->run_state,
                                    .random = agent_random,
                                    .random_context = &host->random};
    memcpy(options.boot_id, host->boot_id, sizeof options.boot_id);
    options.agent_start = host->agent_start = sim_random_next(&host->random);
    host->agent = agent_create(&options);
    host->run_state = PREVIOUS_DIED; /* unless it says otherwise before its end */
    happened(sim, host, SIM_AGENT_ON);
    wake_agent(sim, index);
}

void sim_boot_all(struct sim *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        sim_run_for(sim, sim->hosts[i].interval_ns / (int64_t)sim->host_count);
        sim_boot(sim, i);
        sim_start_agent(sim, i);
    }
}

void sim_crash(struct sim *sim, size_t index)
{
    struct sim_host *host = &sim->hosts[index];
    agent_destroy(host->agent);
    host->agent = NULL;
    host->powered = host->asleep = false;
    host->wake = host->off_at = INT64_MAX;
    happened(sim, host, SIM_OFF);
}

void sim_kill_agent(struct sim *sim, size_t index)
{
    end_agent(sim, &sim->hosts[index]);
}

static void stop_agent(struct sim *sim, size_t index, enum bye_reason reason)
{
    struct sim_host *host = &sim->hosts[index];
    sim_note(sim, "-- %s: agent says goodbye, %s", host->name,
             reason == BYE_SHUTDOWN ? "shutting down"
             : reason == BYE_MOVED  ? "moving away"
                                    : "stopping");
    host->run_state = reason == BYE_SHUTDOWN ? PREVIOUS_SHUTDOWN : PREVIOUS_STOPPED;
    host->going_down = reason == BYE_SHUTDOWN;
    agent_stop(host->agent, run_clock(sim, host), reason, &sim->actions);
    act(sim, index, false);
}

void sim_stop_agent(struct sim *sim, size_t index)
{
    stop_agent(sim, index, BYE_STOPPING);
}

void sim_move_away(struct sim *sim, size_t index)
{
    stop_agent(sim, index, BYE_MOVED);
}

void sim_shut_down(struct sim *sim, size_t index)
{
    stop_agent(sim, index, BYE_SHUTDOWN);
}

void sim_set_interval(struct sim *sim, size_t index, int64_t interval_ns)
{
    struct sim_host *host = &sim->hosts[index];
    sim_stop_agent(sim, index);
    while (host->agent)
        sim_run_for(sim, 10 * NS_PER_MS);
    host->interval_ns = interval_ns;
    sim_start_agent(sim, index);
}

void sim_sleep(struct sim *sim, size_t index)
{
    struct sim_host *host = &sim->hosts[index];
    host->asleep = true;
    host->asleep_from = sim->now;
    happened(sim, host, SIM_ASLEEP);
}

void sim_awake(struct sim *sim, size_t index)
{
    struct sim_host *host = &sim->hosts[index];
    int64_t slept = sim->now - host->asleep_from;
    host->asleep = false;
    host->run_offset += slept; /* CLOCK_MONOTONIC stood still, CLOCK_BOOTTIME did not */
    if (host->agent)
        host->wake += slept;
    happened(sim, host, SIM_AWAKE);
}

/* The core is one block without pointers into itself, so its bytes are its state; the C library knows their number. */
void sim_snapshot(struct sim *sim, size_t index)
{
    struct sim_host *host = &sim->hosts[index];
    free(host->snapshot.agent);
    host->snapshot.len = malloc_usable_size(host->agent);
    host->snapshot.agent = malloc(host->snapshot.len);
    memcpy(host->snapshot.agent, host->agent, host->snapshot.len);
    host->snapshot.at = sim->now;
    host->snapshot.wake = host->wake;
    sim_note(sim, "-- %s: snapshot taken", host->name);
}

void sim_restore(struct sim *sim, size_t index)
{
    struct sim_host *host = &sim->hosts[index];
    int64_t back = sim->now - host->snapshot.at;
    memcpy(host->agent, host->snapshot.agent, host->snapshot.len);
    host->run_offset += back; /* all its clocks go back */
    host->uptime_offset += back;
    host->wake = host->snapshot.wake + back;
    sim_note(sim, "-- %s: snapshot restored", host->name);
}

void sim_set_cut(struct sim *sim, size_t index, bool cut)
{
    struct sim_host *host = &sim->hosts[index];
    host->cut = cut;
    happened(sim, host, cut ? SIM_CUT : SIM_JOINED);
}

void sim_step_wall(struct sim *sim, size_t index, int64_t ns)
{
    /* There is nobody to tell: agent.h takes instants only, and so does what its beats carry. */
    sim->hosts[index].wall_step_ns += ns;
}

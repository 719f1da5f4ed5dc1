/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent_uv.c - see agent_uv.h.
 *
 * Every event is handed to the core with the time at which it was seen, and the actions that come back are carried out
 * at once (act). One timer serves everything that waits; it is set anew before each sleep (on_prepare), so that nobody
 * has to think of it. Once started, nothing but a signal ends the agent: without a network, a name server or a
 * writable disk it goes on trying. */
#include "agent/agent_uv.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "agent/contacts.h"
#include "agent/farewell_uv.h"
#include "agent/footprint.h"
#include "agent/going_down.h"
#include "agent/link_uv.h"
#include "agent/run_state.h"
#include "agent/sampler_linux.h"
#include "agent/voice.h"
#include "common/log.h"
#include "common/privileges.h"
#include "common/sd_notify.h"

struct daemon {
    uv_loop_t loop;
    uv_timer_t timer;
    uv_prepare_t prepare;
    uv_signal_t hangup, terminate, interrupt;

    const char *config_path;
    struct agent_settings settings;
    struct voice voice;
    struct farewells farewells;
    uint64_t agent_start;

    struct sampler *sampler;
    struct agent_core *core;
    struct instant core_wake;
    struct agent_actions actions; /* large, hence not on the stack */
    struct link *links[AGENT_RECEIVER_MAX];
    size_t link_count;

    bool stopping;
    enum bye_reason reason;
    int64_t watchdog_ns; /* 0: nobody watches */
    struct instant watchdog_due;
};

static struct instant read_clock(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (struct instant){(int64_t)now.tv_sec * NS_PER_S + now.tv_nsec};
}

static void fill_random(void *context, void *buf, size_t len)
{
    (void)context;
    randombytes_buf(buf, len);
}

static void send_message(struct daemon *daemon, const struct agent_message *message, struct instant now)
{
    uint8_t datagram[DATAGRAM_LEN_MAX];
    size_t len = voice_seal(&daemon->voice, message, datagram);
    link_send(daemon->links[message->receiver], now, datagram, len);
}

/* Measures for the beat that was due at `due`, and hands the result to the core. The clocks are set back to that
 * instant; should the machine have slept since, it counts as due after the sleep. */
static void sample(struct daemon *daemon, struct instant due)
{
    struct agent_sample sample;
    sampler_measure(daemon->sampler, sample.metrics);
    struct instant now = read_clock(CLOCK_MONOTONIC);
    int64_t uptime_ns = read_clock(CLOCK_BOOTTIME).ns - instant_since(now, due);
    sample.uptime_ms = (uint64_t)(uptime_ns / NS_PER_MS);
    sample.run_ms = (uint64_t)(due.ns / NS_PER_MS);
    sample.metrics[METRIC_UPTIME] = (double)uptime_ns / (double)NS_PER_S;
    agent_sampled(daemon->core, now, &sample, &daemon->actions);
    /* Before the new beat leaves, so that it takes the new way. Every second beat, as the core changes its session. */
    for (size_t i = 0; i < daemon->link_count; i++) {
        uint32_t silent = agent_silent_beats(daemon->core, i);
        if (silent > 0 && silent % 2 == 0)
            link_unanswered(daemon->links[i], now, silent);
    }
}

/* Carries out what the core decided. */
static void act(struct daemon *daemon, struct instant now)
{
    if (daemon->actions.sample) {
        sample(daemon, daemon->actions.due);
        now = read_clock(CLOCK_MONOTONIC);
    }
    daemon->core_wake = daemon->actions.wake;
    for (size_t i = 0; i < daemon->actions.message_count; i++)
        send_message(daemon, &daemon->actions.messages[i], now);
    if (daemon->actions.done)
        uv_stop(&daemon->loop);
}

static size_t link_index(const struct daemon *daemon, const struct link *link)
{
    size_t i = 0;
    while (i < daemon->link_count && daemon->links[i] != link)
        i++;
    return i;
}

/* An answer, if it is one. Anything else is dropped silently. */
static void on_received(void *context, struct link *link, const uint8_t *bytes, size_t len)
{
    struct daemon *daemon = context;
    struct voice_answer answer;
    size_t receiver = link_index(daemon, link);
    if (receiver == daemon->link_count || !voice_open(&daemon->voice, &answer, bytes, len))
        return;
    struct instant now = read_clock(CLOCK_MONOTONIC);
    if (answer.is_challenge)
        (void)agent_challenge(daemon->core, receiver, now, &answer.challenge, &daemon->actions);
    else if (agent_ack(daemon->core, receiver, now, &answer.ack, &daemon->actions))
        link_answered(link);
    act(daemon, now);
}

static void on_changed(void *context, struct link *link)
{
    struct daemon *daemon = context;
    struct instant now = read_clock(CLOCK_MONOTONIC);
    size_t receiver = link_index(daemon, link);
    if (receiver == daemon->link_count)
        return;
    agent_receiver_changed(daemon->core, receiver, now, &daemon->actions);
    act(daemon, now);
}

/* Something is due: for the core, a link or the watchdog. */
static void on_timer(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    /* After a stall the answers are there already, but the loop looks at its timers first: a beat must not be
     * counted as unanswered for that. */
    for (size_t i = 0; i < daemon->link_count; i++)
        link_receive(daemon->links[i]);
    struct instant now = read_clock(CLOCK_MONOTONIC);
    for (size_t i = 0; i < daemon->link_count; i++)
        link_tick(daemon->links[i], now);
    farewells_tick(&daemon->farewells, now);
    agent_wake(daemon->core, now, &daemon->actions);
    act(daemon, now);
    if (daemon->watchdog_ns > 0 && !instant_before(now, daemon->watchdog_due)) {
        sd_notify_send("WATCHDOG=1");
        daemon->watchdog_due = instant_add(now, daemon->watchdog_ns);
    }
}

/* Runs before each sleep. libuv counts in whole milliseconds of the same clock: rounded up, never too early. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct daemon *daemon = prepare->data;
    struct instant wake = instant_earlier(daemon->core_wake, farewells_due(&daemon->farewells));
    if (daemon->watchdog_ns > 0)
        wake = instant_earlier(wake, daemon->watchdog_due);
    for (size_t i = 0; i < daemon->link_count; i++)
        wake = instant_earlier(wake, link_due(daemon->links[i]));
    uint64_t wake_ms = ((uint64_t)wake.ns + NS_PER_MS - 1) / NS_PER_MS;
    uint64_t loop_ms = uv_now(&daemon->loop);
    (void)uv_timer_start(&daemon->timer, on_timer, wake_ms > loop_ms ? wake_ms - loop_ms : 0, 0);
}

/* Replaces the links by those of the settings, keeping the ones that are in both. Returns false without memory, and
 * then nothing has changed. */
static bool set_links(struct daemon *daemon, const struct agent_settings *settings, int previous[AGENT_RECEIVER_MAX])
{
    struct link_handler handler = {.received = on_received, .changed = on_changed, .context = daemon};
    struct link *links[AGENT_RECEIVER_MAX] = {NULL};
    bool kept[AGENT_RECEIVER_MAX] = {false};
    bool complete = true;
    for (size_t i = 0; i < settings->receiver_count; i++) {
        previous[i] = -1;
        for (size_t k = 0; k < daemon->link_count; k++)
            if (memcmp(link_address(daemon->links[k]), &settings->receivers[i], sizeof settings->receivers[i]) == 0)
                previous[i] = (int)k;
        links[i] = previous[i] >= 0 ? daemon->links[previous[i]]
                                    : link_create(&daemon->loop, &settings->receivers[i], &handler);
        complete = complete && links[i];
    }
    for (size_t i = 0; i < settings->receiver_count; i++) {
        if (previous[i] >= 0)
            kept[previous[i]] = true;
        else if (!complete && links[i])
            (void)link_close(links[i]);
    }
    if (!complete)
        return false;
    for (size_t k = 0; k < daemon->link_count; k++)
        if (!kept[k])
            (void)link_close(daemon->links[k]);
    memcpy(daemon->links, links, sizeof links);
    daemon->link_count = settings->receiver_count;
    return true;
}

/* Takes loaded settings over; on failure the old ones stay. */
static int apply_settings(struct daemon *daemon, struct agent_settings *settings, struct error *error)
{
    int previous[AGENT_RECEIVER_MAX];
    struct contact before[AGENT_RECEIVER_MAX];
    size_t before_count = daemon->settings.receiver_count;
    struct instant now = read_clock(CLOCK_MONOTONIC);
    struct error trouble;
    if (strcmp(settings->key_file, daemon->settings.key_file) != 0 ||
        strcmp(settings->state_dir, daemon->settings.state_dir) != 0)
        log_line(LOG_LEVEL_WARNING, "another key_file or state_dir is taken over at the next start only");
    if (!set_links(daemon, settings, previous))
        return error_set(error, "not enough memory to take the settings over");
    if (!sampler_change(daemon->sampler, &settings->ignore_filesystems, &settings->interfaces))
        log_line(LOG_LEVEL_WARNING, "not enough memory to leave out other file systems");
    agent_set_keep(daemon->core, settings->keep);
    agent_set_receivers(daemon->core, now, previous, settings->receiver_count, &daemon->actions);
    agent_set_interval(daemon->core, now, settings->interval_ns, &daemon->actions);
    act(daemon, now);
    for (size_t i = 0; i < before_count; i++)
        before[i] = (struct contact){daemon->settings.receivers[i], daemon->agent_start};
    agent_settings_clear(&daemon->settings);
    daemon->settings = *settings;
    if (farewells_begin(&daemon->farewells, now, before, before_count, &trouble))
        log_line(LOG_LEVEL_WARNING, "%s", trouble.text);
    return 0;
}

static void on_hangup(uv_signal_t *signal, int number)
{
    struct daemon *daemon = signal->data;
    struct agent_settings settings;
    struct error error;
    char state[64], receivers[AGENT_SETTINGS_RECEIVERS_SIZE];
    (void)number;
    if (daemon->stopping)
        return;
    (void)snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld",
                   (long long)(read_clock(CLOCK_MONOTONIC).ns / 1000));
    sd_notify_send(state);
    int rc = agent_settings_load(&settings, daemon->config_path, &error);
    if (rc == 0) {
        agent_settings_spread(&settings, daemon->voice.host->name);
        rc = apply_settings(daemon, &settings, &error);
        if (rc)
            agent_settings_clear(&settings);
    }
    if (rc)
        log_line(LOG_LEVEL_ERROR, "%s; going on with the settings as they were", error.text);
    else
        log_line(LOG_LEVEL_NOTICE, "%s is loaded: speaking every %lld ms to %s", daemon->config_path,
                 (long long)(daemon->settings.interval_ns / NS_PER_MS),
                 agent_settings_receivers_text(receivers, &daemon->settings));
    sd_notify_send("READY=1");
}

static void on_terminate(uv_signal_t *signal, int number)
{
    struct daemon *daemon = signal->data;
    (void)number;
    if (daemon->stopping)
        return;
    sd_notify_send("STOPPING=1");
    daemon->stopping = true;
    daemon->reason = going_down_reason(GOING_DOWN_SYSTEMD, GOING_DOWN_UTMP);
    log_line(LOG_LEVEL_NOTICE, "stopping: %s",
             daemon->reason == BYE_SHUTDOWN ? "the host goes down" : "asked to, the host stays up");
    struct instant now = read_clock(CLOCK_MONOTONIC);
    agent_stop(daemon->core, now, daemon->reason, &daemon->actions);
    act(daemon, now);
}

static int create_core(struct daemon *daemon, struct error *error)
{
    struct agent_options options = {.interval_ns = daemon->settings.interval_ns,
                                    .receiver_count = daemon->settings.receiver_count,
                                    .keep = daemon->settings.keep,
                                    .previous_end = run_state_load(daemon->settings.state_dir),
                                    .random = fill_random};
    if (!sampler_boot_id(options.boot_id))
        log_line(LOG_LEVEL_WARNING, "the kernel tells no boot id; reboots will look like silence");
    randombytes_buf(&options.agent_start, sizeof options.agent_start);
    daemon->agent_start = options.agent_start;
    int previous[AGENT_RECEIVER_MAX];
    daemon->core = agent_create(&options);
    if (!daemon->core || !set_links(daemon, &daemon->settings, previous))
        return error_set(error, "not enough memory to start");
    return 0;
}

static void start_handles(struct daemon *daemon)
{
    struct {
        uv_signal_t *handle;
        uv_signal_cb callback;
        int number;
    } signals[] = {{&daemon->hangup, on_hangup, SIGHUP},
                   {&daemon->terminate, on_terminate, SIGTERM},
                   {&daemon->interrupt, on_terminate, SIGINT}};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        (void)uv_signal_init(&daemon->loop, signals[i].handle);
        signals[i].handle->data = daemon;
        (void)uv_signal_start(signals[i].handle, signals[i].callback, signals[i].number);
    }
    (void)uv_timer_init(&daemon->loop, &daemon->timer);
    daemon->timer.data = daemon;
    (void)uv_prepare_init(&daemon->loop, &daemon->prepare);
    daemon->prepare.data = daemon;
    (void)uv_prepare_start(&daemon->prepare, on_prepare);
}

/* Those that the last run spoke to, and this one does not. */
static int begin_farewells(struct daemon *daemon, struct error *error)
{
    struct contact before[CONTACTS_MAX];
    size_t count = contacts_load(before, daemon->settings.state_dir);
    daemon->farewells = (struct farewells){.loop = &daemon->loop,
                                           .voice = &daemon->voice,
                                           .settings = &daemon->settings,
                                           .agent_start = daemon->agent_start};
    return farewells_begin(&daemon->farewells, read_clock(CLOCK_MONOTONIC), before, count, error);
}

/* Everything that needs rights comes before the change of user, everything that writes comes after it. */
static int start(struct daemon *daemon, struct error *error)
{
    struct error trouble;
    daemon->sampler =
        sampler_create(&daemon->settings.ignore_filesystems, &daemon->settings.interfaces, daemon->settings.state_dir);
    if (!daemon->sampler)
        return error_set(error, "not enough memory to start");
    if (privileges_drop_to_owner(daemon->settings.state_dir, error) || create_core(daemon, error))
        return -1;
    bool noted = run_state_save_running(daemon->settings.state_dir, &trouble) == 0;
    if (!noted)
        log_line(LOG_LEVEL_WARNING, "%s", trouble.text);
    if (begin_farewells(daemon, &trouble) && noted) /* one warning is enough */
        log_line(LOG_LEVEL_WARNING, "%s", trouble.text);
    start_handles(daemon);
    daemon->watchdog_ns = sd_notify_watchdog_ns();
    return 0;
}

/* One line that says who speaks to whom. */
static void log_start(const struct daemon *daemon)
{
    char receivers[AGENT_SETTINGS_RECEIVERS_SIZE];
    log_line(LOG_LEVEL_NOTICE, "version " TWOBEAT_VERSION " speaks for host %s, every %lld ms, to %s",
             daemon->voice.host->name, (long long)(daemon->settings.interval_ns / NS_PER_MS),
             agent_settings_receivers_text(receivers, &daemon->settings));
}

static void close_handle(uv_handle_t *handle, void *argument)
{
    (void)argument;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void destroy(struct daemon *daemon)
{
    bool may_wait = true;
    for (size_t i = 0; i < daemon->link_count; i++)
        may_wait = link_close(daemon->links[i]) && may_wait;
    may_wait = farewells_close(&daemon->farewells) && may_wait;
    may_wait = sampler_destroy(daemon->sampler) && may_wait;
    agent_destroy(daemon->core);
    agent_settings_clear(&daemon->settings);
    voice_clear(&daemon->voice);
    /* libuv would join the thread that waits for a name server; another may wait for a dead disk. The bye is sent,
     * nobody needs the answers. */
    if (!may_wait)
        _exit(EXIT_SUCCESS);
    uv_walk(&daemon->loop, close_handle, NULL);
    (void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&daemon->loop);
    free(daemon);
}

int agent_uv_run(const char *config_path, struct agent_settings *settings, struct host_key *key, struct error *error)
{
    struct error trouble;
    struct daemon *daemon = calloc(1, sizeof *daemon);
    if (!daemon || uv_loop_init(&daemon->loop) != 0) {
        free(daemon);
        agent_settings_clear(settings);
        return error_set(error, "not enough memory or file handles to start");
    }
    daemon->config_path = config_path;
    daemon->settings = *settings;
    *settings = (struct agent_settings){0};
    voice_init(&daemon->voice, key);
    sodium_memzero(&key->key, sizeof key->key);
    int rc = start(daemon, error);
    if (rc == 0) {
        log_start(daemon);
        sd_notify_send("READY=1");
        footprint_shrink();
        (void)uv_run(&daemon->loop, UV_RUN_DEFAULT); /* until act() stops it */
        if (run_state_save_end(daemon->settings.state_dir, daemon->reason, &trouble))
            log_line(LOG_LEVEL_WARNING, "%s", trouble.text);
    }
    destroy(daemon);
    return rc;
}

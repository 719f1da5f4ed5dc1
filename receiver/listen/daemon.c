/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon.c - see daemon.h.
 *
 * One turn of the loop: read the clock once, take every datagram that waits, then judge, then let the keeper do what is
 * due. So no host is judged late because its beat still lay in a socket. The clock is CLOCK_BOOTTIME, continued over
 * restarts: the wall clock is read when the process starts, and for nothing else. */
#include "receiver/listen/daemon.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "common/key_file.h"
#include "common/log.h"
#include "common/privileges.h"
#include "common/sd_notify.h"
#include "receiver/listen/control.h"
#include "receiver/listen/judging_clock.h"
#include "receiver/listen/keeper.h"
#include "receiver/listen/transition_log.h"
#include "receiver/listen/udp.h"
#include "receiver/record/record_lock.h"

#define TICK_MS 100
#define STALL_MIN_NS NS_PER_S /* the loop overslept by this much: it could not observe */
#define HOSTS_MAX 1000000
enum { BATCHES_PER_TURN = 256 }; /* more than this waiting is a flood: the rest is for the next turn */

struct listener {
    struct udp_socket udp;
    uv_poll_t poll;
    struct daemon *daemon;
};

struct daemon {
    uv_loop_t loop;
    struct receiver_settings settings;
    const char *config;
    struct receiver *receiver;
    struct intake *intake;
    struct journal *journal;
    struct keeper *keeper;
    struct control *control;
    int lock;
    struct listener listeners[RECEIVER_LISTEN_MAX];
    size_t listener_count;
    uv_timer_t tick;
    uv_signal_t on_term, on_int, on_hup;

    uint8_t boot_id[BOOT_ID_LEN];
    int64_t clock_offset_ns; /* instant = CLOCK_BOOTTIME + this */
    struct instant woke_at;
    uint64_t dropped, dropped_told;
    struct instant dropped_at; /* when the core was last told */
    size_t lines_logged;       /* of the core's present output */
    int64_t watchdog_ns;
    struct instant watchdog_at;
    int status;
    struct udp_datagram in[UDP_BATCH], out[UDP_BATCH];
};

static struct instant now_of(const struct daemon *daemon)
{
    return (struct instant){judging_clock_read_ns(CLOCK_BOOTTIME) + daemon->clock_offset_ns};
}

static struct instant control_now(void *context)
{
    return now_of(context);
}

/* ---- one turn ---- */

static void log_transitions(struct daemon *daemon)
{
    const struct line_list *lines = receiver_lines(daemon->receiver);
    for (; daemon->lines_logged < lines->count; daemon->lines_logged++)
        transition_log(daemon->receiver, &lines->lines[daemon->lines_logged]);
}

/* Takes what waits in one socket. False if it gave up before the end. */
static bool drain(struct daemon *daemon, struct udp_socket *udp, struct instant now)
{
    for (int i = 0; i < BATCHES_PER_TURN; i++) {
        size_t count = udp_receive(udp, daemon->in, &daemon->dropped);
        const struct udp_datagram *answers[UDP_BATCH];
        size_t answer_count = 0;
        for (size_t k = 0; k < count; k++) {
            struct udp_datagram *answer = &daemon->out[answer_count];
            answer->len = intake_datagram(daemon->intake, now, daemon->in[k].bytes, daemon->in[k].len, answer->bytes);
            if (answer->len == 0)
                continue;
            answer->peer = daemon->in[k].peer;
            answers[answer_count++] = answer;
        }
        if (answer_count)
            (void)udp_send(udp, answers, answer_count);
        if (count < UDP_BATCH)
            return true;
    }
    return false;
}

static void notice_stall(struct daemon *daemon, struct instant now)
{
    int64_t overslept_ns = instant_since(now, daemon->woke_at) - TICK_MS * NS_PER_MS;
    if (overslept_ns < STALL_MIN_NS)
        return;
    log_line(LOG_LEVEL_WARNING, "could not observe for %.1f s (stalled or suspended); deadlines in that time are moved",
             (double)overslept_ns / (double)NS_PER_S);
    receiver_stalled(daemon->receiver, instant_add(now, -overslept_ns), now);
}

static void turn(struct daemon *daemon)
{
    struct instant now = now_of(daemon);
    bool drained = true;
    notice_stall(daemon, now); /* before what waited is heard: it is not late, we are */
    daemon->woke_at = now;
    for (size_t i = 0; i < daemon->listener_count; i++)
        drained = drain(daemon, &daemon->listeners[i].udp, now) && drained;
    if (daemon->dropped != daemon->dropped_told && instant_since(now, daemon->dropped_at) >= NS_PER_S) {
        daemon->dropped_told = daemon->dropped;
        daemon->dropped_at = now;
        receiver_dropped(daemon->receiver, now);
    }
    if (drained)
        receiver_judge(daemon->receiver, now);
    log_transitions(daemon);
    keeper_tick(daemon->keeper, now);
    daemon->lines_logged = receiver_lines(daemon->receiver)->count;
    if (receiver_has_failed(daemon->receiver)) {
        log_line(LOG_LEVEL_ERROR, "out of memory; stopping, so that a fresh start can replay the journal");
        daemon->status = 1;
        uv_stop(&daemon->loop);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    turn(poll->data);
}

static void on_tick(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    turn(daemon);
    if (daemon->watchdog_ns && instant_since(daemon->woke_at, daemon->watchdog_at) >= daemon->watchdog_ns) {
        daemon->watchdog_at = daemon->woke_at;
        sd_notify_send("WATCHDOG=1");
    }
}

/* ---- settings and signals ---- */

int daemon_load_keys(struct intake_keys *keys, const struct receiver_settings *settings, struct error *error)
{
    memset(keys, 0, sizeof *keys);
    for (size_t i = 0; i < settings->site_key_count; i++)
        if (key_site_load(&keys->sites[keys->site_count++], settings->site_key_files[i], error) != 0) {
            sodium_memzero(keys, sizeof *keys);
            return -1;
        }
    memcpy(keys->generations, settings->generations, sizeof keys->generations);
    keys->revoked = settings->revoked;
    keys->revoked_count = settings->revoked_count;
    return 0;
}

static int use_keys(struct daemon *daemon, const struct receiver_settings *settings, struct error *error)
{
    struct intake_keys keys;
    if (daemon_load_keys(&keys, settings, error) != 0)
        return -1;
    int rc = intake_set_keys(daemon->intake, &keys);
    sodium_memzero(&keys, sizeof keys);
    return rc == 0 ? 0 : error_set(error, "out of memory");
}

/* Sockets and data directory stay as they are until a restart. */
static bool needs_restart(const struct receiver_settings *a, const struct receiver_settings *b)
{
    if (strcmp(a->data, b->data) != 0 || a->listen_count != b->listen_count)
        return true;
    for (size_t i = 0; i < a->listen_count; i++)
        if (strcmp(a->listen[i], b->listen[i]) != 0)
            return true;
    return false;
}

static void reload(struct daemon *daemon)
{
    struct receiver_settings settings;
    struct error error;
    if (receiver_settings_load(&settings, daemon->config, &error) != 0) {
        log_line(LOG_LEVEL_ERROR, "%s; the old settings stay", error.text);
        return;
    }
    if (use_keys(daemon, &settings, &error) != 0) {
        log_line(LOG_LEVEL_ERROR, "%s; the old settings stay", error.text);
        receiver_settings_clear(&settings);
        return;
    }
    if (needs_restart(&daemon->settings, &settings))
        log_line(LOG_LEVEL_WARNING, "%s: `listen` and `data` take effect with a restart only", daemon->config);
    receiver_set_options(daemon->receiver, now_of(daemon), settings.planned_limit_ns, settings.conservative);
    keeper_set_flush_interval(daemon->keeper, settings.flush_interval_ns);
    receiver_settings_clear(&daemon->settings);
    daemon->settings = settings;
    log_line(LOG_LEVEL_INFO, "settings reloaded from %s", daemon->config);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct daemon *daemon = signal->data;
    if (number == SIGHUP) {
        sd_notify_send("RELOADING=1");
        reload(daemon);
        sd_notify_send("READY=1");
        return;
    }
    sd_notify_send("STOPPING=1");
    uv_stop(&daemon->loop);
}

/* ---- starting ---- */

static int open_sockets(struct daemon *daemon, struct error *error)
{
    for (size_t i = 0; i < daemon->settings.listen_count; i++) {
        struct listener *listener = &daemon->listeners[i];
        if (udp_open(&listener->udp, daemon->settings.listen[i], error) != 0)
            return -1;
        listener->daemon = daemon;
        daemon->listener_count++;
    }
    return 0;
}

static int check_data(const char *data, struct error *error)
{
    struct stat st;
    if (stat(data, &st) != 0)
        return error_set(error, "data directory %s: %s; create it and give it to the receiver's user", data,
                         strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return error_set(error, "data directory %s is not a directory", data);
    return 0;
}

/* After root is dropped: everything below belongs to the data's owner. */
static int open_data(struct daemon *daemon, struct error *error)
{
    const char *data = daemon->settings.data;
    if (access(data, R_OK | W_OK | X_OK) != 0)
        return error_set(error, "data directory %s: %s for user id %u; give it to that user", data, strerror(errno),
                         (unsigned)geteuid());
    daemon->lock = record_lock_take(data, error);
    if (daemon->lock < 0)
        return -1;
    char *hosts = NULL;
    if (asprintf(&hosts, "%s/hosts", data) < 0)
        return error_set(error, "out of memory");
    struct stat st;
    int rc = mkdir(hosts, 0750);
    if (rc != 0 && errno != EEXIST)
        error_set(error, "cannot create %s: %s", hosts, strerror(errno));
    else if ((rc = stat(hosts, &st)) != 0 || (rc = S_ISDIR(st.st_mode) ? 0 : -1) != 0)
        error_set(error, "%s is not a directory; move it away", hosts);
    free(hosts);
    return rc;
}

static int create_core(struct daemon *daemon, struct error *error)
{
    struct receiver_options options = {.planned_limit_ns = daemon->settings.planned_limit_ns,
                                       .conservative = daemon->settings.conservative,
                                       .host_count_max = HOSTS_MAX};
    randombytes_buf(options.secret, sizeof options.secret);
    daemon->receiver = receiver_create(&options);
    sodium_memzero(&options, sizeof options);
    if (daemon->receiver)
        daemon->intake = intake_create(daemon->receiver);
    if (!daemon->receiver || !daemon->intake)
        return error_set(error, "out of memory");
    return use_keys(daemon, &daemon->settings, error);
}

static int load(struct daemon *daemon, struct journal_start *start, struct error *error)
{
    daemon->journal = journal_open(daemon->settings.data, error);
    if (!daemon->journal || journal_load(daemon->journal, daemon->receiver, start, error) != 0)
        return -1;
    int64_t boottime_ns = judging_clock_read_ns(CLOCK_BOOTTIME);
    struct wall wall = {judging_clock_read_ns(CLOCK_REALTIME)};
    struct instant now = judging_clock_continue(start, daemon->boot_id, boottime_ns, wall);
    daemon->clock_offset_ns = now.ns - boottime_ns;
    if (!instant_is_sane(now))
        return error_set(error, "the clock of this machine is decades off; set it and start again");
    daemon->lines_logged = receiver_lines(daemon->receiver)->count; /* of the replay: told by the run before */
    receiver_start(daemon->receiver, now, wall, start->has_run ? start->alive : INSTANT_NEVER);
    return journal_begin_run(daemon->journal, start, daemon->boot_id, now, boottime_ns,
                             labels_of(receiver_labels(daemon->receiver), now), error);
}

static int create_services(struct daemon *daemon, int64_t last_window_id, struct error *error)
{
    struct keeper_options keeper = {daemon->settings.data, daemon->settings.flush_interval_ns};
    daemon->keeper = keeper_create(&daemon->loop, daemon->receiver, daemon->journal, &keeper, error);
    if (!daemon->keeper)
        return -1;
    struct control_options control = {
        .receiver = daemon->receiver,
        .intake = daemon->intake,
        .keeper = daemon->keeper,
        .name = (const char *const *)&daemon->settings.name,
        .dropped = &daemon->dropped,
        .now = control_now,
        .context = daemon,
        .last_window_id = last_window_id,
    };
    daemon->control = control_create(&daemon->loop, daemon->settings.data, &control, error);
    return daemon->control ? 0 : -1;
}

static void start_handles(struct daemon *daemon)
{
    uv_loop_t *loop = &daemon->loop;
    for (size_t i = 0; i < daemon->listener_count; i++) {
        (void)uv_poll_init(loop, &daemon->listeners[i].poll, daemon->listeners[i].udp.fd);
        daemon->listeners[i].poll.data = daemon;
        (void)uv_poll_start(&daemon->listeners[i].poll, UV_READABLE, on_readable);
    }
    (void)uv_timer_init(loop, &daemon->tick);
    daemon->tick.data = daemon;
    (void)uv_timer_start(&daemon->tick, on_tick, TICK_MS, TICK_MS);
    struct {
        uv_signal_t *handle;
        int number;
    } signals[] = {{&daemon->on_term, SIGTERM}, {&daemon->on_int, SIGINT}, {&daemon->on_hup, SIGHUP}};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        (void)uv_signal_init(loop, signals[i].handle);
        signals[i].handle->data = daemon;
        (void)uv_signal_start(signals[i].handle, on_signal, signals[i].number);
    }
}

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Also of a daemon that was only half made. */
void daemon_destroy(struct daemon *daemon)
{
    if (!daemon)
        return;
    if (daemon->control)
        control_close(daemon->control);
    if (daemon->keeper)
        keeper_stop(daemon->keeper, now_of(daemon));
    uv_walk(&daemon->loop, close_handle, NULL);
    (void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&daemon->loop);
    for (size_t i = 0; i < daemon->listener_count; i++)
        udp_close(&daemon->listeners[i].udp);
    control_destroy(daemon->control);
    keeper_destroy(daemon->keeper);
    journal_close(daemon->journal);
    intake_destroy(daemon->intake);
    receiver_destroy(daemon->receiver);
    receiver_settings_clear(&daemon->settings);
    if (daemon->lock >= 0)
        close(daemon->lock);
    free(daemon);
}

/* What needs root comes first. */
static int set_up(struct daemon *daemon, struct error *error)
{
    struct journal_start start;
    const char *data = daemon->settings.data;
    if (judging_clock_read_boot_id(daemon->boot_id, error) != 0 || check_data(data, error) != 0 ||
        create_core(daemon, error) != 0 || open_sockets(daemon, error) != 0 ||
        privileges_drop_to_owner(data, error) != 0 || open_data(daemon, error) != 0 || load(daemon, &start, error) != 0)
        return -1;
    return create_services(daemon, start.last_window_id, error);
}

struct daemon *daemon_create(struct receiver_settings *settings, const char *config, struct error *error)
{
    struct daemon *daemon = calloc(1, sizeof *daemon);
    if (!daemon || uv_loop_init(&daemon->loop) != 0) {
        free(daemon);
        receiver_settings_clear(settings);
        error_set(error, "out of memory");
        return NULL;
    }
    daemon->settings = *settings;
    memset(settings, 0, sizeof *settings);
    daemon->config = config;
    daemon->lock = -1;
    if (set_up(daemon, error) != 0) {
        daemon_destroy(daemon);
        return NULL;
    }
    start_handles(daemon);
    return daemon;
}

int daemon_run(struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->listener_count; i++)
        log_line(LOG_LEVEL_INFO, "listening on %s", daemon->listeners[i].udp.name);
    log_line(LOG_LEVEL_INFO, "receiver %s, record in %s, %u hosts known", daemon->settings.name, daemon->settings.data,
             receiver_hosts(daemon->receiver)->count);
    daemon->woke_at = daemon->watchdog_at = now_of(daemon);
    daemon->watchdog_ns = sd_notify_watchdog_ns();
    sd_notify_send("READY=1");
    (void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
    log_line(LOG_LEVEL_INFO, "stopping");
    return daemon->status;
}

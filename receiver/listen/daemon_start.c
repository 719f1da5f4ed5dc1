/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_start.c - sets a receiver up and takes it down: keys, sockets, then the fall to the data's owner, the record, and the
 * services on top of it. */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/key_file.h"
#include "common/log.h"
#include "common/privileges.h"
#include "receiver/listen/daemon_internal.h"
#include "receiver/listen/interfaces.h"
#include "receiver/listen/news.h"
#include "receiver/listen/peering.h"
#include "receiver/listen/relabelled.h"
#include "receiver/record/record_lock.h"

#define HOSTS_MAX 1000000

static struct instant control_now(void *context)
{
    return daemon_now(context);
}

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

int daemon_use_keys(struct daemon *daemon, const struct receiver_settings *settings, struct error *error)
{
    struct intake_keys keys;
    if (daemon_load_keys(&keys, settings, error) != 0)
        return -1;
    int rc = intake_set_keys(daemon->intake, &keys);
    if (rc != 0)
        error_set(error, "out of memory");
    else
        rc = peering_use(daemon->peering, daemon_now(daemon), settings, &keys, error);
    sodium_memzero(&keys, sizeof keys);
    return rc;
}

static int open_sockets(struct daemon *daemon, struct error *error)
{
    for (size_t i = 0; i < daemon->settings.listen_count; i++) {
        struct listener *listener = &daemon->listeners[daemon->listener_count];
        int rc = udp_open(&listener->udp, daemon->settings.listen[i], error);
        if (rc == UDP_NO_SUCH_FAMILY) { /* the default names both: one of them is enough */
            daemon->not_listening = daemon->settings.listen[i];
            continue;
        }
        if (rc != 0)
            return -1;
        listener->daemon = daemon;
        daemon->listener_count++;
    }
    return daemon->listener_count > 0 ? 0 : -1;
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
    if (daemon->receiver) {
        daemon->intake = intake_create(daemon->receiver);
        daemon->peering = peering_create(&daemon->loop, daemon->receiver);
    }
    if (!daemon->receiver || !daemon->intake || !daemon->peering)
        return error_set(error, "out of memory");
    intake_set_peering(daemon->intake, daemon->peering);
    return daemon_use_keys(daemon, &daemon->settings, error);
}

/* A run that was killed, or a power cut, may have left files half written. */
static void suspect_files(struct receiver *receiver)
{
    const struct host_table *table = receiver_hosts(receiver);
    for (uint32_t id = 1; id <= table->count; id++)
        if (table->hosts[id])
            table->hosts[id]->suspect = true;
}

static int load(struct daemon *daemon, struct journal_start *start, struct error *error)
{
    daemon->journal = journal_open(daemon->settings.data, error);
    if (!daemon->journal || journal_load(daemon->journal, daemon->receiver, start, error) != 0 ||
        relabelled_load(daemon->receiver, daemon->settings.data, error) != 0)
        return -1;
    int64_t boottime_ns;
    struct wall wall = judging_clock_read_wall(&boottime_ns);
    if (judging_clock_check(start, wall, error) != 0)
        return -1;
    struct instant now = judging_clock_continue(start, daemon->boot_id, boottime_ns, wall);
    daemon->clock_offset_ns = now.ns - boottime_ns;
    if (!instant_is_sane(now))
        return error_set(error, "the clock of this machine is decades off; set it and start again");
    daemon->notices.lines = receiver_lines(daemon->receiver)->count; /* of the replay: told by the run before */
    struct wall before = start->has_run ? labels_of(receiver_labels(daemon->receiver), now) : wall;
    enum labels_change change =
        receiver_start(daemon->receiver, now, wall, start->has_run ? start->alive : INSTANT_NEVER);
    if (receiver_has_failed(daemon->receiver))
        return error_set(error, "out of memory");
    if (start->has_run && !start->clean)
        suspect_files(daemon->receiver);
    if (start->has_run)
        notices_tell_wall(change, before, wall);
    return journal_begin_run(daemon->journal, start, daemon->boot_id, now, boottime_ns,
                             labels_of(receiver_labels(daemon->receiver), now), error);
}

static int create_services(struct daemon *daemon, int64_t last_window_id, struct error *error)
{
    struct keeper_options keeper = {
        .data = daemon->settings.data, .flush_interval_ns = daemon->settings.flush_interval_ns, .zone = daemon->zone};
    daemon->keeper = keeper_create(&daemon->loop, daemon->receiver, daemon->journal, &keeper, error);
    if (!daemon->keeper)
        return -1;
    daemon->entered = entered_create(daemon->receiver, daemon->keeper, last_window_id);
    if (!daemon->entered)
        return error_set(error, "out of memory");
    if (entered_load(daemon->entered, daemon->settings.data, daemon_now(daemon), error) != 0)
        return -1;
    daemon->news = news_create(&daemon->loop, daemon->receiver, daemon->entered, daemon->settings.data);
    if (!daemon->news)
        return error_set(error, "out of memory");
    peering_set_news(daemon->peering, daemon->news);
    struct control_options control = {
        .receiver = daemon->receiver,
        .intake = daemon->intake,
        .keeper = daemon->keeper,
        .entered = daemon->entered,
        .name = (const char *const *)&daemon->settings.name,
        .dropped = &daemon->dropped,
        .now = control_now,
        .context = daemon,
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
        (void)uv_poll_start(&daemon->listeners[i].poll, UV_READABLE, daemon_on_readable);
    }
    daemon->had_interfaces = interfaces_any();
    daemon->interfaces = interfaces_watch();
    if (daemon->interfaces >= 0 && uv_poll_init(loop, &daemon->interfaces_poll, daemon->interfaces) == 0) {
        daemon->interfaces_poll.data = daemon;
        (void)uv_poll_start(&daemon->interfaces_poll, UV_READABLE, daemon_on_interfaces);
    }
    (void)uv_timer_init(loop, &daemon->tick);
    daemon->tick.data = daemon;
    (void)uv_timer_start(&daemon->tick, daemon_on_tick, DAEMON_TICK_MS, DAEMON_TICK_MS);
    struct {
        uv_signal_t *handle;
        int number;
    } signals[] = {{&daemon->on_term, SIGTERM}, {&daemon->on_int, SIGINT}, {&daemon->on_hup, SIGHUP}};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        (void)uv_signal_init(loop, signals[i].handle);
        signals[i].handle->data = daemon;
        (void)uv_signal_start(signals[i].handle, daemon_on_signal, signals[i].number);
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
    peering_close(daemon->peering);
    news_close(daemon->news);
    if (daemon->keeper)
        keeper_stop(daemon->keeper, daemon_now(daemon));
    uv_walk(&daemon->loop, close_handle, NULL);
    (void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&daemon->loop);
    for (size_t i = 0; i < daemon->listener_count; i++)
        udp_close(&daemon->listeners[i].udp);
    control_destroy(daemon->control);
    news_destroy(daemon->news);
    entered_destroy(daemon->entered);
    keeper_destroy(daemon->keeper);
    journal_close(daemon->journal);
    intake_destroy(daemon->intake);
    peering_destroy(daemon->peering);
    receiver_destroy(daemon->receiver);
    receiver_settings_clear(&daemon->settings);
    if (daemon->interfaces >= 0)
        close(daemon->interfaces);
    if (daemon->lock >= 0)
        close(daemon->lock);
    free(daemon);
}

/* What needs root comes first. */
static int set_up(struct daemon *daemon, struct error *error)
{
    struct journal_start start;
    const char *data = daemon->settings.data;
    if (calendar_use_zone(daemon->settings.time_zone, daemon->zone, error) != 0 ||
        judging_clock_read_boot_id(daemon->boot_id, error) != 0 || check_data(data, error) != 0 ||
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
    daemon->lock = daemon->interfaces = -1;
    if (set_up(daemon, error) != 0) {
        daemon_destroy(daemon);
        return NULL;
    }
    start_handles(daemon);
    return daemon;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control.c - see control.h. */
#include "receiver/listen/control.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "common/name.h"
#include "receiver/listen/control_internal.h"
#include "receiver/listen/status_json.h"

enum {
    REQUEST_LEN_MAX = 64 * 1024,
    PATTERN_LEN_MAX = 256,
    CLIENTS_MAX = 64,
    CLIENTS_LIMIT = 768,
    CLIENT_QUIET_MS = 1000,
    AGAIN_MS = 500,
    BACKLOG = 16
};

/* ---- answering ---- */

struct reply {
    uv_write_t write; /* first */
    char *text;
};

static void on_written(uv_write_t *write, int status)
{
    struct reply *reply = (struct reply *)write;
    (void)status;
    free(reply->text);
    free(reply);
}

void control_answer(struct client *client, json_t *json)
{
    struct reply *reply = calloc(1, sizeof *reply);
    char *line = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (reply && line && asprintf(&reply->text, "%s\n", line) >= 0) {
        uv_buf_t buf = uv_buf_init(reply->text, (unsigned)strlen(reply->text));
        if (uv_write(&reply->write, (uv_stream_t *)&client->pipe, &buf, 1, on_written) == 0)
            reply = NULL;
    }
    free(line);
    if (reply)
        free(reply->text);
    free(reply);
}

void control_refuse(struct client *client, const char *why)
{
    control_answer(client, json_pack("{s:b, s:s}", "ok", 0, "error", why));
}

void control_answer_pending(void *context)
{
    struct client *client = context;
    json_t *json = client->pending;
    client->pending = NULL;
    control_answer(client, json);
}

/* ---- requests ---- */

/* Whether this can be the hosts of a request: nothing, or a list of patterns. Anything else is a mistake of the caller, and
 * must not mean every host. */
static bool are_patterns(const json_t *patterns)
{
    for (size_t i = 0; i < json_array_size(patterns); i++) {
        const char *pattern = json_string_value(json_array_get(patterns, i));
        if (!pattern || strlen(pattern) > PATTERN_LEN_MAX)
            return false;
    }
    return !patterns || json_is_array(patterns);
}

/* Whether the host is meant: by any of the patterns, or by an empty list. */
static bool is_meant(const json_t *patterns, const char *name)
{
    if (json_array_size(patterns) == 0)
        return true;
    for (size_t i = 0; i < json_array_size(patterns); i++)
        if (name_matches(json_string_value(json_array_get(patterns, i)), name))
            return true;
    return false;
}

/* A forgotten host is not among all of them, and fits no pattern: it must be named. */
static bool is_shown(const struct host *host, const json_t *patterns, bool forgotten_too)
{
    if (!host || !is_meant(patterns, host->name))
        return false;
    if (!host->forgotten || forgotten_too)
        return true;
    for (size_t i = 0; i < json_array_size(patterns); i++)
        if (strcmp(json_string_value(json_array_get(patterns, i)), host->name) == 0)
            return true;
    return false;
}

static void handle_status(struct client *client, const json_t *request, const json_t *patterns)
{
    const struct control_options *o = &client->control->options;
    const struct host_table *table = receiver_hosts(o->receiver);
    const struct labels *labels = receiver_labels(o->receiver);
    struct instant now = o->now(o->context);
    bool forgotten_too = json_is_true(json_object_get(request, "forgotten"));
    json_t *hosts = json_array();
    for (uint32_t id = 1; id <= table->count; id++)
        if (is_shown(table->hosts[id], patterns, forgotten_too))
            json_array_append_new(hosts, status_json_host(table->hosts[id], labels, now));
    json_t *statistics = status_json_statistics(o->receiver, o->intake, *o->dropped);
    json_object_set_new(statistics, "queued", json_integer((json_int_t)keeper_outdated(o->keeper)));
    control_answer(client,
                   json_pack("{s:b, s:I, s:o, s:{s:s, s:I, s:o, s:o, s:o}}", "ok", 1, "updated",
                             (json_int_t)labels_second(labels, now), "hosts", hosts, "receiver", "name", *o->name,
                             "started", (json_int_t)labels_second(labels, receiver_started(o->receiver)), "absence",
                             status_json_absence(o->receiver), "peers", status_json_peers(o->receiver, now),
                             "statistics", statistics));
}

void control_answer_when_stored(struct client *client, json_t *json)
{
    client->pending = json;
}

/* The ids of the hosts that are meant; to be freed. NULL: out of memory. */
static uint32_t *choose_hosts(const struct control_options *o, const json_t *patterns, size_t *count)
{
    const struct host_table *table = receiver_hosts(o->receiver);
    uint32_t *ids = malloc((table->count + 1) * sizeof *ids);
    *count = 0;
    for (uint32_t id = 1; ids && id <= table->count; id++)
        if (table->hosts[id] && is_meant(patterns, table->hosts[id]->name))
            ids[(*count)++] = id;
    return ids;
}

static void handle_flush(struct client *client, const json_t *patterns)
{
    const struct control_options *o = &client->control->options;
    size_t count;
    uint32_t *ids = choose_hosts(o, patterns, &count);
    if (!ids || keeper_flush(o->keeper, ids, count, control_answer_pending, client) != 0)
        control_refuse(client, "out of memory");
    else
        control_answer_when_stored(client, json_pack("{s:b}", "ok", 1));
    free(ids);
}

/* A file that could not be made anew is still to be. */
static void on_rebuilt(void *context)
{
    struct client *client = context;
    const struct host_table *table = receiver_hosts(client->control->options.receiver);
    char text[sizeof "cannot make state.rrd anew for  of the hosts, see the log; it is tried again" + 24];
    size_t failures = 0;
    for (size_t i = 0; i < client->rebuilt_count; i++)
        failures += table->hosts[client->rebuilt[i]]->changed_from == HOST_CHANGED_ALL;
    free(client->rebuilt);
    client->rebuilt = NULL;
    if (failures) {
        json_decref(client->pending);
        (void)snprintf(text, sizeof text,
                       "cannot make state.rrd anew for %zu of the hosts, see the log; it is tried again", failures);
        client->pending = json_pack("{s:b, s:s}", "ok", 0, "error", text);
    }
    control_answer_pending(client);
}

static void handle_rebuild(struct client *client, const json_t *patterns)
{
    const struct control_options *o = &client->control->options;
    const struct host_table *table = receiver_hosts(o->receiver);
    size_t count;
    uint32_t *ids = choose_hosts(o, patterns, &count);
    if (!ids || keeper_flush(o->keeper, ids, count, on_rebuilt, client) != 0) {
        free(ids);
        control_refuse(client, "out of memory");
        return;
    }
    json_t *names = json_array();
    for (size_t i = 0; i < count; i++) {
        keeper_remake(o->keeper, table->hosts[ids[i]]);
        json_array_append_new(names, json_string(table->hosts[ids[i]]->name));
    }
    client->rebuilt = ids;
    client->rebuilt_count = count;
    control_answer_when_stored(client, json_pack("{s:b, s:o}", "ok", 1, "rebuilt", names));
}

static bool may_change(struct client *client)
{
    uv_os_fd_t fd;
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (uv_fileno((uv_handle_t *)&client->pipe, &fd) != 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    return peer.uid == 0 || peer.uid == geteuid();
}

static void handle_change(struct client *client, const char *op, const json_t *request, const json_t *patterns)
{
    if (!may_change(client)) {
        control_refuse(client, "changes are for root and the receiver's own user");
        return;
    }
    bool cancels = strcmp(op, "maintenance_cancel") == 0;
    if (!cancels && json_array_size(patterns) == 0) {
        control_refuse(client, "a change must name hosts, \"*\" for all");
        return;
    }
    if (strcmp(op, "rebuild") == 0) {
        handle_rebuild(client, patterns);
        return;
    }
    if (strcmp(op, "rename") == 0) {
        control_handle_rename(client, request, patterns);
        return;
    }
    if (cancels)
        control_handle_cancel(client, request);
    else if (strcmp(op, "forget") == 0)
        control_handle_forget(client, patterns);
    else if (strcmp(op, "relabel") == 0)
        control_handle_relabel(client, request, patterns);
    else if (strcmp(op, "maintenance_start") == 0)
        control_handle_start(client, request, patterns);
    else if (strcmp(op, "maintenance_plan") == 0)
        control_handle_plan(client, request, patterns);
    else
        control_handle_end(client, patterns);
    /* The answer goes out when the journal has stored what was asked. */
    if (client->pending && keeper_when_stored(client->control->options.keeper, control_answer_pending, client) != 0)
        control_answer_pending(client);
}

static bool is_change(const char *op)
{
    static const char *const changes[] = {
        "maintenance_start", "maintenance_plan", "maintenance_end", "maintenance_cancel",
        "relabel",           "rebuild",          "forget",          "rename"};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        if (strcmp(op, changes[i]) == 0)
            return true;
    return false;
}

static void handle(struct client *client, const char *line, size_t len)
{
    json_error_t error;
    json_t *request = json_loadb(line, len, 0, &error);
    const char *op = json_string_value(json_object_get(request, "op"));
    const json_t *patterns = json_object_get(request, "hosts");
    if (!op)
        control_refuse(client, "not a request: want one JSON object a line with a member \"op\"");
    else if (!are_patterns(patterns))
        control_refuse(client, "\"hosts\" must be a list of names and patterns");
    else if (strcmp(op, "status") == 0)
        handle_status(client, request, patterns);
    else if (strcmp(op, "flush") == 0)
        handle_flush(client, patterns);
    else if (is_change(op))
        handle_change(client, op, request, patterns);
    else
        control_refuse(client, "unknown request");
    json_decref(request);
}

/* ---- connections ---- */

static void on_client_closed(uv_handle_t *handle)
{
    struct client *client = (struct client *)handle;
    struct control *control = client->control;
    for (struct client **at = &control->clients; *at; at = &(*at)->next)
        if (*at == client) {
            *at = client->next;
            break;
        }
    control->client_count--;
    json_decref(client->pending);
    free(client->rebuilt);
    free(client->request);
    free(client);
}

static void close_client(struct client *client)
{
    if (uv_is_closing((uv_handle_t *)&client->pipe))
        return;
    keeper_forget(client->control->options.keeper, client);
    uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct client *client = (struct client *)handle;
    (void)suggested;
    *buf = uv_buf_init(client->request + client->len, (unsigned)(REQUEST_LEN_MAX - client->len));
}

/* Whether an answer is still to be made or to be fetched. Who asks on meanwhile would have answers piled up in memory. */
static bool is_busy(const struct client *client)
{
    return client->pending || uv_stream_get_write_queue_size((const uv_stream_t *)&client->pipe) > 0;
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct client *client = (struct client *)stream;
    (void)buf;
    if (count < 0) {
        close_client(client);
        return;
    }
    client->len += (size_t)count;
    char *end;
    while (!is_busy(client) && (end = memchr(client->request, '\n', client->len))) {
        size_t line_len = (size_t)(end - client->request);
        handle(client, client->request, line_len);
        client->len -= line_len + 1;
        memmove(client->request, end + 1, client->len);
    }
    if (client->len == REQUEST_LEN_MAX || (is_busy(client) && client->len > 0)) {
        control_refuse(client, "request too long, or sent before the answer to the last one was read");
        close_client(client);
    }
}

/* Makes room for a newcomer, so that those who only hold a connection keep nobody out: the oldest that waits for nothing goes. */
static void close_oldest(struct control *control)
{
    struct client *oldest = NULL;
    for (struct client *client = control->clients; client; client = client->next)
        if (!client->pending && !uv_is_closing((uv_handle_t *)&client->pipe) &&
            uv_now(client->pipe.loop) - client->since >= CLIENT_QUIET_MS)
            oldest = client; /* a younger one may have asked something that was not read yet */
    if (oldest)
        close_client(oldest);
}

static void on_connection(uv_stream_t *server, int status);

static void on_again(uv_timer_t *timer)
{
    struct control *control = timer->data;
    on_connection((uv_stream_t *)&control->pipe, 0);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct control *control = server->data;
    if (status != 0)
        return;
    struct client *client = calloc(1, sizeof *client);
    char *request = malloc(REQUEST_LEN_MAX);
    if (!client || !request || uv_pipe_init(server->loop, &client->pipe, 0) != 0) {
        free(client);
        free(request);
        (void)uv_timer_start(&control->again, on_again, AGAIN_MS, 0); /* nobody else can come in until this one has */
        return;
    }
    if (control->client_count >= CLIENTS_MAX)
        close_oldest(control);
    client->since = uv_now(server->loop);
    client->control = control;
    client->request = request;
    client->next = control->clients;
    control->clients = client;
    control->client_count++;
    if (uv_accept(server, (uv_stream_t *)&client->pipe) != 0 || control->client_count > CLIENTS_LIMIT ||
        uv_read_start((uv_stream_t *)&client->pipe, on_allocate, on_read) != 0)
        close_client(client);
}

static void on_refused_closed(uv_handle_t *handle)
{
    control_destroy(handle->data);
}

struct control *control_create(struct uv_loop_s *loop, const char *data, const struct control_options *options,
                               struct error *error)
{
    struct control *control = calloc(1, sizeof *control);
    if (!control || asprintf(&control->path, "%s/receiver.sock", data) < 0) {
        free(control);
        error_set(error, "out of memory");
        return NULL;
    }
    control->options = *options;
    (void)unlink(control->path);
    (void)uv_pipe_init(loop, &control->pipe, 0);
    control->pipe.data = control;
    mode_t mask = umask(0117); /* born as 0660 */
    int rc = uv_pipe_bind(&control->pipe, control->path);
    (void)umask(mask);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&control->pipe, BACKLOG, on_connection);
    if (rc != 0) {
        error_set(error, "cannot listen on %s: %s", control->path, uv_strerror(rc));
        uv_close((uv_handle_t *)&control->pipe, on_refused_closed);
        return NULL;
    }
    (void)uv_timer_init(loop, &control->again);
    control->again.data = control;
    return control;
}

void control_close(struct control *control)
{
    for (struct client *client = control->clients; client; client = client->next)
        close_client(client);
    uv_close((uv_handle_t *)&control->pipe, NULL);
    uv_close((uv_handle_t *)&control->again, NULL);
    (void)unlink(control->path);
}

void control_destroy(struct control *control)
{
    if (!control)
        return;
    free(control->path);
    free(control);
}

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
#include "receiver/listen/status_json.h"

enum {
    REQUEST_LEN_MAX = 64 * 1024,
    PATTERN_LEN_MAX = 256,
    CLIENTS_MAX = 64,
    CLIENTS_LIMIT = 768,
    CLIENT_QUIET_MS = 1000,
    BACKLOG = 16
};

struct control {
    uv_pipe_t pipe;
    struct control_options options;
    char *path;
    struct client *clients;
    size_t client_count;
    int64_t last_window_id;
};

struct client {
    uv_pipe_t pipe; /* first: handles and clients are the same pointer */
    struct control *control;
    char *request; /* the line being received */
    size_t len;
    uint64_t since;  /* when it came, in the loop's ms */
    json_t *pending; /* the answer that waits to be stored, NULL: none */
    struct client *next;
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

/* Sends an answer, taking it over. */
static void answer(struct client *client, json_t *json)
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

static void refuse(struct client *client, const char *why)
{
    answer(client, json_pack("{s:b, s:s}", "ok", 0, "error", why));
}

static void on_stored(void *context)
{
    struct client *client = context;
    json_t *json = client->pending;
    client->pending = NULL;
    answer(client, json);
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

static void handle_status(struct client *client, const json_t *patterns)
{
    const struct control_options *o = &client->control->options;
    const struct host_table *table = receiver_hosts(o->receiver);
    const struct labels *labels = receiver_labels(o->receiver);
    json_t *hosts = json_array();
    for (uint32_t id = 1; id <= table->count; id++)
        if (table->hosts[id] && is_meant(patterns, table->hosts[id]->name))
            json_array_append_new(hosts, status_json_host(table->hosts[id], labels));
    struct instant started = labels->parts[labels->count - 1].from;
    answer(client, json_pack("{s:b, s:I, s:o, s:{s:s, s:I, s:o}}", "ok", 1, "updated",
                             (json_int_t)labels_second(labels, o->now(o->context)), "hosts", hosts, "receiver", "name",
                             *o->name, "started", (json_int_t)labels_second(labels, started), "statistics",
                             status_json_statistics(o->receiver, o->intake, *o->dropped)));
}

/* Hands the answer over to be sent when what it says is stored. */
static void answer_when_stored(struct client *client, json_t *json)
{
    client->pending = json;
}

static struct instant instant_of_second(const struct labels *labels, struct instant now, int64_t second)
{
    int64_t ahead_ns = second * NS_PER_S - labels_of(labels, now).ns;
    return instant_add(now, ahead_ns);
}

/* One window a pattern; without patterns, one for every host. */
static bool start_window(struct control *control, const char *pattern, const char *reason, const json_t *until,
                         int64_t *id)
{
    const struct control_options *o = &control->options;
    struct instant now = o->now(o->context);
    const struct labels *labels = receiver_labels(o->receiver);
    struct journal_window window = {.id = ++control->last_window_id, .is_new = true, .ends = INT64_MAX};
    window.window = (struct window){now, INSTANT_NEVER};
    window.starts = window.entered = labels_second(labels, now);
    if (json_is_integer(until)) {
        window.ends = json_integer_value(until);
        window.window.to = instant_of_second(labels, now, window.ends);
    }
    window.pattern = strdup(pattern);
    window.reason = strdup(reason);
    struct window core = window.window;
    if (!window.pattern || !window.reason || keeper_put_window(o->keeper, &window) != 0) {
        free(window.pattern);
        free(window.reason);
        return false;
    }
    *id = window.id;
    return receiver_add_window(o->receiver, now, window.id, pattern, core) == 0;
}

static void handle_start(struct client *client, const json_t *request, const json_t *patterns)
{
    struct control *control = client->control;
    const struct control_options *o = &control->options;
    const json_t *reason = json_object_get(request, "reason");
    const json_t *until = json_object_get(request, "until");
    if ((reason && !json_is_string(reason)) || (until && !json_is_null(until) && !json_is_integer(until))) {
        refuse(client, "\"reason\" must be a text, and \"until\" Unix seconds or null");
        return;
    }
    int64_t now = labels_second(receiver_labels(o->receiver), o->now(o->context));
    if (json_is_integer(until) &&
        (json_integer_value(until) <= now || json_integer_value(until) > now + INT64_C(3660) * 86400)) {
        refuse(client, "maintenance must end in the future, and within ten years");
        return;
    }
    json_t *ids = json_array();
    for (size_t i = 0; i < json_array_size(patterns); i++) {
        const char *pattern = json_string_value(json_array_get(patterns, i));
        int64_t id = 0;
        if (!start_window(control, pattern, reason ? json_string_value(reason) : "", until, &id)) {
            json_decref(ids);
            refuse(client, "out of memory");
            return;
        }
        json_array_append_new(ids, json_integer(id));
    }
    answer_when_stored(client, json_pack("{s:b, s:o, s:I}", "ok", 1, "ids", ids, "from", (json_int_t)now));
}

/* A pattern ends the windows that were started with it, and those of single hosts that it fits. */
static bool ends_window(const json_t *patterns, const char *window_pattern)
{
    for (size_t i = 0; i < json_array_size(patterns); i++) {
        const char *pattern = json_string_value(json_array_get(patterns, i));
        if (strcmp(pattern, window_pattern) == 0 || name_matches(pattern, window_pattern))
            return true;
    }
    return false;
}

static void handle_end(struct client *client, const json_t *patterns)
{
    const struct control_options *o = &client->control->options;
    struct instant now = o->now(o->context);
    json_t *ended = json_array();
    size_t count;
    const struct planned *planned = receiver_windows(o->receiver, &count);
    for (size_t i = 0; i < count; i++) {
        if (!instant_before(now, planned[i].window.to) || instant_before(now, planned[i].window.from) ||
            !ends_window(patterns, planned[i].pattern))
            continue;
        struct journal_window window = {.id = planned[i].id, .window = {planned[i].window.from, now}};
        window.ends = labels_second(receiver_labels(o->receiver), now);
        if (keeper_put_window(o->keeper, &window) != 0)
            break;
        (void)receiver_end_window(o->receiver, now, planned[i].id);
        json_array_append_new(ended, json_integer(window.id));
    }
    if (json_array_size(ended) == 0) {
        json_decref(ended);
        refuse(client, "no maintenance is running that was started with such a pattern");
        return;
    }
    answer_when_stored(client, json_pack("{s:b, s:o}", "ok", 1, "ended", ended));
}

static void handle_flush(struct client *client, const json_t *patterns)
{
    const struct control_options *o = &client->control->options;
    const struct host_table *table = receiver_hosts(o->receiver);
    uint32_t *ids = malloc((table->count + 1) * sizeof *ids);
    size_t count = 0;
    for (uint32_t id = 1; ids && id <= table->count; id++)
        if (table->hosts[id] && is_meant(patterns, table->hosts[id]->name))
            ids[count++] = id;
    if (!ids || keeper_flush(o->keeper, ids, count, on_stored, client) != 0)
        refuse(client, "out of memory");
    else
        answer_when_stored(client, json_pack("{s:b}", "ok", 1));
    free(ids);
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
        refuse(client, "changes are for root and the receiver's own user");
        return;
    }
    if (json_array_size(patterns) == 0) {
        refuse(client, "a change must name hosts, \"*\" for all");
        return;
    }
    if (strcmp(op, "maintenance_start") == 0)
        handle_start(client, request, patterns);
    else
        handle_end(client, patterns);
    /* The answer goes out when the journal has stored what was asked. */
    if (client->pending && keeper_when_stored(client->control->options.keeper, on_stored, client) != 0)
        on_stored(client);
}

static void handle(struct client *client, const char *line, size_t len)
{
    json_error_t error;
    json_t *request = json_loadb(line, len, 0, &error);
    const char *op = json_string_value(json_object_get(request, "op"));
    const json_t *patterns = json_object_get(request, "hosts");
    if (!op)
        refuse(client, "not a request: want one JSON object a line with a member \"op\"");
    else if (!are_patterns(patterns))
        refuse(client, "\"hosts\" must be a list of names and patterns");
    else if (strcmp(op, "status") == 0)
        handle_status(client, patterns);
    else if (strcmp(op, "flush") == 0)
        handle_flush(client, patterns);
    else if (strcmp(op, "maintenance_start") == 0 || strcmp(op, "maintenance_end") == 0)
        handle_change(client, op, request, patterns);
    else
        refuse(client, "unknown request");
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
        refuse(client, "request too long, or sent before the answer to the last one was read");
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
    control->last_window_id = options->last_window_id;
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
    return control;
}

void control_close(struct control *control)
{
    for (struct client *client = control->clients; client; client = client->next)
        close_client(client);
    uv_close((uv_handle_t *)&control->pipe, NULL);
    (void)unlink(control->path);
}

void control_destroy(struct control *control)
{
    if (!control)
        return;
    free(control->path);
    free(control);
}

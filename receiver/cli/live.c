/* SPDX-License-Identifier: GPL-2.0-or-later */
/* live.c - see live.h.
 *
 * A socket that is missing or refuses means that the receiver is stopped, unless somebody holds its lock: then it is
 * just starting or ending, and neither it nor the record can be asked with a clear answer. */
#include "receiver/cli/live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "receiver/record/record_lock.h"

#define SOCKET_NAME "receiver.sock"

/* Connects; a path too long for a socket address is reached through the descriptor of its folder. Returns 0 or -1,
 * errno set. */
static int connect_to(int fd, const char *data)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int folder = -1;
    int len = snprintf(address.sun_path, sizeof address.sun_path, "%s/" SOCKET_NAME, data);
    if (len < 0 || (size_t)len >= sizeof address.sun_path) {
        folder = open(data, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
            return -1;
        (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" SOCKET_NAME, folder);
    }
    int rc = connect(fd, (const struct sockaddr *)&address, sizeof address);
    int cause = errno;
    if (folder >= 0)
        (void)close(folder);
    errno = cause;
    return rc;
}

/* What a failed connect means. */
static enum live_result connect_failed(const char *data, struct error *error)
{
    int cause = errno;
    if (cause == ENOENT || cause == ECONNREFUSED) {
        struct error unclear;
        if (record_lock_probe(data, NULL, &unclear) != RECORD_LOCK_HELD_BY_OTHER)
            return LIVE_STOPPED;
        (void)error_set(error, "%s: the receiver is just starting or ending; try again", data);
        return LIVE_FAILED;
    }
    (void)error_set(error, "%s/" SOCKET_NAME ": cannot ask the receiver: %s%s", data, strerror(cause),
                    cause == EACCES ? "; become a member of its group, or root" : "");
    return LIVE_FAILED;
}

static int send_line(int fd, const json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT);
    if (!text) {
        errno = ENOMEM;
        return -1;
    }
    size_t len = strlen(text), done = 0;
    text[len++] = '\n'; /* in the place of the terminating zero */
    while (done < len) {
        ssize_t n = send(fd, text + done, len - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            break;
        if (n > 0)
            done += (size_t)n;
    }
    free(text);
    return done == len ? 0 : -1;
}

/* Reads the answer's line and parses it; NULL with errno set (EBADMSG: not what we understand). */
static json_t *receive_line(int fd)
{
    char *line = NULL;
    size_t size = 0;
    json_t *answer = NULL;
    FILE *stream = fdopen(fd, "r");
    if (!stream) {
        (void)close(fd);
        return NULL;
    }
    errno = EBADMSG;
    ssize_t len = getline(&line, &size, stream);
    int cause = errno;
    if (len > 0) {
        answer = json_loadb(line, (size_t)len, 0, NULL);
        cause = EBADMSG;
    }
    free(line);
    (void)fclose(stream);
    errno = cause;
    return answer;
}

/* Takes `fd` and `request` over. */
static enum live_result converse(const char *data, int fd, json_t *request, json_t **answer, struct error *error)
{
    int sent = request ? send_line(fd, request) : -1;
    if (sent == 0)
        *answer = receive_line(fd);
    else
        (void)close(fd);
    int cause = errno;
    json_decref(request);
    if (sent != 0 || !*answer) {
        (void)error_set(error, "%s/" SOCKET_NAME ": %s", data,
                        cause == EAGAIN ? "the receiver does not answer in time; is it overloaded?"
                        : cause == EBADMSG
                            ? "the receiver ended, or gave an answer that this program does not understand"
                            : strerror(cause));
        return LIVE_FAILED;
    }
    if (json_is_true(json_object_get(*answer, "ok")))
        return LIVE_OK;
    const char *why = json_string_value(json_object_get(*answer, "error"));
    (void)error_set(error, "the receiver refuses: %s", why ? why : "it does not say why");
    json_decref(*answer);
    *answer = NULL;
    return LIVE_FAILED;
}

static json_t *request_build(const struct cli *cli, const char *op, json_t *more)
{
    json_t *hosts = json_array();
    for (size_t i = 0; i < cli->arg_count; i++)
        (void)json_array_append_new(hosts, json_string(cli->args[i]));
    json_t *request = json_pack("{s:s, s:o}", "op", op, "hosts", hosts);
    if (more) {
        (void)json_object_update(request, more);
        json_decref(more);
    }
    return request;
}

enum live_result live_ask(const struct cli *cli, const char *op, json_t *more, int timeout_s, json_t **answer,
                          struct error *error)
{
    *answer = NULL;
    struct timeval timeout = {.tv_sec = timeout_s};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        json_decref(more);
        (void)error_set(error, "cannot make a socket: %s", strerror(errno));
        return LIVE_FAILED;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect_to(fd, cli->data) != 0) {
        enum live_result result = connect_failed(cli->data, error);
        (void)close(fd);
        json_decref(more);
        return result;
    }
    return converse(cli->data, fd, request_build(cli, op, more), answer, error);
}

const char *live_host_name(const void *hosts, size_t index)
{
    const char *name = json_string_value(json_object_get(json_array_get(hosts, index), "host"));
    return name ? name : "";
}

int live_check_hosts(const struct cli *cli, bool *stopped, struct error *error)
{
    json_t *answer;
    enum live_result result =
        live_ask(cli, "status", json_pack("{s:b}", "forgotten", 1), LIVE_TIMEOUT_S, &answer, error);
    *stopped = result == LIVE_STOPPED;
    if (result == LIVE_STOPPED)
        return CLI_OK;
    if (result == LIVE_FAILED)
        return CLI_NO_RECORD;
    const json_t *hosts = json_object_get(answer, "hosts");
    const char *pattern = cli_unmatched(cli, hosts, json_array_size(hosts), live_host_name);
    int code = pattern ? cli_fail_unmatched(error, pattern) : CLI_OK;
    json_decref(answer);
    return code;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* link_uv.c - see link_uv.h.
 *
 * Happy path: the first tick finds the addresses, the socket is connected to the first that has a route, datagrams
 * leave through it, answers come back through the poll handle. Names are looked up by a worker thread of libuv; a
 * numeric address needs none. While a look-up fails, or finds nothing, the addresses found before stay in use. */
#include "agent/link_uv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "common/datagram.h"
#include "common/log.h"

#define ADDRESS_MAX 8
#define LOOKUP_EVERY_NS (300 * NS_PER_S)
#define LOOKUP_RETRY_MIN_NS NS_PER_S
#define LOOKUP_RETRY_MAX_NS (60 * NS_PER_S)

/* How many datagrams are taken in one go, so that a flood from one address does not keep the beats waiting. */
#define RECEIVE_MAX 32
#define TEXT_SIZE (AGENT_SETTINGS_HOST_SIZE + NI_MAXHOST + 32)

/* One socket and its handle; lives until libuv lets go of it. */
struct link_socket {
    uv_poll_t poll; /* first, so that the handle can be freed as the whole */
    int fd;
};

struct link {
    uv_loop_t *loop;
    struct receiver_address address;
    struct link_handler handler;
    bool closing;

    struct sockaddr_storage found[ADDRESS_MAX];
    size_t found_count;
    size_t current;             /* which of them is spoken to */
    struct link_socket *socket; /* NULL while there is no way */

    bool numeric; /* nothing to look up, ever */
    bool looking_up;
    uv_getaddrinfo_t request;
    struct instant next_lookup;
    int64_t lookup_retry_ns;

    bool ever_answered;
    struct complaint lookup_trouble;
    struct complaint contact_trouble;
};

static struct instant now_monotonic(void)
{
    return (struct instant){(int64_t)uv_hrtime()};
}

static socklen_t sockaddr_len(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/* The receiver as people know it: as configured and, if that is a name, the address behind it. */
static const char *describe(const struct link *link, char text[TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN + 32], port[AGENT_SETTINGS_PORT_SIZE];
    int len = snprintf(text, TEXT_SIZE, strchr(link->address.host, ':') ? "[%s]:%s" : "%s:%s", link->address.host,
                       link->address.port);
    if (link->numeric || link->found_count == 0)
        return text;
    const struct sockaddr_storage *address = &link->found[link->current];
    if (getnameinfo((const struct sockaddr *)address, sockaddr_len(address), host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        (void)snprintf(text + len, TEXT_SIZE - (size_t)len, " (%s)", host);
    return text;
}

static void on_socket_closed(uv_handle_t *handle)
{
    free(handle);
}

static void close_socket(struct link *link)
{
    if (!link->socket)
        return;
    uv_close((uv_handle_t *)&link->socket->poll, on_socket_closed);
    (void)close(link->socket->fd);
    link->socket = NULL;
}

/* A connected socket, or -1 with errno: as when there is no route to this kind of address. */
static int connect_udp(const struct sockaddr_storage *address)
{
    int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)address, sockaddr_len(address)) == 0)
        return fd;
    int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

static void on_readable(uv_poll_t *poll, int status, int events);

/* Puts `fd` under the loop. Takes it over also on failure. */
static struct link_socket *watch(struct link *link, int fd)
{
    struct link_socket *socket = calloc(1, sizeof *socket);
    if (!socket || uv_poll_init(link->loop, &socket->poll, fd) != 0) {
        free(socket);
        (void)close(fd);
        return NULL;
    }
    socket->fd = fd;
    socket->poll.data = link;
    (void)uv_poll_start(&socket->poll, UV_READABLE, on_readable);
    return socket;
}

/* A new socket to the current address, or to the next one that has a route. */
static void open_socket(struct link *link, struct instant now)
{
    char text[TEXT_SIZE];
    int error = ENOMEM;
    close_socket(link);
    for (size_t i = 0; i < link->found_count && !link->socket; i++) {
        size_t candidate = (link->current + i) % link->found_count;
        int fd = connect_udp(&link->found[candidate]);
        if (fd < 0) {
            error = errno;
            continue;
        }
        link->socket = watch(link, fd);
        link->current = candidate;
    }
    if (!link->socket && link->found_count > 0)
        complaint_raise(&link->contact_trouble, LOG_LEVEL_WARNING, now, "no way to receiver %s: %s; trying on",
                        describe(link, text), strerror(error));
}

void link_receive(struct link *link)
{
    uint8_t bytes[DATAGRAM_LEN_MAX + 1]; /* one more, so that what is too long looks so */
    for (int i = 0; i < RECEIVE_MAX && link->socket && !link->closing; i++) {
        ssize_t len = recv(link->socket->fd, bytes, sizeof bytes, 0);
        if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        /* Other errors tell of an earlier datagram, as ECONNREFUSED: each is told once. */
        if (len >= 0)
            link->handler.received(link->handler.context, link, bytes, (size_t)len);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct link *link = poll->data;
    (void)events;
    link_receive(link);
    /* libuv takes an error for the end of the socket and stops looking. It was only an ICMP answer, which receiving has
     * taken off the socket. */
    if (status < 0 && link->socket && poll == &link->socket->poll)
        (void)uv_poll_start(poll, UV_READABLE, on_readable);
}

void link_send(struct link *link, struct instant now, const uint8_t *bytes, size_t len)
{
    char text[TEXT_SIZE];
    if (!link->socket)
        open_socket(link, now);
    if (!link->socket)
        return;
    /* An ICMP error of an earlier datagram is returned instead of sending; the second try sends. */
    ssize_t sent = send(link->socket->fd, bytes, len, MSG_NOSIGNAL);
    if (sent < 0 && errno == ECONNREFUSED)
        sent = send(link->socket->fd, bytes, len, MSG_NOSIGNAL);
    if (sent >= 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == ECONNREFUSED)
        return;
    int error = errno;
    complaint_raise(&link->contact_trouble, LOG_LEVEL_WARNING, now, "cannot send to receiver %s: %s; trying on",
                    describe(link, text), strerror(error));
    close_socket(link); /* the next one may have another route */
}

/* Takes over what a look-up found. The address in use stays so if it is still among them. */
static void take_addresses(struct link *link, const struct addrinfo *list)
{
    struct sockaddr_storage used = {0};
    struct instant now = now_monotonic();
    bool had_socket = link->socket != NULL;
    if (link->found_count > 0)
        used = link->found[link->current];
    link->found_count = link->current = 0;
    for (const struct addrinfo *at = list; at && link->found_count < ADDRESS_MAX; at = at->ai_next) {
        if (at->ai_addrlen > sizeof used || (at->ai_family != AF_INET && at->ai_family != AF_INET6))
            continue;
        struct sockaddr_storage *next = &link->found[link->found_count];
        memset(next, 0, sizeof *next);
        memcpy(next, at->ai_addr, at->ai_addrlen);
        if (memcmp(next, &used, sizeof used) == 0)
            link->current = link->found_count;
        link->found_count++;
    }
    if (had_socket && link->found_count > 0 && memcmp(&link->found[link->current], &used, sizeof used) == 0)
        return;
    open_socket(link, now);
    if (link->socket)
        link->handler.changed(link->handler.context, link);
}

static void lookup_failed(struct link *link, struct instant now, const char *why)
{
    complaint_raise(&link->lookup_trouble, LOG_LEVEL_WARNING, now, "cannot look up receiver %s: %s; trying on",
                    link->address.host, why);
    link->next_lookup = instant_add(now, link->lookup_retry_ns);
    link->lookup_retry_ns *= 2;
    if (link->lookup_retry_ns > LOOKUP_RETRY_MAX_NS)
        link->lookup_retry_ns = LOOKUP_RETRY_MAX_NS;
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct link *link = request->data;
    struct instant now = now_monotonic();
    link->looking_up = false;
    if (link->closing) {
        free(link);
    } else if (status != 0 || !list) {
        lookup_failed(link, now, status ? uv_strerror(status) : "it has no address");
    } else {
        complaint_clear(&link->lookup_trouble, "receiver %s could be looked up", link->address.host);
        link->lookup_retry_ns = LOOKUP_RETRY_MIN_NS;
        link->next_lookup = instant_add(now, LOOKUP_EVERY_NS);
        take_addresses(link, list);
    }
    uv_freeaddrinfo(list);
}

/* Begins to look the name up; done at once if it is a number. */
static void look_up(struct link *link, struct instant now)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    link->next_lookup = INSTANT_NEVER;
    if (link->found_count == 0 && getaddrinfo(link->address.host, link->address.port, &hints, &list) == 0) {
        link->numeric = true;
        take_addresses(link, list);
        freeaddrinfo(list);
        return;
    }
    hints.ai_flags = AI_NUMERICSERV;
    int status =
        uv_getaddrinfo(link->loop, &link->request, on_looked_up, link->address.host, link->address.port, &hints);
    link->looking_up = status == 0;
    if (status)
        lookup_failed(link, now, uv_strerror(status));
}

struct link *link_create(struct uv_loop_s *loop, const struct receiver_address *address,
                         const struct link_handler *handler)
{
    struct link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->loop = loop;
    link->address = *address;
    link->handler = *handler;
    link->request.data = link;
    link->next_lookup = (struct instant){0};
    link->lookup_retry_ns = LOOKUP_RETRY_MIN_NS;
    return link;
}

bool link_close(struct link *link)
{
    close_socket(link);
    link->closing = true;
    if (link->looking_up) /* the callback comes in any case, and frees */
        return uv_cancel((uv_req_t *)&link->request) == 0;
    free(link);
    return true;
}

const struct receiver_address *link_address(const struct link *link)
{
    return &link->address;
}

void link_tick(struct link *link, struct instant now)
{
    if (!link->looking_up && !instant_before(now, link->next_lookup))
        look_up(link, now);
}

struct instant link_due(const struct link *link)
{
    return link->looking_up ? INSTANT_NEVER : link->next_lookup;
}

void link_unanswered(struct link *link, struct instant now, uint32_t beats)
{
    char text[TEXT_SIZE];
    if (link->found_count > 0) {
        complaint_raise(&link->contact_trouble, LOG_LEVEL_WARNING, now,
                        "receiver %s has not answered %u beats; trying on", describe(link, text), beats);
        link->current = (link->current + 1) % link->found_count;
        open_socket(link, now);
    }
    if (!link->numeric && !link->looking_up)
        link->next_lookup = instant_earlier(link->next_lookup, now);
}

void link_answered(struct link *link)
{
    char text[TEXT_SIZE];
    if (link->contact_trouble.active) {
        complaint_clear(&link->contact_trouble, "receiver %s answers", describe(link, text));
    } else if (!link->ever_answered) {
        log_line(LOG_LEVEL_INFO, "receiver %s answers", describe(link, text));
    }
    link->ever_answered = true;
}

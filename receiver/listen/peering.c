/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peering.c - see peering.h. */
#include "receiver/listen/peering.h"

#include <netdb.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/settings.h"

#define LOOKUP_EVERY_NS (300 * NS_PER_S)
#define LOOKUP_RETRY_MIN_NS NS_PER_S
#define LOOKUP_RETRY_MAX_NS (60 * NS_PER_S)
/* How much is said in one turn: the kernel's buffer is for the answers to agents, too. */
enum { DATAGRAMS_PER_TURN = 64, PEER_GENERATION = 1 };

/* Outlives the peer while libuv is at it. */
struct lookup {
    uv_getaddrinfo_t request;
    struct peering *peering; /* NULL: nobody wants to know any more */
    unsigned place;
};

struct way {
    bool used;
    char *address; /* as configured, owned */
    struct key in[INTAKE_SITE_KEYS_MAX], out;
    struct sockaddr_storage to;
    socklen_t to_len; /* 0: not known yet */
    struct lookup *lookup;
    struct instant lookup_at;
    int64_t retry_ns;
    bool complained;
};

struct peering {
    uv_loop_t *loop;
    struct receiver *receiver;
    struct news *news; /* NULL: none yet */
    struct way ways[PEERS_MAX];
    char name[NAME_LEN_MAX + 1]; /* ours */
    size_t site_count;
    struct instant now;
    bool has_family[2]; /* sockets of IPv4, IPv6 */
    uint8_t payload[PEER_PAYLOAD_MAX + NAME_LEN_MAX];
};

struct peering *peering_create(uv_loop_t *loop, struct receiver *receiver)
{
    struct peering *peering = calloc(1, sizeof *peering);
    if (!peering)
        return NULL;
    peering->loop = loop;
    peering->receiver = receiver;
    peering->has_family[0] = peering->has_family[1] = true;
    return peering;
}

void peering_set_news(struct peering *peering, struct news *news)
{
    peering->news = news;
}

static void abandon_lookup(struct way *way)
{
    if (!way->lookup)
        return;
    way->lookup->peering = NULL;
    (void)uv_cancel((uv_req_t *)&way->lookup->request);
    way->lookup = NULL;
}

static void clear(struct way *way)
{
    abandon_lookup(way);
    free(way->address);
    sodium_memzero(way, sizeof *way);
}

void peering_close(struct peering *peering)
{
    for (unsigned i = 0; peering && i < PEERS_MAX; i++)
        abandon_lookup(&peering->ways[i]);
}

void peering_destroy(struct peering *peering)
{
    if (!peering)
        return;
    for (unsigned i = 0; i < PEERS_MAX; i++)
        clear(&peering->ways[i]);
    sodium_memzero(peering, sizeof *peering);
    free(peering);
}

/* ---- keys ---- */

static bool is_wanted(const struct receiver_settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->peer_count; i++)
        if (strcmp(settings->peers[i].name, name) == 0)
            return true;
    return false;
}

static void derive_keys(struct peering *peering, struct way *way, const char *peer, const struct intake_keys *keys)
{
    for (size_t i = 0; i < keys->site_count; i++)
        key_derive_peer(&way->in[i], &keys->sites[i], peer, peering->name);
    key_derive_peer(&way->out, &keys->sites[0], peering->name, peer);
}

/* Returns its place, or -1. */
static int place_of(struct peering *peering, const char *name)
{
    int place = peers_find(receiver_peers(peering->receiver), name, strlen(name));
    uint64_t session;
    if (place >= 0)
        return place;
    randombytes_buf(&session, sizeof session);
    return receiver_add_peer(peering->receiver, name, session);
}

int peering_use(struct peering *peering, struct instant now, const struct receiver_settings *settings,
                const struct intake_keys *keys, struct error *error)
{
    const struct peers *peers = receiver_peers(peering->receiver);
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        if (!peering->ways[i].used || is_wanted(settings, peers->peers[i]->name))
            continue;
        log_line(LOG_LEVEL_INFO, "receiver %s is no peer any more", peers->peers[i]->name);
        receiver_remove_peer(peering->receiver, now, i);
        clear(&peering->ways[i]);
    }
    if (settings->peer_count == 0)
        return 0;
    memcpy(peering->name, settings->name, strlen(settings->name) + 1);
    peering->site_count = keys->site_count;
    for (size_t i = 0; i < settings->peer_count; i++) {
        const struct peer_setting *peer = &settings->peers[i];
        int place = place_of(peering, peer->name);
        if (place < 0)
            return error_set(error, "out of memory for peer %s", peer->name);
        struct way *way = &peering->ways[place];
        way->used = true;
        if (!way->address || strcmp(way->address, peer->address) != 0) {
            abandon_lookup(way);
            free(way->address);
            way->address = strdup(peer->address);
            way->to_len = 0;
            way->lookup_at = INSTANT_LONG_AGO;
            way->retry_ns = LOOKUP_RETRY_MIN_NS;
        }
        derive_keys(peering, way, peer->name, keys);
        if (!way->address)
            return error_set(error, "out of memory for peer %s", peer->name);
    }
    return 0;
}

/* ---- addresses ---- */

/* Told once each time it begins. */
static void complain(struct peering *peering, struct way *way, const char *what)
{
    const struct peers *peers = receiver_peers(peering->receiver);
    if (!way->complained)
        log_line(LOG_LEVEL_WARNING, "peer %s: %s: %s; tried again", peers->peers[way - peering->ways]->name,
                 way->address, what);
    way->complained = true;
}

static void take_address(struct peering *peering, struct way *way, const struct addrinfo *found)
{
    for (; found; found = found->ai_next) {
        bool known = found->ai_family == AF_INET || found->ai_family == AF_INET6;
        if (!known || !peering->has_family[found->ai_family == AF_INET6])
            continue;
        if (way->to_len == 0) /* what was due before went nowhere */
            receiver_greet_peer(peering->receiver, (unsigned)(way - peering->ways));
        memcpy(&way->to, found->ai_addr, found->ai_addrlen);
        way->to_len = found->ai_addrlen;
        way->lookup_at = instant_add(peering->now, LOOKUP_EVERY_NS);
        way->retry_ns = LOOKUP_RETRY_MIN_NS;
        way->complained = false;
        return;
    }
    complain(peering, way, "no address of a family that this receiver listens on");
}

static void on_lookup(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct lookup *lookup = (struct lookup *)request;
    struct peering *peering = lookup->peering;
    if (peering) {
        struct way *way = &peering->ways[lookup->place];
        way->lookup = NULL;
        if (status == 0)
            take_address(peering, way, found);
        else
            complain(peering, way, uv_strerror(status));
    }
    uv_freeaddrinfo(found);
    free(lookup);
}

static void look_up(struct peering *peering, unsigned place)
{
    struct way *way = &peering->ways[place];
    char host[256], port[8];
    way->lookup_at = instant_add(peering->now, way->retry_ns);
    way->retry_ns = way->retry_ns * 2 < LOOKUP_RETRY_MAX_NS ? way->retry_ns * 2 : LOOKUP_RETRY_MAX_NS;
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup || address_split(host, sizeof host, port, sizeof port, way->address, SETTINGS_DEFAULT_PORT) != 0) {
        free(lookup);
        return;
    }
    lookup->peering = peering;
    lookup->place = place;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    if (uv_getaddrinfo(peering->loop, &lookup->request, on_lookup, host, port, &hints) != 0) {
        free(lookup);
        return;
    }
    way->lookup = lookup;
}

/* ---- datagrams ---- */

/* Zeros hide how long our name is: an answer is never longer than its question. */
static size_t seal(struct peering *peering, const struct way *way, size_t len, uint8_t *out)
{
    uint8_t fresh[DATAGRAM_RANDOM_LEN];
    size_t name_len = strlen(peering->name);
    memset(peering->payload + len, 0, NAME_LEN_MAX - name_len);
    randombytes_buf(fresh, sizeof fresh);
    return datagram_seal(out, DATAGRAM_PEER, PEER_GENERATION, peering->name, name_len, peering->payload,
                         len + NAME_LEN_MAX - name_len, &way->out, fresh);
}

size_t peering_hear(struct peering *peering, struct instant now, const struct datagram *datagram, uint8_t *answer,
                    bool *opened)
{
    uint8_t payload[DATAGRAM_PAYLOAD_MAX];
    size_t len;
    *opened = false;
    int place = peers_find(receiver_peers(peering->receiver), datagram->name, datagram->name_len);
    if (place < 0 || datagram->generation != PEER_GENERATION)
        return 0;
    const struct way *way = &peering->ways[place];
    const struct peer *peer = receiver_peers(peering->receiver)->peers[place];
    for (size_t i = 0; i < peering->site_count && !*opened; i++)
        *opened = datagram_open(payload, &len, datagram, &way->in[i]) == 0;
    if (!*opened)
        return 0;
    uint64_t proven = peer->datagrams;
    size_t answer_len = receiver_hear_peer(peering->receiver, now, (unsigned)place, payload, len, peering->payload);
    if (peering->news && peer->datagrams != proven) /* else it may be a recording */
        news_hear(peering->news, now, (unsigned)place, payload + PEER_HEAD_LEN, len - PEER_HEAD_LEN);
    if (answer_len == 0)
        return 0;
    answer_len = seal(peering, way, answer_len, answer);
    return answer_len <= datagram->len ? answer_len : 0;
}

static struct udp_socket *socket_for(const struct way *way, struct udp_socket *const sockets[], size_t count)
{
    for (size_t i = 0; way->to_len > 0 && i < count; i++)
        if (sockets[i]->family == way->to.ss_family)
            return sockets[i];
    return NULL;
}

/* What stands in the payload. */
static void send_to(struct peering *peering, unsigned place, size_t len, struct udp_socket *const sockets[],
                    size_t count)
{
    struct udp_datagram out;
    const struct udp_datagram *one = &out;
    const struct way *way = &peering->ways[place];
    struct udp_socket *udp = socket_for(way, sockets, count);
    if (!udp)
        return;
    out.len = seal(peering, way, len, out.bytes);
    out.peer = (struct udp_peer){.from_len = way->to_len};
    memcpy(&out.peer.from, &way->to, way->to_len);
    (void)udp_send(udp, &one, 1);
}

void peering_leave(struct peering *peering, struct instant now, struct udp_socket *const sockets[], size_t socket_count)
{
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        size_t len = receiver_leave_peer(peering->receiver, now, i, peering->payload);
        if (len > 0)
            send_to(peering, i, len, sockets, socket_count);
    }
}

void peering_turn(struct peering *peering, struct instant now, struct udp_socket *const sockets[], size_t socket_count)
{
    unsigned place = 0;
    size_t len;
    peering->now = now;
    peering->has_family[0] = peering->has_family[1] = false;
    for (size_t i = 0; i < socket_count; i++)
        peering->has_family[sockets[i]->family == AF_INET6] = true;
    for (unsigned i = 0; i < PEERS_MAX; i++)
        if (peering->ways[i].used && !peering->ways[i].lookup && !instant_before(now, peering->ways[i].lookup_at))
            look_up(peering, i);
    news_turn(peering->news, now);
    for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
        if ((len = receiver_tell_peer(peering->receiver, now, peering->payload, &place)) == 0)
            return;
        len = news_append(peering->news, now, place, peering->payload, len);
        send_to(peering, place, len, sockets, socket_count);
    }
}

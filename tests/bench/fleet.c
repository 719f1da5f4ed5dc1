/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fleet.c - thousands of hosts in one process that speak as real agents do: each one is the agent's own core, its datagrams are
 * sealed and go over loopback.
 *
 * fleet SITE_KEY_FILE HOSTS INTERVAL_S SPREAD KEEP AHEAD_S PORT...: hosts h0, h1, ... beat, spread evenly over the share SPREAD of the
 * interval (0: all at once), and keep KEEP beats for each of the receivers. Receivers' wall clocks are AHEAD_S before the real one:
 * net_in moves by amounts that each lie within one 5-minute period of that clock; net_out moves by twice as much. Commands come in
 * lines on standard input:
 *   cut FIRST COUNT    from now on nothing of these hosts arrives, nor anything for them
 *   join FIRST COUNT   it does again
 *   tell R FILE        writes what receiver R has told each host so far, see fleet_host.h; then a line `told` is printed
 * At its end, it ends. Each second it prints `SECOND DATAGRAMS KEPT ACKS CHALLENGES WAITING P50_MS P99_MS WORST_MS` of the first
 * receiver: datagrams sent, kept beats among them, answers heard, hosts whose current beat is not acked, and how long acks took. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "common/datagram.h"
#include "common/key_file.h"
#include "tests/bench/fleet_host.h"

#define POLL_MS 2
#define RECEIVE_BYTES (1 << 24)
#define BATCH 256              /* datagrams taken before others are sent */
enum { LATENCIES_MS = 20000 }; /* longer ones count as this */

struct fleet {
    int fds[FLEET_RECEIVERS_MAX];
    size_t receiver_count;
    struct fleet_host *hosts;
    int64_t *wakes_ns; /* apart from the hosts: looked through all the time */
    uint32_t *acked;   /* number of the latest current beat that was acked by the first receiver */
    size_t count;
    struct fleet_clocks clocks;
    int64_t began_ns;

    size_t datagrams, kept, acks, challenges; /* this second */
    uint32_t latencies[LATENCIES_MS + 1];     /* how many acks took so many ms */
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void require(bool condition, const char *why)
{
    if (condition)
        return;
    fprintf(stderr, "fleet: %s\n", why);
    exit(1);
}

static void random_bytes(void *context, void *buf, size_t len)
{
    (void)context;
    randombytes_buf(buf, len);
}

/* ---- agents ---- */

static void transmit(struct fleet *fleet, struct fleet_host *host, const struct agent_message *message, int64_t now)
{
    uint8_t payload[BEAT_LEN_MAX], bytes[DATAGRAM_LEN_MAX], fresh[DATAGRAM_RANDOM_LEN];
    require(!message->is_bye, "a bye, though nobody stops");
    fleet_host_sent(host, message, now);
    if (message->receiver == 0) {
        fleet->datagrams++;
        fleet->kept += message->beat.flags & BEAT_FLAG_KEPT;
    }
    if (host->cut)
        return;
    randombytes_buf(fresh, sizeof fresh);
    size_t len = datagram_seal(bytes, DATAGRAM_BEAT, 1, host->name, strlen(host->name), payload,
                               beat_encode(&message->beat, payload), &host->agent_key, fresh);
    (void)send(fleet->fds[message->receiver], bytes, len, 0); /* what is lost is sent again */
}

static void carry_out(struct fleet *fleet, size_t i, struct agent_actions *actions, int64_t now)
{
    struct fleet_host *host = &fleet->hosts[i];
    if (actions->sample) {
        struct agent_sample sample;
        fleet_host_sample(host, &fleet->clocks, actions->due, &sample);
        agent_sampled(host->core, (struct instant){now}, &sample, actions);
    }
    for (size_t k = 0; k < actions->message_count; k++)
        transmit(fleet, host, &actions->messages[k], now);
    fleet->wakes_ns[i] = actions->wake.ns;
}

static void wake_all(struct fleet *fleet)
{
    struct agent_actions actions;
    int64_t now = clock_ns(CLOCK_MONOTONIC);
    for (size_t i = 0; i < fleet->count; i++)
        if (fleet->wakes_ns[i] <= now) {
            now = clock_ns(CLOCK_MONOTONIC);
            agent_wake(fleet->hosts[i].core, (struct instant){now}, &actions);
            carry_out(fleet, i, &actions, now);
        }
}

static void hear_ack(struct fleet *fleet, size_t i, size_t receiver, const struct ack *ack, int64_t now)
{
    struct agent_actions actions;
    struct fleet_host *host = &fleet->hosts[i];
    int64_t took_ns = fleet_host_acked(host, receiver, ack, now);
    if (receiver == 0) {
        fleet->acks++;
        if (took_ns >= 0) {
            int64_t ms = took_ns / NS_PER_MS;
            fleet->latencies[ms < LATENCIES_MS ? ms : LATENCIES_MS]++;
            uint32_t number = host->told[0].sent[ack->counter % FLEET_RING].number;
            if (number > fleet->acked[i])
                fleet->acked[i] = number;
        }
    }
    (void)agent_ack(host->core, receiver, (struct instant){now}, ack, &actions);
    carry_out(fleet, i, &actions, now);
}

static void hear(struct fleet *fleet, size_t receiver, const uint8_t *bytes, size_t len, int64_t now)
{
    struct datagram datagram;
    uint8_t payload[DATAGRAM_PAYLOAD_MAX];
    size_t payload_len;
    char name[DATAGRAM_LEN_MAX];
    if (datagram_parse(&datagram, bytes, len) != DATAGRAM_OK)
        return;
    (void)snprintf(name, sizeof name, "%.*s", (int)datagram.name_len, datagram.name);
    size_t i = strtoul(name + 1, NULL, 10);
    if (i >= fleet->count || fleet->hosts[i].cut ||
        datagram_open(payload, &payload_len, &datagram, &fleet->hosts[i].ack_key) != 0)
        return;
    struct challenge challenge;
    struct ack ack;
    struct agent_actions actions;
    if (datagram.type == DATAGRAM_ACK && ack_decode(&ack, payload, payload_len) == 0) {
        hear_ack(fleet, i, receiver, &ack, now);
    } else if (datagram.type == DATAGRAM_CHALLENGE && challenge_decode(&challenge, payload, payload_len) == 0) {
        fleet->challenges += receiver == 0;
        (void)agent_challenge(fleet->hosts[i].core, receiver, (struct instant){now}, &challenge, &actions);
        carry_out(fleet, i, &actions, now);
    }
}

/* False if more waits. */
static bool hear_all(struct fleet *fleet)
{
    bool all = true;
    for (size_t r = 0; r < fleet->receiver_count; r++) {
        uint8_t bytes[DATAGRAM_LEN_MAX];
        ssize_t len = 0;
        int taken = 0;
        while (taken < BATCH && (len = recv(fleet->fds[r], bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
            hear(fleet, r, bytes, (size_t)len, clock_ns(CLOCK_MONOTONIC));
            taken++;
        }
        all = all && taken < BATCH;
    }
    return all;
}

/* ---- commands and reports ---- */

static void tell(const struct fleet *fleet, size_t receiver, const char *path)
{
    FILE *out = fopen(path, "we");
    require(out && receiver < fleet->receiver_count, "cannot tell");
    for (size_t i = 0; i < fleet->count; i++)
        fleet_host_tell(&fleet->hosts[i], receiver, out);
    require(fclose(out) == 0, "cannot write what is to be told");
    puts("told");
    (void)fflush(stdout);
}

/* False at the end of the input. */
static bool obey(struct fleet *fleet)
{
    char line[512], path[512];
    size_t first, count;
    if (!fgets(line, sizeof line, stdin))
        return false;
    bool cut = sscanf(line, "cut %zu %zu", &first, &count) == 2;
    if (cut || sscanf(line, "join %zu %zu", &first, &count) == 2) {
        for (size_t i = first; i < first + count && i < fleet->count; i++)
            fleet->hosts[i].cut = cut;
    } else if (sscanf(line, "tell %zu %511s", &first, path) == 2) {
        while (!hear_all(fleet)) /* what was said before the question */
            ;
        tell(fleet, first, path);
    } else {
        require(false, "unknown command");
    }
    return true;
}

/* The time within which this share of the acks came. */
static int percentile(const struct fleet *fleet, double share)
{
    size_t total = 0, seen = 0;
    for (int ms = 0; ms <= LATENCIES_MS; ms++)
        total += fleet->latencies[ms];
    for (int ms = 0; ms <= LATENCIES_MS; ms++) {
        seen += fleet->latencies[ms];
        if (total && (double)seen >= share * (double)total)
            return ms;
    }
    return 0;
}

static void report(struct fleet *fleet, int64_t second)
{
    size_t waiting = 0;
    for (size_t i = 0; i < fleet->count; i++)
        waiting += fleet->acked[i] < fleet->hosts[i].number;
    printf("%lld %zu %zu %zu %zu %zu %d %d %d\n", (long long)second, fleet->datagrams, fleet->kept, fleet->acks,
           fleet->challenges, waiting, percentile(fleet, 0.5), percentile(fleet, 0.99), percentile(fleet, 1));
    (void)fflush(stdout);
    fleet->datagrams = fleet->kept = fleet->acks = fleet->challenges = 0;
    memset(fleet->latencies, 0, sizeof fleet->latencies);
}

static void run(struct fleet *fleet)
{
    struct pollfd polled[1 + FLEET_RECEIVERS_MAX] = {{.fd = STDIN_FILENO, .events = POLLIN}};
    for (size_t r = 0; r < fleet->receiver_count; r++)
        polled[1 + r] = (struct pollfd){.fd = fleet->fds[r], .events = POLLIN};
    for (int64_t second = 1;;) {
        int rc = poll(polled, 1 + fleet->receiver_count, POLL_MS);
        require(rc >= 0 || errno == EINTR, "poll failed");
        (void)hear_all(fleet);
        if (rc > 0 && polled[0].revents && !obey(fleet))
            return;
        wake_all(fleet);
        for (; clock_ns(CLOCK_MONOTONIC) - fleet->began_ns >= second * NS_PER_S; second++)
            report(fleet, second);
    }
}

/* ---- the start ---- */

static int open_socket(const char *port)
{
    int size = RECEIVE_BYTES;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    require(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "no socket");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    return fd;
}

static void make_hosts(struct fleet *fleet, const struct key *site, const struct agent_options *options, double spread)
{
    fleet->hosts = calloc(fleet->count, sizeof *fleet->hosts);
    fleet->wakes_ns = calloc(fleet->count, sizeof *fleet->wakes_ns);
    fleet->acked = calloc(fleet->count, sizeof *fleet->acked);
    require(fleet->hosts && fleet->wakes_ns && fleet->acked, "out of memory");
    for (size_t i = 0; i < fleet->count; i++)
        require(fleet_host_init(&fleet->hosts[i], site, (uint32_t)i, options) == 0, "out of memory");
    fleet->began_ns = clock_ns(CLOCK_MONOTONIC);
    for (size_t i = 0; i < fleet->count; i++)
        fleet->wakes_ns[i] =
            fleet->began_ns + (int64_t)(spread * (double)options->interval_ns * (double)i / (double)fleet->count);
}

static void read_clocks(struct fleet *fleet, double ahead_s, int64_t interval_ns)
{
    int64_t mono_ns = clock_ns(CLOCK_MONOTONIC);
    fleet->clocks.boot_minus_mono_ns = clock_ns(CLOCK_BOOTTIME) - mono_ns;
    fleet->clocks.wall_minus_mono_ns = clock_ns(CLOCK_REALTIME) + (int64_t)(ahead_s * 1e9) - mono_ns;
    fleet->clocks.guard_s = interval_ns / NS_PER_S + 2;
}

int main(int argc, char **argv)
{
    static struct fleet fleet;
    struct key site;
    struct error error;
    require(argc >= 8 && argc <= 7 + FLEET_RECEIVERS_MAX && sodium_init() >= 0,
            "usage: fleet SITE_KEY_FILE HOSTS INTERVAL_S SPREAD KEEP AHEAD_S PORT...");
    require(key_site_load(&site, argv[1], &error) == 0, "the site key cannot be read");
    struct agent_options options = {.interval_ns = (int64_t)(strtod(argv[3], NULL) * 1e9),
                                    .receiver_count = (size_t)argc - 7,
                                    .keep = (uint32_t)strtoul(argv[5], NULL, 10),
                                    .boot_id = {1},
                                    .random = random_bytes};
    fleet.count = strtoul(argv[2], NULL, 10);
    require(fleet.count > 0 && options.interval_ns >= AGENT_INTERVAL_MIN_NS, "no hosts, or too short an interval");
    for (; fleet.receiver_count < options.receiver_count; fleet.receiver_count++)
        fleet.fds[fleet.receiver_count] = open_socket(argv[7 + fleet.receiver_count]);
    (void)setvbuf(stdin, NULL, _IONBF, 0); /* poll tells what is left to read */
    read_clocks(&fleet, strtod(argv[6], NULL), options.interval_ns);
    make_hosts(&fleet, &site, &options, strtod(argv[4], NULL));
    run(&fleet);
    for (size_t i = 0; i < fleet.count; i++)
        agent_destroy(fleet.hosts[i].core);
    free(fleet.hosts);
    free(fleet.wakes_ns);
    free(fleet.acked);
    return 0;
}

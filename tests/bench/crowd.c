/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crowd.c - thousands of agents in one process: real datagrams, sent and answered over loopback.
 *
 * crowd PORT SITE_KEY_FILE HOSTS INTERVAL_S: hosts h0, h1, ... beat, evenly spread over the interval. They answer challenges and send
 * again each second what is not acked. Commands come in lines on standard input:
 *   silent           all but one in 20 stop beating: did all of them, a receiver would rather distrust itself
 *   return SECONDS   they go on, spread over so many seconds; their kernels stood still since one interval after the last beat
 *   die N            host N stops for ever
 * At its end, it ends. Each second it prints `SECOND SENT ACKED WAITING WORST_MS`: datagrams sent, beats acked, hosts that wait
 * for an ack, and the longest that one waits or has waited within this second. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/datagram.h"
#include "common/key.h"
#include "common/key_file.h"
#include "common/message.h"
#include "common/time.h"

#define SEND_AGAIN_NS NS_PER_S
#define POLL_MS 5
#define STEADY_EACH 20
#define UP_NS (1000 * NS_PER_S) /* they booted so long before this program began */

struct agent {
    char name[24];
    struct key agent, ack;
    uint64_t counter;
    uint32_t number;
    uint8_t echo[ECHO_LEN];
    int64_t due_ns, next_ns; /* of the beat that was sent last, and of the next one */
    int64_t sent_ns;
    int64_t still_ns; /* how long its kernel stood still */
    bool waiting, silent, dead;
};

struct crowd {
    int fd;
    struct agent *agents;
    size_t count;
    int64_t interval_ns, began_ns;
    size_t sent, acked;
    int64_t worst_ns; /* this second */
};

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void require(bool condition, const char *why)
{
    if (condition)
        return;
    fprintf(stderr, "crowd: %s\n", why);
    exit(1);
}

static void transmit(struct crowd *crowd, struct agent *agent, int64_t now)
{
    uint8_t payload[BEAT_LEN_MAX], bytes[DATAGRAM_LEN_MAX], fresh[DATAGRAM_RANDOM_LEN];
    int64_t up_ns = agent->due_ns - crowd->began_ns + UP_NS;
    struct beat beat = {.session = 1,
                        .counter = ++agent->counter,
                        .number = agent->number,
                        .age_ms = (uint32_t)((now - agent->due_ns) / NS_PER_MS),
                        .interval_ms = (uint32_t)(crowd->interval_ns / NS_PER_MS),
                        .boot_id = {1},
                        .uptime_ms = (uint64_t)(up_ns / NS_PER_MS),
                        .run_ms = (uint64_t)((up_ns - agent->still_ns) / NS_PER_MS),
                        .agent_start = 1,
                        .oldest_kept = agent->number};
    memcpy(beat.echo, agent->echo, sizeof beat.echo);
    for (int i = 0; i < METRIC_COUNT; i++)
        beat.metrics[i] = 1 + i;
    randombytes_buf(fresh, sizeof fresh);
    size_t len = datagram_seal(bytes, DATAGRAM_BEAT, 1, agent->name, strlen(agent->name), payload,
                               beat_encode(&beat, payload), &agent->agent, fresh);
    (void)send(crowd->fd, bytes, len, 0); /* what is lost is sent again */
    agent->sent_ns = now;
    crowd->sent++;
}

static void note_wait(struct crowd *crowd, const struct agent *agent, int64_t now)
{
    if (now - agent->due_ns > crowd->worst_ns)
        crowd->worst_ns = now - agent->due_ns;
}

/* Sends what is due, and what was not acked. */
static void beat_all(struct crowd *crowd, int64_t now)
{
    for (size_t i = 0; i < crowd->count; i++) {
        struct agent *agent = &crowd->agents[i];
        if (agent->dead || agent->silent)
            continue;
        if (now >= agent->next_ns) {
            agent->due_ns = agent->next_ns;
            agent->next_ns += crowd->interval_ns;
            agent->number++;
            agent->waiting = true;
            transmit(crowd, agent, now);
        } else if (agent->waiting && now - agent->sent_ns >= SEND_AGAIN_NS) {
            transmit(crowd, agent, now);
        }
    }
}

static void hear(struct crowd *crowd, const uint8_t *bytes, size_t len, int64_t now)
{
    struct datagram datagram;
    uint8_t payload[DATAGRAM_PAYLOAD_MAX];
    size_t payload_len;
    if (datagram_parse(&datagram, bytes, len) != DATAGRAM_OK)
        return;
    char name[DATAGRAM_LEN_MAX];
    (void)snprintf(name, sizeof name, "%.*s", (int)datagram.name_len, datagram.name);
    size_t i = strtoul(name + 1, NULL, 10);
    if (i >= crowd->count || datagram_open(payload, &payload_len, &datagram, &crowd->agents[i].ack) != 0)
        return;
    struct agent *agent = &crowd->agents[i];
    struct challenge challenge;
    struct ack ack;
    if (datagram.type == DATAGRAM_CHALLENGE && challenge_decode(&challenge, payload, payload_len) == 0) {
        memcpy(agent->echo, challenge.value, sizeof agent->echo);
        if (!agent->dead && !agent->silent)
            transmit(crowd, agent, now);
    } else if (datagram.type == DATAGRAM_ACK && ack_decode(&ack, payload, payload_len) == 0 && agent->waiting) {
        note_wait(crowd, agent, now);
        agent->waiting = false;
        crowd->acked++;
    }
}

static void hear_all(struct crowd *crowd)
{
    uint8_t bytes[DATAGRAM_LEN_MAX];
    ssize_t len;
    while ((len = recv(crowd->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        hear(crowd, bytes, (size_t)len, now_ns());
}

static void come_back(struct crowd *crowd, double seconds)
{
    int64_t now = now_ns();
    for (size_t i = 0; i < crowd->count; i++) {
        struct agent *agent = &crowd->agents[i];
        if (!agent->silent)
            continue;
        agent->silent = false;
        agent->next_ns = now + (int64_t)(seconds * 1e9 * (double)i / (double)crowd->count);
        agent->still_ns += agent->next_ns - agent->due_ns - crowd->interval_ns;
    }
}

/* False at the end of the input. */
static bool obey(struct crowd *crowd)
{
    char line[64];
    double value;
    if (!fgets(line, sizeof line, stdin))
        return false;
    if (strcmp(line, "silent\n") == 0) {
        for (size_t i = 0; i < crowd->count; i++)
            if (i % STEADY_EACH != STEADY_EACH - 1) {
                crowd->agents[i].silent = true;
                crowd->agents[i].waiting = false;
            }
    } else if (sscanf(line, "return %lf", &value) == 1) {
        come_back(crowd, value);
    } else if (sscanf(line, "die %lf", &value) == 1 && value >= 0 && (size_t)value < crowd->count) {
        crowd->agents[(size_t)value].dead = true;
        crowd->agents[(size_t)value].waiting = false;
    } else {
        require(false, "unknown command");
    }
    return true;
}

static void report(struct crowd *crowd, int64_t second, int64_t now)
{
    size_t waiting = 0;
    for (size_t i = 0; i < crowd->count; i++)
        if (crowd->agents[i].waiting) {
            waiting++;
            note_wait(crowd, &crowd->agents[i], now);
        }
    printf("%lld %zu %zu %zu %.0f\n", (long long)second, crowd->sent, crowd->acked, waiting,
           (double)crowd->worst_ns / 1e6);
    (void)fflush(stdout);
    crowd->sent = crowd->acked = 0;
    crowd->worst_ns = 0;
}

static void run(struct crowd *crowd)
{
    struct pollfd polled[] = {{.fd = crowd->fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    for (int64_t second = 1;;) {
        int rc = poll(polled, 2, POLL_MS);
        require(rc >= 0 || errno == EINTR, "poll failed");
        hear_all(crowd);
        if (rc > 0 && polled[1].revents && !obey(crowd))
            return;
        int64_t now = now_ns();
        beat_all(crowd, now);
        for (; now - crowd->began_ns >= second * NS_PER_S; second++)
            report(crowd, second, now);
    }
}

static void open_socket(struct crowd *crowd, const char *port)
{
    int size = 1 << 23;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    crowd->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    require(crowd->fd >= 0 && connect(crowd->fd, (struct sockaddr *)&address, sizeof address) == 0, "no socket");
    (void)setsockopt(crowd->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static void make_agents(struct crowd *crowd, const struct key *site)
{
    for (size_t i = 0; i < crowd->count; i++) {
        struct agent *agent = &crowd->agents[i];
        struct key host;
        (void)snprintf(agent->name, sizeof agent->name, "h%zu", i);
        key_derive_host(&host, site, 1, agent->name, strlen(agent->name));
        key_derive_agent(&agent->agent, &host);
        key_derive_ack(&agent->ack, &host);
        agent->due_ns = crowd->began_ns;
        agent->next_ns = crowd->began_ns + (int64_t)((double)crowd->interval_ns * (double)i / (double)crowd->count);
    }
}

int main(int argc, char **argv)
{
    struct crowd crowd = {0};
    struct key site;
    struct error error;
    require(argc == 5 && sodium_init() >= 0, "usage: crowd PORT SITE_KEY_FILE HOSTS INTERVAL_S");
    require(key_site_load(&site, argv[2], &error) == 0, "the site key cannot be read");
    crowd.count = strtoul(argv[3], NULL, 10);
    crowd.interval_ns = (int64_t)(strtod(argv[4], NULL) * 1e9);
    crowd.began_ns = now_ns();
    crowd.agents = calloc(crowd.count + 1, sizeof *crowd.agents);
    require(crowd.agents && crowd.count > 0 && crowd.interval_ns > 0, "no hosts");
    (void)setvbuf(stdin, NULL, _IONBF, 0); /* poll tells what is left to read */
    make_agents(&crowd, &site);
    open_socket(&crowd, argv[1]);
    run(&crowd);
    (void)close(crowd.fd);
    free(crowd.agents);
    return 0;
}

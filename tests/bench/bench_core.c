/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench_core.c - what a beat costs the receiver, beside the floor of this machine measured in the same run.
 *
 * Times are CPU times of this thread. Each line is `NAME VALUE UNIT  # meaning`. The floor is what nobody can do
 * without: recvmmsg, open, seal, sendmmsg over loopback, and appending the bytes of the fact to a file. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <malloc.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/datagram.h"
#include "common/key.h"
#include "receiver/listen/intake.h"
#include "tests/lib/speaker.h"

#define HOSTS 10000
#define ROUNDS 20
#define BATCH 64

struct fleet {
    struct receiver *receiver;
    struct speaker speakers[HOSTS];
    char names[HOSTS][16];
    struct instant now;
};

static double cpu_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* others use this machine too */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void figure(const char *name, double value, const char *unit, const char *meaning)
{
    printf("%-28s %12.1f %-6s # %s\n", name, value, unit, meaning);
}

static void require(bool condition, const char *why)
{
    if (condition)
        return;
    fprintf(stderr, "bench_core: %s\n", why);
    exit(1);
}

static struct beat next_beat(struct fleet *fleet, size_t i)
{
    struct beat beat = speaker_beat(&fleet->speakers[i], fleet->now, fleet->now);
    for (int m = 0; m < METRIC_COUNT; m++)
        beat.metrics[m] = (double)(i + 1) * 1.25 + (double)beat.number * 3;
    return beat;
}

static void forget_output(struct fleet *fleet)
{
    struct receiver_output out;
    receiver_take(fleet->receiver, &out);
    receiver_stored(fleet->receiver, out.heard, out.heard_count);
    receiver_output_free(&out);
}

static struct fleet *create_fleet(void)
{
    static const struct receiver_options options = {.planned_limit_ns = 1800 * NS_PER_S, .host_count_max = HOSTS};
    struct fleet *fleet = calloc(1, sizeof *fleet);
    require(fleet && (fleet->receiver = receiver_create(&options)), "out of memory");
    fleet->now.ns = 5000 * NS_PER_S;
    receiver_start(fleet->receiver, fleet->now, (struct wall){1700000000 * NS_PER_S}, INSTANT_NEVER);
    for (size_t i = 0; i < HOSTS; i++) {
        (void)snprintf(fleet->names[i], sizeof fleet->names[i], "host%zu", i);
        speaker_init(&fleet->speakers[i], fleet->names[i], fleet->now, 60000);
    }
    return fleet;
}

/* Every host beats once. The core only: proof, fact, journal encoding, verdict, averages. */
static void core_round(struct fleet *fleet)
{
    fleet->now = instant_add(fleet->now, 60 * NS_PER_S);
    for (size_t i = 0; i < HOSTS; i++) {
        struct beat beat = next_beat(fleet, i);
        require(speaker_send(&fleet->speakers[i], fleet->receiver, fleet->now, &beat).type == ANSWER_ACK, "no ack");
    }
}

static double time_core(struct fleet *fleet, double *fact_bytes)
{
    double spent = 0;
    size_t bytes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = cpu_seconds();
        core_round(fleet);
        receiver_judge(fleet->receiver, fleet->now);
        spent += cpu_seconds() - begin;
        struct receiver_output out;
        receiver_take(fleet->receiver, &out);
        bytes += out.facts_len;
        receiver_stored(fleet->receiver, out.heard, out.heard_count);
        receiver_output_free(&out);
    }
    *fact_bytes = (double)bytes / ROUNDS / HOSTS;
    return spent / ROUNDS / HOSTS;
}

/* ---- with the seal ---- */

struct datagrams {
    uint8_t (*bytes)[DATAGRAM_LEN_MAX];
    size_t len[HOSTS];
    struct key agent[HOSTS], ack[HOSTS];
};

static void derive_keys(struct datagrams *d, const struct fleet *fleet, const struct key *site)
{
    for (size_t i = 0; i < HOSTS; i++) {
        struct key host;
        key_derive_host(&host, site, 1, fleet->names[i], strlen(fleet->names[i]));
        key_derive_agent(&d->agent[i], &host);
        key_derive_ack(&d->ack[i], &host);
    }
}

static void seal_round(struct datagrams *d, struct fleet *fleet)
{
    uint8_t payload[BEAT_LEN_MAX], fresh[DATAGRAM_RANDOM_LEN];
    for (size_t i = 0; i < HOSTS; i++) {
        struct speaker *speaker = &fleet->speakers[i];
        struct beat beat = next_beat(fleet, i);
        beat.counter = ++speaker->counter;
        memcpy(beat.echo, speaker->echo, ECHO_LEN);
        randombytes_buf(fresh, sizeof fresh);
        d->len[i] = datagram_seal(d->bytes[i], DATAGRAM_BEAT, 1, speaker->name, strlen(speaker->name), payload,
                                  beat_encode(&beat, payload), &d->agent[i], fresh);
    }
}

static double time_intake(struct fleet *fleet, struct datagrams *d, const struct key *site)
{
    struct intake *intake = intake_create(fleet->receiver);
    struct intake_keys keys = {.site_count = 1};
    keys.sites[0] = *site;
    keys.generations[1] = 1;
    require(intake && intake_set_keys(intake, &keys) == 0, "out of memory");
    double spent = 0;
    uint8_t answer[DATAGRAM_LEN_MAX];
    for (int round = 0; round <= ROUNDS; round++) { /* the first one teaches the keys */
        fleet->now = instant_add(fleet->now, 60 * NS_PER_S);
        seal_round(d, fleet);
        double begin = cpu_seconds();
        for (size_t i = 0; i < HOSTS; i++)
            require(intake_datagram(intake, fleet->now, d->bytes[i], d->len[i], answer) > 0, "no answer");
        receiver_judge(fleet->receiver, fleet->now);
        spent += round ? cpu_seconds() - begin : 0;
        forget_output(fleet);
    }
    require(intake_statistics(intake)[INTAKE_ACKS] == (ROUNDS + 1) * HOSTS, "not every beat was acknowledged");
    intake_destroy(intake);
    return spent / ROUNDS / HOSTS;
}

/* ---- the floor ---- */

static int make_socket(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof *address;
    int size = 1 << 20;
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    require(fd >= 0 && bind(fd, (struct sockaddr *)address, sizeof *address) == 0 &&
                getsockname(fd, (struct sockaddr *)address, &len) == 0,
            "no socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    return fd;
}

static uint8_t in[BATCH][DATAGRAM_LEN_MAX], out[BATCH][DATAGRAM_LEN_MAX];
static struct sockaddr_in from[BATCH];
static struct iovec in_parts[BATCH], out_parts[BATCH];
static struct mmsghdr in_heads[BATCH], out_heads[BATCH];

static void prepare_heads(void)
{
    for (size_t i = 0; i < BATCH; i++) {
        in_parts[i] = (struct iovec){in[i], DATAGRAM_LEN_MAX};
        in_heads[i].msg_hdr = (struct msghdr){
            .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &in_parts[i], .msg_iovlen = 1};
        out_parts[i].iov_base = out[i];
        out_heads[i].msg_hdr = (struct msghdr){
            .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &out_parts[i], .msg_iovlen = 1};
    }
}

/* Serves one batch that lies in the socket, as barely as can be. */
static void serve_batch(int server, int file, const struct datagrams *d, size_t first, size_t fact_len)
{
    static uint8_t facts[BATCH * 1024];
    int count = recvmmsg(server, in_heads, BATCH, MSG_DONTWAIT, NULL);
    require(count == BATCH, "the floor lost datagrams");
    for (size_t i = 0; i < BATCH; i++) {
        struct datagram datagram;
        uint8_t payload[DATAGRAM_PAYLOAD_MAX], fresh[DATAGRAM_RANDOM_LEN];
        size_t len;
        require(datagram_parse(&datagram, in[i], in_heads[i].msg_len) == DATAGRAM_OK &&
                    datagram_open(payload, &len, &datagram, &d->agent[first + i]) == 0,
                "the floor could not open");
        randombytes_buf(fresh, sizeof fresh);
        out_parts[i].iov_len = datagram_seal(out[i], DATAGRAM_ACK, 1, datagram.name, datagram.name_len, payload, 20,
                                             &d->ack[first + i], fresh);
    }
    require(sendmmsg(server, out_heads, BATCH, 0) == BATCH, "the floor could not answer");
    require(write(file, facts, BATCH * fact_len) == (ssize_t)(BATCH * fact_len), "the floor could not write");
}

static double time_floor(struct fleet *fleet, struct datagrams *d, size_t fact_len)
{
    struct sockaddr_in server_address, client_address;
    int server = make_socket(&server_address), client = make_socket(&client_address);
    char path[] = "/tmp/bench_core_XXXXXX";
    int file = mkstemp(path);
    require(file >= 0 && unlink(path) == 0, "no file");
    prepare_heads();
    seal_round(d, fleet);
    double spent = 0;
    size_t served = 0;
    for (int round = 0; round < ROUNDS; round++)
        for (size_t first = 0; first + BATCH <= HOSTS; first += BATCH) {
            for (size_t i = 0; i < BATCH; i++)
                require(sendto(client, d->bytes[first + i], d->len[first + i], 0, (struct sockaddr *)&server_address,
                               sizeof server_address) > 0,
                        "the generator could not send");
            double begin = cpu_seconds();
            serve_batch(server, file, d, first, fact_len);
            spent += cpu_seconds() - begin;
            served += BATCH;
            while (recv(client, in[0], sizeof in[0], MSG_DONTWAIT) > 0)
                continue;
        }
    (void)close(server);
    (void)close(client);
    (void)close(file);
    return spent / (double)served;
}

static double datagram_len(void)
{
    char name[65];
    uint8_t payload[BEAT_LEN_MAX], bytes[DATAGRAM_LEN_MAX], fresh[DATAGRAM_RANDOM_LEN] = {0};
    struct key key = {{1}};
    struct beat beat = {.number = 1, .counter = 1};
    memset(name, 'a', sizeof name);
    return (double)datagram_seal(bytes, DATAGRAM_BEAT, 1, name, 64, payload, beat_encode(&beat, payload), &key, fresh);
}

int main(void)
{
    require(sodium_init() >= 0, "no libsodium");
    figure("datagram_bytes", datagram_len(), "bytes", "one beat, name of 64 bytes (goal: under 512)");
    struct key site = {{7}};
    struct datagrams *d = calloc(1, sizeof *d);
    require(d && (d->bytes = calloc(HOSTS, sizeof *d->bytes)), "out of memory");
    struct fleet *fleet = create_fleet();
    derive_keys(d, fleet, &site);

    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (int round = 0; round < 3; round++) {
        core_round(fleet);
        forget_output(fleet);
    }
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    figure("core_bytes_per_host", (double)(after - before) / HOSTS, "bytes",
           "memory of the core (goal with keys: 3072)");

    double fact_bytes;
    double core = time_core(fleet, &fact_bytes);
    figure("core_ns_per_beat", core * 1e9, "ns", "proof, verdict, averages and journal encoding, 10,000 hosts");
    figure("fact_bytes_per_beat", fact_bytes, "bytes", "in the journal");
    double floor = time_floor(fleet, d, (size_t)fact_bytes);
    figure("floor_ns_per_beat", floor * 1e9, "ns",
           "recvmmsg + open + seal + sendmmsg + append, this machine, this run");
    double intake = time_intake(fleet, d, &site);
    figure("intake_ns_per_beat", intake * 1e9, "ns", "open, core, seal; without sockets and disk");
    figure("intake_per_floor_percent", intake / floor * 100, "%", "intake beside the floor");
    receiver_destroy(fleet->receiver);
    free(fleet);
    free(d->bytes);
    free(d);
    return 0;
}

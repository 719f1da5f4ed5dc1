/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flood.c - datagrams that nobody asked for, as many as the machine can send, to a receiver on loopback.
 *
 * flood PORT SECONDS RATE KIND ARGUMENT...: for so long, RATE a second (0: as many as go), of one of these kinds
 *   forged NAME...        beats of these hosts by their headers, with random bytes where the sealed payload should be
 *   garbage               random bytes, up to 1500 of them
 *   every STRIDE NAME...  each type byte with each length up to 1500, or every so many of these; it ends when all were sent
 *   given FILE            the datagrams of a file, over and over, each behind its length (2 bytes, big-endian)
 *   stolen KEY_FILE       beats rightly sealed with the key of a host, in a session that is proven
 * At the end it prints `sent N answered M seconds S cpu C`: M are datagrams that came back to its socket. */
#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/datagram.h"
#include "common/key.h"
#include "common/key_file.h"
#include "common/message.h"
#include "common/time.h"

enum {
    BATCH = 64,
    POOL = 64 * BATCH,
    LENGTH_MAX = 1500,
    TYPES = 256,
    METRICS = 34,
    ANSWERS_WAIT_MS = 300,
};

struct thrown {
    uint8_t bytes[LENGTH_MAX];
    size_t len;
};

struct flood {
    int fd;
    struct thrown *pool;
    size_t next;   /* of the pool, or of all pairs of type and length */
    size_t stride; /* `every` */
    char **names;  /* borrowed */
    size_t name_count;
    struct host_key host; /* `stolen` */
    struct key agent, ack;
    struct beat beat;
    uint64_t sent, answered;
    bool (*fill)(struct flood *flood, struct thrown *out); /* false: there are no more; NULL: the pool, over and over */
};

static void require(bool condition, const char *why)
{
    if (condition)
        return;
    (void)fprintf(stderr, "flood: %s\n", why);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* ---- what is thrown ---- */

/* The layout is right, as far as it goes; all that a key would have been needed for is random. */
static void forge(struct thrown *out, unsigned type, const char *name, size_t len)
{
    uint8_t bytes[LENGTH_MAX];
    size_t name_len = strlen(name);
    randombytes_buf(bytes, sizeof bytes);
    memcpy(bytes, "2BT\1", 4);
    bytes[4] = (uint8_t)type;
    bytes[5] = 1;
    bytes[6] = (uint8_t)name_len;
    bytes[7] = 0;
    memcpy(bytes + DATAGRAM_HEADER_LEN, name, name_len);
    memcpy(out->bytes, bytes, len);
    out->len = len;
}

static bool fill_every(struct flood *flood, struct thrown *out)
{
    if (flood->next >= (size_t)TYPES * (LENGTH_MAX + 1))
        return false;
    forge(out, (unsigned)(flood->next % TYPES), flood->names[flood->next / TYPES % flood->name_count],
          flood->next / TYPES);
    flood->next += flood->stride;
    return true;
}

static bool fill_stolen(struct flood *flood, struct thrown *out)
{
    uint8_t payload[BEAT_LEN_MAX], fresh[DATAGRAM_RANDOM_LEN];
    flood->beat.counter++;
    flood->beat.number++;
    flood->beat.oldest_kept = flood->beat.number;
    randombytes_buf(fresh, sizeof fresh);
    size_t len = beat_encode(&flood->beat, payload);
    out->len = datagram_seal(out->bytes, DATAGRAM_BEAT, flood->host.generation, flood->host.name,
                             strlen(flood->host.name), payload, len, &flood->agent, fresh);
    return true;
}

static void fill_pool(struct flood *flood, const char *kind)
{
    for (size_t i = 0; i < POOL; i++) {
        struct thrown *out = &flood->pool[i];
        if (strcmp(kind, "forged") == 0) {
            const char *name = flood->names[i % flood->name_count];
            forge(out, DATAGRAM_BEAT, name,
                  DATAGRAM_HEADER_LEN + strlen(name) + BEAT_FIXED_LEN + 8 * METRICS + DATAGRAM_TAG_LEN);
        } else {
            out->len = randombytes_uniform(LENGTH_MAX + 1);
            randombytes_buf(out->bytes, out->len);
        }
    }
}

static void read_pool(struct flood *flood, const char *path)
{
    uint8_t head[2];
    size_t count = 0;
    FILE *file = fopen(path, "rb");
    require(file != NULL, "the file cannot be read");
    for (; count < POOL && fread(head, 1, sizeof head, file) == sizeof head; count++) {
        flood->pool[count].len = (size_t)head[0] << 8 | head[1];
        require(flood->pool[count].len <= LENGTH_MAX &&
                    fread(flood->pool[count].bytes, 1, flood->pool[count].len, file) == flood->pool[count].len,
                "the file is cut short");
    }
    (void)fclose(file);
    require(count > 0, "the file is empty");
    for (size_t i = count; i < POOL; i++)
        flood->pool[i] = flood->pool[i % count];
}

static void steal(struct flood *flood, const char *path)
{
    struct error error = {0};
    require(key_host_load(&flood->host, path, &error) == 0, error.text);
    key_derive_agent(&flood->agent, &flood->host.key);
    key_derive_ack(&flood->ack, &flood->host.key);
    flood->beat = (struct beat){.interval_ms = 1000, .boot_id = {1}, .uptime_ms = 1000000, .run_ms = 1000000};
    randombytes_buf(&flood->beat.session, sizeof flood->beat.session);
    randombytes_buf(&flood->beat.agent_start, sizeof flood->beat.agent_start);
}

static void choose(struct flood *flood, int argc, char **argv)
{
    const char *kind = argv[4];
    bool every = strcmp(kind, "every") == 0;
    flood->names = argv + 5 + every;
    flood->name_count = (size_t)(argc > 5 + every ? argc - 5 - every : 0);
    require(flood->name_count > 0 || strcmp(kind, "garbage") == 0, "an argument is missing");
    if (every) {
        flood->stride = strtoul(argv[5], NULL, 10);
        require(flood->stride > 0, "STRIDE is a number");
        flood->fill = fill_every;
    } else if (strcmp(kind, "stolen") == 0) {
        steal(flood, argv[5]);
        flood->fill = fill_stolen;
    } else if (strcmp(kind, "given") == 0) {
        read_pool(flood, argv[5]);
    } else {
        require(strcmp(kind, "forged") == 0 || strcmp(kind, "garbage") == 0, "no such kind");
        fill_pool(flood, kind);
    }
}

/* ---- the socket ---- */

/* Counts what came back. The thief takes the challenge that is meant for it. */
static void hear(struct flood *flood)
{
    uint8_t bytes[DATAGRAM_LEN_MAX + 1], payload[DATAGRAM_PAYLOAD_MAX];
    ssize_t n;
    while ((n = recv(flood->fd, bytes, sizeof bytes, MSG_DONTWAIT)) >= 0 || errno == ECONNREFUSED) {
        struct datagram datagram;
        struct challenge challenge;
        size_t len;
        if (n < 0)
            continue;
        flood->answered++;
        if (flood->fill == fill_stolen && datagram_parse(&datagram, bytes, (size_t)n) == DATAGRAM_OK &&
            datagram.type == DATAGRAM_CHALLENGE && datagram_open(payload, &len, &datagram, &flood->ack) == 0 &&
            challenge_decode(&challenge, payload, len) == 0)
            memcpy(flood->beat.echo, challenge.value, sizeof flood->beat.echo);
    }
}

/* Throws up to `most`. False if there is nothing left to throw. */
static bool throw_batch(struct flood *flood, size_t most)
{
    struct mmsghdr headers[BATCH];
    struct iovec parts[BATCH];
    size_t count = 0;
    memset(headers, 0, sizeof headers);
    for (; count < most && count < BATCH; count++) {
        struct thrown *out = &flood->pool[flood->fill ? count : flood->next++ % POOL];
        if (flood->fill && !flood->fill(flood, out))
            break;
        parts[count] = (struct iovec){out->bytes, out->len};
        headers[count].msg_hdr = (struct msghdr){.msg_iov = &parts[count], .msg_iovlen = 1};
    }
    for (size_t done = 0; done < count;) {
        int rc = sendmmsg(flood->fd, headers + done, (unsigned)(count - done), 0);
        require(rc > 0 || errno == ECONNREFUSED || errno == ENOBUFS, "cannot send");
        done += rc > 0 ? (size_t)rc : 0;
        flood->sent += rc > 0 ? (uint64_t)rc : 0;
    }
    return count > 0;
}

/* Until `end`. Sends by the clock, so that a late turn makes up for itself. */
static void throw_all(struct flood *flood, int64_t end, double rate_hz)
{
    int64_t begin = now_ns();
    for (int64_t now = begin; now < end; now = now_ns()) {
        size_t most = BATCH;
        if (rate_hz > 0) {
            double due = rate_hz * (double)(now - begin) / NS_PER_S - (double)flood->sent;
            most = due >= BATCH ? BATCH : due > 0 ? (size_t)due : 0;
        }
        if (most == 0)
            (void)usleep(500);
        else if (!throw_batch(flood, most))
            return;
        hear(flood);
    }
}

int main(int argc, char **argv)
{
    static struct flood flood;
    require(argc > 4 && sodium_init() >= 0, "flood PORT SECONDS RATE KIND ARGUMENT...");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    flood.pool = calloc(POOL, sizeof *flood.pool);
    flood.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    require(flood.pool && flood.fd >= 0 && connect(flood.fd, (const struct sockaddr *)&to, sizeof to) == 0,
            "cannot start");
    choose(&flood, argc, argv);
    int64_t begin = now_ns();
    throw_all(&flood, begin + (int64_t)(strtod(argv[2], NULL) * NS_PER_S), strtod(argv[3], NULL));
    int64_t end = now_ns();
    (void)usleep(ANSWERS_WAIT_MS * 1000);
    hear(&flood);
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    double cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    (void)printf("sent %llu answered %llu seconds %.3f cpu %.3f\n", (unsigned long long)flood.sent,
                 (unsigned long long)flood.answered, (double)(end - begin) / NS_PER_S, cpu_s);
    sodium_memzero(&flood.host, sizeof flood.host);
    free(flood.pool);
    return 0;
}

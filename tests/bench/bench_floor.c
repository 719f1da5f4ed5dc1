/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench_floor.c PORT - the least that an agent can need here: a bare libuv and libsodium process that wakes once a
 * second, seals 400 bytes and sends them to that UDP port of loopback. bench_agent.py measures it beside the agent. It
 * measures nothing of the host, hears no answers, and runs until it is killed. */
#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <uv.h>

#define PAYLOAD_LEN 400
#define INTERVAL_MS 1000

struct floor {
    uv_loop_t loop;
    uv_timer_t timer;
    int fd;
    unsigned char key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
};

static void on_timer(uv_timer_t *timer)
{
    static const unsigned char payload[PAYLOAD_LEN];
    const struct floor *floor = timer->data;
    unsigned char out[PAYLOAD_LEN + crypto_aead_xchacha20poly1305_ietf_ABYTES];
    unsigned char nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
    randombytes_buf(nonce, sizeof nonce);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, payload, sizeof payload, NULL, 0, NULL, nonce,
                                                     floor->key);
    (void)send(floor->fd, out, sizeof out, MSG_NOSIGNAL);
}

int main(int argc, char **argv)
{
    static struct floor floor;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned long port = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    if (port == 0 || port > UINT16_MAX) {
        fprintf(stderr, "usage: bench_floor PORT\n");
        return 2;
    }
    address.sin_port = htons((uint16_t)port);
    floor.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (floor.fd < 0 || connect(floor.fd, (struct sockaddr *)&address, sizeof address) != 0 || sodium_init() < 0 ||
        uv_loop_init(&floor.loop) != 0 || uv_timer_init(&floor.loop, &floor.timer) != 0) {
        fprintf(stderr, "bench_floor: no socket or no loop\n");
        return 1;
    }
    randombytes_buf(floor.key, sizeof floor.key);
    floor.timer.data = &floor;
    (void)uv_timer_start(&floor.timer, on_timer, 0, INTERVAL_MS);
    return uv_run(&floor.loop, UV_RUN_DEFAULT);
}

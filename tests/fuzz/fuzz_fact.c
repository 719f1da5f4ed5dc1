/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_fact.c - any bytes as an entry of the journal, replayed on a core with two hosts, which then goes on. */
#include <stdlib.h>

#include "receiver/judge/receiver.h"
#include "tests/lib/speaker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct receiver_options options = {.planned_limit_ns = 1800 * NS_PER_S, .host_count_max = 3};
    static const struct label_part part = {.offset_ns = 1600000000 * NS_PER_S, .base = {1600000000 * NS_PER_S}};
    struct receiver *receiver = receiver_create(&options);
    if (!receiver)
        abort();
    if (receiver_load_label(receiver, &part) != 0 ||
        receiver_load_window(receiver, 1, "o*", (struct window){{1000 * NS_PER_S}, {2000 * NS_PER_S}}) != 0 ||
        receiver_load_host(receiver, 1, "one", NULL, 0, 0) != 0 ||
        receiver_load_host(receiver, 2, "two", NULL, 0, 3) != 0)
        abort();
    if (receiver_replay(receiver, data, size, 1) == 0) {
        struct instant now = {INT64_C(1) << 55};
        struct speaker speaker;
        receiver_start(receiver, now, (struct wall){1700000000 * NS_PER_S}, instant_add(now, -60 * NS_PER_S));
        speaker_init(&speaker, "one", now, 60000);
        (void)speaker_tell(&speaker, receiver, now);
        receiver_judge(receiver, instant_add(now, 86400 * NS_PER_S));
        for (uint32_t id = 1; id <= 2; id++) {
            static uint8_t bytes[1 << 20];
            struct codec codec = codec_writer(bytes, sizeof bytes);
            host_visit(&codec, receiver_hosts(receiver)->hosts[id]);
        }
    }
    receiver_destroy(receiver);
    return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_checkpoint.c - any bytes as the checkpoint of a host. Refused, or taken: then it writes the same checkpoint
 * again, and the host can be judged, heard and said goodbye to. */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/shelf.h"
#include "tests/lib/speaker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct receiver *receiver)
{
    struct instant now = {INT64_C(1) << 50};
    struct speaker speaker;
    receiver_start(receiver, now, (struct wall){1700000000 * NS_PER_S}, instant_add(now, -60 * NS_PER_S));
    receiver_judge(receiver, now);
    receiver_stalled(receiver, now, instant_add(now, 5 * NS_PER_S));
    now = instant_add(now, 10 * NS_PER_S);
    receiver_judge(receiver, now);
    speaker_init(&speaker, "one", now, 60000);
    for (int i = 0; i < 4; i++) {
        (void)speaker_tell(&speaker, receiver, now);
        now = instant_add(now, 60 * NS_PER_S);
        receiver_judge(receiver, now);
    }
    struct bye bye = speaker_bye(&speaker, BYE_SHUTDOWN);
    (void)speaker_send_bye(&speaker, receiver, now, &bye);
    receiver_judge(receiver, instant_add(now, 86400 * NS_PER_S));
    (void)receiver_settled_to(receiver, receiver_hosts(receiver)->hosts[1], now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct receiver_options options = {.planned_limit_ns = 1800 * NS_PER_S, .host_count_max = 3};
    static const struct label_part part = {.offset_ns = 1600000000 * NS_PER_S, .base = {1600000000 * NS_PER_S}};
    struct receiver *receiver = receiver_create(&options), *again = receiver_create(&options);
    if (!receiver || !again)
        abort();
    (void)receiver_load_label(receiver, &part);
    if (receiver_load_host(receiver, 1, "one", data, size, 5) == 0) {
        size_t len;
        uint8_t *bytes = shelf_bytes(receiver_hosts(receiver)->hosts[1], &len);
        if (receiver_load_host(again, 1, "one", bytes, len, 5) != 0 || !shelf_same(receiver, again))
            abort();
        free(bytes);
        use(receiver);
    }
    receiver_destroy(receiver);
    receiver_destroy(again);
    return 0;
}

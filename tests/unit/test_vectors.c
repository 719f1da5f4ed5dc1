/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_vectors.c - our protocol code against tests/vectors, which another implementation made.
 *
 * Both directions: what we seal from the same fields and fresh bytes is the same datagram, and what we open has the
 * same fields. The meaning of the files is told in tests/vectors/make. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/datagram.h"
#include "common/key.h"
#include "common/message.h"
#include "common/metric.h"
#include "receiver/judge/peer_message.h"
#include "receiver/judge/state.h"

static json_t *file_load(const char *name)
{
    char path[512];
    json_error_t why;
    (void)snprintf(path, sizeof path, "%s/tests/vectors/%s", TEST_SOURCE_DIR, name);
    json_t *file = json_load_file(path, 0, &why);
    if (!file)
        fail_msg("%s: %s", path, why.text);
    assert_true(json_array_size(json_object_get(file, "vectors")) > 0);
    return file;
}

static const char *text_of(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    if (!text)
        fail_msg("no text %s", field);
    return text;
}

static size_t bytes_of(const json_t *object, const char *field, uint8_t *out, size_t size)
{
    size_t len;
    const char *hex = text_of(object, field);
    if (sodium_hex2bin(out, size, hex, strlen(hex), NULL, &len, NULL) != 0)
        fail_msg("%s is no hexadecimal of at most %zu bytes", field, size);
    return len;
}

static struct key key_of(const json_t *object, const char *field)
{
    struct key key;
    assert_int_equal(bytes_of(object, field, key.bytes, KEY_LEN), KEY_LEN);
    return key;
}

/* Numbers of up to 32 bits are JSON integers, 64-bit ones decimal strings. */
static uint64_t number_of(const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);
    if (json_is_integer(value))
        return (uint64_t)json_integer_value(value);
    return strtoull(text_of(object, field), NULL, 10);
}

static struct beat beat_of(const json_t *fields)
{
    struct beat beat = {.session = number_of(fields, "session"),
                        .counter = number_of(fields, "counter"),
                        .number = (uint32_t)number_of(fields, "number"),
                        .age_ms = (uint32_t)number_of(fields, "age_ms"),
                        .interval_ms = (uint32_t)number_of(fields, "interval_ms"),
                        .uptime_ms = number_of(fields, "uptime_ms"),
                        .run_ms = number_of(fields, "run_ms"),
                        .agent_start = number_of(fields, "agent_start"),
                        .previous_end = (uint8_t)number_of(fields, "previous_end"),
                        .oldest_kept = (uint32_t)number_of(fields, "oldest_kept"),
                        .flags = (uint8_t)number_of(fields, "flags")};
    assert_int_equal(bytes_of(fields, "boot_id", beat.boot_id, BOOT_ID_LEN), BOOT_ID_LEN);
    assert_int_equal(bytes_of(fields, "echo", beat.echo, ECHO_LEN), ECHO_LEN);
    const json_t *metrics = json_object_get(fields, "metrics");
    assert_int_equal(json_array_size(metrics), METRIC_COUNT);
    for (size_t i = 0; i < METRIC_COUNT; i++)
        beat.metrics[i] = strtod(json_string_value(json_array_get(metrics, i)), NULL);
    return beat;
}

static struct ack ack_of(const json_t *fields)
{
    return (struct ack){.session = number_of(fields, "session"),
                        .counter = number_of(fields, "counter"),
                        .safe = (uint32_t)number_of(fields, "safe")};
}

static struct challenge challenge_of(const json_t *fields)
{
    struct challenge challenge = {.session = number_of(fields, "session"), .counter = number_of(fields, "counter")};
    assert_int_equal(bytes_of(fields, "value", challenge.value, ECHO_LEN), ECHO_LEN);
    return challenge;
}

static struct bye bye_of(const json_t *fields)
{
    struct bye bye = {.session = number_of(fields, "session"),
                      .counter = number_of(fields, "counter"),
                      .age_ms = (uint32_t)number_of(fields, "age_ms"),
                      .agent_start = number_of(fields, "agent_start"),
                      .reason = (uint8_t)number_of(fields, "reason")};
    if (number_of(fields, "flags") & BYE_FLAG_MOVED)
        bye.reason = BYE_MOVED;
    assert_int_equal(bytes_of(fields, "echo", bye.echo, ECHO_LEN), ECHO_LEN);
    return bye;
}

static size_t encode_fields(enum datagram_type type, const json_t *fields, uint8_t *out)
{
    if (type == DATAGRAM_BEAT) {
        struct beat beat = beat_of(fields);
        return beat_encode(&beat, out);
    }
    if (type == DATAGRAM_ACK) {
        struct ack ack = ack_of(fields);
        return ack_encode(&ack, out);
    }
    if (type == DATAGRAM_CHALLENGE) {
        struct challenge challenge = challenge_of(fields);
        return challenge_encode(&challenge, out);
    }
    struct bye bye = bye_of(fields);
    return bye_encode(&bye, out);
}

/* Decodes and encodes again, so that fields can be compared as bytes, NaN included. Returns 0 if it was refused. */
static size_t decode_encode(enum datagram_type type, const uint8_t *payload, size_t len, uint8_t *out)
{
    struct beat beat;
    struct ack ack;
    struct challenge challenge;
    struct bye bye;
    switch (type) {
    case DATAGRAM_BEAT: return beat_decode(&beat, payload, len) ? 0 : beat_encode(&beat, out);
    case DATAGRAM_ACK: return ack_decode(&ack, payload, len) ? 0 : ack_encode(&ack, out);
    case DATAGRAM_CHALLENGE: return challenge_decode(&challenge, payload, len) ? 0 : challenge_encode(&challenge, out);
    default: return bye_decode(&bye, payload, len) ? 0 : bye_encode(&bye, out);
    }
}

static struct key sealing_key(enum datagram_type type, const struct key *host_key)
{
    struct key key;
    if (type == DATAGRAM_BEAT || type == DATAGRAM_BYE)
        key_derive_agent(&key, host_key);
    else
        key_derive_ack(&key, host_key);
    return key;
}

static void vector_seal(const json_t *vector)
{
    uint8_t fresh[DATAGRAM_RANDOM_LEN], want[DATAGRAM_LEN_MAX], got[DATAGRAM_LEN_MAX], payload[BEAT_LEN_MAX];
    const char *host = text_of(vector, "host");
    enum datagram_type type = (enum datagram_type)number_of(vector, "type");
    struct key site_key = key_of(vector, "site_key"), host_key;
    key_derive_host(&host_key, &site_key, (uint8_t)number_of(vector, "generation"), host, strlen(host));
    struct key key = sealing_key(type, &host_key);

    size_t payload_len = encode_fields(type, json_object_get(vector, "fields"), payload);
    assert_int_equal(payload_len, bytes_of(vector, "payload", want, sizeof want));
    assert_memory_equal(payload, want, payload_len);

    assert_int_equal(bytes_of(vector, "fresh", fresh, sizeof fresh), sizeof fresh);
    size_t want_len = bytes_of(vector, "datagram", want, sizeof want);
    size_t got_len = datagram_seal(got, type, (uint8_t)number_of(vector, "generation"), host, strlen(host), payload,
                                   payload_len, &key, fresh);
    assert_int_equal(got_len, want_len);
    assert_memory_equal(got, want, want_len);
}

static void vector_open(const json_t *vector)
{
    uint8_t bytes[DATAGRAM_LEN_MAX], payload[DATAGRAM_PAYLOAD_MAX], got[BEAT_LEN_MAX], want[DATAGRAM_LEN_MAX];
    struct datagram datagram;
    struct key host_key = key_of(vector, "host_key");
    size_t len = bytes_of(vector, "datagram", bytes, sizeof bytes), payload_len = 0;
    assert_int_equal(datagram_parse(&datagram, bytes, len), DATAGRAM_OK);
    assert_int_equal(datagram.type, number_of(vector, "type"));
    assert_int_equal(datagram.generation, number_of(vector, "generation"));
    assert_int_equal(datagram.name_len, strlen(text_of(vector, "host")));
    assert_memory_equal(datagram.name, text_of(vector, "host"), datagram.name_len);

    struct key key = sealing_key(datagram.type, &host_key);
    assert_int_equal(datagram_open(payload, &payload_len, &datagram, &key), 0);
    assert_int_equal(payload_len, bytes_of(vector, "payload", want, sizeof want));
    assert_memory_equal(payload, want, payload_len);

    size_t want_len = encode_fields(datagram.type, json_object_get(vector, "fields"), want);
    assert_int_equal(decode_encode(datagram.type, payload, payload_len, got), want_len);
    assert_memory_equal(got, want, want_len);
}

static void test_messages(void **state)
{
    static const char *const files[] = {"beat.json", "ack.json", "challenge.json", "bye.json"};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        size_t index;
        const json_t *vector;
        json_t *file = file_load(files[i]);
        json_array_foreach(json_object_get(file, "vectors"), index, vector)
        {
            print_message("%s: %s\n", files[i], text_of(vector, "about"));
            vector_open(vector);
            if (!json_is_true(json_object_get(vector, "decode_only")))
                vector_seal(vector);
        }
        json_decref(file);
    }
}

/* ---- between receivers ---- */

static struct peer_head peer_head_of(const json_t *fields)
{
    struct peer_head head = {.session = number_of(fields, "session"),
                             .counter = number_of(fields, "counter"),
                             .challenged = number_of(fields, "challenged"),
                             .heard = number_of(fields, "heard")};
    assert_int_equal(bytes_of(fields, "echo", head.echo, ECHO_LEN), ECHO_LEN);
    assert_int_equal(bytes_of(fields, "challenge", head.challenge, ECHO_LEN), ECHO_LEN);
    return head;
}

static struct peer_question question_of(const json_t *fields)
{
    struct peer_question question = {.agent_start = number_of(fields, "agent_start"),
                                     .number = (uint32_t)number_of(fields, "number"),
                                     .age_ms = (uint32_t)number_of(fields, "age_ms")};
    question.name_len = strlen(text_of(fields, "host"));
    memcpy(question.name, text_of(fields, "host"), question.name_len);
    return question;
}

static struct peer_answer peer_answer_of(const json_t *fields)
{
    return (struct peer_answer){.kind = (uint8_t)number_of(fields, "kind"),
                                .age_ms = (uint32_t)number_of(fields, "age_ms"),
                                .back_ms = (uint32_t)number_of(fields, "back_ms"),
                                .state = (uint8_t)number_of(fields, "state"),
                                .cause = (uint8_t)number_of(fields, "cause")};
}

static void encode_peer_item(struct codec *codec, const json_t *item)
{
    const json_t *answers = json_object_get(item, "answers"), *question_fields = json_object_get(item, "question");
    uint8_t type = answers ? PEER_ANSWERS : PEER_QUESTION;
    if (answers) {
        uint16_t len = (uint16_t)(PEER_ANSWERS_FIXED_LEN + PEER_ANSWER_LEN * json_array_size(answers));
        uint64_t counter = number_of(item, "counter");
        peer_item_visit(codec, &type, &len);
        codec_u64(codec, &counter);
        for (size_t i = 0; i < json_array_size(answers); i++) {
            struct peer_answer answer = peer_answer_of(json_array_get(answers, i));
            peer_answer_visit(codec, &answer);
        }
        return;
    }
    struct peer_question question = question_of(question_fields);
    uint16_t len = (uint16_t)(PEER_QUESTION_FIXED_LEN + question.name_len);
    peer_item_visit(codec, &type, &len);
    peer_question_visit(codec, &question, len);
}

/* From the fields to the bytes. */
static void peer_seal(const json_t *vector)
{
    uint8_t fresh[DATAGRAM_RANDOM_LEN], want[DATAGRAM_LEN_MAX], got[DATAGRAM_LEN_MAX], payload[DATAGRAM_LEN_MAX] = {0};
    const char *sender = text_of(vector, "sender");
    struct peer_head head = peer_head_of(json_object_get(vector, "head"));
    struct codec codec = codec_writer(payload, PEER_PAYLOAD_MAX);
    size_t index;
    const json_t *item;
    peer_head_visit(&codec, &head);
    json_array_foreach(json_object_get(vector, "items"), index, item) encode_peer_item(&codec, item);
    assert_false(codec.failed);
    size_t len = codec.pos + NAME_LEN_MAX - strlen(sender);
    assert_int_equal(len, bytes_of(vector, "payload", want, sizeof want));
    assert_memory_equal(payload, want, len);

    struct key site = key_of(vector, "site_key"), key;
    key_derive_peer(&key, &site, sender, text_of(vector, "recipient"));
    assert_int_equal(bytes_of(vector, "fresh", fresh, sizeof fresh), sizeof fresh);
    len = datagram_seal(got, DATAGRAM_PEER, 1, sender, strlen(sender), payload, len, &key, fresh);
    assert_int_equal(len, bytes_of(vector, "datagram", want, sizeof want));
    assert_memory_equal(got, want, len);
}

static void check_answers(struct codec *body, const json_t *item, const json_t *like)
{
    const json_t *wanted = like ? like : json_object_get(item, "answers");
    uint64_t counter;
    size_t index;
    const json_t *fields;
    codec_u64(body, &counter);
    assert_int_equal(counter, number_of(item, "counter"));
    json_array_foreach(wanted, index, fields)
    {
        struct peer_answer got, want = peer_answer_of(fields);
        peer_answer_visit(body, &got);
        assert_true(got.kind == want.kind && got.age_ms == want.age_ms && got.back_ms == want.back_ms);
        assert_true(got.state == want.state && got.cause == want.cause);
    }
    assert_true(codec_left(body) < PEER_ANSWER_LEN && !body->failed);
}

static void check_item(struct codec *codec, const json_t *item, const json_t *like)
{
    uint8_t type;
    uint16_t len;
    peer_item_visit(codec, &type, &len);
    assert_false(codec->failed);
    struct codec body = codec_reader(codec->in + codec->pos, len);
    codec->pos += len;
    if (json_object_get(item, "answers")) {
        assert_int_equal(type, PEER_ANSWERS);
        check_answers(&body, item, like);
        return;
    }
    struct peer_question got;
    if (type == PEER_QUESTION)
        peer_question_visit(&body, &got, len);
    if (!json_object_get(item, "question")) { /* of another type, or one that cannot be understood */
        assert_int_equal(type, number_of(item, "unknown"));
        assert_true(type != PEER_ANSWERS && (type != PEER_QUESTION || body.failed));
        return;
    }
    struct peer_question want = question_of(json_object_get(item, "question"));
    assert_int_equal(type, PEER_QUESTION);
    assert_false(body.failed);
    assert_true(got.agent_start == want.agent_start && got.number == want.number && got.age_ms == want.age_ms);
    assert_string_equal(got.name, want.name);
}

static void peer_open(const json_t *vector)
{
    uint8_t bytes[DATAGRAM_LEN_MAX], payload[DATAGRAM_PAYLOAD_MAX], want[DATAGRAM_LEN_MAX], got[PEER_HEAD_LEN];
    struct datagram datagram;
    struct key site = key_of(vector, "site_key"), key;
    size_t len = bytes_of(vector, "datagram", bytes, sizeof bytes), payload_len = 0, index;
    assert_int_equal(datagram_parse(&datagram, bytes, len), DATAGRAM_OK);
    assert_int_equal(datagram.type, DATAGRAM_PEER);
    key_derive_peer(&key, &site, text_of(vector, "sender"), text_of(vector, "recipient"));
    assert_int_equal(datagram_open(payload, &payload_len, &datagram, &key), 0);
    assert_int_equal(payload_len, bytes_of(vector, "payload", want, sizeof want));

    struct codec codec = codec_reader(payload, payload_len), out = codec_writer(got, sizeof got);
    struct peer_head head;
    peer_head_visit(&codec, &head);
    assert_false(codec.failed);
    peer_head_visit(&out, &head);
    head = peer_head_of(json_object_get(vector, "head"));
    out = codec_writer(want, sizeof want);
    peer_head_visit(&out, &head);
    assert_memory_equal(got, want, PEER_HEAD_LEN);
    const json_t *item;
    json_array_foreach(json_object_get(vector, "items"), index, item)
        check_item(&codec, item, json_object_get(vector, "like"));
    uint8_t type = 0;
    uint16_t rest;
    if (codec_left(&codec) >= PEER_ITEM_HEAD_LEN)
        peer_item_visit(&codec, &type, &rest);
    assert_true(codec.failed || type == 0);
}

static void test_peers(void **state)
{
    size_t index;
    const json_t *vector;
    (void)state;
    json_t *file = file_load("peer.json");
    json_array_foreach(json_object_get(file, "vectors"), index, vector)
    {
        print_message("peer.json: %s\n", text_of(vector, "about"));
        peer_open(vector);
        if (!json_is_true(json_object_get(vector, "decode_only")))
            peer_seal(vector);
    }
    json_decref(file);
}

static const char *told_by_peer(const struct datagram *datagram, const struct key *site_key, const char *recipient)
{
    struct key key;
    struct peer_head head;
    uint8_t payload[DATAGRAM_PAYLOAD_MAX];
    char sender[NAME_LEN_MAX + 1] = {0};
    size_t payload_len;
    memcpy(sender, datagram->name, datagram->name_len);
    key_derive_peer(&key, site_key, sender, recipient);
    if (datagram->generation != 1 || datagram_open(payload, &payload_len, datagram, &key))
        return "seal";
    struct codec codec = codec_reader(payload, payload_len);
    peer_head_visit(&codec, &head);
    return codec.failed ? "payload" : "nobody";
}

/* What refuses a datagram; as a receiver would, with the key that the header asks for. */
static const char *told_by(const uint8_t *bytes, size_t len, const struct key *site_key, const char *recipient)
{
    struct datagram datagram;
    struct key host_key;
    uint8_t payload[DATAGRAM_PAYLOAD_MAX], again[BEAT_LEN_MAX];
    size_t payload_len;
    if (datagram_parse(&datagram, bytes, len) != DATAGRAM_OK)
        return "header";
    if (datagram.type == DATAGRAM_PEER)
        return recipient ? told_by_peer(&datagram, site_key, recipient) : "nobody";
    key_derive_host(&host_key, site_key, datagram.generation, datagram.name, datagram.name_len);
    struct key key = sealing_key(datagram.type, &host_key);
    if (datagram_open(payload, &payload_len, &datagram, &key))
        return "seal";
    return decode_encode(datagram.type, payload, payload_len, again) ? "nobody" : "payload";
}

static void test_refused(void **state)
{
    size_t index;
    const json_t *vector;
    (void)state;
    json_t *file = file_load("refused.json");
    json_array_foreach(json_object_get(file, "vectors"), index, vector)
    {
        uint8_t bytes[DATAGRAM_LEN_MAX + 100];
        struct key site_key = key_of(vector, "site_key");
        size_t len = bytes_of(vector, "datagram", bytes, sizeof bytes);
        const char *got = told_by(bytes, len, &site_key, json_string_value(json_object_get(vector, "recipient")));
        if (strcmp(got, text_of(vector, "told_by")) != 0)
            fail_msg("%s: refused by %s, not %s", text_of(vector, "about"), got, text_of(vector, "told_by"));
    }
    json_decref(file);
}

static void vector_keys(const json_t *vector)
{
    const char *host = text_of(vector, "host");
    struct key site = key_of(vector, "site_key"), want = key_of(vector, "host_key"), got;
    struct host_key parsed;
    struct error error;
    key_derive_host(&got, &site, (uint8_t)number_of(vector, "generation"), host, strlen(host));
    assert_memory_equal(&got, &want, KEY_LEN);
    assert_int_equal(key_host_parse(&parsed, text_of(vector, "host_line"), "host_line", &error), 0);
    assert_string_equal(parsed.name, host);
    assert_int_equal(parsed.generation, number_of(vector, "generation"));
    assert_memory_equal(&parsed.key, &want, KEY_LEN);

    key_derive_agent(&got, &parsed.key);
    want = key_of(vector, "agent_key");
    assert_memory_equal(&got, &want, KEY_LEN);
    key_derive_ack(&got, &parsed.key);
    want = key_of(vector, "ack_key");
    assert_memory_equal(&got, &want, KEY_LEN);
    key_derive_view(&got, &site);
    want = key_of(vector, "view_key");
    assert_memory_equal(&got, &want, KEY_LEN);

    key_derive_peer(&got, &site, host, text_of(vector, "peer"));
    want = key_of(vector, "peer_from");
    assert_memory_equal(&got, &want, KEY_LEN);
    key_derive_peer(&got, &site, text_of(vector, "peer"), host);
    want = key_of(vector, "peer_to");
    assert_memory_equal(&got, &want, KEY_LEN);

    assert_int_equal(key_site_parse(&got, text_of(vector, "site_line"), "site_line", &error), 0);
    assert_memory_equal(&got, &site, KEY_LEN);
    char text[KEY_TEXT_MAX];
    want = key_of(vector, "view_key");
    size_t len = key_view_format(text, &want);
    text[len - 1] = '\0'; /* the last newline */
    assert_string_equal(strrchr(text, '\n') + 1, text_of(vector, "view_line"));
}

static void test_keys(void **state)
{
    size_t index;
    const json_t *vector;
    (void)state;
    json_t *file = file_load("keys.json");
    json_array_foreach(json_object_get(file, "vectors"), index, vector) vector_keys(vector);
    json_decref(file);
}

/* The order of the catalogue is part of the protocol. */
static void test_catalogue(void **state)
{
    (void)state;
    json_t *file = file_load("beat.json");
    const json_t *names = json_object_get(file, "metrics");
    assert_int_equal(json_array_size(names), METRIC_COUNT);
    for (size_t i = 0; i < METRIC_COUNT; i++)
        assert_string_equal(metric_catalogue[i].name, json_string_value(json_array_get(names, i)));
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys), cmocka_unit_test(test_messages),
                                       cmocka_unit_test(test_peers), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_catalogue)};
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

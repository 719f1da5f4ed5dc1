/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_names.c - hosts that get another name: who is found under which, what is judged by which, and when the old one goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/speaker.h"

#define HOSTS 200

static struct instant at(int64_t second)
{
    return (struct instant){(1000000 + second) * NS_PER_S};
}

static struct receiver *make_receiver(void)
{
    static const struct receiver_options options = {.planned_limit_ns = 1800 * NS_PER_S, .host_count_max = HOSTS};
    struct receiver *receiver = receiver_create(&options);
    assert_non_null(receiver);
    receiver_start(receiver, at(0), (struct wall){1700000000 * NS_PER_S}, INSTANT_NEVER);
    return receiver;
}

static void take(struct receiver *receiver)
{
    struct receiver_output out;
    receiver_take(receiver, &out);
    receiver_output_free(&out);
}

static struct host *find(const struct receiver *receiver, const char *name)
{
    return host_table_find(receiver_hosts(receiver), name, strlen(name));
}

/* Many names in one table, renamed at random, against a plain list of who is called how. */
static void test_table(void **state)
{
    (void)state;
    static char names[HOSTS + 1][16], aliases[HOSTS + 1][16];
    struct host_table table = {0};
    uint64_t random = 5;
    for (uint32_t id = 1; id <= HOSTS; id++) {
        (void)snprintf(names[id], sizeof names[id], "h%u", (unsigned)id);
        assert_non_null(host_table_add(&table, id, names[id], strlen(names[id])));
    }
    for (int step = 0; step < 3000; step++) {
        random = random * UINT64_C(6364136223846793005) + 1;
        uint32_t id = (uint32_t)(random >> 40) % HOSTS + 1;
        struct host *host = table.hosts[id];
        if (random >> 33 & 1) {
            assert_int_equal(host_table_set_alias(&table, host, NULL), 0);
            aliases[id][0] = '\0';
        } else {
            char name[16];
            (void)snprintf(name, sizeof name, "h%u", (unsigned)(random >> 50) % (4 * HOSTS));
            const struct host *other = host_table_find(&table, name, strlen(name));
            if (other && other != host)
                continue;
            if (strcmp(aliases[id], name) == 0)
                aliases[id][0] = '\0';
            else if (!aliases[id][0] && strcmp(names[id], name) != 0)
                memcpy(aliases[id], names[id], sizeof names[id]);
            if (strcmp(names[id], name) == 0)
                continue;
            assert_int_equal(host_table_rename(&table, host, name), 0);
            memcpy(names[id], name, sizeof name);
        }
        for (uint32_t k = 1; k <= HOSTS && step % 50 == 0; k++) {
            assert_ptr_equal(host_table_find(&table, names[k], strlen(names[k])), table.hosts[k]);
            assert_string_equal(table.hosts[k]->name, names[k]);
            if (aliases[k][0])
                assert_ptr_equal(host_table_find(&table, aliases[k], strlen(aliases[k])), table.hosts[k]);
            else
                assert_null(table.hosts[k]->alias);
        }
    }
    assert_null(host_table_find(&table, "nobody", 6));
    host_table_free(&table);
}

static void test_old_name_is_let_go_of(void **state)
{
    (void)state;
    struct receiver *receiver = make_receiver();
    struct speaker speaker, other;
    speaker_init(&speaker, "old", at(0), 60000);
    for (int64_t t = 0; t <= 300; t += 60)
        (void)speaker_tell(&speaker, receiver, at(t));
    assert_int_equal(receiver_rename(receiver, at(310), 1, "new"), RENAME_BUSY); /* it is not stored yet */
    take(receiver);
    assert_int_equal(receiver_rename(receiver, at(310), 1, "new"), RENAME_DONE);
    assert_true(receiver_has_output(receiver));
    assert_ptr_equal(find(receiver, "old"), find(receiver, "new"));
    assert_int_equal(receiver_rename(receiver, at(310), 1, "newer"), RENAME_BUSY);
    take(receiver);
    assert_int_equal(receiver_rename(receiver, at(310), 1, "newer"), RENAME_BUSY); /* the folder is not moved */

    assert_int_equal(speaker_tell(&speaker, receiver, at(360)).type, ANSWER_ACK);
    speaker_init(&other, "other", at(360), 60000);
    (void)speaker_tell(&other, receiver, at(360));
    assert_int_equal(receiver_hosts(receiver)->count, 2);
    take(receiver);
    assert_int_equal(receiver_rename(receiver, at(370), 2, "old"), RENAME_TAKEN);
    assert_int_equal(receiver_rename(receiver, at(370), 2, "new"), RENAME_TAKEN);

    speaker.name = "new"; /* the same agent goes on with the other key */
    (void)speaker_tell(&speaker, receiver, at(420));
    assert_non_null(find(receiver, "old")); /* its files still have that name */
    receiver_folder_moved(receiver, 1);
    assert_null(find(receiver, "new")->moved_from);
    (void)speaker_tell(&speaker, receiver, at(480));
    assert_null(find(receiver, "old"));
    assert_int_equal(find(receiver, "new")->id, 1);
    struct receiver_output out;
    receiver_take(receiver, &out);
    assert_int_equal(out.renamed_count, 1);
    assert_int_equal(out.renamed[0], 1);
    receiver_output_free(&out);

    speaker_init(&other, "old", at(480), 60000);
    (void)speaker_tell(&other, receiver, at(480));
    assert_int_equal(find(receiver, "old")->id, 3);
    receiver_destroy(receiver);
}

/* The state in which the log says the host has been since that second; -1: the log has no such line. */
static int line_at(const struct receiver *receiver, int64_t second)
{
    const struct line_list *lines = receiver_lines(receiver);
    int found = -1;
    for (size_t i = 0; i < lines->count; i++)
        if (lines->lines[i].at == 1700000000 + second)
            found = (int)lines->lines[i].state;
    return found;
}

/* Down since 330; renamed at 1000 into maintenance that goes on since 200, and out of such that began at 600. */
static void test_maintenance(void **state)
{
    (void)state;
    struct receiver *receiver = make_receiver();
    struct speaker speaker;
    speaker_init(&speaker, "web1", at(0), 60000);
    for (int64_t t = 0; t <= 300; t += 60)
        (void)speaker_tell(&speaker, receiver, at(t));
    take(receiver);
    assert_int_equal(receiver_add_window(receiver, at(310), 1, "db*", (struct window){at(310), at(1500)}), 0);
    receiver_judge(receiver, at(590));
    assert_int_equal(find(receiver, "web1")->state, STATE_DOWN);
    assert_int_equal(receiver_add_window(receiver, at(600), 2, "web1", (struct window){at(600), at(800)}), 0);
    receiver_judge(receiver, at(900));
    assert_int_equal(line_at(receiver, 330), STATE_DOWN);
    assert_int_equal(line_at(receiver, 600), STATE_ADMIN);
    assert_int_equal(line_at(receiver, 800), STATE_DOWN);
    take(receiver);

    assert_int_equal(receiver_rename(receiver, at(1000), 1, "db1"), RENAME_DONE);
    assert_int_equal(find(receiver, "db1")->state, STATE_ADMIN);
    assert_int_equal(line_at(receiver, 1000), STATE_ADMIN);
    receiver_judge(receiver, at(1600));
    assert_int_equal(line_at(receiver, 1500), STATE_DOWN);
    assert_int_equal(line_at(receiver, 330), -1); /* what was told before stays */
    assert_int_equal(line_at(receiver, 600), -1);
    /* The return, under the new name, changes nothing of it either; the old name goes when it is settled. */
    receiver_folder_moved(receiver, 1);
    speaker.name = "db1";
    speaker_reboot(&speaker, at(1790), PREVIOUS_UNKNOWN);
    (void)speaker_tell(&speaker, receiver, at(1800));
    speaker.booted = at(1780); /* the first datagram was delayed: the silence is told once more */
    for (int64_t t = 1860; t <= 1980; t += 60)
        (void)speaker_tell(&speaker, receiver, at(t));
    assert_int_equal(line_at(receiver, 600), STATE_ADMIN); /* told again with its cause, as it was */
    assert_int_equal(line_at(receiver, 1000), STATE_ADMIN);
    assert_int_equal(line_at(receiver, 1500), STATE_DOWN);
    assert_int_equal(line_at(receiver, 1780), STATE_UP);
    assert_null(find(receiver, "web1"));
    receiver_destroy(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_old_name_is_let_go_of),
        cmocka_unit_test(test_maintenance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

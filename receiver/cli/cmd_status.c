/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_status.c - `twobeat status`: how the hosts are now. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/options.h"
#include "receiver/cli/status_source.h"
#include "receiver/cli/table.h"
#include "receiver/cli/text.h"

#define CLEAR_SCREEN "\033[H\033[J"

static const char *const headings[] = {"HOST",  "STATE", "CAUSE", "SINCE", "HEARD", "EXPECTED", ">INTERVAL", ">MARGIN",
                                       ">LOSS", ">LOAD", ">CPU",  ">MEM",  ">DISK", ">NET IN",  ">NET OUT",  "SEEN"};
#define COLUMNS_MERGED (sizeof headings / sizeof headings[0])
#define COLUMNS (COLUMNS_MERGED - 1)

/* An instant near `now`: on a terminal as its distance, which is what one wants to know. */
static void add_near_time(struct table *table, double at, int64_t now)
{
    char text[TEXT_MAX];
    if (isnan(at)) {
        table_add(table, "%s", "");
    } else if (table->terminal) {
        int64_t ahead = (int64_t)floor(at) - now;
        text_length(text, ahead < 0 ? -ahead : ahead);
        table_add(table, ahead > 0 ? "in %s" : "%s ago", text);
    } else {
        table_add_time(table, (int64_t)floor(at));
    }
}

static void add_seconds(struct table *table, double seconds)
{
    if (isnan(seconds))
        table_add(table, "%s", "");
    else
        table_add(table, seconds < 100 ? "%.2fs" : "%.0fs", seconds);
}

static void add_percent(struct table *table, double percent)
{
    if (isnan(percent))
        table_add(table, "%s", "");
    else
        table_add(table, "%.1f%%", percent);
}

/* Bytes a second are told as bits, as networks are sold. */
static void add_rate(struct table *table, double bytes)
{
    char text[TEXT_MAX];
    if (isnan(bytes)) {
        table_add(table, "%s", "");
        return;
    }
    text_amount(text, 8 * bytes);
    table_add(table, "%sbit", text);
}

static void add_metrics(struct table *table, const json_t *metrics)
{
    double load = status_number(metrics, "load1", NAN);
    if (isnan(load))
        table_add(table, "%s", "");
    else
        table_add(table, "%.2f", load);
    /* Steal is work the host wanted to do; waiting for disks is not work of the CPU. */
    add_percent(table, status_number(metrics, "cpu_user", NAN) + status_number(metrics, "cpu_system", NAN) +
                           status_number(metrics, "cpu_steal", 0));
    add_percent(table, status_number(metrics, "mem_used", NAN));
    add_percent(table, status_number(metrics, "disk_fullest", NAN));
    add_rate(table, status_number(metrics, "net_in", NAN));
    add_rate(table, status_number(metrics, "net_out", NAN));
}

/* "/srv/recv1 up, /srv/recv2 unknown". */
static void add_seen(struct table *table, const json_t *list)
{
    char *text = NULL;
    size_t size, index;
    const json_t *seen;
    FILE *stream = open_memstream(&text, &size);
    if (stream) {
        json_array_foreach(list, index, seen)(void) fprintf(stream, "%s%s %s", index > 0 ? ", " : "",
                                                            status_text(seen, "receiver"), status_text(seen, "state"));
        (void)fclose(stream);
    }
    table_add(table, "%s", text ? text : "");
    free(text);
}

static void add_host(struct table *table, const json_t *host, int64_t now)
{
    table_add(table, "%s", status_text(host, "host"));
    table_add(table, "%s", status_text(host, "state"));
    table_add(table, "%s", status_text(host, "cause"));
    double since = status_number(host, "since", NAN);
    if (isnan(since))
        table_add(table, "%s", "");
    else
        table_add_time(table, (int64_t)floor(since));
    add_near_time(table, status_number(host, "last_heard", NAN), now);
    add_near_time(table, status_number(host, "next_expected", NAN), now);
    add_seconds(table, status_number(host, "interval", NAN));
    add_seconds(table, status_number(host, "margin", NAN));
    add_percent(table, 100 * status_number(host, "loss", NAN));
    add_metrics(table, json_object_get(host, "metrics"));
    if (table->columns == COLUMNS_MERGED)
        add_seen(table, json_object_get(host, "seen"));
}

static void print_updated(const json_t *status, bool terminal)
{
    char when[TEXT_MAX];
    const char *mark = terminal ? "" : "# ";
    int64_t stopped;
    int64_t updated = (int64_t)status_number(status, "updated", 0);
    bool is_stopped = status_is_stopped(status, &stopped);
    if (stopped) {
        text_time(when, stopped);
        (void)printf("%sThe receiver is stopped since %s; below are the states it recorded last.\n", mark, when);
    } else if (is_stopped) {
        (void)printf("%sThe receiver is stopped and has never run here.\n", mark);
    }
    if (updated) {
        text_time(when, updated);
        (void)printf("%sData last updated %s.\n", mark, when);
    }
}

/* Of several records: up to when each goes. */
static void print_receivers(const json_t *receivers, bool terminal)
{
    char when[TEXT_MAX];
    const json_t *receiver;
    size_t index;
    json_array_foreach(receivers, index, receiver)
    {
        text_time(when, (int64_t)status_number(receiver, "updated", 0));
        (void)printf("%s%s: %s %s.\n", terminal ? "" : "# ", status_text(receiver, "receiver"),
                     json_object_get(receiver, "stopped") ? "a copy, or of a stopped receiver: unknown from its end on,"
                                                          : "the receiver runs, data last updated",
                     when);
    }
}

/* That it cannot observe, and whom it does not hear. Of several receivers its lines begin with `name`. */
static void print_trouble(const json_t *receiver, const char *name, bool terminal)
{
    char when[TEXT_MAX], mark[TEXT_MAX + 300];
    const json_t *absence = json_object_get(receiver, "absence"), *peer;
    size_t index;
    (void)snprintf(mark, sizeof mark, "%s%.300s%s", terminal ? "" : "# ", name ? name : "", name ? ": " : "");
    if (json_is_object(absence)) {
        text_time(when, (int64_t)status_number(absence, "since", 0));
        (void)printf("%sThe receiver cannot observe since %s (%s): silent hosts are unknown, not down.\n", mark, when,
                     status_text(absence, "cause"));
    }
    json_array_foreach(json_object_get(receiver, "peers"), index, peer)
    {
        if (json_is_true(json_object_get(peer, "heard")))
            continue;
        bool ever = json_is_integer(json_object_get(peer, "last_heard"));
        text_time(when, (int64_t)status_number(peer, "last_heard", 0));
        (void)printf("%sThe receiver %s is not heard%s%s.\n", mark, status_text(peer, "name"), ever ? " since " : "",
                     ever ? when : "");
    }
}

/* What a person should know beside the table: that a receiver itself is in trouble, and that two machines use one key. */
static void print_warnings(const json_t *status, bool terminal)
{
    char when[TEXT_MAX];
    const char *mark = terminal ? "" : "# ";
    const json_t *host, *receiver;
    size_t index;
    print_trouble(json_object_get(status, "receiver"), NULL, terminal);
    json_array_foreach(json_object_get(status, "receivers"), index, receiver)
        print_trouble(receiver, status_text(receiver, "receiver"), terminal);
    json_array_foreach(json_object_get(status, "hosts"), index, host)
    {
        const json_t *clone = json_object_get(host, "clone");
        if (!json_is_object(clone))
            continue;
        text_time(when, (int64_t)status_number(clone, "last_heard", 0));
        (void)printf(
            "%sAnother machine uses the key of %s (boot %.8s, %.0f heartbeats not recorded, the last %s): give it "
            "a key of its own.\n",
            mark, status_text(host, "host"), status_text(clone, "boot_id"), status_number(clone, "heartbeats", 0),
            when);
    }
}

static int print_text(const json_t *status, struct error *error)
{
    struct table table;
    const json_t *hosts = json_object_get(status, "hosts"), *host;
    size_t index;
    int64_t updated = (int64_t)status_number(status, "updated", 0);
    const json_t *receivers = json_object_get(status, "receivers");
    table_init(&table, headings, receivers ? COLUMNS_MERGED : COLUMNS);
    if (receivers)
        print_receivers(receivers, table.terminal);
    else
        print_updated(status, table.terminal);
    print_warnings(status, table.terminal);
    json_array_foreach(hosts, index, host) add_host(&table, host, updated);
    int rc = table_print(&table);
    if (rc == 0 && json_array_size(hosts) == 0 && table.terminal)
        (void)puts("No host was ever heard.");
    table_free(&table);
    return rc == 0 ? CLI_OK : cli_fail(error, CLI_NO_RECORD, "standard output: cannot write: %s", strerror(errno));
}

static int exit_code(const struct cli *cli, const json_t *status)
{
    const json_t *hosts = json_object_get(status, "hosts"), *host;
    size_t index;
    json_array_foreach(hosts, index, host) if (cli->arg_count > 0 &&
                                               strcmp(status_text(host, "state"), "down") == 0) return CLI_DIFFERS;
    return CLI_OK;
}

static int show_once(const struct cli *cli, struct error *error)
{
    json_t *status;
    int code = status_fetch(cli, &status, error);
    if (code != CLI_OK)
        return code;
    int result = exit_code(cli, status);
    if (cli->json)
        return (code = cli_print_json(status, error)) == CLI_OK ? result : code;
    code = print_text(status, error);
    json_decref(status);
    return code == CLI_OK ? result : code;
}

/* Until somebody interrupts it, or nothing can be asked any more. */
static int watch(const struct cli *cli, struct error *error)
{
    bool terminal = isatty(STDOUT_FILENO) == 1 && !cli->json;
    struct timespec pause = {.tv_sec = 1};
    for (;;) {
        if (terminal)
            (void)fputs(CLEAR_SCREEN, stdout);
        int code = show_once(cli, error);
        if (code != CLI_OK && code != CLI_DIFFERS)
            return code;
        if (!terminal && !cli->json)
            (void)putchar('\n');
        if (fflush(stdout) != 0)
            return cli_fail(error, CLI_NO_RECORD, "standard output: cannot write: %s", strerror(errno));
        (void)nanosleep(&pause, NULL);
    }
}

static int run_status(struct cli *cli, struct error *error)
{
    bool watching = false;
    const struct option_spec specs[] = {{"watch", 'w', NULL, &watching}, {NULL, 0, NULL, NULL}};
    int code;
    if (!options_go_on(cli, specs, 0, SIZE_MAX, &code, error))
        return code;
    return watching ? watch(cli, error) : show_once(cli, error);
}

const struct command command_status = {
    .name = "status",
    .arguments = "[HOST|GLOB...] [--watch]",
    .summary = "state of the hosts now: why, since when, last heard, rhythm, load",
    .help = "  --watch   once a second, until interrupted\n\n"
            "States: up, late (one heartbeat missed), down, admin (planned), unknown (nobody could tell).\n"
            "If the receiver is stopped, it says since when and shows the states recorded last.\n"
            "Of several records (--data repeated) the best state counts, and SEEN tells what each says; what a copy or "
            "the\n"
            "record of a stopped receiver says counts as unknown from its end on, while another goes further.\n"
            "Exit 1 if hosts were named and one of them is down.\n",
    .run = run_status,
    .merges = true,
};

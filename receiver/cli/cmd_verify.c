/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_verify.c - `twobeat verify`: do the RRD files say what the log says, up to where they are written?
 *
 * Where the log has changed before that, the receiver makes the file anew in the background. Until then the file is queued: it
 * must agree up to the change, and is not expected to after it. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/options.h"
#include "receiver/cli/records.h"
#include "receiver/cli/text.h"
#include "receiver/record/rrd_store.h"

/* What was found for one host. */
struct finding {
    bool agrees, queued;
    int64_t written_to; /* 0: no file yet, which agrees */
    int64_t to;         /* compared up to here */
    uint64_t differing;
    int64_t first;
    struct error error; /* the file could not be compared */
};

/* Returns -1 only if the record cannot be read. */
static int compare_once(const struct record *record, const struct log_host *host, struct finding *finding,
                        struct error *error)
{
    char path[PATH_MAX];
    struct timeline timeline = {0};
    *finding = (struct finding){.agrees = true, .written_to = host->written_to, .to = host->written_to};
    if (host->changed_from < host->written_to) {
        finding->queued = true;
        finding->to = host->changed_from;
    }
    /* No file yet, or one that is to be made anew whatever it holds. */
    if (finding->to <= 0)
        return 0;
    int rc = log_reader_timeline(record->reader, host->id, &timeline, error);
    if (rc == 0) {
        /* A host that was just renamed has its files under the one name or the other. */
        (void)snprintf(path, sizeof path, "%s/hosts/%s/state.rrd", record->data, host->moved_from);
        if (!host->moved_from[0] || access(path, F_OK) != 0)
            (void)snprintf(path, sizeof path, "%s/hosts/%s/state.rrd", record->data, host->name);
        if (rrd_store_verify_state(path, &timeline, finding->to, &finding->differing, &finding->first, &finding->error))
            finding->agrees = false;
        else if (finding->differing > 0)
            finding->agrees = false;
    }
    timeline_free(&timeline);
    return rc;
}

/* A file that the receiver makes anew while it is compared with an older view of the log differs for no reason: what
 * differs is looked at again with a view taken later. */
static int compare(const struct record *record, const struct log_host *host, struct finding *finding,
                   struct error *error)
{
    if (compare_once(record, host, finding, error))
        return -1;
    if (finding->agrees)
        return 0;
    struct log_host *again;
    size_t count;
    log_reader_end(record->reader);
    if (log_reader_begin(record->reader, error) || log_reader_hosts(record->reader, &again, &count, error))
        return -1;
    int rc = 0;
    for (size_t i = 0; i < count; i++)
        if (again[i].id == host->id)
            rc = compare_once(record, &again[i], finding, error);
    free(again);
    return rc;
}

static json_t *finding_json(const char *host, const struct finding *f)
{
    bool compared = !f->error.text[0];
    json_t *row = json_pack("{s:s, s:b, s:b, s:o, s:o, s:o}", "host", host, "agrees", f->agrees, "queued", f->queued,
                            "written_to", f->written_to ? json_integer(f->written_to) : json_null(), "differing_rows",
                            compared ? json_integer((json_int_t)f->differing) : json_null(), "first_difference",
                            compared && f->differing ? json_integer(f->first) : json_null());
    if (!compared)
        (void)json_object_set_new(row, "error", json_string(f->error.text));
    return row;
}

static void finding_print(const char *host, const struct finding *f)
{
    char first[TEXT_MAX], to[TEXT_MAX];
    text_time(first, f->first);
    text_time(to, f->to);
    if (f->error.text[0])
        (void)printf("%s: cannot be compared: %s\n", host, f->error.text);
    else if (!f->agrees)
        (void)printf("%s: %" PRIu64 " rows differ from the log, the first ends %s\n", host, f->differing, first);
    else if (f->queued && f->to > 0)
        (void)printf("%s: queued, since the log has changed from %s on; agrees up to there\n", host, to);
    else if (f->queued)
        (void)printf("%s: queued, to be made anew\n", host);
    else if (f->written_to)
        (void)printf("%s: agrees with the log up to %s\n", host, to);
    else
        (void)printf("%s: nothing is written yet\n", host);
}

/* ", 7 queued", or nothing. */
static const char *queued_text(size_t queued, char text[TEXT_MAX])
{
    text[0] = '\0';
    if (queued > 0)
        (void)snprintf(text, TEXT_MAX, ", %zu queued", queued);
    return text;
}

/* Compares the hosts of one record, and adds them to `rows` or prints those that are worth a line. */
static int verify_record(const struct records *records, size_t index, const struct cli *cli, json_t *rows, size_t *bad,
                         struct error *error)
{
    const struct record *record = &records->items[index];
    size_t count = 0, differ = 0, queued = 0;
    char text[TEXT_MAX];
    json_t *hosts = json_array();
    int code = CLI_OK;
    if (!cli->json && records->count > 1)
        (void)printf("%s:\n", record->data);
    for (size_t i = 0; i < records->host_count && code == CLI_OK; i++) {
        const struct log_host *host = records->hosts[i].in[index];
        struct finding finding;
        if (!host)
            continue;
        if (compare(record, host, &finding, error))
            code = CLI_NO_RECORD;
        else if (cli->json)
            (void)json_array_append_new(hosts, finding_json(host->name, &finding));
        else if (!finding.agrees || cli->arg_count > 0)
            finding_print(host->name, &finding);
        count++;
        differ += code == CLI_OK && !finding.agrees;
        queued += code == CLI_OK && finding.queued;
    }
    if (code == CLI_OK && !cli->json)
        (void)printf("%zu host%s compared, %zu differ%s%s\n", count, count == 1 ? "" : "s", differ,
                     differ == 1 ? "s" : "", queued_text(queued, text));
    (void)json_array_append_new(
        rows, json_pack("{s:s, s:o, s:I}", "data", record->data, "hosts", hosts, "queued", (json_int_t)queued));
    *bad += differ;
    return code;
}

static int run_verify(struct cli *cli, struct error *error)
{
    struct records records;
    size_t bad = 0;
    int code;
    if (!options_go_on(cli, NULL, 0, SIZE_MAX, &code, error))
        return code;
    if ((code = records_open(&records, cli, RECORDS_FORGOTTEN, error)) != CLI_OK)
        return code;
    json_t *rows = json_array();
    for (size_t i = 0; i < records.count && code == CLI_OK; i++)
        code = verify_record(&records, i, cli, rows, &bad, error);
    if (code == CLI_OK && cli->json) {
        json_t *one = json_array_get(rows, 0);
        (void)json_object_del(records.count == 1 ? one : NULL, "data");
        code = cli_print_json(records.count == 1 ? json_incref(one) : json_pack("{s:O}", "records", rows), error);
    }
    records_close(&records);
    json_decref(rows);
    return code == CLI_OK && bad > 0 ? CLI_DIFFERS : code;
}

const struct command command_verify = {
    .name = "verify",
    .arguments = "[HOST|GLOB...]",
    .summary = "does state.rrd agree with the log, second for second?",
    .help =
        "Compares every row of every archive, up to where the receiver has written the file.\n"
        "Where the log has changed before that, the receiver makes the file anew in the background: until then the\n"
        "host is queued, and compared up to the change only.\n"
        "Of several records (--data repeated) each is compared with its own log.\n"
        "Exit 1 if one differs or cannot be compared.\n",
    .run = run_verify,
    .merges = true,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* outages_seen.c - see outages_seen.h. */
#include "receiver/cli/outages_seen.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receiver/cli/status_source.h"
#include "receiver/cli/text.h"

char *outages_note(const struct outage *outage)
{
    char when[TEXT_MAX], *note = NULL;
    if (!outage->relabel)
        return strdup("");
    text_time(when, outage->relabel->entered);
    if (asprintf(&note, "relabelled %s on %s: %s (was %s)", state_token(outage->state), when, outage->relabel->reason,
                 state_token(outage->told)) < 0)
        return NULL;
    return note;
}

static json_t *seen_span(const struct record *record, uint32_t host, const struct timeline_span *span,
                         const struct timeline_span *next)
{
    const char *cause = span->cause == CAUSE_NONE ? NULL : cause_token(span->cause);
    int64_t id = log_reader_line_id(record->reader, host, span->first_number);
    return json_pack("{s:s, s:s, s:I, s:o, s:s?, s:I}", "receiver", record->data, "state", state_token(span->state),
                     "from", (json_int_t)span->from, "to", next ? json_integer((json_int_t)next->from) : json_null(),
                     "cause", cause, "id", (json_int_t)id);
}

json_t *outages_seen(const struct records *records, const struct records_host *host, const struct records_view *view,
                     const struct outage *outage)
{
    json_t *list = json_array();
    for (size_t i = 0; i < records->count; i++) {
        const struct timeline *timeline = &view->timelines[i];
        size_t before = json_array_size(list);
        for (size_t s = 0; s < timeline->count; s++) {
            const struct timeline_span *span = &timeline->spans[s], *next = s + 1 < timeline->count ? span + 1 : NULL;
            /* The last span of a record goes on to the end of the record, and no further. */
            int64_t end = next ? next->from : view->parts[i].limit;
            bool over = end <= outage->from && (next || view->parts[i].limit < view->merged.limit);
            if (!over && (outage->open || span->from < outage->to))
                (void)json_array_append_new(list, seen_span(&records->items[i], host->in[i]->id, span, next));
        }
        if (json_array_size(list) == before)
            (void)json_array_append_new(list,
                                        json_pack("{s:s, s:s, s:n, s:n, s:n, s:n}", "receiver", records->items[i].data,
                                                  "state", state_token(STATE_UNKNOWN), "from", "to", "cause", "id"));
    }
    return list;
}

/* "/srv/recv1: down from ... to ..., silent (id 7)". */
static void print_seen(FILE *stream, const json_t *seen)
{
    char from[TEXT_MAX], to[TEXT_MAX];
    const json_t *end = json_object_get(seen, "to"), *id = json_object_get(seen, "id");
    (void)fprintf(stream, "%s: %s", status_text(seen, "receiver"), status_text(seen, "state"));
    if (json_is_null(id)) {
        (void)fprintf(stream, ", no record");
        return;
    }
    text_time(from, (int64_t)status_number(seen, "from", 0));
    text_time(to, (int64_t)status_number(seen, "to", 0));
    (void)fprintf(stream, " from %s%s%s", from, json_is_null(end) ? "" : " to ", json_is_null(end) ? " on" : to);
    if (status_text(seen, "cause")[0])
        (void)fprintf(stream, ", %s", status_text(seen, "cause"));
    (void)fprintf(stream, " (id %" PRId64 ")", (int64_t)json_integer_value(id));
}

char *outages_note_seen(const char *note, const json_t *list)
{
    char *text = NULL;
    size_t size, index;
    const json_t *seen;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    (void)fprintf(stream, "%s", note ? note : "");
    const char *separator = note && note[0] ? "; " : "";
    json_array_foreach(list, index, seen)
    {
        (void)fprintf(stream, "%s", separator);
        print_seen(stream, seen);
        separator = "; ";
    }
    if (fclose(stream) == 0)
        return text;
    free(text);
    return NULL;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_load.c - see sample_load.h. The text is one line: "0.20 0.18 0.12 1/80 11206". */
#include "agent/sample_load.h"

#include <string.h>

#include "agent/sample_text.h"

/* Two whole numbers with a character between. A fraction is read like that as well: by itself it would be read by the
 * rules of the locale. */
static bool next_pair(uint64_t pair[2], char between, struct span *line)
{
    struct span word;
    if (!text_next_word(&word, line))
        return false;
    const char *at = memchr(word.at, between, word.len);
    if (!at)
        return false;
    struct span first = {word.at, (size_t)(at - word.at)}, second = {at + 1, word.len - first.len - 1};
    return text_next_number(&pair[0], &first) && text_next_number(&pair[1], &second);
}

void sample_load(double metrics[METRIC_COUNT], const char *text)
{
    struct span line;
    uint64_t loads[3][2], threads[2];
    bool complete = text_next_line(&line, &text);
    for (size_t i = 0; i < 3; i++)
        complete = complete && next_pair(loads[i], '.', &line);
    if (!complete || !next_pair(threads, '/', &line))
        return;
    metrics[METRIC_LOAD1] = (double)loads[0][0] + (double)loads[0][1] / 100;
    metrics[METRIC_LOAD5] = (double)loads[1][0] + (double)loads[1][1] / 100;
    metrics[METRIC_LOAD15] = (double)loads[2][0] + (double)loads[2][1] / 100;
    metrics[METRIC_RUNNING] = (double)threads[0];
    metrics[METRIC_PROCESSES] = (double)threads[1];
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_kernel.c - see sample_kernel.h.
 *
 * snmp: two lines of each protocol, names and values: "Tcp: RtoAlgorithm ... CurrEstab ...", "Tcp: 1 ... 12 ...".
 * file-nr: "allocated<TAB>free<TAB>limit". pressure: "some avg10=0.00 avg60=0.00 avg300=0.00 total=MICROSECONDS" and the
 * same for "full". A temperature: thousandths of a degree, signed. */
#include "agent/sample_kernel.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/sample_text.h"

#define CELSIUS_MIN (-40.0)
#define CELSIUS_MAX 125.0

void sample_tcp(double metrics[METRIC_COUNT], const char *text)
{
    struct span line, word;
    int wanted = 0; /* which word of the values, once the names are read */
    while (text_next_line(&line, &text)) {
        if (!text_next_word(&word, &line) || !span_is(word, "Tcp:"))
            continue;
        if (wanted == 0) {
            for (int i = 1; text_next_word(&word, &line); i++)
                if (span_is(word, "CurrEstab"))
                    wanted = i;
            continue;
        }
        uint64_t count;
        while (--wanted > 0)
            (void)text_next_word(&word, &line);
        if (text_next_number(&count, &line))
            metrics[METRIC_TCP_ESTABLISHED] = (double)count;
        return;
    }
}

void sample_file_handles(double metrics[METRIC_COUNT], const char *text)
{
    struct span line;
    uint64_t allocated, unused;
    if (text_next_line(&line, &text) && text_next_number(&allocated, &line) && text_next_number(&unused, &line) &&
        unused <= allocated)
        metrics[METRIC_FILE_HANDLES] = (double)(allocated - unused);
}

void sample_pressure(double *percent_s, const char *text)
{
    static const char label[] = "total=";
    struct span line, word;
    while (text_next_line(&line, &text)) {
        if (!text_next_word(&word, &line) || !span_is(word, "some"))
            continue;
        while (text_next_word(&word, &line)) {
            uint64_t total_us;
            if (!span_begins(word, label))
                continue;
            struct span number = {word.at + strlen(label), word.len - strlen(label)};
            if (text_next_number(&total_us, &number))
                *percent_s = (double)total_us / 1e6 * 100;
        }
    }
}

void sample_temperature(double *celsius, const char *text)
{
    char *end;
    double value = (double)strtol(text, &end, 10) / 1000;
    if (end == text || *end != '\n' || !(value > CELSIUS_MIN && value < CELSIUS_MAX))
        return;
    if (isnan(*celsius) || value > *celsius)
        *celsius = value;
}

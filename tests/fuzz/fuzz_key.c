/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_key.c - any text as a key file. What parses is written and read back as the same key. */
#include <stdlib.h>
#include <string.h>

#include "common/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct error *error)
{
    if (error->text[0] == '\0' || strchr(error->text, '\n'))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), out[KEY_TEXT_MAX + 1];
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    struct error error = {""};
    struct key site, site_again;
    struct host_key host, host_again;
    if (key_site_parse(&site, text, "fuzz.key", &error) != 0) {
        check_error(&error);
    } else {
        out[key_site_format(out, &site)] = '\0';
        if (key_site_parse(&site_again, out, "again", &error) != 0 || memcmp(&site, &site_again, sizeof site) != 0)
            abort();
    }
    memset(&error, 0, sizeof error);
    if (key_host_parse(&host, text, "fuzz.key", &error) != 0) {
        check_error(&error);
    } else {
        out[key_host_format(out, &host)] = '\0';
        if (!name_is_valid(host.name, strlen(host.name)) || host.generation == 0 ||
            key_host_parse(&host_again, out, "again", &error) != 0 || strcmp(host.name, host_again.name) != 0 ||
            host.generation != host_again.generation || memcmp(&host.key, &host_again.key, KEY_LEN) != 0)
            abort();
    }
    free(text);
    return 0;
}

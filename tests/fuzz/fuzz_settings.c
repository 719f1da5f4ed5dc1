/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_settings.c - any text as the settings of an agent and of a receiver. Refused in one line that names the file, or
 * taken. The values are not used: no file is opened, no name looked up. */
#include <stdlib.h>
#include <string.h>

#include "agent/agent_settings.h"
#include "receiver/receiver_settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct error *error)
{
    if (error->text[0] == '\0' || strchr(error->text, '\n'))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    struct error error = {""};
    struct agent_settings agent;
    if (agent_settings_parse(&agent, text, "fuzz.conf", &error) == 0)
        agent_settings_clear(&agent);
    else
        check_error(&error);
    memset(&error, 0, sizeof error);
    struct receiver_settings receiver;
    if (receiver_settings_parse(&receiver, text, "fuzz.conf", &error) == 0)
        receiver_settings_clear(&receiver);
    else
        check_error(&error);
    free(text);
    return 0;
}

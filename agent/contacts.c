/* SPDX-License-Identifier: GPL-2.0-or-later */
/* contacts.c - see contacts.h. */
#include "agent/contacts.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/state_file.h"

#define START_DIGITS 16
#define LINE_SIZE (START_DIGITS + 1 + AGENT_SETTINGS_ADDRESS_SIZE + 1)

/* "0123456789abcdef recv1.example.net:2004" */
static int parse(struct contact *contact, char *line)
{
    char *end;
    line[strcspn(line, "\n")] = '\0';
    if (strspn(line, "0123456789abcdef") != START_DIGITS || line[START_DIGITS] != ' ')
        return -1;
    contact->agent_start = strtoull(line, &end, 16);
    return receiver_address_parse(&contact->address, line + START_DIGITS + 1);
}

size_t contacts_load(struct contact contacts[CONTACTS_MAX], const char *state_dir)
{
    char path[PATH_MAX], line[LINE_SIZE];
    size_t count = 0;
    if (snprintf(path, sizeof path, "%s/receivers", state_dir) >= (int)sizeof path)
        return 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    while (count < CONTACTS_MAX && fgets(line, sizeof line, file))
        count += parse(&contacts[count], line) == 0;
    (void)fclose(file);
    return count;
}

int contacts_save(const char *state_dir, const struct contact *contacts, size_t count, struct error *error)
{
    char address[AGENT_SETTINGS_ADDRESS_SIZE];
    size_t size = count * LINE_SIZE + 1, len = 0;
    char *text = malloc(size);
    if (!text)
        return error_set(error, "not enough memory to note the receivers");
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, size - len, "%016" PRIx64 " %s\n", contacts[i].agent_start,
                                receiver_address_text(address, &contacts[i].address));
    int rc = state_file_save(state_dir, "receivers", text);
    free(text);
    return rc == 0
               ? 0
               : error_set(error,
                           "state_dir %s cannot be written: %s; after a restart, receivers that are no longer listed "
                           "would not be told",
                           state_dir, strerror(errno));
}

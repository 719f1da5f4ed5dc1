/* SPDX-License-Identifier: GPL-2.0-or-later */
/* name.c - see name.h. */
#include "common/name.h"

#include <fnmatch.h>

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool name_is_valid(const char *name, size_t len)
{
    if (len == 0 || len > NAME_LEN_MAX || !is_alphanumeric(name[0]))
        return false;
    for (size_t i = 1; i < len; i++) {
        if (name[i] == '.' && name[i - 1] == '.')
            return false;
        if (!is_alphanumeric(name[i]) && name[i] != '.' && name[i] != '_' && name[i] != '-')
            return false;
    }
    return true;
}

bool name_matches(const char *pattern, const char *name)
{
    return fnmatch(pattern, name, 0) == 0;
}

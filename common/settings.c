/* SPDX-License-Identifier: GPL-2.0-or-later */
/* settings.c - see settings.h.
 *
 * The file is read whole before libconfuse sees it: its scanner ends the process when a read fails, as it does for a
 * directory, and takes a zero byte for the end. It also ends the process when memory runs out: so much more is asked for to
 * read the file, and given back before the parse, that a shortage shows before. Only the first error is kept; what follows from it confuses. */
#include "common/settings.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/key_file.h"
#include "common/time.h"

#define SETTINGS_FILE_MAX (1024 * 1024)

/* Where the errors of the running parse go. libconfuse hands neither its error function nor a callback anything of
 * ours, and copies its sections field by field, so this one pointer has to be found from outside. */
static _Thread_local struct error *running_error;

struct unit {
    const char *name;
    uint64_t factor;
};

/* A whole number without sign, and one of the units behind it. */
static int quantity_parse(uint64_t *out, const char *text, const struct unit *units, size_t count, uint64_t max)
{
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (value > (max - digit) / 10)
            return -1;
        value = value * 10 + digit;
    }
    if (at == text)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(at, units[i].name) != 0)
            continue;
        if (value > max / units[i].factor)
            return -1;
        *out = value * units[i].factor;
        return 0;
    }
    return -1;
}

int duration_parse(int64_t *out_ns, const char *text)
{
    static const struct unit units[] = {{"ms", (uint64_t)NS_PER_MS},
                                        {"s", (uint64_t)NS_PER_S},
                                        {"m", 60 * (uint64_t)NS_PER_S},
                                        {"h", 3600 * (uint64_t)NS_PER_S},
                                        {"d", 86400 * (uint64_t)NS_PER_S}};
    uint64_t ns;
    if (quantity_parse(&ns, text, units, sizeof units / sizeof units[0], INT64_MAX))
        return -1;
    *out_ns = (int64_t)ns;
    return 0;
}

int rate_parse(uint64_t *out_bps, const char *text)
{
    static const struct unit units[] = {
        {"bit", 1}, {"kbit", UINT64_C(1000)}, {"Mbit", UINT64_C(1000000)}, {"Gbit", UINT64_C(1000000000)}};
    return quantity_parse(out_bps, text, units, sizeof units / sizeof units[0], UINT64_MAX);
}

static int copy_part(char *out, size_t size, const char *text, size_t len)
{
    if (len == 0 || len >= size)
        return -1;
    memcpy(out, text, len);
    out[len] = '\0';
    return 0;
}

/* Digits up to 65535; names of services are not looked up. */
static int port_check(const char *port)
{
    unsigned value = 0;
    for (const char *at = port; *at; at++) {
        if (*at < '0' || *at > '9' || at - port >= 5)
            return -1;
        value = value * 10 + (unsigned)(*at - '0');
    }
    return value <= UINT16_MAX ? 0 : -1;
}

int address_split(char *host, size_t host_size, char *port, size_t port_size, const char *text,
                  const char *default_port)
{
    size_t host_len;
    const char *rest;
    if (text[0] == '[') {
        text++;
        host_len = strcspn(text, "]");
        if (text[host_len] != ']')
            return -1;
        rest = text + host_len + 1;
    } else {
        host_len = strcspn(text, ":");
        rest = text + host_len;
    }
    if (*rest != '\0' && *rest != ':')
        return -1;
    /* A second colon fails as a port: without brackets nobody could tell where an IPv6 address ends. */
    const char *port_text = *rest ? rest + 1 : default_port;
    if (copy_part(host, host_size, text, host_len) || strpbrk(host, " \t\r\n[]"))
        return -1;
    if (copy_part(port, port_size, port_text, strlen(port_text)))
        return -1;
    return port_check(port);
}

/* Keeps the first error of a parse, with its place. The arguments are libconfuse's cfg_errfunc_t. */
__attribute__((format(printf, 2, 0))) static void keep_error(cfg_t *cfg, const char *format, va_list args)
{
    char text[ERROR_TEXT_MAX];
    if (!running_error || running_error->text[0] != '\0')
        return;
    (void)vsnprintf(text, sizeof text, format, args);
    (void)error_set(running_error, "%s:%d: %s", cfg->filename, cfg->line, text);
}

int settings_fail(cfg_t *cfg, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    keep_error(cfg, format, args);
    va_end(args);
    return -1;
}

/* libconfuse leaves a default out that it has no memory for, and says nothing. */
static bool has_defaults(cfg_t *cfg)
{
    for (cfg_opt_t *opt = cfg->opts; opt->name; opt++)
        if (opt->type == CFGT_STR && !(opt->flags & CFGF_LIST) && opt->def.string && !cfg_opt_getstr(opt))
            return false;
    return true;
}

/* Parses with everything set up. libconfuse counts its lines in `cfg`. */
static int parse_stream(cfg_t *cfg, const char *text, const char *name, struct error *error)
{
    cfg->filename = strdup(name); /* freed by cfg_free */
    FILE *stream = fmemopen(NULL, strlen(text) + 1, "w+");
    if (!cfg->filename || !stream || fputs(text, stream) < 0) {
        if (stream)
            (void)fclose(stream);
        return error_set(error, "%s: not enough memory to read it", name);
    }
    rewind(stream);
    struct error *outer_error = running_error;
    running_error = error;
    error->text[0] = '\0';
    errno = 0;
    int rc = cfg_parse_fp(cfg, stream);
    bool no_memory = errno == ENOMEM || (rc == CFG_SUCCESS && !has_defaults(cfg));
    running_error = outer_error;
    (void)fclose(stream);
    if (no_memory)
        return error_set(error, "%s: not enough memory to read it", name);
    if (rc == CFG_SUCCESS)
        return 0;
    if (error->text[0] == '\0')
        (void)error_set(error, "%s:%d: not understood; see the manual page", name, cfg->line);
    return -1;
}

cfg_t *settings_parse_text(cfg_opt_t *options, const char *text, const char *name, struct error *error)
{
    struct error unwanted;
    if (!error)
        error = &unwanted;
    cfg_t *cfg = cfg_init(options, CFGF_NONE);
    if (!cfg) {
        (void)error_set(error, "%s: not enough memory to read it", name);
        return NULL;
    }
    (void)cfg_set_error_function(cfg, keep_error);
    if (parse_stream(cfg, text, name, error)) {
        (void)cfg_free(cfg); /* also resets the scanner, which an error can leave inside a string or comment */
        return NULL;
    }
    return cfg;
}

cfg_t *settings_parse_file(cfg_opt_t *options, const char *path, struct error *error)
{
    cfg_t *cfg = NULL;
    char *text = malloc(SETTINGS_FILE_MAX);
    if (!text)
        (void)error_set(error, "%s: not enough memory to read it", path);
    else if (file_read_private(path, text, SETTINGS_FILE_MAX, error) == 0) {
        char *shrunk = realloc(text, strlen(text) + 1);
        text = shrunk ? shrunk : text;
        cfg = settings_parse_text(options, text, path, error);
    }
    free(text);
    return cfg;
}

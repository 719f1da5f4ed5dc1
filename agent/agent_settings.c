/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent_settings.c - see agent_settings.h.
 *
 * Each value is checked by a callback while the file is parsed: only then does the parser know its line. What concerns
 * the whole file is checked behind it and told without a line. */
#include "agent/agent_settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/spread.h"
#include "common/log.h"
#include "common/settings.h"

int receiver_address_parse(struct receiver_address *out, const char *text)
{
    struct receiver_address address = {.host = ""};
    memset(out, 0, sizeof *out);
    if (address_split(address.host, sizeof address.host, address.port, sizeof address.port, text,
                      SETTINGS_DEFAULT_PORT))
        return -1;
    size_t zeros = strspn(address.port, "0");
    if (address.port[zeros] == '\0')
        return -1;
    memcpy(out->port, address.port + zeros, strlen(address.port + zeros));
    for (size_t i = 0; address.host[i]; i++)
        out->host[i] = (char)tolower((unsigned char)address.host[i]);
    return 0;
}

const char *receiver_address_text(char text[AGENT_SETTINGS_ADDRESS_SIZE], const struct receiver_address *address)
{
    (void)snprintf(text, AGENT_SETTINGS_ADDRESS_SIZE, strchr(address->host, ':') ? "[%s]:%s" : "%s:%s", address->host,
                   address->port);
    return text;
}

/* The callbacks are libconfuse's cfg_callback_t: they check `value` and hand it on as it is. */
static int check_receiver(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    struct receiver_address address;
    (void)opt;
    if (receiver_address_parse(&address, value))
        return settings_fail(cfg,
                             "receiver \"%s\" is not understood; write \"name:port\", \"1.2.3.4:port\" or "
                             "\"[address]:port\"",
                             value);
    *(const char **)result = value;
    return 0;
}

static int check_interval(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    int64_t ns;
    (void)opt;
    if (duration_parse(&ns, value) || ns < AGENT_INTERVAL_MIN_NS || ns > AGENT_INTERVAL_MAX_NS)
        return settings_fail(cfg, "interval \"%s\" is not between \"250ms\" and \"75m\"", value);
    *(const char **)result = value;
    return 0;
}

/* A number of 0 to `max`, when it is parsed: what libconfuse's callbacks of integers do. */
static int check_number(cfg_t *cfg, const char *name, const char *value, void *result, long max)
{
    char *end;
    errno = 0;
    long number = strtol(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < 0 || number > max)
        return settings_fail(cfg, "%s = %s is not between 0 and %ld", name, value, max);
    *(long *)result = number;
    return 0;
}

static int check_keep(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    return check_number(cfg, opt->name, value, result, AGENT_KEEP_MAX);
}

static int check_redundancy(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    return check_number(cfg, opt->name, value, result, AGENT_RECEIVER_MAX);
}

static int check_not_empty(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (value[0] == '\0')
        return settings_fail(cfg, "%s is empty; name something or remove it", opt->name);
    *(const char **)result = value;
    return 0;
}

/* Takes the receivers over; a receiver named twice would only be sent everything twice. */
static int take_receivers(struct agent_settings *out, cfg_t *cfg, const char *name, struct error *error)
{
    unsigned count = cfg_size(cfg, "receivers");
    if (count == 0)
        return error_set(error, "%s: no receivers; name them as in: receivers = {\"recv1.example.net:2004\"}", name);
    if (count > AGENT_RECEIVER_MAX)
        return error_set(error, "%s: %u receivers are more than the %d that are possible", name, count,
                         AGENT_RECEIVER_MAX);
    for (unsigned i = 0; i < count; i++) {
        struct receiver_address *receiver = &out->receivers[i];
        (void)receiver_address_parse(receiver, cfg_getnstr(cfg, "receivers", i));
        for (unsigned k = 0; k < i; k++)
            if (memcmp(receiver, &out->receivers[k], sizeof *receiver) == 0)
                return error_set(error, "%s: receiver \"%s\" is named twice; remove one", name,
                                 cfg_getnstr(cfg, "receivers", i));
    }
    out->receiver_count = out->listed_count = count;
    out->redundancy = (size_t)cfg_getint(cfg, "redundancy");
    return 0;
}

static int take_list(struct string_list *out, cfg_t *cfg, const char *option)
{
    unsigned count = cfg_size(cfg, option);
    if (count == 0)
        return 0;
    out->items = calloc(count, sizeof *out->items);
    if (!out->items)
        return -1;
    for (unsigned i = 0; i < count; i++) {
        out->items[i] = strdup(cfg_getnstr(cfg, option, i));
        if (!out->items[i])
            return -1;
        out->count++;
    }
    return 0;
}

static int take(struct agent_settings *out, cfg_t *cfg, const char *name, struct error *error)
{
    if (take_receivers(out, cfg, name, error))
        return -1;
    out->keep = (uint32_t)cfg_getint(cfg, "keep");
    (void)duration_parse(&out->interval_ns, cfg_getstr(cfg, "interval"));
    out->key_file = strdup(cfg_getstr(cfg, "key_file"));
    out->state_dir = strdup(cfg_getstr(cfg, "state_dir"));
    if (!out->key_file || !out->state_dir || take_list(&out->ignore_filesystems, cfg, "ignore_filesystems") ||
        take_list(&out->interfaces, cfg, "interfaces"))
        return error_set(error, "%s: not enough memory to read it", name);
    return 0;
}

/* One of `path` and `text` is given. */
static int load(struct agent_settings *out, const char *path, const char *text, const char *name, struct error *error)
{
    cfg_opt_t options[] = {
        CFG_STR_LIST_CB("receivers", NULL, CFGF_NONE, check_receiver),
        CFG_STR_CB("key_file", "/etc/twobeat/host.key", CFGF_NONE, check_not_empty),
        CFG_STR_CB("interval", "60s", CFGF_NONE, check_interval),
        CFG_STR_CB("state_dir", "/var/lib/twobeat-agent", CFGF_NONE, check_not_empty),
        CFG_INT_CB("keep", AGENT_KEEP_MAX, CFGF_NONE, check_keep),
        CFG_INT_CB("redundancy", 0, CFGF_NONE, check_redundancy),
        CFG_STR_LIST_CB("ignore_filesystems", NULL, CFGF_NONE, check_not_empty),
        CFG_STR_LIST_CB("interfaces", NULL, CFGF_NONE, check_not_empty),
        CFG_END(),
    };
    cfg_t *cfg = path ? settings_parse_file(options, path, error) : settings_parse_text(options, text, name, error);
    if (!cfg)
        return -1;
    struct agent_settings settings = {0};
    int rc = take(&settings, cfg, name, error);
    (void)cfg_free(cfg);
    if (rc)
        agent_settings_clear(&settings);
    else
        *out = settings;
    return rc;
}

int agent_settings_load(struct agent_settings *out, const char *path, struct error *error)
{
    return load(out, path, NULL, path, error);
}

int agent_settings_parse(struct agent_settings *out, const char *text, const char *name, struct error *error)
{
    return load(out, NULL, text, name, error);
}

void agent_settings_spread(struct agent_settings *settings, const char *host_name)
{
    char texts[AGENT_RECEIVER_MAX][AGENT_SETTINGS_ADDRESS_SIZE];
    const char *receivers[AGENT_RECEIVER_MAX];
    size_t chosen[AGENT_RECEIVER_MAX];
    if (settings->redundancy == 0)
        return;
    if (settings->redundancy > settings->receiver_count)
        log_line(LOG_LEVEL_WARNING, "redundancy = %zu, but the list has no more receivers than %zu: all are spoken to",
                 settings->redundancy, settings->receiver_count);
    for (size_t i = 0; i < settings->receiver_count; i++)
        receivers[i] = receiver_address_text(texts[i], &settings->receivers[i]);
    size_t count = spread_choose(chosen, host_name, receivers, settings->receiver_count, settings->redundancy);
    for (size_t i = 0; i < count; i++)
        settings->receivers[i] = settings->receivers[chosen[i]]; /* never one that is still to be moved */
    settings->receiver_count = count;
}

const char *agent_settings_receivers_text(char text[AGENT_SETTINGS_RECEIVERS_SIZE],
                                          const struct agent_settings *settings)
{
    char address[AGENT_SETTINGS_ADDRESS_SIZE];
    size_t len = 0, size = AGENT_SETTINGS_RECEIVERS_SIZE;
    text[0] = '\0';
    for (size_t i = 0; i < settings->receiver_count && len < size; i++)
        len += (size_t)snprintf(text + len, size - len, "%s%s", i > 0 ? ", " : "",
                                receiver_address_text(address, &settings->receivers[i]));
    if (settings->receiver_count < settings->listed_count && len < size)
        (void)snprintf(text + len, size - len, " (%zu of %zu)", settings->receiver_count, settings->listed_count);
    return text;
}

static void list_clear(struct string_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

void agent_settings_clear(struct agent_settings *settings)
{
    free(settings->key_file);
    free(settings->state_dir);
    list_clear(&settings->ignore_filesystems);
    list_clear(&settings->interfaces);
    *settings = (struct agent_settings){0};
}

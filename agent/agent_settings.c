/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent_settings.c - see agent_settings.h.
 *
 * Each value is checked by a callback while the file is parsed: only then does the parser know its line. What concerns
 * the whole file is checked behind it and told without a line. */
#include "agent/agent_settings.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/settings.h"

static bool split(struct receiver_address *out, const char *text)
{
    return address_split(out->host, sizeof out->host, out->port, sizeof out->port, text, SETTINGS_DEFAULT_PORT) == 0 &&
           strcmp(out->port, "0") != 0;
}

/* The callbacks are libconfuse's cfg_callback_t: they check `value` and hand it on as it is. */
static int check_receiver(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    struct receiver_address address;
    (void)opt;
    if (!split(&address, value))
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

/* Called with each number when it is parsed: libconfuse's cfg_callback_t of integers. */
static int check_keep(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    (void)opt;
    char *end;
    errno = 0;
    long number = strtol(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < 0 || number > AGENT_KEEP_MAX)
        return settings_fail(cfg, "keep = %s is not between 0 and %d", value, AGENT_KEEP_MAX);
    *(long *)result = number;
    return 0;
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
        memset(receiver, 0, sizeof *receiver); /* so that addresses can be compared whole */
        (void)split(receiver, cfg_getnstr(cfg, "receivers", i));
        for (unsigned k = 0; k < i; k++)
            if (memcmp(receiver, &out->receivers[k], sizeof *receiver) == 0)
                return error_set(error, "%s: receiver \"%s\" is named twice; remove one", name,
                                 cfg_getnstr(cfg, "receivers", i));
    }
    out->receiver_count = count;
    long redundancy = cfg_getint(cfg, "redundancy");
    if (redundancy != 0 && redundancy < (long)count)
        return error_set(error,
                         "%s: redundancy = %ld: speaking to some of the receivers only is not possible yet; write 0 "
                         "for all",
                         name, redundancy);
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
        CFG_INT("redundancy", 0, CFGF_NONE),
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receiver_settings.c - see receiver_settings.h. Each value is checked by a callback while the file is parsed: only then
 * does the parser know its line. */
#include "receiver/receiver_settings.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/settings.h"
#include "receiver/record/calendar.h"

#define FLUSH_MIN_NS (300 * NS_PER_S)
#define FLUSH_MAX_NS (3600 * NS_PER_S)
#define PLANNED_LIMIT_MAX_NS (30 * 86400 * NS_PER_S)

/* Names are not looked up: what one means can change, a socket cannot. */
static bool is_numeric(const char *host)
{
    struct in6_addr address;
    char plain[256];
    size_t len = strcspn(host, "%"); /* fe80::1%eth0 */
    if (len >= sizeof plain)
        return false;
    memcpy(plain, host, len);
    plain[len] = '\0';
    return inet_pton(AF_INET, plain, &address) == 1 || inet_pton(AF_INET6, plain, &address) == 1;
}

static int check_listen(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    char host[256], port[8];
    (void)opt;
    if (address_split(host, sizeof host, port, sizeof port, value, SETTINGS_DEFAULT_PORT) != 0 || !is_numeric(host))
        return settings_fail(
            cfg,
            "listen address \"%s\" is not understood; write a numeric address, as \"0.0.0.0:2004\" or \"[::]:2004\"",
            value);
    *(const char **)result = value;
    return 0;
}

static int check_not_empty(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    if (value[0] == '\0')
        return settings_fail(cfg, "%s is empty; name something or remove it", opt->name);
    *(const char **)result = value;
    return 0;
}

static int check_flush(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    int64_t ns;
    (void)opt;
    if (strcmp(value, "auto") != 0 && (duration_parse(&ns, value) != 0 || ns < FLUSH_MIN_NS || ns > FLUSH_MAX_NS))
        return settings_fail(cfg, "flush_interval \"%s\" is neither \"auto\" nor between \"5m\" and \"1h\"", value);
    *(const char **)result = value;
    return 0;
}

static int check_edges(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    (void)opt;
    if (strcmp(value, "estimate") != 0 && strcmp(value, "conservative") != 0)
        return settings_fail(cfg, "outage_edges \"%s\" is neither \"estimate\" nor \"conservative\"", value);
    *(const char **)result = value;
    return 0;
}

static int check_peer_address(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    char host[256], port[8];
    (void)opt;
    if (address_split(host, sizeof host, port, sizeof port, value, SETTINGS_DEFAULT_PORT) != 0)
        return settings_fail(cfg, "peer address \"%s\" is not understood; write HOST, HOST:PORT or [ADDRESS]:PORT",
                             value);
    *(const char **)result = value;
    return 0;
}

static int check_zone(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    (void)opt;
    if (!calendar_knows_zone(value))
        return settings_fail(cfg, "time_zone \"%s\" is not known on this machine; write one as \"Europe/Berlin\"",
                             value);
    *(const char **)result = value;
    return 0;
}

static int check_limit(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    int64_t ns;
    (void)opt;
    if (duration_parse(&ns, value) != 0 || ns > PLANNED_LIMIT_MAX_NS)
        return settings_fail(cfg, "planned_limit \"%s\" is not a duration up to \"30d\", as \"30m\"", value);
    *(const char **)result = value;
    return 0;
}

/* "NAME" or "NAME#GENERATION". */
static int parse_revocation(struct revocation *out, const char *text)
{
    const char *hash = strchr(text, '#');
    size_t len = hash ? (size_t)(hash - text) : strlen(text);
    memset(out, 0, sizeof *out);
    if (!name_is_valid(text, len))
        return -1;
    memcpy(out->name, text, len);
    if (!hash)
        return 0;
    char *end;
    long generation = strtol(hash + 1, &end, 10);
    if (hash[1] < '1' || hash[1] > '9' || *end || generation > 255)
        return -1;
    out->generation = (uint8_t)generation;
    return 0;
}

static int check_revoke(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    struct revocation revocation;
    (void)opt;
    if (parse_revocation(&revocation, value) != 0)
        return settings_fail(cfg, "revoke \"%s\" is neither a host name nor NAME#GENERATION", value);
    *(const char **)result = value;
    return 0;
}

static int check_generation(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    char *end;
    long generation = strtol(value, &end, 10);
    (void)opt;
    if (*value == '\0' || *end || generation < 1 || generation > 255)
        return settings_fail(cfg, "generation %s is not a number from 1 to 255", value);
    *(long *)result = generation;
    return 0;
}

/* Copies a list of strings. */
static int take_list(char **out, size_t max, size_t *count, cfg_t *cfg, const char *option, const char *name,
                     struct error *error)
{
    unsigned size = cfg_size(cfg, option);
    if (size == 0 || size > max)
        return error_set(error, "%s: %s must name 1 to %zu, not %u", name, option, max, size);
    for (unsigned i = 0; i < size; i++) {
        out[i] = strdup(cfg_getnstr(cfg, option, i));
        if (!out[i])
            return error_set(error, "out of memory");
        *count = i + 1;
    }
    return 0;
}

static int take_revoked(struct receiver_settings *out, cfg_t *cfg, struct error *error)
{
    unsigned count = cfg_size(cfg, "revoke");
    out->revoked = calloc(count + 1, sizeof *out->revoked);
    if (!out->revoked)
        return error_set(error, "out of memory");
    for (unsigned i = 0; i < count; i++)
        (void)parse_revocation(&out->revoked[i], cfg_getnstr(cfg, "revoke", i));
    out->revoked_count = count;
    return 0;
}

static int take_name(struct receiver_settings *out, cfg_t *cfg, struct error *error)
{
    char machine[256] = "";
    const char *name = cfg_getstr(cfg, "name");
    if (!name) {
        (void)gethostname(machine, sizeof machine - 1);
        name = machine[0] ? machine : "receiver";
    }
    out->name = strdup(name);
    out->data = strdup(cfg_getstr(cfg, "data"));
    const char *zone = cfg_getstr(cfg, "time_zone");
    out->time_zone = zone ? strdup(zone) : NULL;
    return out->name && out->data && (out->time_zone || !zone) ? 0 : error_set(error, "out of memory");
}

static int take_peers(struct receiver_settings *out, cfg_t *cfg, const char *name, struct error *error)
{
    unsigned count = cfg_size(cfg, "peer");
    if (count > PEERS_MAX)
        return error_set(error, "%s: %u peers; a receiver has at most %d", name, count, PEERS_MAX);
    if (count > 0 && !name_is_valid(out->name, strlen(out->name)))
        return error_set(error, "%s: name \"%s\": a receiver with peers needs a name of a-z 0-9 . _ -; set `name`",
                         name, out->name);
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(cfg, "peer", i);
        const char *title = cfg_title(section), *address = cfg_getstr(section, "address");
        if (!name_is_valid(title, strlen(title)))
            return error_set(error, "%s: peer \"%s\" is not a name of a-z 0-9 . _ -; write the peer's own `name`", name,
                             title);
        if (strcmp(title, out->name) == 0)
            return error_set(error, "%s: peer %s has the name of this very receiver; give each its own `name`", name,
                             title);
        if (!address)
            return error_set(error, "%s: peer %s has no address; add address = \"HOST:PORT\"", name, title);
        memcpy(out->peers[i].name, title, strlen(title) + 1);
        out->peers[i].address = strdup(address);
        if (!out->peers[i].address)
            return error_set(error, "out of memory");
        out->peer_count = i + 1;
    }
    return 0;
}

static int take(struct receiver_settings *out, cfg_t *cfg, const char *name, struct error *error)
{
    if (take_name(out, cfg, error) != 0 ||
        take_list(out->listen, RECEIVER_LISTEN_MAX, &out->listen_count, cfg, "listen", name, error) != 0 ||
        take_list(out->site_key_files, INTAKE_SITE_KEYS_MAX, &out->site_key_count, cfg, "site_key_file", name, error) !=
            0 ||
        take_revoked(out, cfg, error) != 0)
        return -1;
    if (cfg_size(cfg, "generations") == 0)
        return error_set(error, "%s: generations is empty: no host could speak; name at least one, as {1}", name);
    for (unsigned i = 0; i < cfg_size(cfg, "generations"); i++)
        out->generations[cfg_getnint(cfg, "generations", i) & 0xff] = 1;
    if (strcmp(cfg_getstr(cfg, "flush_interval"), "auto") != 0)
        (void)duration_parse(&out->flush_interval_ns, cfg_getstr(cfg, "flush_interval"));
    if (take_peers(out, cfg, name, error) != 0)
        return -1;
    out->conservative = strcmp(cfg_getstr(cfg, "outage_edges"), "conservative") == 0;
    (void)duration_parse(&out->planned_limit_ns, cfg_getstr(cfg, "planned_limit"));
    return 0;
}

/* One of `path` and `text` is given. */
static int load(struct receiver_settings *out, const char *path, const char *text, const char *name,
                struct error *error)
{
    cfg_opt_t peer[] = {
        CFG_STR_CB("address", NULL, CFGF_NONE, check_peer_address),
        CFG_END(),
    };
    cfg_opt_t options[] = {
        CFG_STR_CB("name", NULL, CFGF_NONE, check_not_empty),
        CFG_STR_LIST_CB("listen", "{\"[::]:2004\", \"0.0.0.0:2004\"}", CFGF_NONE, check_listen),
        CFG_STR_CB("data", "/var/lib/twobeat", CFGF_NONE, check_not_empty),
        CFG_STR_LIST_CB("site_key_file", "{/etc/twobeat/site.key}", CFGF_NONE, check_not_empty),
        CFG_INT_LIST_CB("generations", "{1}", CFGF_NONE, check_generation),
        CFG_STR_LIST_CB("revoke", NULL, CFGF_NONE, check_revoke),
        CFG_STR_CB("flush_interval", "auto", CFGF_NONE, check_flush),
        CFG_STR_CB("outage_edges", "estimate", CFGF_NONE, check_edges),
        CFG_STR_CB("planned_limit", "30m", CFGF_NONE, check_limit),
        CFG_STR_CB("time_zone", NULL, CFGF_NONE, check_zone),
        CFG_SEC("peer", peer, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
        CFG_END(),
    };
    cfg_t *cfg = path ? settings_parse_file(options, path, error) : settings_parse_text(options, text, name, error);
    if (!cfg)
        return -1;
    memset(out, 0, sizeof *out);
    int rc = take(out, cfg, name, error);
    (void)cfg_free(cfg);
    if (rc != 0)
        receiver_settings_clear(out);
    return rc;
}

int receiver_settings_load(struct receiver_settings *out, const char *path, struct error *error)
{
    return load(out, path, NULL, path, error);
}

int receiver_settings_parse(struct receiver_settings *out, const char *text, const char *name, struct error *error)
{
    return load(out, NULL, text, name, error);
}

void receiver_settings_clear(struct receiver_settings *settings)
{
    for (size_t i = 0; i < settings->listen_count; i++)
        free(settings->listen[i]);
    for (size_t i = 0; i < settings->site_key_count; i++)
        free(settings->site_key_files[i]);
    for (size_t i = 0; i < settings->peer_count; i++)
        free(settings->peers[i].address);
    free(settings->name);
    free(settings->data);
    free(settings->revoked);
    free(settings->time_zone);
    memset(settings, 0, sizeof *settings);
}

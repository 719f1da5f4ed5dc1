/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - twobeat-receiver: command line, then the daemon. */
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "receiver/listen/daemon.h"

#define DEFAULT_CONFIG "/etc/twobeat/receiver.conf"

static const char usage_text[] =
    "usage: twobeat-receiver [-c FILE] [-t] [-v]\n"
    "Hears the heartbeats of all hosts, judges them, and records up, down, unknown and administrative time.\n"
    "\n"
    "  -c FILE    settings, default " DEFAULT_CONFIG "\n"
    "  -t         check the settings and the keys they name, then exit: 0 good, 1 not\n"
    "  -v         say more\n"
    "  --help     this text\n"
    "  --version  name and version\n"
    "\n"
    "Runs in the foreground. SIGHUP reloads the settings, SIGTERM stops.\n";

struct options {
    const char *config;
    int test;
    int verbose;
};

/* Returns -1 to go on, else the exit status. */
static int parse_options(struct options *out, int argc, char **argv)
{
    static const struct option names[] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};
    int option;
    opterr = 0; /* one line, and ours */
    while ((option = getopt_long(argc, argv, "c:tv", names, NULL)) != -1) {
        switch (option) {
        case 'c': out->config = optarg; break;
        case 't': out->test = 1; break;
        case 'v': out->verbose = 1; break;
        case 'h': (void)fputs(usage_text, stdout); return 0;
        case 'V': (void)puts("twobeat-receiver " TWOBEAT_VERSION); return 0;
        default:
            (void)fprintf(
                stderr,
                "twobeat-receiver: option \"%s\" is not known or lacks its value; try: twobeat-receiver --help\n",
                argv[optind - 1]);
            return 2;
        }
    }
    if (optind == argc)
        return -1;
    (void)fprintf(stderr, "twobeat-receiver: unexpected argument \"%s\"; try: twobeat-receiver --help\n", argv[optind]);
    return 2;
}

static int check_only(struct receiver_settings *settings, const char *config)
{
    struct intake_keys keys;
    struct error error;
    int rc = daemon_load_keys(&keys, settings, &error);
    sodium_memzero(&keys, sizeof keys);
    receiver_settings_clear(settings);
    if (rc != 0) {
        log_line(LOG_LEVEL_ERROR, "%s", error.text);
        return 1;
    }
    (void)printf("%s is good\n", config);
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {.config = DEFAULT_CONFIG};
    struct receiver_settings settings;
    struct error error;
    int status = parse_options(&options, argc, argv);
    if (status >= 0)
        return status;
    log_init("twobeat-receiver", options.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    (void)signal(SIGPIPE, SIG_IGN); /* a client that hangs up must not end us, nor a log that nobody reads */
    if (sodium_init() < 0) {
        log_line(LOG_LEVEL_ERROR, "cannot set up libsodium");
        return 1;
    }
    if (receiver_settings_load(&settings, options.config, &error) != 0) {
        log_line(LOG_LEVEL_ERROR, "%s", error.text);
        return 1;
    }
    if (options.test)
        return check_only(&settings, options.config);
    struct daemon *daemon = daemon_create(&settings, options.config, &error);
    if (!daemon) {
        log_line(LOG_LEVEL_ERROR, "%s", error.text);
        return 1;
    }
    status = daemon_run(daemon);
    daemon_destroy(daemon);
    return status;
}

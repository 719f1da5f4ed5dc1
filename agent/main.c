/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - twobeat-agent: options, configuration and key, then the daemon. */
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_settings.h"
#include "agent/agent_uv.h"
#include "agent/footprint.h"
#include "common/key_file.h"
#include "common/log.h"

#define CONFIG_DEFAULT "/etc/twobeat/agent.conf"
#define EXIT_USAGE 2

static const char help[] = "usage: twobeat-agent [-c FILE] [-t] [-v]\n"
                           "Sends the heartbeats of this host to its receivers. Runs in the foreground.\n"
                           "  -c, --config FILE   configuration (default " CONFIG_DEFAULT ")\n"
                           "  -t, --test          check the configuration and the key, and exit\n"
                           "  -v, --verbose       log more\n"
                           "      --help          this text\n"
                           "      --version       the version\n"
                           "Signals: SIGHUP loads the configuration again, SIGTERM says goodbye and stops.\n";

struct command {
    const char *config_path;
    bool test;
    bool verbose;
};

/* Returns -1 to go on, or the exit status. */
static int parse_command(struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"test", no_argument, NULL, 't'},
                                            {"verbose", no_argument, NULL, 'v'},      {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0}};
    *command = (struct command){.config_path = CONFIG_DEFAULT};
    opterr = 0; /* one line, and ours */
    for (int option; (option = getopt_long(argc, argv, "c:tv", options, NULL)) != -1;) {
        switch (option) {
        case 'c': command->config_path = optarg; break;
        case 't': command->test = true; break;
        case 'v': command->verbose = true; break;
        case 'h': (void)fputs(help, stdout); return EXIT_SUCCESS;
        case 'V': (void)puts("twobeat-agent " TWOBEAT_VERSION); return EXIT_SUCCESS;
        default:
            (void)fprintf(stderr,
                          "twobeat-agent: option \"%s\" is not known or lacks its value; try: twobeat-agent --help\n",
                          argv[optind - 1]);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "twobeat-agent: \"%s\" is not understood; try: twobeat-agent --help\n", argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct command command;
    struct agent_settings settings;
    struct host_key key;
    struct error error;
    char receivers[AGENT_SETTINGS_RECEIVERS_SIZE];
    int status = parse_command(&command, argc, argv);
    if (status >= 0)
        return status;
    footprint_limit();
    log_init("twobeat-agent", command.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    (void)signal(SIGPIPE, SIG_IGN); /* a log that nobody reads must not end us */
    if (sodium_init() < 0) {
        log_line(LOG_LEVEL_ERROR, "libsodium does not start; there may be no source of random numbers");
        return EXIT_FAILURE;
    }
    int rc = agent_settings_load(&settings, command.config_path, &error);
    if (rc == 0) {
        rc = key_host_load(&key, settings.key_file, &error);
        if (rc == 0)
            agent_settings_spread(&settings, key.name);
        if (rc == 0 && !command.test)
            rc = agent_uv_run(command.config_path, &settings, &key, &error);
        else if (rc == 0)
            log_line(LOG_LEVEL_INFO, "%s is fine: host %s speaks to %s", command.config_path, key.name,
                     agent_settings_receivers_text(receivers, &settings));
        agent_settings_clear(&settings);
        sodium_memzero(&key, sizeof key);
    }
    if (rc)
        log_line(LOG_LEVEL_ERROR, "%s", error.text);
    return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}

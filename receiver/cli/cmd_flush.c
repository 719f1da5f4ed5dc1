/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_flush.c - `twobeat flush`: waits until the RRD files hold all that can be written. */
#include "receiver/cli/cli.h"
#include "receiver/cli/live.h"
#include "receiver/cli/options.h"

static int run_flush(struct cli *cli, struct error *error)
{
    int code;
    bool stopped;
    json_t *answer;
    if (!options_go_on(cli, NULL, 0, SIZE_MAX, &code, error))
        return code;
    if ((code = live_check_hosts(cli, &stopped, error)) != CLI_OK)
        return code;
    /* Writing the files of a large fleet may take minutes, so there is no time limit. */
    enum live_result result = stopped ? LIVE_STOPPED : live_ask(cli, "flush", NULL, 0, &answer, error);
    if (result == LIVE_STOPPED)
        return cli_fail(error, CLI_NO_RECORD,
                        "the receiver is stopped: state.rrd holds the record up to its last flush; start"
                        " the receiver to write the rest");
    if (result == LIVE_FAILED)
        return CLI_NO_RECORD;
    json_decref(answer);
    return cli->json ? cli_print_json(json_pack("{s:b}", "flushed", 1), error) : CLI_OK;
}

const struct command command_flush = {
    .name = "flush",
    .arguments = "[HOST|GLOB...]",
    .summary = "returns when the RRD files hold all that can be written",
    .help = "The running receiver writes; what is not settled yet (the start of a silence) is written later.\n",
    .run = run_flush,
};

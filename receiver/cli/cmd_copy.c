/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_copy.c - `twobeat copy`: a consistent copy of the record, for a backup, or to be brought to those of other receivers. */
#include <stdio.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/options.h"
#include "receiver/record/record_copy.h"

static int run_copy(struct cli *cli, struct error *error)
{
    struct record_copied done;
    int code;
    if (!options_go_on(cli, NULL, 1, 1, &code, error))
        return code;
    if (record_copy(cli->data, cli->args[0], &done, error))
        return CLI_NO_RECORD;
    if (cli->json)
        return cli_print_json(json_pack("{s:s, s:I, s:I, s:I}", "copy", cli->args[0], "hosts", (json_int_t)done.hosts,
                                        "files", (json_int_t)done.files, "made_anew", (json_int_t)done.made_anew),
                              error);
    (void)printf("%zu host%s copied, %zu file%s", done.hosts, done.hosts == 1 ? "" : "s", done.files,
                 done.files == 1 ? "" : "s");
    if (done.made_anew > 0)
        (void)printf("; %zu made anew from the log", done.made_anew);
    (void)puts("");
    return CLI_OK;
}

const struct command command_copy = {
    .name = "copy",
    .arguments = "DIR",
    .summary = "a consistent copy of the record, for backup, rsync and merging",
    .help = "DIR is made, or is empty, or an earlier copy, which is brought up to date. Works while the receiver runs, "
            "and\n"
            "while it is stopped. The copy is a record that `twobeat --data DIR` reads.\n",
    .run = run_copy,
};

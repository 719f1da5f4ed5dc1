#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion of `twobeat` in bash (asked as readline would) and zsh (read, and asked through a pseudo terminal)."""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from world import ROOT, TWOBEAT, Skip, World, check, equal, run_tests, wait_until

COMPLETION = ROOT / "contrib" / "completion"
COMMANDS = ["status", "check", "copy", "uptime", "outages", "outages relabel", "graph", "host list", "host forget", "host rename", "maintenance start", "maintenance end",
            "maintenance plan", "maintenance list", "maintenance cancel", "flush", "verify", "rebuild", "cut", "key site", "key host", "key view"]
ONLY_LETTER = {"--output"}  # in --help by its letter


def environment():
    return dict(os.environ, PATH=f"{TWOBEAT.parent}:{os.environ['PATH']}", HOME="/nonexistent")


def bash(script, *words):
    result = subprocess.run(["bash", "--norc", "-c", f'source "{COMPLETION}/twobeat.bash"\n{script}', "bash", *map(str, words)],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=environment(), check=False)
    equal((result.returncode, result.stderr), (0, ""), f"bash {words}")
    return result.stdout.split()


def complete(*words):
    """What bash offers for the last of the words."""
    return bash('COMP_WORDS=(twobeat "$@"); COMP_CWORD=$#; _twobeat; printf "%s\\n" "${COMPREPLY[@]}"', *words)


def record(w, *hosts):
    """A receiver that heard these hosts."""
    receiver = w.receiver().start()
    for host in hosts:
        w.agent(host, receiver, interval="250ms").start()
    wait_until(lambda: len(receiver.json("host", "list")["hosts"]) == len(hosts), 20, "hosts in the record")
    return receiver


def test_bash_words(_):
    equal(bash("complete -p twobeat"), ["complete", "-F", "_twobeat", "twobeat"], "complete -p")
    equal(sorted(complete("")), sorted({command.split()[0] for command in COMMANDS}), "commands")
    equal(complete("--json", "up"), ["uptime"], "behind an option")
    for group in ("key", "maintenance", "host"):
        equal(sorted(complete(group, "")), sorted(c.split()[1] for c in COMMANDS if c.startswith(group + " ")), group)
    equal(complete("uptime", "--mean", "h"), ["hosts"], "--mean")
    equal(complete("graph", "web1", "--period", "w"), ["week"], "--period")
    months = complete("uptime", "--month", "")
    check(len(set(months)) == 12 and all(re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", m) for m in months), f"months: {months}")
    check(time.strftime("%Y-%m") in months, "this month")
    equal(complete("key", "host", ""), [], "the name of a new host is not known")
    equal(complete("maintenance", "start", "x", "--reason", ""), [], "a reason")
    equal(complete("outages", "rel"), ["relabel"], "a second word that need not be")
    equal(complete("outages", "relabel", "5", "--as", "u"), ["up", "unknown"], "states")
    equal(complete("outages", "relabel", "5", "--r"), ["--reason"], "its options")


def test_bash_hosts(_):
    with World() as w:
        receiver = record(w, "db1", "web1", "web2")
        for command in ("status", "check", "uptime", "outages", "graph", "flush", "verify", "rebuild"):
            equal(complete(command, "--data", receiver.data, "web"), ["web1", "web2"], command)
        equal(complete("--data", receiver.data, "maintenance", "start", ""), ["db1", "web1", "web2"], "maintenance start")
        equal(complete("status", "--data", w.folder, ""), [], "without a record")
        equal(complete("maintenance", "cancel", "--data", receiver.data, ""), [], "nothing is planned")
        receiver.twobeat("maintenance", "plan", "db1", "web*", "--from", int(time.time()) + 3600, "--to", int(time.time()) + 7200)
        equal(complete("maintenance", "cancel", "--data", receiver.data, ""), ["1", "2"], "ids of maintenance")
        equal(complete("outages", "relabel", "--data", receiver.data, ""), [], "no outage yet")
        w.daemons[-1].kill()
        number = wait_until(lambda: receiver.outages("web2"), 20, "an outage")[0]["id"]
        equal(complete("outages", "relabel", "--data", receiver.data, ""), [str(number)], "ids of outages")


def test_options(_):
    """Both shells offer what --help tells, and nothing else."""
    zsh = (COMPLETION / "_twobeat").read_text(encoding="utf-8")
    for command in COMMANDS:
        text = subprocess.run([TWOBEAT, *command.split(), "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
        told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text.split("\n\n")[0])) | {"--help"}
        equal(set(bash('_twobeat_options "$1"', command)) - ONLY_LETTER, told - ONLY_LETTER, f"options of {command}")
        for option in told:
            check(option in zsh, f"zsh does not know {option}")
        check(re.search(rf"\b{command.rsplit(' ', maxsplit=1)[-1]}\b", zsh), f"zsh does not know {command}")


def ask_zsh(line):
    """Types the line and tab at a zsh on a pseudo terminal, and returns what it shows."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(environment(), TERM="dumb", COLUMNS="200")
        os.execvp("zsh", ["zsh", "-f", "-i"])
    shown = ""

    def read_until(pattern):
        """What is shown up to the end of what fits."""
        nonlocal shown

        def more():
            nonlocal shown
            if select.select([terminal], [], [], 0.1)[0]:
                shown += os.read(terminal, 4096).decode(errors="replace")
            return re.search(pattern, shown, re.S)
        end = wait_until(more, 20, lambda: f"{pattern} in {shown!r}").end()
        found, shown = shown[:end], shown[end:]
        return found

    try:
        setup = f"fpath=({COMPLETION} $fpath); autoload -Uz compinit; compinit -u -D; bindkey -e; PS1= PROMPT_EOL_MARK=; "
        os.write(terminal, (setup + "LISTMAX=1000; echo rea''dy\n").encode())
        # Then the line editor is there, and nothing that is typed is lost.
        read_until(r"ready\r\n.*\x1b\[\?2004h")
        os.write(terminal, f"{line}\t".encode())
        # ^D lists what there is; then the line is thrown away and a mark printed.
        os.write(terminal, b"\x04\x15echo en''d\n")
        return read_until(r"end\r\n")
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(terminal)


def test_zsh(_):
    if not shutil.which("zsh"):
        raise Skip("needs zsh")
    result = subprocess.run(["zsh", "-n", COMPLETION / "_twobeat"], capture_output=True, text=True, timeout=60, check=False)
    equal((result.returncode, result.stderr), (0, ""), "zsh -n")
    check("uptime" in ask_zsh("twobeat upt"), "commands")
    check("maintenance start" in ask_zsh("twobeat maintenance st"), "second words")
    check("outages relabel" in ask_zsh("twobeat outages rel"), "a second word that need not be")
    check("--as" in ask_zsh("twobeat outages relabel 5 --a"), "its options")
    check("--print-command" in ask_zsh("twobeat graph --pri"), "options")
    check(time.strftime("%Y-%m") in ask_zsh("twobeat uptime --month "), "months")
    with World() as w:
        receiver = record(w, "db1", "web1", "web2")
        shown = ask_zsh(f"twobeat status --data {receiver.data} we")
        check("web1" in shown and "web2" in shown and "db1" not in shown, f"hosts: {shown}")


if __name__ == "__main__":
    sys.exit(run_tests("completion", globals()))

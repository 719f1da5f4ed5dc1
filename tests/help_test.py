#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""help_test.py SOURCE_DIR BINARY_DIR - the manual pages tell what the programs take and give, and nothing else.

For each program, and each command of `twobeat`: the options in `--help` are those of its manual page. Exit codes, the
metrics with their units (common/metric.h) and the settings (agent_settings.c, receiver_settings.c, the examples) stand in
the pages. One line for each thing that is missing, as file: what. Exit 1 if there is one.
"""
import pathlib
import re
import subprocess
import sys

COMMON = {"--data", "--json", "--help"}
PERIOD = {"--days", "--month", "--from", "--to"}

faults = []


def fault(page, what):
    faults.append(f"{page}: {what}")


def run(*words):
    result = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    return result.returncode, result.stdout


def options_in_help(text):
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))


def options_in_page(text):
    """`Fl c` is -c, `Fl \\-config` is --config; several may follow one another with bars and commas between."""
    words = text.replace("\\-", "-").split()
    return {"-" + word for before, word in zip(words, words[1:]) if before == "Fl"}


class Page:
    """An mdoc page: its text without comments, and the items of its lists, each with what stands below it."""

    def __init__(self, source, path):
        self.path = path
        file = source / path
        self.text = re.sub(r'^\.\\".*\n', "", file.read_text(encoding="utf-8"), flags=re.M) if file.exists() else ""
        if not self.text:
            fault(path, "there is no such page")

    def section(self, name):
        found = re.search(rf'^\.Sh "?{name}"?\n(.*?)(?=^\.Sh |\Z)', self.text, re.M | re.S)
        return found[1] if found else ""

    @staticmethod
    def items(text):
        """(head, body) of each .It; a body ends where the next item begins, or its list."""
        return re.findall(r"^\.It (.*)\n((?:(?!\.It |\.El).*\n)*)", text, re.M)


def compare(page, what, told, written):
    for one in sorted(told - written):
        fault(page.path, f"{what}: {one} is missing")
    for one in sorted(written - told):
        fault(page.path, f"{what}: {one} does not exist")


def check_daemon(page, program):
    code, text = run(program, "--help")
    compare(page, "options", options_in_help(text), {o for head, _ in page.items(page.text) for o in options_in_page(head)})
    synopsis = options_in_page(page.section("SYNOPSIS"))
    compare(page, "options of SYNOPSIS", {o for o in options_in_help(text.split("\n", maxsplit=1)[0])}, synopsis - {"--help", "--version"})
    codes = {code, run(program, "-c", "/nonexistent", "-t")[0], run(program, "--no-such-option")[0]}
    compare(page, "exit status", {str(c) for c in codes}, exit_codes(page))


def exit_codes(page):
    return {head.strip() for head, _ in page.items(page.section("EXIT STATUS"))}


def commands_of(text):
    """The first words of the lines between the introduction and the common options."""
    return [line[2:].split("  ")[0].strip() for line in text.split("\n\n")[2].splitlines()]


def check_command(page, twobeat, command):
    _, text = run(twobeat, *command.split(), "--help")
    heads = [head for head, _ in page.items(page.section("DESCRIPTION")) if re.match(rf"Ic {command}(?= [A-Z]|$)", head)]
    if len(heads) != 1:
        fault(page.path, f"{command}: has {len(heads)} entries, wanted 1")
        return
    usage, _, rest = text.partition("\n")
    told = options_in_help(usage) - COMMON
    written = options_in_page(heads[0]) | (PERIOD if "Ar period" in heads[0] else set())
    compare(page, command, told, written)
    for option in sorted(options_in_help(rest) - told - COMMON):
        fault(f"twobeat {command} --help", f"{option} is explained, but not in its first line")
    if not any(re.match(rf"Ic {command.split()[0]}\b", head) for head, _ in page.items(page.section("JSON"))):
        fault(page.path, f"{command}: JSON says nothing about it")


def check_twobeat(source, page, twobeat):
    _, text = run(twobeat, "--help")
    commands = commands_of(text)
    for command in commands:
        check_command(page, twobeat, command)
    documented = {" ".join(re.match(r"Ic ([a-z ]+?)(?= [A-Z]|$)", head)[1].split()) for head, _ in page.items(page.section("DESCRIPTION"))
                  if re.match(r"Ic [a-z]", head)}
    compare(page, "commands", set(commands), documented)
    common = {o for head, _ in page.items(page.section("DESCRIPTION")) if head.startswith("Fl") for o in options_in_page(head)}
    compare(page, "options of all commands", COMMON | PERIOD, common)
    codes = set(re.findall(r"CLI_\w+ = (\d+)", (source / "receiver/cli/cli.h").read_text(encoding="utf-8")))
    compare(page, "exit status", codes, exit_codes(page))
    compare(page, "exit codes in --help", codes, set(re.findall(r"\b(\d) [a-z]", text[text.index("Exit:"):])))
    # The convention of monitoring plugins, which the command has for itself.
    own = re.search(r"^\.Ic check\n(?:.*\n){1,3}", page.section("EXIT STATUS"), re.M)
    compare(page, "exit status of check", set("0123"), set(re.findall(r"\b\d\b", own[0])) if own else set())


def check_metrics(source, pages):
    """An item with the name in its head, and with the unit in its head or body, in one of the pages."""
    table = re.findall(r'X\(\w+,\s*"(\w+)",\s*\w+,\s*"([^"]+)"', (source / "common/metric.h").read_text(encoding="utf-8"))
    if not table:
        fault("common/metric.h", "no metrics are found in it; tests/help_test.py reads another form")
    items = [(head, head + " " + body.replace("\n", " ")) for page in pages for head, body in page.items(page.text)
             if not head.startswith("Ic ")]  # there is also a command `uptime`
    for name, unit in table:
        found = [text for head, text in items if re.search(rf"(?<!\S){name}(?!\S)", head)]
        if not found:
            fault("manual pages", f"metric {name} is missing")
        elif not any(re.search(rf"(?<![\w/]){re.escape(unit)}(?![\w/])", text.replace("\\&", "")) for text in found):
            fault("manual pages", f"metric {name}: its unit {unit} is missing")


def check_settings(source, page, code, example):
    settings = set(re.findall(r'\bCFG_[A-Z_]+\("(\w+)"', (source / code).read_text(encoding="utf-8")))
    if not settings:
        fault(code, "no settings are found in it; tests/help_test.py reads another form")
    heads = [head for head, _ in page.items(page.section("DESCRIPTION")) if head.startswith("Ic ")]
    documented = {name for head in heads for name in re.findall(r"\bIc (\w+)", head)}  # a block has its own within
    compare(page, "settings", settings, documented)
    text = (source / example).read_text(encoding="utf-8")
    shown = set(re.findall(r"^(?:# )?(\w+)(?: = | \w+ \{| \")", text, re.M)) | set(re.findall(r"\{ (\w+) = ", text))
    for one in sorted(settings - shown):
        fault(example, f"{one} is missing")
    for one in re.findall(r"^(?:# )?(\w+) = ", text, re.M):
        if one not in settings:
            fault(example, f"{one} does not exist")


def main():
    source, binary = map(pathlib.Path, sys.argv[1:3])
    agent, receiver, twobeat, agent_conf, receiver_conf = (
        Page(source, path) for path in ("agent/twobeat-agent.8", "receiver/twobeat-receiver.8", "receiver/cli/twobeat.1",
                                        "agent/agent.conf.5", "receiver/receiver.conf.5"))
    check_daemon(agent, binary / "agent/twobeat-agent")
    check_daemon(receiver, binary / "receiver/twobeat-receiver")
    check_twobeat(source, twobeat, binary / "receiver/twobeat")
    check_metrics(source, (agent, receiver, twobeat))
    check_settings(source, agent_conf, "agent/agent_settings.c", "contrib/examples/agent.conf")
    check_settings(source, receiver_conf, "receiver/receiver_settings.c", "contrib/examples/receiver.conf")
    for line in faults:
        print(line)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What `cmake --install` puts where: as Debian wants it under /usr, below the prefix elsewhere, each file in one component."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from world import BUILD, ROOT, Skip, check, equal, run_tests

# %U is the folder of the units, %Z that of completions for zsh.
FILES = {
    "agent": """usr/sbin/twobeat-agent usr/share/man/man8/twobeat-agent.8 usr/share/man/man5/agent.conf.5 %U/twobeat-agent.service
        usr/lib/sysusers.d/twobeat-agent.conf usr/lib/tmpfiles.d/twobeat-agent.conf usr/share/doc/twobeat/examples/agent.conf""",
    "receiver": """usr/sbin/twobeat-receiver usr/bin/twobeat usr/share/man/man8/twobeat-receiver.8 usr/share/man/man5/receiver.conf.5
        usr/share/man/man1/twobeat.1 %U/twobeat-receiver.service usr/lib/sysusers.d/twobeat-receiver.conf
        usr/lib/tmpfiles.d/twobeat-receiver.conf usr/share/doc/twobeat/examples/receiver.conf
        usr/share/bash-completion/completions/twobeat %Z/_twobeat""",
    "doc": "usr/share/doc/twobeat/README.md usr/share/doc/twobeat/PROTOCOL.md usr/share/doc/twobeat/NEWS usr/share/doc/twobeat/LICENSE"}
EXECUTABLE = {"twobeat", "twobeat-agent", "twobeat-receiver"}


def run(*words, code=0, **how):
    result = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, timeout=120, check=False, **how)
    check(result.returncode == code, f"{words}: exit {result.returncode}: {result.stdout[-1200:]}")
    return result.stdout


def configure(folder, prefix):
    """A build folder for that prefix, with the programs of the build under test: only paths are looked at."""
    run("cmake", "-G", "Ninja", "-S", ROOT, "-B", folder, f"-DCMAKE_INSTALL_PREFIX={prefix}", "-DTWOBEAT_TESTS=OFF")
    for name in ("agent/twobeat-agent", "receiver/twobeat-receiver", "receiver/twobeat"):
        shutil.copy(BUILD / name, folder / name)


def install(folder, stage, *options):
    run("cmake", "--install", folder, *options, env=dict(os.environ, DESTDIR=str(stage)))
    return {str(path.relative_to(stage)) for path in stage.rglob("*") if not path.is_dir()} if stage.exists() else set()


def staged(base, prefix="/usr"):
    configure(base / "build", prefix)
    return base / "stage", install(base / "build", base / "stage")


def expected(component):
    folder = subprocess.run(["pkg-config", "--variable=systemdsystemunitdir", "systemd"], capture_output=True, text=True, check=False)
    units = folder.stdout.strip().lstrip("/") or "usr/lib/systemd/system"
    zsh = "usr/share/zsh/" + ("vendor-completions" if os.path.exists("/etc/debian_version") else "site-functions")
    return {word.replace("%U", units).replace("%Z", zsh) for word in FILES[component].split()}


def test_paths(_):
    with tempfile.TemporaryDirectory() as name:
        stage, files = staged(pathlib.Path(name))
        equal(sorted(files), sorted(set().union(*map(expected, FILES))), "files")
        for path in files:
            mode = (stage / path).stat().st_mode & 0o7777
            is_program = "bin/" in path
            equal(oct(mode), oct(0o755 if is_program else 0o644), f"mode of {path}")
            equal(is_program, path.split("/")[-1] in EXECUTABLE and "completions" not in path, f"{path} is a program")
        for component in FILES:
            equal(install(pathlib.Path(name) / "build", pathlib.Path(name) / component, "--component", component),
                  expected(component), f"component {component}")


def test_prefix(_):
    """With another prefix nothing is put outside of it, and the units name the programs there."""
    with tempfile.TemporaryDirectory() as name:
        stage, files = staged(pathlib.Path(name), "/usr/local")
        equal([path for path in files if not path.startswith("usr/local/")], [], "files outside")
        for path in (path for path in files if path.endswith(".service")):
            text = (stage / path).read_text(encoding="utf-8")
            check("=/usr/local/sbin/twobeat-" in text and "=/usr/sbin" not in text, f"programs in {path}")


def test_units(_):
    """systemd accepts the units where they are installed: programs and manual pages are there. With a program gone, not."""
    if not shutil.which("systemd-analyze"):
        raise Skip("needs systemd-analyze")
    with tempfile.TemporaryDirectory() as name:
        stage, files = staged(pathlib.Path(name))
        units = sorted(stage / path for path in files if path.endswith(".service"))
        equal(len(units), 2, "units")
        # What the units need of the system.
        (stage / "bin").mkdir(exist_ok=True)
        (stage / "bin" / "kill").touch(mode=0o755)
        for target in ("sysinit", "basic", "shutdown", "network", "multi-user"):
            (units[0].parent / f"{target}.target").write_text(f"[Unit]\nDescription={target}\n", encoding="ascii")
        for unit in units:
            for section, page in {(m[2], m[1]) for m in re.finditer(r"man:([\w.-]+)\((\d)\)", unit.read_text(encoding="utf-8"))}:
                check(f"usr/share/man/man{section}/{page}.{section}" in files, f"{unit.name} names {page}({section})")
            equal(verify(stage, unit), "", f"systemd-analyze verify {unit.name}")
            (stage / "usr" / "sbin" / unit.stem).unlink()
            check(unit.stem in verify(stage, unit), f"{unit.name} without its program is noticed")


def verify(stage, unit):
    return subprocess.run(["systemd-analyze", "--no-pager", "verify", "--man=no", f"--root={stage}", f"/{unit.relative_to(stage)}"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False).stdout


def test_users(_):
    """The users and folders are those of the units; Debian wants names that begin with an underscore."""
    if not shutil.which("systemd-sysusers"):
        raise Skip("needs systemd-sysusers")
    with tempfile.TemporaryDirectory() as name:
        stage, files = staged(pathlib.Path(name))
        (stage / "etc").mkdir()
        (stage / "etc" / "twobeat").mkdir()
        (stage / "etc" / "twobeat" / "host.key").touch(mode=0o600)
        run("systemd-sysusers", f"--root={stage}")
        users = (stage / "etc" / "passwd").read_text(encoding="ascii")
        for path in (path for path in files if path.endswith(".service")):
            text = (stage / path).read_text(encoding="utf-8")
            user = re.search(r"^User=(.+)$", text, re.M)[1]
            state = re.search(r"^StateDirectory=(.+)$", text, re.M)[1]
            check(re.search(rf"^{user}:.*:/var/lib/{state}:", users, re.M) and user.startswith("_"), f"user {user} of {path}: {users}")
        if os.geteuid() != 0:
            raise Skip("owners of folders need root; all else is well")
        run("systemd-tmpfiles", f"--root={stage}", "--create", "twobeat-agent.conf", "twobeat-receiver.conf")
        modes = {path: (oct((stage / path).stat().st_mode & 0o777)) for path in ("var/lib/twobeat", "var/lib/twobeat-agent", "etc/twobeat/host.key")}
        equal(modes, {"var/lib/twobeat": "0o750", "var/lib/twobeat-agent": "0o700", "etc/twobeat/host.key": "0o640"}, "modes")
        check((stage / "var/lib/twobeat").stat().st_uid != 0, "the owner of the record is not root")


def test_man_pages(_):
    if not shutil.which("mandoc"):
        raise Skip("needs mandoc")
    with tempfile.TemporaryDirectory() as name:
        stage, files = staged(pathlib.Path(name))
        # Its only complaint about a page of a system it does not know would be the missing operating system.
        equal(run("mandoc", "-Tlint", "-Wwarning", *(stage / path for path in sorted(files) if "/man/" in path)), "", "mandoc -Tlint")


def test_examples(_):
    """The examples are good configurations, as they are."""
    with tempfile.TemporaryDirectory() as name:
        for component, key in (("agent", "key_file"), ("receiver", "site_key_file")):
            folder = pathlib.Path(name)
            text = (ROOT / "contrib" / "examples" / f"{component}.conf").read_text(encoding="utf-8")
            bare, filled = folder / f"{component}.conf", folder / f"{component}-all.conf"
            bare.write_text(text, encoding="utf-8")
            # What is commented out is good as well; lines of one setting only.
            filled.write_text(re.sub(r"^# (\w+ = .*)$", r"\1", text, flags=re.M), encoding="utf-8")
            for config in (bare, filled):
                config.chmod(0o600)
                program = BUILD / component / f"twobeat-{component}"
                result = subprocess.run([program, "-t", "-c", config], capture_output=True, text=True, timeout=60, check=False)
                told = result.stdout + result.stderr
                check(result.returncode == 0 or "/etc/twobeat/" in told and "No such file" in told,
                      f"{config.name}, but for the {key} that is not here: {told}")


if __name__ == "__main__":
    sys.exit(run_tests("install", globals(), at_once=2))

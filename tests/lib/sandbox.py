#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sandbox.py UNIT STATE SCRATCH PROGRAM [ARGUMENT...] - runs a program under the restrictions of a unit, without systemd.

Reads the sandboxing settings of the [Service] section of UNIT, does to itself what systemd would do, in its order (name
spaces and mounts, user, capabilities, system call filters), and becomes PROGRAM. STATE stands for the state directory:
the one folder that stays writable. SCRATCH is an empty folder for what is mounted; if it has a folder `run`, that is /run.
Started as root it ends up as nobody, in place of User=.

A setting that it does not know is an error: whatever a unit may say is either done here or named as left out.
"""
import ctypes
import errno
import os
import pathlib
import pwd
import re
import subprocess
import sys

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 19
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x4000000, 0x10000000, 0x40000000
CLONE_NEW_ANY = 0x7E020080
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
ALLOW, KILL = 0x7FFF0000, 0x80000000
EQ, GT, MASKED_EQ = 4, 6, 7

# Neither limits what the program may do here: how it is started, watched and ended, and what needs systemd itself.
LEFT_OUT = set("""Type Environment EnvironmentFile ExecStartPre ExecStart ExecReload Restart RestartSec WatchdogSec
    TimeoutStartSec TimeoutStopSec User Group StateDirectory StateDirectoryMode UMask LimitNOFILE LimitCORE
    RemoveIPC""".split())
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16, "AF_PACKET": 17}
FAMILY_MAX = 64
# What these also take away, besides mounts.
FORBIDS = {"ProtectClock": "@clock", "ProtectKernelModules": "@module", "ProtectKernelLogs": "syslog",
           "ProtectHostname": "sethostname setdomainname", "PrivateDevices": "@raw-io"}

libc = ctypes.CDLL(None, use_errno=True)


def call(result, what):
    if result < 0:
        number = ctypes.get_errno() or -result
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, kind, flags, data=None):
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, data)]
    call(libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), f"mount {target}")


def settings_of(unit):
    """Name to list of values, of the [Service] section."""
    found, section = {}, None
    for line in pathlib.Path(unit).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            found.setdefault(name.strip(), []).append(value.strip())
    return found


class Unit:
    """Settings that are asked for are ticked off; check_all tells of those that nobody asked for."""

    def __init__(self, path):
        self.settings = settings_of(path)
        self.asked = set()

    def get(self, name, default="no"):
        self.asked.add(name)
        return self.settings.get(name, [default])[-1]

    def on(self, name):
        return self.get(name) == "yes"

    def check_all(self):
        left = set(self.settings) - self.asked - LEFT_OUT
        if left:
            raise ValueError(f"settings that tests/lib/sandbox.py does not know: {' '.join(sorted(left))}")


# Mounts


def bind(source, target, *, read_only=False):
    if not os.path.exists(target):
        return
    mount(source, target, None, MS_BIND | MS_REC)
    if read_only:
        make_read_only(target)


def make_read_only(target):
    flags = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount(None, target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


def make_inaccessible(scratch, target):
    if os.path.exists(target):
        bind(scratch / ("no-folder" if os.path.isdir(target) else "no-file"), target, read_only=True)


def mount_points():
    points = (line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines())
    return [re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point) for point in points]


def mount_devices(scratch):
    folder = scratch / "dev"
    folder.mkdir()
    mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (folder / name).touch()
        bind(f"/dev/{name}", folder / name)
    (folder / "shm").mkdir()
    (folder / "fd").symlink_to("/proc/self/fd")
    mount(folder, "/dev", None, MS_BIND | MS_REC)


def mount_proc(unit):
    options = []
    if unit.get("ProtectProc", "default") != "default":
        options.append(f"hidepid={unit.get('ProtectProc')}")
    if unit.get("ProcSubset", "all") != "all":
        options.append(f"subset={unit.get('ProcSubset')}")
    if options:
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ",".join(options))


def mount_system(unit, state):
    """ProtectSystem=strict: all is read-only but the system's own file systems."""
    how = unit.get("ProtectSystem")
    if how == "strict":
        for point in mount_points():
            if not point.startswith(("/proc", "/sys", "/dev")) and os.path.lexists(point) and not point.startswith(str(state)):
                make_read_only(point)
    elif how != "no":
        raise ValueError(f"ProtectSystem={how}")


def mount_all(unit, state, scratch):
    call(libc.unshare(CLONE_NEWNS | CLONE_NEWUTS * unit.on("ProtectHostname") | CLONE_NEWNET * unit.on("PrivateNetwork")), "unshare")
    mount(None, "/", None, MS_REC | MS_SLAVE)
    if (scratch / "run").is_dir():
        bind(scratch / "run", "/run")
    bind(state, state)
    (scratch / "no-folder").mkdir(mode=0)
    (scratch / "no-file").touch(mode=0)
    if unit.on("PrivateTmp"):
        (scratch / "tmp").mkdir(mode=0o1777)
        for folder in ("/tmp", "/var/tmp"):
            bind(scratch / "tmp", folder)
    hidden = ["/lib/modules", "/usr/lib/modules"] * unit.on("ProtectKernelModules") + ["/proc/kmsg"] * unit.on("ProtectKernelLogs")
    if unit.on("PrivateDevices"):
        mount_devices(scratch)
    mount_proc(unit)
    home = unit.get("ProtectHome")
    for folder in ("/home", "/root", "/run/user"):
        if home == "yes":
            make_inaccessible(scratch, folder)
        elif home == "read-only":
            bind(folder, folder, read_only=True)
    mount_system(unit, state)
    if unit.on("ProtectKernelTunables"):
        for path in ("/proc/sys", "/proc/sysrq-trigger", "/proc/acpi", "/proc/fs", "/proc/irq", "/sys"):
            bind(path, path, read_only=True)
        hidden += ["/proc/kallsyms", "/proc/kcore"]
    if unit.on("ProtectControlGroups"):
        bind("/sys/fs/cgroup", "/sys/fs/cgroup", read_only=True)
    for path in hidden:
        make_inaccessible(scratch, path)


# User and capabilities


def enter_user_namespace(user):
    """PrivateUsers=: root and the own user are themselves, all others nobody. Another process must write that down."""
    ready, go = os.pipe()
    me = os.getpid()
    helper = os.fork()
    if helper == 0:
        os.close(go)
        os.read(ready, 1)
        for name, number in (("uid_map", user.pw_uid), ("gid_map", user.pw_gid)):
            pathlib.Path(f"/proc/{me}/{name}").write_text(f"0 0 1\n{number} {number} 1\n", encoding="ascii")
        os._exit(0)
    call(libc.unshare(CLONE_NEWUSER), "unshare user")
    os.write(go, b"x")
    for fd in (ready, go):
        os.close(fd)
    if os.waitpid(helper, 0)[1] != 0:
        raise OSError("cannot map users")


def become(unit, user, last_capability):
    if unit.get("CapabilityBoundingSet", "all") != "":
        raise ValueError("CapabilityBoundingSet= is not empty")
    for capability in range(last_capability + 1):
        call(libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "drop capability")
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    if unit.on("NoNewPrivileges"):
        call(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


# System calls


class Compare(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("how", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class Filter:
    def __init__(self, default):
        self.lib = ctypes.CDLL("libseccomp.so.2")
        self.lib.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.lib.seccomp_init(ctypes.c_uint32(default)))

    def add(self, action, name, *compares):
        number = self.lib.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # others are of other architectures
            array = (Compare * max(1, len(compares)))(*(Compare(*c) for c in compares))
            call(self.lib.seccomp_rule_add_array(self.context, ctypes.c_uint32(action), number, len(compares), array), f"filter {name}")

    def refuse(self, name, *compares, error=errno.EPERM):
        self.add(0x50000 | error, name, *compares)

    def load(self):
        """Any other architecture than the native one is death, as by SystemCallArchitectures=native."""
        call(self.lib.seccomp_load(self.context), "load filter")


def expand(word):
    """The names of the system calls of a group, or of this one. systemd knows the groups."""
    if not word.startswith("@"):
        return {word}
    text = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", word], capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in text.splitlines()[1:]]
    return set().union(*(expand(w) for w in words if w and not w.startswith("#")))


def allowed_calls(unit):
    unit.asked.add("SystemCallFilter")
    allowed = expand("@default")
    for line in unit.settings.get("SystemCallFilter", []):
        names = set().union(*(expand(word) for word in line.removeprefix("~").split()))
        allowed = allowed - names if line.startswith("~") else allowed | names
    for setting, words in FORBIDS.items():
        if unit.on(setting):
            allowed -= set().union(*(expand(word) for word in words.split()))
    return allowed


def make_filters(unit):
    """Made while everything is still allowed; loaded at the end. One filter for each kind, as systemd does it."""
    if unit.get("SystemCallErrorNumber") != "EPERM" or unit.get("SystemCallArchitectures") != "native":
        raise ValueError("other SystemCallErrorNumber= or SystemCallArchitectures= than this program knows")
    calls = Filter(0x50000 | errno.EPERM)
    for name in sorted(allowed_calls(unit)):
        calls.add(ALLOW, name)
    others = Filter(ALLOW)
    families = {FAMILIES[name] for name in unit.get("RestrictAddressFamilies", " ".join(FAMILIES)).split()}
    for family in set(range(FAMILY_MAX)) - families:
        others.refuse("socket", (0, EQ, family, 0), error=errno.EAFNOSUPPORT)
    others.refuse("socket", (0, GT, FAMILY_MAX - 1, 0), error=errno.EAFNOSUPPORT)
    if unit.on("MemoryDenyWriteExecute"):
        others.refuse("mmap", (2, MASKED_EQ, 6, 6))
        others.refuse("mprotect", (2, MASKED_EQ, 4, 4))
        others.refuse("pkey_mprotect", (2, MASKED_EQ, 4, 4))
        others.refuse("shmat", (2, MASKED_EQ, 0o100000, 0o100000))
    if unit.on("RestrictNamespaces"):
        others.refuse("clone3", error=errno.ENOSYS)
        for name in ("unshare", "setns"):
            others.refuse(name)
        for bit in (1 << n for n in range(32) if CLONE_NEW_ANY & 1 << n):
            others.refuse("clone", (0, MASKED_EQ, bit, bit))
    if unit.on("RestrictSUIDSGID"):
        for bit in (0o4000, 0o2000):
            for name, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1), ("mkdirat", 2)):
                others.refuse(name, (argument, MASKED_EQ, bit, bit))
        others.refuse("openat2", error=errno.ENOSYS)
    if unit.on("RestrictRealtime"):
        others.refuse("sched_setscheduler", (1, GT, 0, 0))
    if unit.on("LockPersonality"):
        others.refuse("personality", (0, GT, 0, 0))
    return others, calls


def main():
    unit = Unit(sys.argv[1])
    state, scratch = pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3]).resolve()
    user = pwd.getpwnam("nobody")
    # All that is read, modules of Python included, is read before the mounts: they may hide it.
    filters = make_filters(unit)
    last_capability = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    mount_all(unit, state, scratch)
    if unit.on("PrivateUsers"):
        enter_user_namespace(user)
    become(unit, user, last_capability)
    unit.check_all()
    for each in filters:
        each.load()
    os.execv(sys.argv[4], sys.argv[4:])


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# packages.sh - the Debian packages that contrib/quickstart, tests/run and .ci/run need. To be sourced.
#
# A word is a package, or COMMAND=PACKAGE where any COMMAND will do, wherever it came from.

# shellcheck disable=SC2034 # used by those who source this file
packages_build=(cmake=cmake ninja=ninja-build gcc=gcc libc6-dev pkg-config=pkg-config libuv1-dev librrd-dev libsodium-dev
    libsqlite3-dev libconfuse-dev libjansson-dev)
# shellcheck disable=SC2034
packages_test=(python3=python3 rrdtool=rrdtool rrdcached=rrdcached rsync=rsync libcmocka-dev ip=iproute2)
# shellcheck disable=SC2034
packages_check=(clang=clang libclang-rt-dev clang-format=clang-format shellcheck=shellcheck
    mandoc=mandoc systemd-analyze=systemd zsh=zsh)

# Prints those of the words given whose package is missing.
packages_missing() {
    local word
    for word in "$@"; do
        if [[ $word == *=* ]]; then
            command -v "${word%%=*}" >/dev/null || echo "${word#*=}"
        elif command -v dpkg-query >/dev/null; then
            [[ $(dpkg-query -W -f '${db:Status-Status}' "$word" 2>/dev/null) == installed ]] || echo "$word"
        fi
    done
}

# packages_require root|sudo WORD...: installs what is missing, as root or (if allowed) through sudo. Otherwise, or when
# it fails, says so in one line and returns 2.
packages_require() {
    local may=$1 missing as_root=()
    shift
    mapfile -t missing < <(packages_missing "$@")
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        if [[ $may != sudo ]] || ! command -v sudo >/dev/null; then
            echo "missing packages, install them as root: apt-get install ${missing[*]}" >&2
            return 2
        fi
        as_root=(sudo)
        # Without a terminal nobody could type a password.
        [[ -t 0 ]] || as_root=(sudo -n)
    fi
    if ! command -v apt-get >/dev/null; then
        echo "missing packages (and no apt-get here), install what corresponds to: ${missing[*]}" >&2
        return 2
    fi
    echo "installing packages: ${missing[*]}"
    local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0
        -o DPkg::Lock::Timeout=300 --no-install-recommends install "${missing[@]}")
    # The package lists of a fresh machine are empty or old: they are fetched only when the first try fails.
    if ! "${install[@]}" >/dev/null 2>&1 </dev/null; then
        "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=300 update </dev/null >/dev/null || true
        if ! "${install[@]}" >/dev/null </dev/null; then
            echo "installing failed, try it by hand as root: apt-get update && apt-get install ${missing[*]}" >&2
            return 2
        fi
    fi
}

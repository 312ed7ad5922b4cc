#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sets up what `make demo`, `make test`, `make test-vm` and `make lint` need: packages, a virtual environment
# in .venv with pyrun installed from this tree, and the C programs. What is there already is left as it is.
#
# usage: tools/setup.sh demo|test|test-vm|lint        environment: PYTHON, the interpreter (/usr/bin/python3)
set -euo pipefail
cd "$(dirname "$0")/.."

readonly purpose=$1
readonly python=${PYTHON:-/usr/bin/python3}
readonly environment=.venv
readonly ready=$environment/.ready

# Each package, and what shows that it is there: a command, a file, or a command that is linked statically.
readonly packages=(
    "python3 $python"
    "python3-venv /usr/lib/python3*/ensurepip/__init__.py"
    "python3-dev /usr/include/python3*/Python.h"
    "gcc gcc"
    "libc6-dev /usr/include/stdio.h"
    "musl-tools musl-gcc"
    "libcap-dev /usr/include/sys/capability.h"
    "libseccomp2 /usr/lib/*/libseccomp.so.2"
    "busybox-static static:busybox"
)
readonly packages_for_test=(
    "btrfs-progs mkfs.btrfs"
    "crun crun"
    "e2fsprogs mkfs.ext4"
    "erofs-utils mkfs.erofs"
    "iproute2 ip"
    "procps ps"
    "runc runc"
    "strace strace"
    "tmux tmux"
    "uidmap newuidmap"
    "xfsprogs mkfs.xfs"
)
# Those of the machine are on the host, whose files it has.
readonly packages_for_test_vm=(
    "apparmor apparmor_parser"
    "dbus /usr/lib/systemd/system/dbus.service"
    "dbus-user-session /usr/lib/systemd/user/dbus.socket"
    "kmod modprobe"
    "libpam-systemd /usr/lib/*/security/pam_systemd.so"
    "qemu-system-x86 qemu-system-x86_64"
    "secilc secilc"
    "systemd systemctl"
)
readonly packages_for_lint=(
    "gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc"
    "libc6-dev-arm64-cross /usr/aarch64-linux-gnu/include/stdio.h"
    "shellcheck shellcheck"
)

main() {
    [[ $purpose == lint || $EUID == 0 ]] ||
        fail "make $purpose needs root for namespaces, mounts and cgroups: sudo make $purpose"
    # One set-up at a time; the lock is on a file that is there before anything else.
    exec {lock}<Makefile
    flock "$lock"
    install_missing_packages
    make_environment
    compile pyrun "$environment/bin/pyrun"
    compile pyrun-init runtime/pyrun/bin/pyrun-init
}

fail() {
    echo "pyrun: $*" >&2
    exit 1
}

install_missing_packages() {
    local wanted=("${packages[@]}") missing=() entry
    [[ $purpose != test* ]] || wanted+=("${packages_for_test[@]}")
    [[ $purpose != test-vm ]] || wanted+=("${packages_for_test_vm[@]}")
    [[ $purpose != lint ]] || wanted+=("${packages_for_lint[@]}")
    for entry in "${wanted[@]}"; do
        is_there "${entry#* }" || missing+=("${entry%% *}")
    done
    ((${#missing[@]})) || return 0
    type -p apt-get >/dev/null ||
        fail "neither Debian nor Ubuntu: install what is in these packages of theirs: ${missing[*]}"
    ((EUID == 0)) || fail "not root: apt-get install ${missing[*]}"
    echo "installing ${missing[*]}"
    # Without lists of packages, or with old ones, the first attempt fails.
    apt_get install "${missing[@]}" 2>/dev/null || { apt_get update && apt_get install "${missing[@]}"; } ||
        fail "could not install ${missing[*]}: see the messages of apt-get above"
}

is_there() {
    case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    static:*) is_there "${1#static:}" && ! ldd "$(find_command "${1#static:}")" >/dev/null 2>&1 ;;
    *) find_command "$1" >/dev/null ;;
    esac
}

find_command() {
    PATH=$PATH:/usr/sbin:/sbin type -p "$1"
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" \
        </dev/null >/dev/null
}

# Makes the virtual environment anew for another Python, and updates it after a change of pyproject.toml.
make_environment() {
    local interpreter state
    interpreter=$(readlink -f "$python")
    state="$interpreter $(cksum pyproject.toml)"
    [[ ! -f $ready || $(<"$ready") != "$state" ]] || return 0
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$python is $("$python" -V), pyrun needs 3.11: PYTHON=/usr/bin/python3.N make $purpose"
    if [[ ! -f $ready || $(<"$ready") != "$interpreter "* ]]; then
        "$python" -m venv --clear "$environment" || fail "$python cannot make a virtual environment"
    fi
    echo "installing pyrun into $environment"
    "$environment/bin/python" -m pip --quiet --disable-pip-version-check --no-input \
        install --use-pep517 --editable '.[dev]' ||
        fail "could not install pyrun into $environment: see the messages of pip above"
    echo "$state" >"$ready"
}

# Compiles a program if a source is newer.
compile() {
    local program=$1 output=$2
    [[ -x $output && -z $(find runtime/init tools/compile.py -newer "$output" -print -quit) ]] ||
        "$environment/bin/python" tools/compile.py "$program" "$output"
}

main

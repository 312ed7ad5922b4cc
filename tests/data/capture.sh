#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Captures the config.json that Docker, containerd's ctr and Podman hand to their runtime, for tests/data.
#
# usage: capture.sh [DIRECTORY]     (default: the directory of this script)
#
# Needs root and the packages docker.io, containerd, podman, runc and busybox-static. The engines run with private
# sockets, roots and state under a temporary directory, in mount, pid and network namespaces of their own that
# see a pure cgroup v2 hierarchy; a recording script stands where runc would. Nothing of the host is touched.
set -eu

target=$(realpath "${1:-$(dirname "$0")}")
script=$(realpath "$0")

if [ -z "${CAPTURE_INSIDE:-}" ]; then
    for program in dockerd docker containerd ctr podman runc busybox; do
        command -v "$program" >/dev/null || { echo "capture.sh: $program is missing" >&2; exit 1; }
    done
    CAPTURE_INSIDE=1 exec unshare --mount --pid --net --fork --kill-child --mount-proc "$script" "$target"
fi

umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
work=$(mktemp -d)
mount -t tmpfs tmpfs "$work"
# Podman has files there that no option moves.
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
daemons=()
clean_up() {
    kill "${daemons[@]}" 2>/dev/null || true
    wait
    rmdir /sys/fs/cgroup/docker /sys/fs/cgroup/default 2>/dev/null || true
    find /sys/fs/cgroup/libpod_parent -depth -type d -exec rmdir {} + 2>/dev/null || true
    umount -R -l "$work"
    rmdir "$work"
}
trap clean_up EXIT
ip link set lo up

# The recorder keeps the configuration of every container made and otherwise is runc.
mkdir -p "$work/bin" "$work/recorded"
cat >"$work/bin/recorder" <<END
#!/bin/sh
bundle=.
previous=
for argument in "\$@"; do
    case \$previous in --bundle | -b) bundle=\$argument ;; esac
    previous=\$argument
done
case " \$* " in *" create "*) cp "\$bundle/config.json" "$work/recorded/\$(date +%s%N).json" ;; esac
exec runc "\$@"
END
chmod +x "$work/bin/recorder"

recorded() { # NAME: what was recorded last becomes NAME.json
    # The names are times: the last one is the newest.
    local all=("$work/recorded"/*)
    python3 "$(dirname "$script")/portable.py" "${all[-1]}" >"$target/$1.json"
    rm -f "$work/recorded"/*
    echo "captured $target/$1.json"
}

wait_for() { # COMMAND...: until it succeeds, at most 30 seconds
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || { echo "capture.sh: gave up waiting for: $*" >&2; cat "$work"/*.log >&2; exit 1; }
        sleep 0.1
    done
}

mkdir -p "$work/image/bin"
cp "$(command -v busybox)" "$work/image/bin/busybox"
ln -s busybox "$work/image/bin/sh"
ln -s busybox "$work/image/bin/true"
tar -C "$work/image" -cf "$work/image.tar" .

cat >"$work/containerd.toml" <<END
version = 2
root = "$work/containerd"
state = "$work/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "$work/containerd.sock"
END
containerd --config "$work/containerd.toml" >"$work/containerd.log" 2>&1 &
daemons+=($!)
wait_for ctr --address "$work/containerd.sock" version

dockerd --host "unix://$work/docker.sock" --containerd "$work/containerd.sock" --pidfile "$work/docker.pid" \
    --data-root "$work/docker" --exec-root "$work/docker-state" --bridge none --iptables=false --ip6tables=false \
    --storage-driver vfs --add-runtime "recorder=$work/bin/recorder" --default-runtime recorder \
    >"$work/dockerd.log" 2>&1 &
daemons+=($!)
export DOCKER_HOST="unix://$work/docker.sock"
wait_for docker info

docker import "$work/image.tar" busybox:latest >/dev/null
docker run --rm --network none busybox:latest /bin/true
recorded docker
docker run --rm --network none --security-opt seccomp=unconfined busybox:latest /bin/true
recorded docker-unconfined

# ctr wants an image in the OCI or Docker archive form; docker save makes one.
docker save busybox:latest -o "$work/archive.tar"
ctr --address "$work/containerd.sock" image import --base-name busybox "$work/archive.tar" >/dev/null
reference=$(ctr --address "$work/containerd.sock" image ls -q | head -n 1)
# Where the host has no v2 cpu controller runc refuses ctr's cpu shares: the recording is what matters.
ctr --address "$work/containerd.sock" run --rm --snapshotter native --runc-binary "$work/bin/recorder" \
    "$reference" captured /bin/true 2>"$work/ctr.log" || true
recorded ctr

podman() {
    command podman --root "$work/podman" --runroot "$work/podman-state" --tmpdir "$work/podman-tmp" \
        --storage-driver vfs --events-backend file --cgroup-manager cgroupfs --runtime "$work/bin/recorder" "$@"
}
podman import "$work/image.tar" busybox:latest >/dev/null 2>&1
# Where the host has no v2 pids controller runc refuses Podman's limit, too.
podman run --rm --network none busybox:latest /bin/true 2>"$work/podman.log" || true
recorded podman

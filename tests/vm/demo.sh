#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The whole path once: image, up, provision, stream 10 s, down; then a look at what came out.
# Ends with one line, "demo: OK ..." or "demo: FAILED: ...".  Run it by `make demo`.
set -uo pipefail

helixvm=${BUILD:-build}/helixvm
out=${BUILD:-build}/demo
name=demo
seconds=10
began=$SECONDS

fail() {
    echo "demo: FAILED: $*"
    exit 1
}

step() {
    echo "==> $*"
    "$@" || fail "$* (exit status $?)"
}

# Whatever happens, the VM does not stay, nor the libvirt daemons that it was the first to need:
# where no init system runs they end by themselves when they are idle.
pgrep -x libvirtd >/dev/null && had_libvirtd=yes || had_libvirtd=no
clean_up() {
    trap - EXIT
    "$helixvm" down --force "$name" >/dev/null 2>&1
    "$helixvm" delete --yes "$name" >/dev/null 2>&1
}
wait_for_libvirtd() {
    [[ $had_libvirtd == no ]] || return
    for ((i = 0; i < 40; i++)); do
        pgrep -x 'libvirtd|virtlogd' >/dev/null || return
        sleep 0.5
    done
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP


rm -rf "$out"
mkdir -p "$out"
clean_up
trap clean_up EXIT

step "$helixvm" image build
step "$helixvm" up "$name"
step "$helixvm" provision "$name"
echo "==> $helixvm stream $name --session desktop --duration $seconds"
"$helixvm" stream "$name" --session desktop --duration "$seconds" \
    --output "$out/stream.h264" --json >"$out/stats.json" || fail "no stream (exit status $?)"
cat "$out/stats.json"
"$helixvm" status "$name" --json >"$out/status.json" || fail 'no status'
step "$helixvm" status "$name"
step "$helixvm" down "$name"

# What was measured, looked at anew.
perl tests/vm/check-demo.pl "$out" || exit 1
wait_for_libvirtd
echo "demo: took $((SECONDS - began)) s; see $out/frame.png, $out/stream.h264, $out/stats.json"
tail -n 1 "$out/result"

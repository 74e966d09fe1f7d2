#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The whole path once: image, up, provision, stream 10 s, down; then a look at what came out.
# Ends with one line, "demo: OK ..." or "demo: FAILED: ...".  Run it by `make demo`.
set -uo pipefail

helixvm=${BUILD:-build}/helixvm
out=${BUILD:-build}/demo
name=demo-$$ # a VM of its own, whatever others there are
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
# where no init system runs they would end by themselves, minutes later.
daemons() { pgrep -x 'libvirtd|virtlogd'; }
had_daemons=$(daemons)
end_daemons() {
    [[ -z $had_daemons ]] || return
    kill -TERM $(daemons) 2>/dev/null
    for ((i = 0; i < 80; i++)); do
        daemons >/dev/null || return
        sleep 0.5
    done
}
clean_up() {
    # A second Ctrl-C does not leave the VM: neither the shell nor what it runs here gets it.
    trap '' INT TERM HUP
    trap - EXIT
    setsid --wait "$helixvm" down --force "$name" >/dev/null 2>&1
    setsid --wait "$helixvm" delete --yes "$name" >/dev/null 2>&1
    end_daemons
}
trap clean_up EXIT
trap 'trap "" INT TERM HUP; exit 130' INT
trap 'trap "" INT TERM HUP; exit 143' TERM HUP

rm -rf "$out"
mkdir -p "$out"

step "$helixvm" image build
step "$helixvm" up "$name"
step "$helixvm" provision "$name"
echo "==> $helixvm stream $name --session desktop --duration $seconds"
"$helixvm" stream "$name" --session desktop --duration "$seconds" \
    --output "$out/stream.h264" --quiet --json >"$out/stats.json" || fail "no stream (exit status $?)"
cat "$out/stats.json"
"$helixvm" status "$name" --json >"$out/status.json" || fail 'no status'
step "$helixvm" status "$name"
step "$helixvm" down "$name"

# What was measured, looked at anew.
perl tests/vm/check-demo.pl "$out" || exit 1
clean_up
echo "demo: took $((SECONDS - began)) s; see $out/frame.png, $out/stream.h264, $out/stats.json"
tail -n 1 "$out/result"

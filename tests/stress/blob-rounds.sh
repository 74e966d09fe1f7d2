#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in a guest: ROUNDS times in each of three loops at once, /tmp/blobs maps its blobs and is
# killed.  Prints "done" where it has come through, and stalls where the guest's GPU or a CPU does.
# usage: blob-rounds.sh ROUNDS
loop() {
    round=0
    while [ $((round += 1)) -le "$1" ]; do
        : >"/tmp/made.$2"
        /tmp/blobs >"/tmp/made.$2" &
        until grep -q '^made$' "/tmp/made.$2"; do
            kill -0 $! || exit 1
            sleep 0.02
        done
        kill -KILL $!
        wait $!
    done
    rm "/tmp/made.$2"
}
loop "$1" 1 & first=$!
loop "$1" 2 & second=$!
loop "$1" 3 & third=$!
wait $first && wait $second && wait $third && echo done

# SPDX-License-Identifier: GPL-2.0-or-later
# Build a part from source and install it.  Arguments: the directory to build in, which becomes
# root's alone; the archive with the sources; its checksum; the part's file; where it goes, and its
# mode.  Tells the checksum of what was installed as "built SUM  PATH".
export LC_ALL=C
directory=$1 archive=$2 sum=$3 part=$4 path=$5 mode=$6
umask 077
mkdir -p "$directory" && cd "$directory" || exit
# One whose connection was lost may still be at it.  make holds the lock, too.
exec 9>lock
flock 9
if [ "$(cat sum 2>/dev/null)" != "$sum" ]; then
    rm -rf sum tree && mkdir tree && tar -xf "$archive" -C tree && echo "$sum" >sum || exit
fi

# On a line, which is what is told: the compiler's errors, or else what was said last but make's words.
explain() {
    tail -n 20 log
    errors=$(grep -E 'error:|undefined reference' log | head -n 3)
    [ "$errors" ] || errors=$(grep -vE '^(make: |cc |link )' log | tail -n 3)
    echo "${errors:-$(tail -n 1 log)}; all that was said: $directory/log" |
        sed 's/$/; /' | tr -d '\n' | sed 's/; $//'
}
make --no-print-directory -C tree -f guest-provision/guest.mk -j "$(nproc)" CFLAGS=-O2 "build/guest/$part" \
    </dev/null >log 2>&1 || {
    explain >&2
    exit 1
}
install -m "$mode" "tree/build/guest/$part" "$path.new" && mv "$path.new" "$path" || exit
sha256sum "$path" | sed 's/^/built /'

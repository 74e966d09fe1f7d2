# SPDX-License-Identifier: GPL-2.0-or-later
# Install packages.  Arguments: how many seconds another apt or dpkg may hold a lock; the packages.
# What is waited for is told as "note TEXT".
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
end=$(($(date +%s) + $1))
shift
command -v apt-get >/dev/null || {
    echo "this guest has no apt-get; install by hand: $*" >&2
    exit 1
}
# In memory: a full disk is one of the things that it tells of.
errors=$(mktemp -p /run) || exit 1
trap 'rm -f "$errors"' EXIT

# Wait while the process that "$errors" names holds a lock; fails where there is none, or no time.
wait_for_lock() {
    lock=$(sed -n 's/^E: \(Could not get lock .*\)/\1/p; s/.*error: \(.* lock was locked .*\)/\1/p' \
        "$errors" | head -n 1)
    holder=$(echo "$lock" | sed -n 's/.*\(process\|pid\) \([0-9]*\).*/\2/p')
    left=$((end - $(date +%s)))
    [ "$lock" ] && [ $left -gt 0 ] || return
    [ "$lock" = "$noted" ] || echo "note waits up to $left s for another apt or dpkg: $lock"
    noted=$lock
    # It may let go of the lock and live on, so not for longer.
    timeout $((left < 5 ? left : 5)) tail --pid="${holder:-1}" -f /dev/null
    true
}
noted=
attempt() {
    until "$@" </dev/null >/dev/null 2>"$errors"; do
        wait_for_lock || return 1
    done
}
apt_get() {
    attempt apt-get -q -o APT::Install-Recommends=false -o APT::Update::Error-Mode=any \
        -o Dpkg::Use-Pty=0 -o Acquire::Retries=1 -o Acquire::http::Timeout=20 \
        -o Acquire::https::Timeout=20 "$@"
}

fail() {
    cat "$errors" >&2
    exit 1
}

# Lists that know the packages need not be fetched again, and an apt or dpkg that was cut off is
# completed first: each cure is tried once.
tried=none
until apt_get install -y "$@"; do
    case $(cat "$errors") in
    *"dpkg --configure -a"*) cure=configure ;;
    *"--fix-broken install"*) cure=repair ;;
    *"Unable to locate package"* | *"has no installation candidate"* | *" 404 "*) cure=update ;;
    *) cure=none ;;
    esac
    case $tried in
    *"$cure"*) fail ;;
    esac
    case $cure in
    configure) attempt dpkg --force-confold --configure -a ;;
    repair) apt_get install -y --fix-broken ;;
    update) apt_get update ;;
    esac || fail
    tried="$tried $cure"
done

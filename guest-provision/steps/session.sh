# SPDX-License-Identifier: GPL-2.0-or-later
# The guest's sessions, "KEY VALUE" lines; what is of session NAME has the key NAME/KEY, and of one
# key the first line counts.
# Arguments: list, or one of start, stop, enable, disable, remove, examine, animate, still and a
# session's name.
export LC_ALL=C
action=$1
only=$2
unit=helixvm-session@$only.service
client=helixvm-benchmark-$only.service
directory=/etc/helixvm/sessions

# Of what ran in it, without systemd's own words.
last_words() {
    # What a process said last may still be on its way.
    journalctl --sync
    journalctl --quiet --no-pager --output cat --lines 12 "_SYSTEMD_UNIT=$unit" |
        sed "s|^|$only/log |"
}

# What systemd knows of the sessions that are the arguments.
properties() {
    units=
    for name; do
        units="$units helixvm-session@$name.service"
    done
    # In the order of the arguments, with an empty line between them.
    # shellcheck disable=SC2086
    systemctl show --property ActiveState,SubState,Result,StatusText,NRestarts,UnitFileState \
        $units | sed 's/=/ /' | {
        for name; do
            while read -r property value && [ "$property" ]; do
                echo "$name/$property $value"
            done
        done
    }
}

stop() {
    systemctl stop "$unit" || exit
    # Down is no failure any more.
    systemctl reset-failed "$unit" 2>/dev/null
}

if [ ! -x /usr/local/libexec/helixvm-session ]; then
    echo "unprovisioned yes"
    exit 0
fi
names=
for file in "$directory"/*.conf; do
    name=${file##*/}
    name=${name%.conf}
    case $name in
    -* | .* | *[!A-Za-z0-9_.-]*) continue ;;
    esac
    names="$names $name"
    echo "session $name"
done
if [ "$only" ]; then
    [ -e "$directory/$only.conf" ] || exit 0
    names=$only
fi

case $action in
start)
    # A unit that failed too often is tried again: somebody asks for it.
    systemctl is-active --quiet "$unit" || systemctl reset-failed "$unit" 2>/dev/null
    if ! systemctl start "$unit" >/dev/null 2>&1; then
        # Before systemd starts it again: what is told first counts.
        properties "$only"
        last_words
    fi
    ;;
stop) stop ;;
enable | disable) systemctl --quiet "$action" "$unit" || exit ;;
remove)
    stop
    systemctl --quiet disable "$unit" && rm "$directory/$only.conf" || exit
    exit 0
    ;;
examine) last_words ;;
animate)
    # Where nobody is left to end it, it ends with the session, or by itself.
    systemd-run --quiet --collect --unit "$client" --service-type exec --uid helixvm \
        --property "BindsTo=$unit" --property RuntimeMaxSec=15min \
        --property "SupplementaryGroups=render video" --property NoNewPrivileges=yes \
        --property CapabilityBoundingSet= --setenv "XDG_RUNTIME_DIR=/run/helixvm-session/$only" \
        --setenv WAYLAND_DISPLAY=wayland-0 weston-simple-egl || exit
    exit 0
    ;;
still)
    if ! systemctl is-active --quiet "$client"; then
        echo "the moving client ended: $(journalctl --quiet --no-pager --output cat --lines 1 "_SYSTEMD_UNIT=$client")" >&2
        exit 1
    fi
    systemctl stop "$client" || exit
    exit 0
    ;;
esac

# shellcheck disable=SC2086
set -- $names
[ $# -gt 0 ] || exit 0
properties "$@"
for name; do
    base64 "$directory/$name.conf" | sed "s|^|$name/conf |"
    state=/run/helixvm-session/$name/state.json
    [ -s "$state" ] && echo "$name/state $(tr '\n' ' ' <"$state")"
done
exit 0

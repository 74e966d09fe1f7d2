# SPDX-License-Identifier: GPL-2.0-or-later
# Start the session that is the argument where it does not run, and tell of it, "KEY VALUE" lines.
export LC_ALL=C
unit=helixvm-session@$1.service
if [ ! -x /usr/local/libexec/helixvm-session ]; then
    echo "unprovisioned yes"
    exit 0
fi
for file in /etc/helixvm/sessions/*.conf; do
    [ -e "$file" ] || continue
    name=${file##*/}
    echo "session ${name%.conf}"
done
[ -e "/etc/helixvm/sessions/$1.conf" ] || exit 0
# A unit that failed too often is tried again: somebody asks for it.
systemctl is-active --quiet "$unit" || systemctl reset-failed "$unit" 2>/dev/null
state=/run/helixvm-session/$1/state.json
if systemctl start "$unit" >/dev/null 2>&1 && [ -s "$state" ]; then
    echo "state $(tr '\n' ' ' <"$state")"
else
    echo "failed unit $(systemctl show --property ActiveState,Result --value "$unit" | xargs)"
    journalctl --quiet --no-pager --output cat --unit "$unit" --lines 8 | sed 's/^/log /'
fi
exit 0

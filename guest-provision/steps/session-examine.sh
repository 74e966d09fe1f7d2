# SPDX-License-Identifier: GPL-2.0-or-later
# What has become of the session that is the argument, "KEY VALUE" lines.
export LC_ALL=C
unit=helixvm-session@$1.service
systemctl show --property ActiveState,SubState,Result,NRestarts "$unit" |
    sed -n 's/^\([A-Za-z]*\)=/\1 /p'
journalctl --quiet --no-pager --output cat --unit "$unit" --lines 8 | sed 's/^/log /'
exit 0

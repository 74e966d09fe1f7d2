# SPDX-License-Identifier: GPL-2.0-or-later
# After new files: remember what was installed (the argument, in sha256sum's format), let systemd
# and running sessions take it up, and bring it to the disk: a VM may be cut off.
set -e
mkdir -p /var/lib/helixvm
printf %s "$1" >/var/lib/helixvm/installed.new
mv /var/lib/helixvm/installed.new /var/lib/helixvm/installed
rm -f /run/helixvm-verified
# What they were built of, where they were built here.
rm -rf /var/lib/helixvm/build /var/lib/helixvm/source.tar
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl try-restart 'helixvm-session@*.service'
fi
sync

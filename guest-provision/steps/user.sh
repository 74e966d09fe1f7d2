# SPDX-License-Identifier: GPL-2.0-or-later
# The user that sessions run as, without a password and with access to the render node.
set -e
for group in render video; do
    getent group "$group" >/dev/null || groupadd --system "$group"
done
if getent passwd helixvm >/dev/null; then
    usermod --append --groups render,video helixvm
else
    useradd --system --user-group --groups render,video --create-home \
        --home-dir /var/lib/helixvm-session --shell /usr/sbin/nologin helixvm
fi

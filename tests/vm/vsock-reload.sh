#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# In the guest, started apart from all connections: takes the driver from the vsock device while a
# connection to the host's port $1 is open, which holds the module, then unloads and loads it again.
driver=vmw_vsock_virtio_transport
bound=/sys/bus/virtio/drivers/$driver
device=$(basename "$bound"/virtio*)

perl /tmp/vsock-ends.pl broken stream "vsock:2:$1" >/run/reload.broken 2>&1 &
until grep -q connected /run/reload.broken; do sleep 0.1; done
echo "$device" >"$bound/unbind"
wait
until modprobe -r "$driver"; do sleep 0.1; done
[ ! -e "/sys/module/$driver" ] && echo unloaded >/run/reload.log
modprobe "$driver" && echo loaded >>/run/reload.log

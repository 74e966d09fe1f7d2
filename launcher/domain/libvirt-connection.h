/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connection to libvirt, and its daemons where no init system starts them. */
#pragma once

#include <gio/gio.h>
#include <libvirt/libvirt.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virConnect, virConnectClose)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, virDomainFree)

/* Connect to $LIBVIRT_DEFAULT_URI, else to qemu:///system for root and qemu:///session for others.
 * Where root's daemons do not run and no init system would start them, they are started; they end
 * by themselves when nobody has used them for a while.  Blocks (the first capability probe takes
 * seconds), for 60 s at most; a libvirtd that is silent for longer, or until @cancel (NULL: none)
 * is cancelled, is left to a thread that lasts as long as the silence.  Close with virConnectClose.
 * NULL with HX_ERROR_HOST or HX_ERROR_CANCELLED.  From any thread. */
virConnect *hx_libvirt_open(GCancellable *cancel, GError **error);

/* See that virtlogd serves, where no init system would start it: a domain's start needs it, and it
 * ends by itself when no domain logs.  Blocks for a moment. */
void hx_libvirt_start_log_daemon(void);

/* Have libvirt's events dispatched by the main loop: libvirt's default implementation uses GLib's
 * default main context.  Call before the first hx_libvirt_open of a process that wants events, or
 * hx_libvirt_bound_silence. */
gboolean hx_libvirt_register_events(GError **error);

/* From now on a libvirtd that is silent on @connection for 20 s, whatever it is asked, is one that
 * hangs: the connection closes, with the reason VIR_CONNECT_CLOSE_REASON_KEEPALIVE, and all calls
 * on it fail, those under way, too.  What is bound to the connection ends when libvirtd goes on.  A
 * libvirtd that is only slow to do as it is asked is none.  Any thread. */
void hx_libvirt_bound_silence(virConnect *connection);

/* What a libvirtd that hangs is, and what to do; a literal. */
#define HX_LIBVIRT_HANGS                                                                           \
    "libvirtd does not answer: restart it, with `systemctl restart libvirtd` where systemd runs "  \
    "it"

/* Set @error from libvirt's last error in this thread: "@what: MESSAGE". */
void hx_libvirt_set_error(GError **error, int code, const char *what);

/* The numeric user that QEMU runs as under @connection, from the capabilities' DAC base label; the
 * caller's own where libvirt names none. */
uid_t hx_libvirt_qemu_user(virConnect *connection);

/* The vsock CID in the XML of a running domain; 0 where it has none. */
guint32 hx_libvirt_cid(const char *domain_xml);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The monitor's state, shared by its sources alone. */
#pragma once

#include <json-glib/json-glib.h>

#include "launcher/base/fd-store.h"
#include "launcher/domain/domain.h"
#include "launcher/domain/libvirt-connection.h"
#include "launcher/monitor/monitor.h"
#include "launcher/profile/profile.h"

typedef struct HxMonitor HxMonitor;

/* A process that the monitor owns. */
typedef struct {
    HxMonitor *monitor;
    const char *name;    /* "helixvm-encoder", for messages */
    const char *program; /* NULL: what its argv[0] names */
    const char *log;     /* its log's name in the state directory; NULL: the monitor's own */
    pid_t pid;           /* 0: not running */
    guint watch;
    guint restarts;
    gboolean stopping;
    gboolean outlives_monitor;
    /* Called when it has ended without being told to. */
    void (*ended)(HxMonitor *monitor, const char *reason);
} HxPart;

struct HxMonitor {
    HxVm *vm;
    HxProfile *profile;
    const char *public_key;
    GCancellable *cancel;
    gint64 begun;       /* monotonic, µs */
    guint boot_timeout; /* s */
    gint64 boot_begun;  /* when QEMU was started last; monotonic, µs */
    int lock_fd;
    int log_fd;

    /* What has been said, and to whom it is said. */
    GPtrArray *events;      /* lines */
    guint state_event;      /* the last of them that tells a state */
    GPtrArray *subscribers; /* HxSubscriber */
    int start_fd;
    gboolean bound; /* the VM ends with the other end of start_fd */
    guint start_watch;
    int control_fd;
    guint control_watch;
    gboolean ended; /* the last event is among them */
    GSource *changes;
    char *phase;
    gint64 phase_begun;

    /* Why the VM has to end. */
    gboolean stop_requested;
    GCancellable *stop;    /* cancelled then: for what blocks in threads */
    GCancellable *ssh_try; /* of the try under way, in vain where the VM ends; NULL: none */
    GError *ssh_failure;   /* why the last try was in vain; NULL: it was not */
    guint stop_timeout;    /* s; 0: at once */
    gboolean forced;       /* the guest did not power off by itself */
    GError *failure;
    gboolean ready;
    double ready_seconds;

    /* The parts. */
    HxPart guard, xvfb, vsock, encoder;
    int xvfb_ready_fd;
    int x_authority_fd;   /* the cookie, until QEMU's user has been let in */
    gint64 guard_started; /* monotonic, µs */
    guint guard_timer;    /* to start it again */
    /* An encoder that was started again, until it is ready. */
    int encoder_ready_fd;
    guint encoder_watch;
    guint encoder_timer;    /* it is late then; or is to be started then */
    guint encoder_failures; /* since one was ready */
    /* What helixvm-vsock needs to go on when it was killed. */
    HxFdStore *vsock_store;
    int vsock_listen_fd, vsock_store_fd, vsock_ready_fd;
    guint vsock_store_watch, vsock_ready_watch;
    guint vsock_timer;    /* it is late then */
    gint64 vsock_started; /* monotonic, µs */
    guint vsock_failures; /* that came soon after a start */
    guint log_timer;      /* keeps the logs within their bounds */
    HxDisplayKind display;
    char *x_display;
    char *render_node;
    HxVsockKind vsock_kind;
    char *vsock_reason; /* why the kernel's was left */
    guint32 cid;
    int cid_fd; /* holds it, where it is of the registry (launcher/host/cid-registry.h) */
    int encoder_listen_fd;
    int encoder_stats_fd;
    int encoder_tcp_fd;    /* -1: not wanted */
    int encoder_serial_fd; /* -1: not wanted */
    int notify_fd;
    guint notify_watch;
    guint notify_connections;
    guint32 notify_port;
    gboolean guest_alive; /* the guest has sent anything */
    gboolean guest_ready; /* since its last reboot */
    char *guest_status;   /* its last STATUS= */

    /* The domain. */
    virConnect *connection;
    virDomain *domain;
    char *uuid;
    uid_t qemu_user;
    char *accelerator;
    GPtrArray *left;    /* "kvm: reason" of the accelerators that were tried before */
    GHashTable *tried;  /* accelerator → why it was left, of those that were tried in this start */
    GPtrArray *crashes; /* why QEMU was started again while the guest booted */
    int event_callback, reboot_callback;
    unsigned long qemu_version; /* as virConnectGetVersion has it */
    guint create_timer;
    gboolean domain_started; /* libvirt has said so: what it said before was of an earlier try */
    gboolean has_run;        /* QEMU, in any try, as far as is known */
    gboolean libvirt_gone;   /* it hangs, or is not there: it cannot be asked */
    gboolean libvirt_lost;   /* the connection broke: hx_monitor_reconnect is due */
    gboolean domain_lost;    /* there was a domain then, and it has not been found again */
    guint reconnects;
    gint64 reconnected; /* the last time; monotonic, µs */
    gboolean domain_ended;
    gboolean domain_crashed; /* and not by the guest's own power off */
    gboolean qemu_died;      /* by itself or by a signal: nobody asked libvirt for it */
    gboolean domain_paused;
    char *domain_end_reason;
};

/* Run the main loop until @condition holds for @data, or @timeout_ms have passed (0: no limit).
 * Returns whether it holds.  The reasons for the VM's end do not interrupt it. */
gboolean hx_monitor_iterate(gboolean (*condition)(void *data), void *data, guint timeout_ms);

/* Run the main loop until @condition holds.  FALSE where the VM is to stop first (the failure, or
 * HX_ERROR_CANCELLED), or after @timeout_ms (HX_ERROR_TIMEOUT; 0: no limit). */
gboolean hx_monitor_wait(HxMonitor *monitor, gboolean (*condition)(HxMonitor *monitor),
                         guint timeout_ms, GError **error);

/* FALSE where the VM is to stop, as hx_monitor_wait. */
gboolean hx_monitor_goes_on(HxMonitor *monitor, GError **error);

/* Run @call with @data in a thread, and the main loop meanwhile, so that status is answered. */
void hx_monitor_call(void (*call)(void *data), void *data);

/* What is left of the time that the guest has to report READY, ms. */
guint hx_monitor_boot_time_left(const HxMonitor *monitor);

/* Somebody asks for the VM's end: @timeout, in s, is what the guest has to power off. */
void hx_monitor_request_stop(HxMonitor *monitor, guint timeout);

/* The VM cannot go on: takes @error (the first one counts). */
void hx_monitor_fail(HxMonitor *monitor, GError *error);

/* events.c */
void hx_monitor_begin_phase(HxMonitor *monitor, const char *phase);
void hx_monitor_end_phase(HxMonitor *monitor, const char *format, ...) G_GNUC_PRINTF(2, 3);
void hx_monitor_note(HxMonitor *monitor, const char *format, ...) G_GNUC_PRINTF(2, 3);
void hx_monitor_say_ready(HxMonitor *monitor);
void hx_monitor_say_state(HxMonitor *monitor, const char *state);
/* The last event: failed where @error is set, else stopped. */
void hx_monitor_say_end(HxMonitor *monitor, const GError *error, const char *text);
gboolean hx_monitor_open_control(HxMonitor *monitor, GError **error);
void hx_monitor_close_control(HxMonitor *monitor);

/* part.c */
#define HX_VSOCK_LOG "vsock.log"
#define HX_ENCODER_LOG "encoder.log"
/* How long a part may take to get ready. */
#define HX_PART_START_MS 10000
/* Start @argv as @part with @fds from descriptor 3 on; stderr is its log, or the monitor's. */
gboolean hx_part_spawn(HxPart *part, HxMonitor *monitor, const char *name, GPtrArray *argv,
                       const int *fds, size_t n_fds, GError **error);
/* The same, and behind @fds a pipe for the line by which it says that it is ready: its reading end
 * is returned.  -1 with @error. */
int hx_part_begin(HxPart *part, HxMonitor *monitor, const char *name, GPtrArray *argv,
                  const int *fds, size_t n_fds, GError **error);
/* Wait for @part's line on @fd: for g_free.  NULL with @error where it ends first or says nothing
 * in time. */
char *hx_part_await_line(HxPart *part, int fd, GError **error);
/* End it by SIGTERM, or SIGKILL where that does not. */
void hx_part_stop(HxPart *part);

/* parts.c */
gboolean hx_monitor_start_guard(HxMonitor *monitor, GError **error);
/* Choose the display and start what takes its time; hx_monitor_start_display waits for that. */
gboolean hx_monitor_begin_display(HxMonitor *monitor, GError **error);
gboolean hx_monitor_start_display(HxMonitor *monitor, GError **error);
void hx_monitor_stop_parts(HxMonitor *monitor);

/* encoder.c */
/* Make the sockets that it serves, before QEMU starts, which connects to one of them. */
gboolean hx_monitor_listen_encoder(HxMonitor *monitor, GError **error);
gboolean hx_monitor_start_encoder(HxMonitor *monitor, GError **error);
void hx_monitor_stop_encoder(HxMonitor *monitor);

/* vsock.c */
gboolean hx_monitor_start_vsock(HxMonitor *monitor, GError **error);
void hx_monitor_stop_vsock(HxMonitor *monitor);

/* guest.c: what the guest says of itself */
gboolean hx_monitor_listen_notify(HxMonitor *monitor, GError **error);
void hx_monitor_close_notify(HxMonitor *monitor);

/* ssh.c: whether the guest's SSH server answers */
/* Ask it, some times, and wait for its answer. */
gboolean hx_monitor_await_ssh(HxMonitor *monitor, GError **error);
/* The domain has ended: ask no more, and wait for the thread. */
void hx_monitor_end_ssh(HxMonitor *monitor);

/* boot.c: FALSE with @error where the guest does not get there */
gboolean hx_monitor_await_ready(HxMonitor *monitor, GError **error);

/* libvirt.c */
gboolean hx_monitor_open_libvirt(HxMonitor *monitor, GError **error);
/* The connection broke (libvirt_lost): connect anew and find the domain again.  Where that cannot
 * be done within 30 s the VM fails; where QEMU has ended meanwhile domain_ended says so. */
void hx_monitor_reconnect(HxMonitor *monitor);
void hx_monitor_set_domain_ended(HxMonitor *monitor, gboolean crashed, gboolean qemu_died,
                                 const char *reason);
void hx_monitor_close_libvirt(HxMonitor *monitor);

/* domain.c */
gboolean hx_monitor_start_domain(HxMonitor *monitor, GError **error);
/* The guest runs: what was tried before is not to be tried again for a while. */
void hx_monitor_remember_accelerators(HxMonitor *monitor);
/* The domain has ended or stopped before the guest was ready: start it once more where QEMU is
 * known to crash now and then, else @error says why it ended. */
gboolean hx_monitor_start_again(HxMonitor *monitor, GError **error);
void hx_monitor_close_domain(HxMonitor *monitor);

/* stop.c */
/* End the domain at once, by libvirt or where that cannot by a signal to QEMU, and wait until QEMU
 * has ended.  Where it does not the VM fails. */
void hx_monitor_end_domain(HxMonitor *monitor);
/* Power the guest off, or force it after stop_timeout.  Sets @ret_text to what was done. */
void hx_monitor_stop_domain(HxMonitor *monitor, char **ret_text);

/* changes.c: say each state that the VM comes to */
void hx_monitor_tell_changes(HxMonitor *monitor);
void hx_monitor_stop_changes(HxMonitor *monitor);

/* status.c: one word, a literal; and all as one line of JSON, for g_free */
const char *hx_monitor_state(const HxMonitor *monitor);
char *hx_monitor_status(HxMonitor *monitor);

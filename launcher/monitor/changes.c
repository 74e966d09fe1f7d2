/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tells when the VM's state changes.
 *
 * Theory of operation.  The state follows from what many events have noted.  Nobody who notes
 * something has to think of telling: a source of the main loop's compares, whenever the loop turns,
 * the state with the one that was said last. */
#include "launcher/monitor/internal.h"

typedef struct {
    GSource source;
    HxMonitor *monitor;
    const char *said;
} HxChanges;

static gboolean has_changed(GSource *source)
{
    const HxChanges *changes = (const HxChanges *)source;
    return !changes->monitor->ended &&
           g_strcmp0(changes->said, hx_monitor_state(changes->monitor)) != 0;
}

static gboolean prepare(GSource *source, int *ret_timeout)
{
    *ret_timeout = -1;
    return has_changed(source);
}

static gboolean dispatch(GSource *source, GSourceFunc callback, void *data)
{
    HxChanges *changes = (HxChanges *)source;
    changes->said = hx_monitor_state(changes->monitor);
    hx_monitor_say_state(changes->monitor, changes->said);
    return G_SOURCE_CONTINUE;
}

void hx_monitor_tell_changes(HxMonitor *monitor)
{
    static GSourceFuncs functions = {
        .prepare = prepare, .check = has_changed, .dispatch = dispatch};
    GSource *source = g_source_new(&functions, sizeof(HxChanges));
    ((HxChanges *)source)->monitor = monitor;
    g_source_attach(source, NULL);
    monitor->changes = source;
}

void hx_monitor_stop_changes(HxMonitor *monitor)
{
    if (monitor->changes)
        g_source_destroy(monitor->changes);
    g_clear_pointer(&monitor->changes, g_source_unref);
}

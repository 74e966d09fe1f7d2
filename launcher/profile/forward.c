/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/profile/forward.h"

#include "launcher/base/error.h"
#include "launcher/base/port.h"
#include "launcher/profile/list.h"

static const char *protocol(const HxForward *forward)
{
    return forward->udp ? "udp" : "tcp";
}

/* --- what was asked for --------------------------------------------------------------------------
 */

static gboolean parse_port(const char *text, guint16 *ret_port)
{
    guint64 port;
    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT16, &port, NULL))
        return FALSE;
    *ret_port = port;
    return TRUE;
}

/* One "PROTOCOL:HOST:GUEST". */
static gboolean parse_forward(const char *text, HxForward *forward)
{
    g_auto(GStrv) fields = g_strsplit(text, ":", -1);
    if (g_strv_length(fields) != 3)
        return FALSE;
    forward->udp = g_str_equal(fields[0], "udp");
    return (forward->udp || g_str_equal(fields[0], "tcp")) &&
           parse_port(fields[1], &forward->host_port) &&
           parse_port(fields[2], &forward->guest_port);
}

static gboolean has_port(const GPtrArray *forwards, const HxForward *wanted)
{
    for (guint i = 0; i < forwards->len; i++) {
        const HxForward *forward = forwards->pdata[i];
        if (forward->udp == wanted->udp && forward->host_port == wanted->host_port)
            return TRUE;
    }
    return FALSE;
}

GPtrArray *hx_forwards_parse(const char *value, char **ret_objection)
{
    g_autoptr(GPtrArray) forwards = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) items = hx_list_split(value);
    for (char **item = items; *item; item++) {
        const char *text = g_strstrip(*item);
        HxForward forward;
        if (!parse_forward(text, &forward)) {
            *ret_objection = g_strdup_printf("a list of tcp:HOST-PORT:GUEST-PORT or "
                                             "udp:HOST-PORT:GUEST-PORT, separated by ';', with "
                                             "ports from 1 to 65535 (\"%s\" is not)",
                                             text);
            return NULL;
        }
        if (has_port(forwards, &forward)) {
            *ret_objection = g_strdup_printf("a list that leads each port of the host to one of "
                                             "the guest (%s port %u is there twice)",
                                             protocol(&forward), forward.host_port);
            return NULL;
        }
        g_ptr_array_add(forwards, g_memdup2(&forward, sizeof forward));
    }
    return g_steal_pointer(&forwards);
}

/* --- what is taken -------------------------------------------------------------------------------
 */

gboolean hx_forwards_check(const GPtrArray *forwards, GError **error)
{
    for (guint i = 0; i < forwards->len; i++) {
        const HxForward *forward = forwards->pdata[i];
        g_autofree char *why = hx_port_objection(forward->udp, forward->host_port);
        if (!why)
            continue;
        g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                    "cannot forward %s port %u of 127.0.0.1 to the guest's %u: %s: choose another "
                    "port of the host in network.forward",
                    protocol(forward), forward->host_port, forward->guest_port, why);
        return FALSE;
    }
    return TRUE;
}

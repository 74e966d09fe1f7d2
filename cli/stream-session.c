/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-session.h"

#include "guest-provision/session-settings.h"

/* What @request asks for and @config has not: "KEY=VALUE", NULL at the end. */
static GPtrArray *missing_settings(const HxStreamRequest *request, const SessionConfig *config)
{
    GPtrArray *settings = g_ptr_array_new_with_free_func(g_free);
    if (request->width && request->width != config->width)
        g_ptr_array_add(settings, g_strdup_printf("width=%d", request->width));
    if (request->height && request->height != config->height)
        g_ptr_array_add(settings, g_strdup_printf("height=%d", request->height));
    /* Fewer it shows as it is. */
    if (request->fps > config->fps)
        g_ptr_array_add(settings, g_strdup_printf("fps=%d", request->fps));
    g_ptr_array_add(settings, NULL);
    return settings;
}

/* Give it @settings, for its next start. */
static gboolean configure(HxSsh *ssh, const HxGuestSession *session, const GPtrArray *settings,
                          GError **error)
{
    g_autofree char *text =
        hx_session_settings_apply(session->text, (const char *const *)settings->pdata, error);
    return text && hx_guest_session_change(ssh, session->name, HX_GUEST_SESSION_STOP, error) &&
           hx_guest_session_configure(ssh, session->name, text, error);
}

HxGuestSession *hx_stream_session_start(HxSsh *ssh, const char *vm, const HxStreamRequest *request,
                                        gboolean restart, GError **error)
{
    const char *name = request->session_id;
    if (!request->width && !request->height && !request->fps)
        return hx_guest_session_start(ssh, name, error);
    g_autoptr(GPtrArray) sessions = hx_guest_session_list(ssh, error);
    const HxGuestSession *session =
        sessions ? hx_guest_session_find(sessions, vm, name, error) : NULL;
    if (!session)
        return NULL;
    g_autoptr(GPtrArray) settings = missing_settings(request, &session->config);
    gboolean runs = g_str_equal(session->state, "running");
    if (settings->pdata[0] && !session->mistake && (!runs || restart) &&
        !configure(ssh, session, settings, error))
        return NULL;
    return hx_guest_session_start(ssh, name, error);
}

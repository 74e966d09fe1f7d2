/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm-encoder: the command line, and the end by signal. */
#include <errno.h>
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>

#include "encoder/service/sandbox.h"
#include "encoder/service/service.h"
#include "launcher/base/edit-distance.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"

typedef struct {
    char **listen_fds;
    int serial_fd;
    char *module_path;
    int stats_fd;
    int ready_fd;
    char **encoder_names;
    const HxEncoderClass **encoders; /* NULL-terminated */
    char *preset;
    int bitrate;
    int keyframe_interval;
    int threads;
    int max_sessions;
    int peer_cid;
} Arguments;

static void clear_arguments(Arguments *arguments)
{
    g_strfreev(arguments->listen_fds);
    g_free(arguments->module_path);
    g_strfreev(arguments->encoder_names);
    g_free(arguments->encoders);
    g_free(arguments->preset);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Arguments, clear_arguments)

static gboolean check_range(const char *name, int value, int low, int high, GError **error)
{
    if (value >= low && value <= high)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s is %d, not within %d and %d", name, value, low,
                high);
    return FALSE;
}

static void set_unknown_encoder(const char *name, GError **error)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    for (size_t i = 0; hx_encoder_classes[i]; i++)
        g_ptr_array_add(known, (char *)hx_encoder_classes[i]->name);
    g_ptr_array_add(known, NULL);
    g_autofree char *all = g_strjoinv(", ", (char **)known->pdata);
    const char *nearest = hx_nearest_word(name, (const char *const *)known->pdata);
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "there is no encoder %s, but there are %s%s%s",
                name, all, nearest ? "; the nearest is " : "", nearest ? nearest : "");
}

static gboolean find_encoders(Arguments *arguments, GError **error)
{
    static const char *const standard[] = {"x264", NULL};
    const char *const *names =
        arguments->encoder_names ? (const char *const *)arguments->encoder_names : standard;
    arguments->encoders = g_new0(const HxEncoderClass *, g_strv_length((char **)names) + 1);
    for (size_t i = 0; names[i]; i++) {
        const HxEncoderClass *class = hx_encoder_find(names[i]);
        if (!class) {
            set_unknown_encoder(names[i], error);
            return FALSE;
        }
        if (!class->has_preset(arguments->preset)) {
            g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s has no preset %s", class->name,
                        arguments->preset);
            return FALSE;
        }
        arguments->encoders[i] = class;
    }
    return TRUE;
}

static gboolean parse_arguments(int argc, char **argv, Arguments *ret, GError **error)
{
    const GOptionEntry entries[] = {
        {"listen-fd", 0, 0, G_OPTION_ARG_STRING_ARRAY, &ret->listen_fds,
         "Serve HXFR on this listening stream socket; may be given again", "N"},
        {"serial-fd", 0, 0, G_OPTION_ARG_INT, &ret->serial_fd,
         "Serve HXFR on this listening stream socket, behind which is a serial port", "N"},
        {"module-socket", 0, 0, G_OPTION_ARG_FILENAME, &ret->module_path,
         "Socket of the module in QEMU", "PATH"},
        {"stats-fd", 0, 0, G_OPTION_ARG_INT, &ret->stats_fd,
         "Tell statistics as JSON on this listening Unix stream socket", "N"},
        {"ready-fd", 0, 0, G_OPTION_ARG_INT, &ret->ready_fd, "Write READY=1 here when serving",
         "N"},
        {"encoder", 0, 0, G_OPTION_ARG_STRING_ARRAY, &ret->encoder_names,
         "x264, or null, which encodes nothing (x264); given again, what to try next", "NAME"},
        {"preset", 0, 0, G_OPTION_ARG_STRING, &ret->preset, "Preset of x264 (superfast)", "NAME"},
        {"bitrate", 0, 0, G_OPTION_ARG_INT, &ret->bitrate, "Bitrate until a client asks (8000000)",
         "BIT/S"},
        {"keyframe-interval", 0, 0, G_OPTION_ARG_INT, &ret->keyframe_interval,
         "Most frames from keyframe to keyframe (120)", "FRAMES"},
        {"peer-cid", 0, 0, G_OPTION_ARG_INT, &ret->peer_cid,
         "Serve this guest alone on vsock sockets (any)", "CID"},
        {"threads", 0, 0, G_OPTION_ARG_INT, &ret->threads, "Encoding threads of each session (1)",
         "N"},
        {"max-sessions", 0, 0, G_OPTION_ARG_INT, &ret->max_sessions, "Most sessions at once (8)",
         "N"},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) options = g_option_context_new("- frame-export service");
    g_option_context_add_main_entries(options, entries, NULL);
    g_autoptr(GError) cause = NULL;
    if (!g_option_context_parse(options, &argc, &argv, &cause) || argc > 1 || !ret->listen_fds) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s",
                    cause      ? cause->message
                    : argc > 1 ? "there are no arguments but options"
                               : "--listen-fd is missing");
        return FALSE;
    }
    if (!ret->preset)
        ret->preset = g_strdup("superfast");
    return find_encoders(ret, error) &&
           check_range("--bitrate", ret->bitrate, 10000, 1000000000, error) &&
           check_range("--keyframe-interval", ret->keyframe_interval, 1, 100000, error) &&
           check_range("--threads", ret->threads, 1, 16, error) &&
           check_range("--max-sessions", ret->max_sessions, 1, 64, error);
}

static gboolean add_sockets(HxService *service, const Arguments *arguments, GError **error)
{
    for (char **text = arguments->listen_fds; *text; text++) {
        guint64 fd;
        if (!g_ascii_string_to_unsigned(*text, 10, 0, G_MAXINT, &fd, NULL)) {
            g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "--listen-fd %s is no number", *text);
            return FALSE;
        }
        int r = hx_service_listen(service, (int)fd);
        if (r < 0) {
            hx_set_error_errno(error, HX_ERROR_USAGE, -r,
                               "--listen-fd %s is no listening stream socket", *text);
            return FALSE;
        }
    }
    int r = arguments->serial_fd < 0 ? 0 : hx_service_listen_serial(service, arguments->serial_fd);
    if (r < 0) {
        hx_set_error_errno(error, HX_ERROR_USAGE, -r,
                           "--serial-fd %d is no listening stream socket", arguments->serial_fd);
        return FALSE;
    }
    if (arguments->stats_fd < 0)
        return TRUE;
    r = hx_service_listen_statistics(service, arguments->stats_fd);
    if (r < 0)
        hx_set_error_errno(error, HX_ERROR_USAGE, -r, "--stats-fd %d is no listening stream socket",
                           arguments->stats_fd);
    return r == 0;
}

static gboolean on_signal(void *loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

static gboolean serve(const Arguments *arguments, GError **error)
{
    HxServiceOptions options = {
        .module_path = arguments->module_path,
        .encoders = arguments->encoders,
        .defaults =
            {
                .bitrate = (uint32_t)arguments->bitrate,
                .fps_num = 30,
                .fps_den = 1,
                .keyframe_interval = (uint32_t)arguments->keyframe_interval,
                .threads = (uint32_t)arguments->threads,
                .preset = arguments->preset,
            },
        .max_sessions = (guint)arguments->max_sessions,
        .peer_cid = (guint32)arguments->peer_cid,
    };
    HxService *service = hx_service_new(&options);
    if (!service) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make the memory for frames");
        return FALSE;
    }
    gboolean ok = add_sockets(service, arguments, error) && hx_encoder_enter_sandbox(error);
    if (ok) {
        g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
        g_unix_signal_add(SIGTERM, on_signal, loop);
        g_unix_signal_add(SIGINT, on_signal, loop);
        if (arguments->ready_fd >= 0) {
            int fd = arguments->ready_fd;
            hx_write_all(fd, "READY=1\n", strlen("READY=1\n"));
            hx_close(&fd);
        }
        g_main_loop_run(loop);
    }
    hx_service_free(service);
    return ok;
}

int main(int argc, char **argv)
{
    g_auto(Arguments) arguments = {
        .serial_fd = -1,
        .stats_fd = -1,
        .ready_fd = -1,
        .bitrate = 8000000,
        .keyframe_interval = 120,
        /* Sessions share the cores, and the guest has them first. */
        .threads = 1,
        .max_sessions = 8,
    };
    g_autoptr(GError) error = NULL;
    hx_log_init("helixvm-encoder", TRUE);
    if (!parse_arguments(argc, argv, &arguments, &error) || !serve(&arguments, &error)) {
        hx_log_error("%s", error->message);
        return hx_error_exit_status(error);
    }
    return 0;
}

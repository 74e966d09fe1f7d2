/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm stream: view a session, count what comes and keep it. */
#include "cli/stream-benchmark.h"
#include "cli/stream-files.h"
#include "cli/stream-helix.h"
#include "cli/stream-vm.h"
#include "cli/verb.h"
#include "launcher/base/error.h"

/* What moves in the guest ends by itself after 15 minutes. */
#define BENCHMARK_SECONDS_MAX 600

static gboolean check_range(const char *option, int value, int least, int most, GError **error)
{
    if (value == 0 || (value >= least && value <= most))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s takes %d to %d, or 0 for the session's own",
                option, least, most);
    return FALSE;
}

static gboolean check_request(const HxStreamRequest *request, GError **error)
{
    return check_range("--width", request->width, 2, 8192, error) &&
           check_range("--height", request->height, 2, 8192, error) &&
           check_range("--fps", request->fps, 1, 240, error) &&
           check_range("--bitrate", request->bitrate_kbit, 100, 200000, error);
}

/* @session: NULL where none is named. */
static gboolean check_benchmark(const HxHelixOptions *helix, const char *session, double duration,
                                GError **error)
{
    if (hx_helix_is_asked(helix) || (session && hx_helix_is_session(session)))
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "--benchmark is for a VM's sessions: it starts what moves in the guest, and "
                    "asks the host's encoder");
    else if (duration > BENCHMARK_SECONDS_MAX || (duration > 0 && duration < 1))
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "--benchmark takes a --duration of 1 to %d",
                    BENCHMARK_SECONDS_MAX);
    else
        return TRUE;
    return FALSE;
}

static void clear_helix(HxHelixOptions *helix)
{
    g_free(helix->url);
    g_free(helix->key_file);
    g_free(helix->ca_file);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxHelixOptions, clear_helix)

/* Who gives @session: a Helix server, or @vm, which is NULL where none is named.  What is typed
 * counts more than the environment. */
static gboolean choose_giver(const char *session, const char *vm, const HxHelixOptions *helix,
                             gboolean *ret_helix, GError **error)
{
    gboolean asked = hx_helix_is_asked(helix);
    gboolean id = hx_helix_is_session(session);
    *ret_helix = asked || (id && !vm);
    if (asked && !id)
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "--url, --api-key-file and --cacert are for a Helix server's session, and "
                    "\"%s\" is none: give its id, --session ses_..., or leave them out",
                    session);
    else if (asked && vm)
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "a Helix server's session has no VM: leave \"%s\" out, or, for that VM's "
                    "session \"%s\", --url, --api-key-file and --cacert",
                    vm, session);
    else if (*ret_helix && !hx_helix_is_named(helix))
        g_set_error(
            error, HX_ERROR, HX_ERROR_USAGE,
            "\"%s\" is the id of a Helix server's session: set HELIX_URL and HELIX_API_KEY, "
            "or give --url and --api-key-file; for a VM's session name the VM",
            session);
    else
        return TRUE;
    return FALSE;
}

gboolean hx_verb_stream(int argc, char **argv, GError **error)
{
    g_autofree char *named = NULL;
    g_autofree char *output = NULL, *snapshot = NULL;
    g_auto(HxHelixOptions) helix = {0};
    HxStreamRequest request = {0};
    double duration = 0;
    gboolean json = FALSE, quiet = FALSE, benchmark = FALSE, restart = FALSE;
    const GOptionEntry options[] = {
        {"session", 0, 0, G_OPTION_ARG_STRING, &named,
         "the session (default: desktop), or a Helix server's, ses_...", "SESSION"},
        {"url", 0, 0, G_OPTION_ARG_STRING, &helix.url, "the Helix server (default: $HELIX_URL)",
         "URL"},
        {"api-key-file", 0, 0, G_OPTION_ARG_FILENAME, &helix.key_file,
         "its key, in a file of mode 0600 (default: $HELIX_API_KEY)", "FILE"},
        {"cacert", 0, 0, G_OPTION_ARG_FILENAME, &helix.ca_file,
         "trust the CAs in this file alone to sign its certificate", "FILE"},
        {"duration", 0, 0, G_OPTION_ARG_DOUBLE, &duration,
         "end after so many seconds of frames (default: when interrupted)", "SECONDS"},
        {"width", 0, 0, G_OPTION_ARG_INT, &request.width, "ask for a picture so wide", "PIXELS"},
        {"height", 0, 0, G_OPTION_ARG_INT, &request.height, "ask for a picture so high", "PIXELS"},
        {"fps", 0, 0, G_OPTION_ARG_INT, &request.fps, "ask for no more frames a second", "FPS"},
        {"restart", 0, 0, G_OPTION_ARG_NONE, &restart,
         "end a session that runs at another size, or slower, and start it as asked for", NULL},
        {"bitrate", 0, 0, G_OPTION_ARG_INT, &request.bitrate_kbit, "ask for this bitrate",
         "KBIT/S"},
        {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "keep the frames: .h264, .mp4 or .mkv",
         "FILE"},
        {"snapshot", 0, 0, G_OPTION_ARG_FILENAME, &snapshot, "keep the last picture: .png", "FILE"},
        {"benchmark", 0, 0, G_OPTION_ARG_NONE, &benchmark,
         "say whether the rate is reached while something moves, and what limits it", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json,
         "print statistics every 2 seconds, and the result, as lines of JSON; with --quiet the "
         "result alone",
         NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "show no statistics while it goes on", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[VM]", options, &argc, &argv, 0, 1, error))
        return FALSE;
    if (!(duration >= 0 && duration <= 1e6)) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "--duration takes 0 to 1000000 seconds");
        return FALSE;
    }
    if (!check_request(&request, error) || !hx_stream_files_check(output, snapshot, error))
        return FALSE;
    if (benchmark && !check_benchmark(&helix, named, duration, error))
        return FALSE;
    const char *session = named ? named : "desktop";
    gboolean of_helix = FALSE;
    if (!choose_giver(session, argc > 1 ? argv[1] : NULL, &helix, &of_helix, error))
        return FALSE;
    request.session_id = (char *)session;
    const HxStreamWish wish = {.request = request,
                               .duration = duration,
                               .style = !json   ? HX_STREAM_TEXT
                                        : quiet ? HX_STREAM_JSON
                                                : HX_STREAM_JSON_LINES,
                               .restart = restart,
                               .quiet = quiet};
    GCancellable *cancel = hx_verb_cancellable();
    if (of_helix)
        return hx_stream_view_helix(&helix, &wish, output, snapshot, cancel, error);
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(argc, argv, 1), error);
    if (vm && benchmark) {
        HxStreamWish moving = wish;
        moving.request.session_id = named;
        return hx_stream_benchmark_vm(vm, &moving, output, snapshot, cancel, error);
    }
    return vm && hx_stream_view_vm(vm, &wish, output, snapshot, cancel, error);
}

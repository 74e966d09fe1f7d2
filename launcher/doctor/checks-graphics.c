/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way of a picture: display, GPU device, Venus, the module in QEMU, and the encoder. */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/parts.h"
#include "launcher/doctor/host-check.h"
#include "launcher/doctor/trial.h"
#include "launcher/domain/vm-domain.h"

#define TRIAL_SECONDS 10
#define RENDER_SERVER "/usr/libexec/virgl_render_server"

static gboolean has_gpu(HxHost *host, HxHostFinding *finding)
{
    if (hx_profile_boolean(host->profile, "gpu.enabled"))
        return TRUE;
    hx_host_fine(finding, "not needed: the profile has no GPU");
    return FALSE;
}

/* --- display ------------------------------------------------------------------------------------
 */

/* As the monitor starts it.  @ret_display: ":5", for g_free. */
static HxTrial *start_xvfb(char **ret_display, GError **error)
{
    static const char *const argv[] = {"Xvfb",       "-displayfd", "1",   "-screen",  "0",
                                       "640x480x24", "-nolisten",  "tcp", "-noreset", "+extension",
                                       "GLX",        "-nocursor",  NULL};
    g_autoptr(HxTrial) trial = hx_trial_start(argv, NULL, NULL, error);
    if (!trial || !hx_trial_await(trial, "^[0-9]+\n", TRIAL_SECONDS, error))
        return NULL;
    g_auto(GStrv) words =
        g_regex_split_simple("^([0-9]+)\n", hx_trial_output(trial), G_REGEX_MULTILINE, 0);
    *ret_display = g_strdup_printf(":%s", words[1]);
    return g_steal_pointer(&trial);
}

/* The render node that `up` would take, for g_free; NULL where it would take Xvfb. */
static char *wanted_render_node(HxHost *host)
{
    return g_str_equal(hx_profile_string(host->profile, "gpu.display"), "xvfb") ? NULL
                                                                                : hx_render_node();
}

void hx_check_display(HxHost *host, HxHostFinding *finding)
{
    if (!has_gpu(host, finding))
        return;
    g_autofree char *node = wanted_render_node(host);
    if (node) {
        char *remedy = hx_host_grant(host, node);
        if (remedy)
            hx_host_broken(finding, remedy, "the user that QEMU runs as may not use %s", node);
        else
            hx_host_fine(finding, "%s", node);
        return;
    }
    if (g_str_equal(hx_profile_string(host->profile, "gpu.display"), "egl-headless")) {
        hx_host_broken(finding, g_strdup("helixvm up --set gpu.display=auto"),
                       "there is no DRM render node that you may use, and the profile wants one");
        return;
    }
    const char *why = g_file_test("/dev/dri", G_FILE_TEST_IS_DIR)
                          ? "there is no render node in /dev/dri that you may use"
                          : "the host has no DRM render node";
    g_autoptr(GError) error = NULL;
    g_autofree char *display = NULL;
    g_autoptr(HxTrial) xvfb = start_xvfb(&display, &error);
    if (xvfb)
        hx_host_degraded(finding, NULL, "%s: QEMU draws on Xvfb, in software", why);
    else
        hx_host_broken(finding, hx_host_install("Xvfb"), "%s, and Xvfb cannot take its place: %s",
                       why, error->message);
}

/* --- GPU ----------------------------------------------------------------------------------------
 */

/* QEMU with the GPU that VMs get, up to the moment before the guest's first instruction.  With
 * libvirt it runs as another user, in a sandbox: what this shows is that QEMU and Mesa have it all.
 */
static gboolean try_gpu(HxHost *host, const char *qemu, const char *display_option,
                        const char *x_display, const char *gpu, GError **error)
{
    g_autofree char *machine =
        g_strconcat(host->architecture->machine, ",memory-backend=ram", NULL);
    const char *const argv[] = {qemu,          "-accel",
                                "tcg",         "-M",
                                machine,       "-m",
                                "64",          "-S",
                                "-nodefaults", "-no-user-config",
                                "-object",     "memory-backend-memfd,id=ram,size=64M,share=on",
                                "-display",    display_option,
                                "-device",     gpu,
                                "-qmp",        "stdio",
                                NULL};
    g_auto(GStrv) environment = g_get_environ();
    if (x_display)
        environment = g_environ_setenv(environment, "DISPLAY", x_display, TRUE);
    g_autoptr(HxTrial) trial =
        hx_trial_start(argv, (const char *const *)environment, HX_QMP_QUIT, error);
    return trial && hx_trial_await(trial, NULL, TRIAL_SECONDS, error);
}

void hx_check_gpu(HxHost *host, HxHostFinding *finding)
{
    g_autofree char *qemu = hx_host_qemu(host);
    g_autoptr(GError) error = NULL;
    if (!has_gpu(host, finding))
        return;
    if (!qemu) {
        hx_host_broken(finding, hx_host_install_qemu(host), "there is no QEMU to try it with");
        return;
    }
    g_autofree char *node = wanted_render_node(host);
    g_autofree char *option =
        node ? g_strdup_printf("egl-headless,rendernode=%s", node) : g_strdup("sdl,gl=on");
    g_autofree char *display = NULL;
    g_autoptr(HxTrial) xvfb = node ? NULL : start_xvfb(&display, NULL);
    if (!node && !xvfb) {
        hx_host_broken(finding,
                       g_file_test("/usr/bin/Xvfb", G_FILE_TEST_IS_EXECUTABLE)
                           ? g_strdup("helixvm up --set gpu.enabled=false")
                           : hx_host_install("Xvfb"),
                       "not tried: there is no display to try it on");
        return;
    }
    gboolean venus = hx_profile_boolean(host->profile, "gpu.venus");
    const char *gpu =
        venus ? "virtio-gpu-gl-pci,blob=on,venus=on,hostmem=256M" : "virtio-gpu-gl-pci,blob=on";
    if (try_gpu(host, qemu, option, display, gpu, &error))
        hx_host_fine(finding, "QEMU starts with %s on %s", gpu, node ? "egl-headless" : "SDL");
    else
        hx_host_broken(finding, hx_host_install(node ? "qemu-gl" : "qemu-sdl"),
                       "QEMU does not start with %s: %s", gpu, error->message);
}

/* --- Venus --------------------------------------------------------------------------------------
 */

void hx_check_venus(HxHost *host, HxHostFinding *finding)
{
    g_autoptr(GError) error = NULL;
    if (!has_gpu(host, finding))
        return;
    if (!hx_profile_boolean(host->profile, "gpu.venus")) {
        hx_host_fine(finding, "not needed: the profile has gpu.venus=false");
        return;
    }
    if (access(RENDER_SERVER, X_OK) < 0) {
        hx_host_degraded(finding, hx_host_install("virgl_render_server"),
                         "no Vulkan in guests: " RENDER_SERVER ": %s", g_strerror(errno));
        return;
    }
    /* A library that may abort, in a process of its own. */
    const char *const argv[] = {"/proc/self/exe", "try-venus", NULL};
    g_autoptr(HxTrial) trial = hx_trial_start(argv, NULL, NULL, &error);
    if (trial && hx_trial_await(trial, "^venus: .*\n", TRIAL_SECONDS, &error)) {
        g_auto(GStrv) words =
            g_regex_split_simple("^venus: (.*)\n", hx_trial_output(trial), G_REGEX_MULTILINE, 0);
        hx_host_fine(finding, "%s", words[1]);
        return;
    }
    const char *lacks = strstr(error->message, "virglrenderer.so") ? "virglrenderer" : "vulkan";
    hx_host_degraded(finding, hx_host_install(lacks), "no Vulkan in guests: %s", error->message);
}

/* --- helixvm's own parts ------------------------------------------------------------------------
 */

void hx_check_module(HxHost *host, HxHostFinding *finding)
{
    g_autoptr(GError) error = NULL;
    if (!has_gpu(host, finding))
        return;
    g_autofree char *path = hx_part_path("libhelixvm-export.so", &error);
    if (!path) {
        hx_host_broken(finding, g_strdup("make install"), "%s", error->message);
        return;
    }
    g_autofree char *qemu = hx_host_qemu(host);
    const char *const argv[] = {qemu, "--version", NULL};
    g_auto(GStrv) environment = g_environ_setenv(g_get_environ(), "LD_PRELOAD", path, TRUE);
    g_autoptr(HxTrial) trial =
        qemu ? hx_trial_start(argv, (const char *const *)environment, NULL, &error) : NULL;
    gboolean runs = trial && hx_trial_await(trial, NULL, TRIAL_SECONDS, &error);
    if (runs && !strstr(hx_trial_output(trial), "LD_PRELOAD")) {
        hx_host_fine(finding, "QEMU runs with %s", path);
        return;
    }
    g_autofree char *said = trial ? hx_trial_telling_line(hx_trial_output(trial)) : NULL;
    hx_host_degraded(finding, g_strdup("make install"),
                     "no Vulkan in guests, and frames go over vsock as pixels: %s",
                     !qemu  ? "there is no QEMU to load the module"
                     : said ? said
                            : error->message);
}

/* See that helixvm's own program @name is there and starts. */
static gboolean check_part(const char *name, GError **error)
{
    g_autofree char *path = hx_part_path(name, error);
    const char *const argv[] = {path, "--help", NULL};
    g_autoptr(HxTrial) trial = path ? hx_trial_start(argv, NULL, NULL, error) : NULL;
    return trial && hx_trial_await(trial, NULL, TRIAL_SECONDS, error);
}

void hx_check_encoder(HxHost *host, HxHostFinding *finding)
{
    g_autoptr(GError) error = NULL;
    if (check_part("helixvm-encoder", &error))
        hx_host_fine(finding, "helixvm-encoder starts");
    else
        hx_host_broken(finding, g_strdup("make install"), "%s", error->message);
}

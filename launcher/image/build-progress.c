/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "launcher/image/build-internal.h"

/* When each phase ends as a fraction of a build. */
static const struct {
    const char *name;
    double end;
} phases[HX_BUILD_PHASES] = {
    [HX_BUILD_DOWNLOAD] = {"downloading packages", 0.20},
    [HX_BUILD_UNPACK] = {"unpacking packages", 0.65},
    [HX_BUILD_SET_UP] = {"setting up packages", 0.75},
    [HX_BUILD_CUSTOMIZE] = {"customizing", 0.80},
    [HX_BUILD_DISK] = {"writing the disk", 1.0},
};

void hx_build_tell(HxImageBuild *build, HxPhaseState state)
{
    if (!build->progress || build->phase < 0)
        return;
    double start = build->phase ? phases[build->phase - 1].end : 0;
    double fraction = state == HX_PHASE_FINISHED ? 1 : CLAMP(build->fraction, 0, 1);
    gint64 now = g_get_monotonic_time();
    HxImageProgress progress = {
        .phase = phases[build->phase].name,
        .detail = build->detail,
        .fraction = start + fraction * (phases[build->phase].end - start),
        .phase_seconds = (now - build->phase_began) / 1e6,
        .seconds = (now - build->began) / 1e6,
        .started = state == HX_PHASE_STARTED,
        .finished = state == HX_PHASE_FINISHED,
    };
    build->progress(&progress, build->progress_data);
}

void hx_build_enter_phase(HxImageBuild *build, int phase)
{
    if (phase <= build->phase)
        return;
    g_clear_pointer(&build->detail, g_free);
    hx_build_tell(build, HX_PHASE_FINISHED);
    build->phase = phase;
    build->fraction = 0;
    build->phase_began = g_get_monotonic_time();
    hx_build_tell(build, HX_PHASE_STARTED);
}

/* Learn from a line of mmdebstrap, apt or dpkg how far the build is. */
void hx_build_follow(HxImageBuild *build, const char *line)
{
    unsigned upgraded, count;
    /* apt tells two lists: the essential packages, which are few, then all others.  How many there
     * are in all is known from the second on. */
    if (sscanf(line, "%u upgraded, %u newly installed", &upgraded, &count) == 2) {
        build->packages += MIN(count, 100000);
        build->lists++;
    } else if (g_str_has_prefix(line, "Get:")) {
        build->got++;
        if (build->phase == HX_BUILD_DOWNLOAD && build->lists > 1)
            build->fraction = (double)build->got / MAX(build->packages, 1);
    } else if (g_str_has_prefix(line, "Unpacking ")) {
        build->unpacked++;
        if (build->lists > 1)
            hx_build_enter_phase(build, HX_BUILD_UNPACK);
        if (build->phase == HX_BUILD_UNPACK)
            build->fraction = (double)build->unpacked / MAX(build->packages, 1);
    } else if (g_str_has_prefix(line, "Setting up ")) {
        build->set_up++;
        if (build->lists > 1 && build->unpacked >= build->packages)
            hx_build_enter_phase(build, HX_BUILD_SET_UP);
        if (build->phase == HX_BUILD_SET_UP)
            build->fraction = (double)build->set_up / MAX(build->packages, 1);
    } else if (g_str_has_prefix(line, "I: running --customize-hook")) {
        hx_build_enter_phase(build, HX_BUILD_CUSTOMIZE);
    } else if (!g_str_has_prefix(line, "I: ")) {
        return;
    }
    g_free(build->detail);
    build->detail = g_utf8_make_valid(line, -1);
    hx_build_tell(build, HX_PHASE_GOING_ON);
}

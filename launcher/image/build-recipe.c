/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "launcher/base/error.h"
#include "launcher/base/parts.h"
#include "launcher/image/build-internal.h"

#define RECIPE_FORMAT "1"  /* count up where the builder changes what it makes of the same parts */
#define VARIANT_FORMAT "1" /* as above, for all but the default */

static gboolean checksum_file(GChecksum *checksum, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    gsize size = 0;
    if (!g_file_get_contents(path, &text, &size, error))
        return FALSE;
    g_checksum_update(checksum, (const guchar *)&size, sizeof size);
    g_checksum_update(checksum, (const guchar *)text, size);
    return TRUE;
}

gboolean hx_build_is_foreign(const HxImageBuild *build)
{
    return build->architecture != hx_architecture_of_host();
}

/* The ramdisk's init is compiled for the guest. */
static char *find_init(const HxImageBuild *build, GError **error)
{
    if (!hx_build_is_foreign(build))
        return hx_part_path("guest/helixvm-init", error);
    g_autofree char *name = g_strdup_printf("guest/helixvm-init-%s", build->architecture->name);
    char *path = hx_part_path(name, NULL);
    if (!path)
        g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                    "an image for %s needs %s, which this helixvm was built without: build it "
                    "where there is a compiler for %s (Debian: gcc-%s-linux-gnu)",
                    build->architecture->name, name, build->architecture->name,
                    build->architecture->name);
    return path;
}

static gboolean checksum_files(GChecksum *checksum, const char *directory, const char *const *names,
                               GError **error)
{
    for (; *names; names++) {
        g_autofree char *path = g_build_filename(directory, *names, NULL);
        if (!checksum_file(checksum, path, error))
            return FALSE;
    }
    return TRUE;
}

/* What differs from the default image. */
static gboolean checksum_variant(GChecksum *checksum, const HxImageBuild *build, GError **error)
{
    static const char *const minimal[] = {"customize-minimal", "packages-minimal", NULL};
    static const char *const firmware[] = {"customize-firmware", NULL};
    if (build->wanted->minimal && !checksum_files(checksum, build->data_directory, minimal, error))
        return FALSE;
    if (build->firmware && !checksum_files(checksum, build->data_directory, firmware, error))
        return FALSE;
    g_autofree char *text = g_strdup_printf(VARIANT_FORMAT " %s%s%s", build->architecture->name,
                                            build->wanted->minimal ? " minimal" : "",
                                            build->firmware ? " firmware" : "");
    if (build->wanted->minimal || build->firmware || hx_build_is_foreign(build))
        g_checksum_update(checksum, (const guchar *)text, -1);
    for (char **name = build->wanted->packages; name && *name; name++)
        g_checksum_update(checksum, (const guchar *)*name, strlen(*name) + 1);
    return TRUE;
}

gboolean hx_build_find_parts(HxImageBuild *build, GError **error)
{
    static const char *const files[] = {"customize", "modprobe.conf", "modules", "packages", NULL};
    build->architecture = build->wanted->architecture ? hx_architecture(build->wanted->architecture)
                                                      : hx_architecture_of_host();
    if (!build->architecture) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "helixvm builds images for x86_64 and aarch64, not for %s",
                    build->wanted->architecture ? build->wanted->architecture : "this host");
        return FALSE;
    }
    /* ARM machines boot by firmware as a rule. */
    build->firmware = build->wanted->firmware || build->architecture->smbios_needs_firmware;
    build->init = find_init(build, error);
    build->data_directory = build->init ? hx_data_path("guest-provision/image", error) : NULL;
    build->session_packages =
        build->data_directory ? hx_data_path("guest-provision/session/packages", error) : NULL;
    if (!build->session_packages)
        return FALSE;
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(checksum, (const guchar *)RECIPE_FORMAT HX_BUILD_SUITE, -1);
    if (!checksum_files(checksum, build->data_directory, files, error) ||
        !checksum_file(checksum, build->init, error) ||
        !checksum_file(checksum, build->session_packages, error) ||
        !checksum_variant(checksum, build, error))
        return FALSE;
    build->recipe = g_strndup(g_checksum_get_string(checksum), 16);
    return TRUE;
}

/* The kernel's package has the architecture in its name: "linux-image-amd64". */
static char *for_architecture(const char *package, const HxArchitecture *architecture)
{
    if (!g_str_has_suffix(package, "-amd64"))
        return g_strdup(package);
    return g_strdup_printf("%.*s-%s", (int)(strlen(package) - strlen("-amd64")), package,
                           architecture->debian);
}

/* The names in a list of ours, as @architecture has them: one a line, with comments from "#". */
static gboolean add_packages(GString *list, const char *path, const HxArchitecture *architecture,
                             GError **error)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, error))
        return FALSE;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *comment = strchr(*line, '#');
        if (comment)
            *comment = '\0';
        g_autofree char *name = for_architecture(g_strstrip(*line), architecture);
        if (*name)
            g_string_append_printf(list, "%s%s", list->len ? "," : "", name);
    }
    return TRUE;
}

char *hx_build_packages(const HxImageBuild *build, GError **error)
{
    gboolean minimal = build->wanted->minimal;
    g_autoptr(GString) list = g_string_new(NULL);
    g_autofree char *own =
        g_build_filename(build->data_directory, minimal ? "packages-minimal" : "packages", NULL);
    if (!add_packages(list, own, build->architecture, error) ||
        (!minimal && !add_packages(list, build->session_packages, build->architecture, error)))
        return NULL;
    if (build->firmware)
        g_string_append(list, ",systemd-boot-efi,systemd-repart");
    for (char **name = build->wanted->packages; name && *name; name++)
        g_string_append_printf(list, ",%s", *name);
    return g_string_free(g_steal_pointer(&list), FALSE);
}

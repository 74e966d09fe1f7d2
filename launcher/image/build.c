/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  All of a build happens in one directory beside the images, which becomes
 * the image by a rename, under the lock of all images.  mmdebstrap makes the root directory,
 * running guest-provision/image/customize in it as its last step; mke2fs makes a file system of it,
 * qemu-img a qcow2 disk of that, and the ramdisk is put together here.  mmdebstrap starts dozens of
 * processes: as root they get a PID namespace and a mount namespace of their own, so that killing
 * one process ends all and unmounts everything, also when this process is killed.  All of them hold
 * the writing end of a pipe, so its end of file says that the last is gone. */
#include "launcher/image/build.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "launcher/base/delete-tree.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/now.h"
#include "launcher/image/build-internal.h"

#define SPACE_NEEDED (G_GUINT64_CONSTANT(5) << 30)

static void build_clear(HxImageBuild *build)
{
    g_clear_pointer(&build->path, g_free);
    g_clear_pointer(&build->building, g_free);
    g_clear_pointer(&build->log_path, g_free);
    g_clear_pointer(&build->log, fclose);
    g_clear_pointer(&build->init, g_free);
    g_clear_pointer(&build->data_directory, g_free);
    g_clear_pointer(&build->session_packages, g_free);
    g_clear_pointer(&build->recipe, g_free);
    g_clear_pointer(&build->detail, g_free);
    g_clear_pointer(&build->complaint, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxImageBuild, build_clear)

/* --- the root directory ---------------------------------------------------------------------- */

static void add_all(GPtrArray *argv, const char *const *words)
{
    for (; *words; words++)
        g_ptr_array_add(argv, g_strdup(*words));
}

/* What mmdebstrap is to run in: as root a PID and a mount namespace.  For a foreign architecture
 * all of it is in a user namespace, which alone knows of the emulator.  Others have mmdebstrap make
 * its own namespaces. */
static void add_namespaces(GPtrArray *argv, const HxImageBuild *build)
{
    static const char *const unshare[] = {"unshare",      "--mount",      "--pid", "--fork",
                                          "--kill-child", "--mount-proc", NULL};
    static const char *const root_user[] = {"--user", "--map-users=0:0:65536",
                                            "--map-groups=0:0:65536", NULL};
    static const char *const other_user[] = {"--user", "--map-root-user", "--map-auto", NULL};
    gboolean is_root = geteuid() == 0;
    gboolean foreign = hx_build_is_foreign(build);
    if (!is_root && !foreign)
        return;
    add_all(argv, unshare);
    if (!foreign)
        return;
    add_all(argv, is_root ? root_user : other_user);
    g_ptr_array_add(argv, g_strdup("sh"));
    g_ptr_array_add(argv, g_build_filename(build->data_directory, "with-emulator", NULL));
    g_ptr_array_add(argv, g_strdup(build->architecture->name));
}

/* --customize-hook=sh SCRIPT ROOT OUT, with what the script has to know in the environment. */
static char *customize_hook(const HxImageBuild *build, const char *script)
{
    g_autofree char *path = g_build_filename(build->data_directory, script, NULL);
    g_autofree char *quoted_script = g_shell_quote(path);
    g_autofree char *quoted_out = g_shell_quote(build->building);
    return g_strdup_printf("--customize-hook=sh %s \"$1\" %s", quoted_script, quoted_out);
}

static gboolean make_root(HxImageBuild *build, const char *root, GError **error)
{
    static const char *const options[] = {"--verbose",
                                          "--variant=minbase",
                                          "--skip=check/qemu",
                                          "--aptopt=APT::Install-Recommends \"false\"",
                                          "--aptopt=Acquire::Languages \"none\"",
                                          "--dpkgopt=force-unsafe-io",
                                          "--dpkgopt=path-exclude=/usr/share/doc/*",
                                          "--dpkgopt=path-exclude=/usr/share/info/*",
                                          "--dpkgopt=path-exclude=/usr/share/locale/*",
                                          "--dpkgopt=path-exclude=/usr/share/man/*",
                                          NULL};
    g_autofree char *packages = hx_build_packages(build, error);
    if (!packages)
        return FALSE;
    gboolean in_namespaces = geteuid() == 0 || hx_build_is_foreign(build);
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    add_namespaces(argv, build);
    g_ptr_array_add(argv, g_strdup("mmdebstrap"));
    g_ptr_array_add(argv, g_strdup(in_namespaces ? "--mode=root" : "--mode=unshare"));
    add_all(argv, options);
    if (hx_build_is_foreign(build))
        g_ptr_array_add(argv, g_strconcat("--arch=", build->architecture->debian, NULL));
    g_ptr_array_add(argv, g_strconcat("--include=", packages, NULL));
    g_ptr_array_add(
        argv, customize_hook(build, build->wanted->minimal ? "customize-minimal" : "customize"));
    if (build->firmware)
        g_ptr_array_add(argv, customize_hook(build, "customize-firmware"));
    g_ptr_array_add(argv, g_strdup(HX_BUILD_SUITE));
    g_ptr_array_add(argv, g_strdup(root));
    g_ptr_array_add(argv, NULL);
    hx_build_enter_phase(build, HX_BUILD_DOWNLOAD);
    return hx_build_run(build, (const char *const *)argv->pdata, "mmdebstrap", in_namespaces,
                        error);
}

/* --- the image ------------------------------------------------------------------------------- */

/* A line that customize wrote into a file of its own. */
static char *read_line(const HxImageBuild *build, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(build->building, name, NULL);
    char *text = NULL;
    return g_file_get_contents(path, &text, NULL, error) ? g_strstrip(text) : NULL;
}

static gboolean write_metadata(const HxImageBuild *build, GError **error)
{
    g_autofree char *debian = read_line(build, "debian-version", error);
    g_autofree char *kernel = debian ? read_line(build, "kernel-version", error) : NULL;
    if (!kernel)
        return FALSE;
    g_autofree char *built_at = hx_now_text();
    g_autoptr(JsonObject) object = json_object_new();
    json_object_set_string_member(object, "built_at", built_at);
    json_object_set_string_member(object, "debian_version", debian);
    json_object_set_string_member(object, "kernel_version", kernel);
    json_object_set_string_member(object, "recipe", build->recipe);
    json_object_set_string_member(object, "architecture", build->architecture->name);
    if (build->firmware) {
        json_object_set_string_member(object, "boot", "firmware");
        json_object_set_string_member(object, "root", HX_BUILD_PARTITION);
    }
    json_object_set_int_member(object, "virtual_size", (gint64)HX_BUILD_DISK_GIB << 30);
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    json_node_set_object(node, object);
    g_autofree char *text = json_to_string(node, TRUE);
    g_autofree char *path = g_build_filename(build->building, "image.json", NULL);
    return g_file_set_contents(path, text, -1, error);
}

/* What is kept, read-only for all; the rest goes. */
static gboolean tidy(const HxImageBuild *build, const char *root, GError **error)
{
    static const char *const kept[] = {"disk.qcow2", "kernel", "initrd", "image.json"};
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++) {
        g_autofree char *path = g_build_filename(build->building, kept[i], NULL);
        hx_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fchmod(fd, 0444) < 0 || fsync(fd) < 0) {
            hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot finish %s", path);
            return FALSE;
        }
    }
    for (const char *const *name =
             (const char *[]){"modules", "esp", "debian-version", "kernel-version", NULL};
         *name; name++) {
        g_autofree char *path = g_build_filename(build->building, *name, NULL);
        if (!hx_delete_tree(path, error))
            return FALSE;
    }
    return hx_delete_tree(root, error);
}

/* The finished directory takes its place, and that of the image before it, unless a VM was made on
 * that since the build began. */
static gboolean publish(HxImageBuild *build, GError **error)
{
    g_autoptr(GError) cause = NULL;
    gboolean in_use = FALSE;
    if (hx_image_publish(build->name, build->building, &in_use, &cause))
        return TRUE;
    if (in_use && !build->force) {
        build->outcome = HX_IMAGE_KEPT;
        return hx_delete_tree(build->building, error);
    }
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

static gboolean make_image(HxImageBuild *build, GError **error)
{
    /* mke2fs takes a directory as well as a tar archive, in which the owners of files survive where
     * mmdebstrap's user namespace is the only place that has them. */
    g_autofree char *root =
        g_build_filename(build->building, geteuid() == 0 ? "root" : "root.tar", NULL);
    if (!make_root(build, root, error) || !hx_build_make_disk(build, root, error) ||
        !write_metadata(build, error) || !tidy(build, root, error) || !publish(build, error))
        return FALSE;
    g_clear_pointer(&build->detail, g_free);
    hx_build_tell(build, HX_PHASE_FINISHED);
    return TRUE;
}

/* --- around the build ------------------------------------------------------------------------ */

static gboolean check_space(const char *path, GError **error)
{
    struct statvfs system;
    if (statvfs(path, &system) < 0)
        return TRUE;
    guint64 space = (guint64)system.f_bavail * system.f_frsize;
    if (space >= SPACE_NEEDED)
        return TRUE;
    g_autofree char *needed = g_format_size_full(SPACE_NEEDED, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *there = g_format_size_full(space, G_FORMAT_SIZE_IEC_UNITS);
    g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                "building an image takes %s of disk space, and %s has %s", needed, path, there);
    return FALSE;
}

/* Deletes what builds and removals that were killed left: nobody is at it, since the lock is ours.
 */
static gboolean delete_leftovers(const char *images, GError **error)
{
    g_autoptr(GDir) directory = g_dir_open(images, 0, error);
    if (!directory)
        return FALSE;
    for (const char *name; (name = g_dir_read_name(directory));) {
        if (*name != '.' ||
            !(g_str_has_suffix(name, ".building") || g_str_has_suffix(name, ".removed")))
            continue;
        g_autofree char *path = g_build_filename(images, name, NULL);
        if (!hx_delete_tree(path, error))
            return FALSE;
    }
    return TRUE;
}

/* The directory of the build, empty, and its log. */
static gboolean prepare(HxImageBuild *build, GError **error)
{
    g_autofree char *images = g_path_get_dirname(build->path);
    build->building = g_strdup_printf("%s/.%s.building", images, build->name);
    build->log_path = g_strdup_printf("%s/.%s.log", images, build->name);
    if (!delete_leftovers(images, error) || !check_space(images, error))
        return FALSE;
    /* apt's own user has to get through. */
    if (g_mkdir(build->building, 0755) < 0 || g_chmod(build->building, 0755) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make %s", build->building);
        return FALSE;
    }
    build->log = fopen(build->log_path, "we");
    if (!build->log) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot write %s", build->log_path);
        return FALSE;
    }
    return TRUE;
}

/* Whether there is nothing to do, because of the image that is there. */
static gboolean settled(const HxImageBuild *build, gboolean force, HxImageOutcome *ret_outcome,
                        gboolean *ret_settled, GError **error)
{
    g_autoptr(HxImage) image = hx_image_open(build->name, NULL);
    *ret_settled = FALSE;
    if (!image)
        return TRUE;
    if (force)
        return hx_image_check_unused(build->name, "build anew", error);
    if (hx_image_source(image)) {
        g_set_error(
            error, HX_ERROR, HX_ERROR_CONFIG,
            "image \"%s\" was fetched from %s: remove it first, or give the new one another "
            "name",
            build->name, hx_image_source(image));
        return FALSE;
    }
    if (g_strcmp0(hx_image_recipe(image), build->recipe) == 0) {
        *ret_outcome = HX_IMAGE_CURRENT;
        *ret_settled = TRUE;
        return TRUE;
    }
    g_auto(GStrv) users = hx_image_users(build->name, error);
    if (!users)
        return FALSE;
    *ret_outcome = HX_IMAGE_KEPT;
    *ret_settled = *users != NULL;
    return TRUE;
}

static void tell_waiting(void *data)
{
    HxImageBuild *build = data;
    HxImageProgress progress = {.phase = "waiting for another build", .started = TRUE};
    if (build->progress)
        build->progress(&progress, build->progress_data);
}

gboolean hx_image_build(const char *name, const HxImageRecipe *recipe, gboolean force,
                        HxImageProgressFunc *progress, void *data, HxImageOutcome *ret_outcome,
                        GCancellable *cancellable, GError **error)
{
    g_auto(HxImageBuild) build = {
        .name = name,
        .wanted = recipe,
        .force = force,
        .outcome = HX_IMAGE_BUILT,
        .cancellable = cancellable,
        .progress = progress,
        .progress_data = data,
        .phase = -1,
        .began = g_get_monotonic_time(),
    };
    build.path = hx_image_path(name, error);
    if (!build.path || !hx_build_find_parts(&build, error))
        return FALSE;
    hx_autofd int lock = hx_image_lock(tell_waiting, &build, cancellable, error);
    if (lock < 0)
        return FALSE;
    gboolean is_settled = FALSE;
    if (!settled(&build, force, ret_outcome, &is_settled, error))
        return FALSE;
    if (is_settled)
        return TRUE;
    build.began = g_get_monotonic_time();
    if (!prepare(&build, error))
        return FALSE;
    gboolean built = make_image(&build, error);
    gboolean cancelled = g_cancellable_is_cancelled(cancellable);
    if (!built) {
        hx_delete_tree(build.building, NULL);
        if (!cancelled)
            g_prefix_error(error, "cannot build image \"%s\", see %s: ", name, build.log_path);
    }
    if (built || cancelled)
        g_unlink(build.log_path);
    *ret_outcome = build.outcome;
    return built;
}

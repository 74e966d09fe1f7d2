/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  All of a build happens in one directory beside the images, which becomes
 * the image by a rename, under the lock of all images.  mmdebstrap makes the root directory,
 * running guest-provision/image/customize in it as its last step; mke2fs makes a file system of it,
 * qemu-img a qcow2 disk of that, and the ramdisk is put together here.  mmdebstrap starts dozens of
 * processes: as root they get a PID namespace and a mount namespace of their own, so that killing
 * one process ends all and unmounts everything, also when this process is killed.  All of them hold
 * the writing end of a pipe, so its end of file says that the last is gone. */
#include "launcher/image-build.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/parts.h"
#include "launcher/base/process.h"
#include "launcher/image-initrd.h"

#define RECIPE_FORMAT "1" /* count up where this file changes what is built */
#define SUITE "trixie"
#define VIRTUAL_SIZE_GIB 16
#define SPACE_NEEDED (G_GUINT64_CONSTANT(5) << 30)
#define GIVE_UP_AFTER_MS 10000
#define TICK_MS 1000

/* The phases, and when each ends as a fraction of a build. */
enum { PHASE_DOWNLOAD, PHASE_UNPACK, PHASE_SET_UP, PHASE_CUSTOMIZE, PHASE_DISK, N_PHASES };
static const struct {
    const char *name;
    double end;
} phases[N_PHASES] = {
    [PHASE_DOWNLOAD] = {"downloading packages", 0.20},
    [PHASE_UNPACK] = {"unpacking packages", 0.65},
    [PHASE_SET_UP] = {"setting up packages", 0.75},
    [PHASE_CUSTOMIZE] = {"customizing", 0.80},
    [PHASE_DISK] = {"writing the disk", 1.0},
};

typedef struct {
    const char *name;
    char *path;     /* of the finished image */
    char *building; /* the directory of the build */
    char *log_path;
    FILE *log;
    char *init; /* the parts */
    char *data_directory;
    char *session_packages;
    char *recipe;
    GCancellable *cancellable;
    gboolean force;
    HxImageOutcome outcome;

    HxImageProgressFunc *progress;
    void *progress_data;
    int phase;
    double fraction; /* of the phase */
    gint64 phase_began, began;
    char *detail;
    guint lists, packages, got, unpacked, set_up; /* counted from the output of apt and dpkg */
} Build;

static void build_clear(Build *build)
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
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Build, build_clear)

/* --- progress -------------------------------------------------------------------------------- */

typedef enum { STARTED, GOING_ON, FINISHED } PhaseState;

static void tell(Build *build, PhaseState state)
{
    if (!build->progress || build->phase < 0)
        return;
    double start = build->phase ? phases[build->phase - 1].end : 0;
    double fraction = state == FINISHED ? 1 : CLAMP(build->fraction, 0, 1);
    gint64 now = g_get_monotonic_time();
    HxImageProgress progress = {
        .phase = phases[build->phase].name,
        .detail = build->detail,
        .fraction = start + fraction * (phases[build->phase].end - start),
        .phase_seconds = (now - build->phase_began) / 1e6,
        .seconds = (now - build->began) / 1e6,
        .started = state == STARTED,
        .finished = state == FINISHED,
    };
    build->progress(&progress, build->progress_data);
}

static void enter_phase(Build *build, int phase)
{
    if (phase <= build->phase)
        return;
    g_clear_pointer(&build->detail, g_free);
    tell(build, FINISHED);
    build->phase = phase;
    build->fraction = 0;
    build->phase_began = g_get_monotonic_time();
    tell(build, STARTED);
}

/* Learn from a line of mmdebstrap, apt or dpkg how far the build is. */
static void follow(Build *build, const char *line)
{
    unsigned upgraded, count;
    /* apt tells two lists: the essential packages, which are few, then all others.  How many there
     * are in all is known from the second on. */
    if (sscanf(line, "%u upgraded, %u newly installed", &upgraded, &count) == 2) {
        build->packages += MIN(count, 100000);
        build->lists++;
    } else if (g_str_has_prefix(line, "Get:")) {
        build->got++;
        if (build->phase == PHASE_DOWNLOAD && build->lists > 1)
            build->fraction = (double)build->got / MAX(build->packages, 1);
    } else if (g_str_has_prefix(line, "Unpacking ")) {
        build->unpacked++;
        if (build->lists > 1)
            enter_phase(build, PHASE_UNPACK);
        if (build->phase == PHASE_UNPACK)
            build->fraction = (double)build->unpacked / MAX(build->packages, 1);
    } else if (g_str_has_prefix(line, "Setting up ")) {
        build->set_up++;
        if (build->lists > 1 && build->unpacked >= build->packages)
            enter_phase(build, PHASE_SET_UP);
        if (build->phase == PHASE_SET_UP)
            build->fraction = (double)build->set_up / MAX(build->packages, 1);
    } else if (g_str_has_prefix(line, "I: running --customize-hook")) {
        enter_phase(build, PHASE_CUSTOMIZE);
    } else if (!g_str_has_prefix(line, "I: ")) {
        return;
    }
    g_free(build->detail);
    build->detail = g_utf8_make_valid(line, -1);
    tell(build, GOING_ON);
}

/* --- running the programs -------------------------------------------------------------------- */

/* Everything up to the last newline in @pending goes to the log and to follow(). */
static void take_lines(Build *build, GString *pending)
{
    for (char *end; (end = memchr(pending->str, '\n', pending->len));) {
        *end = '\0';
        fprintf(build->log, "%s\n", pending->str);
        follow(build, pending->str);
        g_string_erase(pending, 0, end - pending->str + 1);
    }
    /* A line without an end is no reason to grow without one. */
    if (pending->len > 65536)
        g_string_truncate(pending, 0);
}

/* Copies what comes from @fd until all who could write to it have gone.  Cancelled, it asks process
 * group @pid to end, and after a while insists. */
static gboolean read_to_end(Build *build, int fd, pid_t pid, gboolean in_namespace, GError **error)
{
    g_autoptr(GString) pending = g_string_new(NULL);
    GPollFD polled[2] = {{.fd = fd, .events = G_IO_IN}};
    gboolean cancellable = g_cancellable_make_pollfd(build->cancellable, &polled[1]);
    gint64 kill_at = 0;
    for (;;) {
        gboolean ending = kill_at != 0;
        polled[0].revents = polled[1].revents = 0;
        int ready = g_poll(polled, cancellable && !ending ? 2 : 1, TICK_MS);
        if (!ending && g_cancellable_is_cancelled(build->cancellable)) {
            kill_at = g_get_monotonic_time() + GIVE_UP_AFTER_MS * G_TIME_SPAN_MILLISECOND;
            if (in_namespace)
                kill(pid, SIGKILL); /* what is in its namespace ends with it */
            else
                kill(-pid, SIGTERM);
        }
        if (ending && g_get_monotonic_time() >= kill_at)
            kill(-pid, SIGKILL);
        if (ready <= 0) {
            tell(build, GOING_ON);
            continue;
        }
        if (!polled[0].revents)
            continue;
        char buffer[16384];
        ssize_t size = read(fd, buffer, sizeof buffer);
        if (size == 0 || (size < 0 && errno != EINTR))
            break;
        g_string_append_len(pending, buffer, MAX(size, 0));
        take_lines(build, pending);
    }
    if (cancellable)
        g_cancellable_release_fd(build->cancellable);
    return !g_cancellable_set_error_if_cancelled(build->cancellable, error);
}

static gboolean run(Build *build, const char *const *argv, gboolean in_namespace, GError **error)
{
    g_autofree char *command = g_strjoinv(" ", (char **)argv);
    fprintf(build->log, "+ %s\n", command);
    int ends[2];
    if (!g_unix_open_pipe(ends, FD_CLOEXEC, error))
        return FALSE;
    hx_autofd int reading = ends[0];
    hx_autofd int writing = ends[1];
    g_auto(GStrv) environment = g_get_environ();
    environment = g_environ_setenv(environment, "LC_ALL", "C.UTF-8", TRUE);
    environment = g_environ_setenv(environment, "TMPDIR", build->building, TRUE);
    /* The kernel's package would spend 15 s on an initial ramdisk that nothing boots. */
    environment = g_environ_setenv(environment, "INITRD", "No", TRUE);
    HxProcess process = {
        .argv = argv,
        .envp = (const char *const *)environment,
        .stdin_fd = -1,
        .stdout_fd = writing,
        .stderr_fd = writing,
        .own_session = TRUE,
    };
    pid_t pid = hx_process_spawn(&process, error);
    if (pid < 0)
        return FALSE;
    hx_close(&writing);
    gboolean done = read_to_end(build, reading, pid, in_namespace, error);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!done)
        return FALSE;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    const char *program = in_namespace ? "mmdebstrap" : argv[0];
    g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "%s failed (%s %d)", program,
                WIFSIGNALED(status) ? "signal" : "exit status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return FALSE;
}

/* --- recipe ---------------------------------------------------------------------------------- */

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

static gboolean find_parts(Build *build, GError **error)
{
    build->init = hx_part_path("guest/helixvm-init", error);
    build->data_directory = build->init ? hx_data_path("guest-provision/image", error) : NULL;
    build->session_packages =
        build->data_directory ? hx_data_path("guest-provision/session/packages", error) : NULL;
    if (!build->session_packages)
        return FALSE;
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(checksum, (const guchar *)RECIPE_FORMAT SUITE, -1);
    for (const char *const *name =
             (const char *[]){"customize", "modprobe.conf", "modules", "packages", NULL};
         *name; name++) {
        g_autofree char *path = g_build_filename(build->data_directory, *name, NULL);
        if (!checksum_file(checksum, path, error))
            return FALSE;
    }
    if (!checksum_file(checksum, build->init, error) ||
        !checksum_file(checksum, build->session_packages, error))
        return FALSE;
    build->recipe = g_strndup(g_checksum_get_string(checksum), 16);
    return TRUE;
}

/* The names in a list of packages: one a line, with comments from "#". */
static gboolean add_packages(GString *list, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, error))
        return FALSE;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *comment = strchr(*line, '#');
        if (comment)
            *comment = '\0';
        const char *name = g_strstrip(*line);
        if (*name)
            g_string_append_printf(list, "%s%s", list->len ? "," : "", name);
    }
    return TRUE;
}

/* --- steps ----------------------------------------------------------------------------------- */

static gboolean make_root(Build *build, const char *root, GError **error)
{
    g_autoptr(GString) packages = g_string_new(NULL);
    g_autofree char *own = g_build_filename(build->data_directory, "packages", NULL);
    if (!add_packages(packages, own, error) ||
        !add_packages(packages, build->session_packages, error))
        return FALSE;
    g_autofree char *include = g_strconcat("--include=", packages->str, NULL);
    g_autofree char *script = g_build_filename(build->data_directory, "customize", NULL);
    g_autofree char *quoted_script = g_shell_quote(script);
    g_autofree char *quoted_out = g_shell_quote(build->building);
    g_autofree char *hook =
        g_strdup_printf("--customize-hook=sh %s \"$1\" %s", quoted_script, quoted_out);
    gboolean is_root = geteuid() == 0;
    const char *const argv[] = {
        "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
        /* Others have mmdebstrap make its own namespaces. */
        "mmdebstrap", is_root ? "--mode=root" : "--mode=unshare", "--verbose", "--variant=minbase",
        include, "--aptopt=APT::Install-Recommends \"false\"",
        "--aptopt=Acquire::Languages \"none\"", "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/info/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/man/*",
        hook, SUITE, root, NULL};
    enter_phase(build, PHASE_DOWNLOAD);
    return run(build, is_root ? argv : argv + 6, is_root, error);
}

static gboolean make_disk(Build *build, const char *root, GError **error)
{
    enter_phase(build, PHASE_DISK);
    g_autofree char *raw = g_build_filename(build->building, "disk.raw", NULL);
    g_autofree char *disk = g_build_filename(build->building, "disk.qcow2", NULL);
    g_autofree char *size = g_strdup_printf("%dG", VIRTUAL_SIZE_GIB);
    /* Tables that are whole from the start: the guest's kernel would else write them, into each
     * VM's overlay. */
    const char *const mke2fs[] = {
        "mke2fs",  "-q", "-t", "ext4", "-L",
        "helixvm", "-m", "1",  "-E",   "lazy_itable_init=0,lazy_journal_init=0",
        "-d",      root, raw,  size,   NULL};
    const char *const convert[] = {"qemu-img", "convert", "-O", "qcow2", raw, disk, NULL};
    if (!run(build, mke2fs, FALSE, error))
        return FALSE;
    build->fraction = 0.6;
    if (!run(build, convert, FALSE, error))
        return FALSE;
    g_unlink(raw);
    g_autofree char *modules = g_build_filename(build->building, "modules", NULL);
    g_autofree char *initrd = g_build_filename(build->building, "initrd", NULL);
    return hx_initrd_write(initrd, build->init, modules, error);
}

/* A line that customize wrote into a file of its own. */
static char *read_line(const Build *build, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(build->building, name, NULL);
    char *text = NULL;
    return g_file_get_contents(path, &text, NULL, error) ? g_strstrip(text) : NULL;
}

static gboolean write_metadata(const Build *build, GError **error)
{
    g_autofree char *debian = read_line(build, "debian-version", error);
    g_autofree char *kernel = debian ? read_line(build, "kernel-version", error) : NULL;
    if (!kernel)
        return FALSE;
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *built_at = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
    g_autoptr(JsonObject) object = json_object_new();
    json_object_set_string_member(object, "built_at", built_at);
    json_object_set_string_member(object, "debian_version", debian);
    json_object_set_string_member(object, "kernel_version", kernel);
    json_object_set_string_member(object, "recipe", build->recipe);
    json_object_set_int_member(object, "virtual_size", (gint64)VIRTUAL_SIZE_GIB << 30);
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    json_node_set_object(node, object);
    g_autofree char *text = json_to_string(node, TRUE);
    g_autofree char *path = g_build_filename(build->building, "image.json", NULL);
    return g_file_set_contents(path, text, -1, error);
}

/* What is kept, read-only for all; the rest goes. */
static gboolean tidy(const Build *build, const char *root, GError **error)
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
             (const char *[]){"modules", "debian-version", "kernel-version", NULL};
         *name; name++) {
        g_autofree char *path = g_build_filename(build->building, *name, NULL);
        if (!hx_image_delete_tree(path, error))
            return FALSE;
    }
    return hx_image_delete_tree(root, error);
}

/* The finished directory takes its place, and that of the image before it, unless a VM was made on
 * that since the build began. */
static gboolean publish(Build *build, GError **error)
{
    g_autoptr(GError) cause = NULL;
    gboolean in_use = FALSE;
    if (hx_image_publish(build->name, build->building, &in_use, &cause))
        return TRUE;
    if (in_use && !build->force) {
        build->outcome = HX_IMAGE_KEPT;
        return hx_image_delete_tree(build->building, error);
    }
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

static gboolean make_image(Build *build, GError **error)
{
    /* mke2fs takes a directory as well as a tar archive, in which the owners of files survive where
     * mmdebstrap's user namespace is the only place that has them. */
    g_autofree char *root =
        g_build_filename(build->building, geteuid() == 0 ? "root" : "root.tar", NULL);
    if (!make_root(build, root, error) || !make_disk(build, root, error) ||
        !write_metadata(build, error) || !tidy(build, root, error) || !publish(build, error))
        return FALSE;
    g_clear_pointer(&build->detail, g_free);
    tell(build, FINISHED);
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
        if (!hx_image_delete_tree(path, error))
            return FALSE;
    }
    return TRUE;
}

/* The directory of the build, empty, and its log. */
static gboolean prepare(Build *build, GError **error)
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
static gboolean settled(const Build *build, gboolean force, HxImageOutcome *ret_outcome,
                        gboolean *ret_settled, GError **error)
{
    g_autoptr(HxImage) image = hx_image_open(build->name, NULL);
    *ret_settled = FALSE;
    if (!image)
        return TRUE;
    if (force)
        return hx_image_check_unused(image, "build anew", error);
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
    g_auto(GStrv) users = hx_image_users(image, error);
    if (!users)
        return FALSE;
    *ret_outcome = HX_IMAGE_KEPT;
    *ret_settled = *users != NULL;
    return TRUE;
}

static void tell_waiting(void *data)
{
    Build *build = data;
    HxImageProgress progress = {.phase = "waiting for another build", .started = TRUE};
    if (build->progress)
        build->progress(&progress, build->progress_data);
}

gboolean hx_image_build(const char *name, gboolean force, HxImageProgressFunc *progress, void *data,
                        HxImageOutcome *ret_outcome, GCancellable *cancellable, GError **error)
{
    g_auto(Build) build = {
        .name = name,
        .force = force,
        .outcome = HX_IMAGE_BUILT,
        .cancellable = cancellable,
        .progress = progress,
        .progress_data = data,
        .phase = -1,
        .began = g_get_monotonic_time(),
    };
    build.path = hx_image_path(name, error);
    if (!build.path || !find_parts(&build, error))
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
        hx_image_delete_tree(build.building, NULL);
        if (!cancelled)
            g_prefix_error(error, "cannot build image \"%s\", see %s: ", name, build.log_path);
    }
    if (built || cancelled)
        g_unlink(build.log_path);
    *ret_outcome = build.outcome;
    return built;
}

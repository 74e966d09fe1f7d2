/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vm/vm.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <linux/vm_sockets.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "launcher/base/directories.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/pause.h"
#include "launcher/base/unix-socket.h"

#define NAME_MAX_LENGTH 40
#define CONNECT_TIMEOUT_MS 10000

struct HxVm {
    char *name;
    char *state;
    char *runtime;
    char *lock;
    GMutex mutex;      /* of what follows: threads ask for paths, too */
    GHashTable *paths; /* the set of all paths handed out */
};

static gboolean is_name(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length <= NAME_MAX_LENGTH && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

HxVm *hx_vm_open(const char *name, GError **error)
{
    if (!is_name(name)) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "\"%s\" is no name for a VM: use 1 to %d characters of a-z, 0-9 and '-', the "
                    "first no '-'",
                    name, NAME_MAX_LENGTH);
        return NULL;
    }
    g_autofree char *state = hx_state_directory(error);
    if (!state)
        return NULL;
    g_autofree char *runtime = hx_runtime_directory(error);
    if (!runtime)
        return NULL;
    g_autofree char *vms = g_build_filename(state, "vms", NULL);
    if (g_str_equal(vms, runtime)) {
        g_set_error(
            error, HX_ERROR, HX_ERROR_CONFIG,
            "HELIXVM_RUNTIME_DIR=%s is where the VMs' disks are: give it a directory of its "
            "own",
            runtime);
        return NULL;
    }
    HxVm *vm = g_new0(HxVm, 1);
    vm->name = g_strdup(name);
    vm->state = g_build_filename(vms, name, NULL);
    vm->runtime = g_build_filename(runtime, name, NULL);
    vm->lock = g_build_filename(state, "locks", name, NULL);
    g_mutex_init(&vm->mutex);
    vm->paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return vm;
}

void hx_vm_free(HxVm *vm)
{
    if (!vm)
        return;
    g_hash_table_unref(vm->paths);
    g_mutex_clear(&vm->mutex);
    g_free(vm->lock);
    g_free(vm->runtime);
    g_free(vm->state);
    g_free(vm->name);
    g_free(vm);
}

const char *hx_vm_name(const HxVm *vm)
{
    return vm->name;
}

static const char *kept_path(HxVm *vm, const char *directory, const char *file)
{
    g_autofree char *path = g_build_filename(directory, file, NULL);
    void *kept = NULL;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&vm->mutex);
    if (g_hash_table_lookup_extended(vm->paths, path, &kept, NULL))
        return kept;
    kept = path;
    g_hash_table_add(vm->paths, g_steal_pointer(&path));
    return kept;
}

const char *hx_vm_state_path(HxVm *vm, const char *file)
{
    return kept_path(vm, vm->state, file);
}

const char *hx_vm_runtime_path(HxVm *vm, const char *file)
{
    return kept_path(vm, vm->runtime, file);
}

const char *hx_vm_lock_path(const HxVm *vm)
{
    return vm->lock;
}

const char *hx_vm_identity_path(HxVm *vm)
{
    return hx_vm_state_path(vm, "secrets/identity");
}

const char *hx_vm_known_hosts_path(HxVm *vm)
{
    return hx_vm_state_path(vm, "secrets/known_hosts");
}

static gboolean make_directory(const char *path, mode_t mode, GError **error)
{
    /* chmod, too: mkdir() is subject to the umask. */
    if (g_mkdir_with_parents(path, mode) < 0 || chmod(path, mode) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make the directory %s", path);
        return FALSE;
    }
    return TRUE;
}

gboolean hx_vm_create_directories(HxVm *vm, GError **error)
{
    g_autofree char *vms = g_path_get_dirname(vm->state);
    return make_directory(vms, 0711, error) && make_directory(vm->state, 0711, error) &&
           make_directory(hx_vm_state_path(vm, "secrets"), 0700, error) &&
           make_directory(vm->runtime, 0711, error);
}

gboolean hx_vm_create_lock_directory(HxVm *vm, GError **error)
{
    g_autofree char *state = hx_create_state_directory(error);
    g_autofree char *locks = g_path_get_dirname(vm->lock);
    return state && make_directory(locks, 0711, error);
}

static int vm_is_down(HxVm *vm, GError **error)
{
    g_set_error(error, HX_ERROR, HX_ERROR_NOT_RUNNING,
                "VM \"%s\" is down: start it with `helixvm up %s`", vm->name, vm->name);
    return -1;
}

int hx_vm_connect_monitor(HxVm *vm, GError **error)
{
    int fd = hx_unix_connect(hx_vm_runtime_path(vm, "control.sock"), SOCK_STREAM);
    if (fd == -ENOENT || fd == -ECONNREFUSED)
        return vm_is_down(vm, error);
    if (fd < 0) {
        hx_set_error_errno(error, HX_ERROR_FAILED, -fd, "cannot reach the monitor of VM \"%s\"",
                           vm->name);
        return -1;
    }
    return fd;
}

/* CONNECT/OK over the Unix socket of the vhost-user device (PROTOCOLS: section 4). */
static int connect_vhost_user(const char *path, guint32 port, GCancellable *cancel)
{
    hx_autofd int fd = hx_unix_connect(path, SOCK_STREAM);
    if (fd == -ECONNREFUSED) /* a socket that a killed device left */
        return -ENOENT;
    if (fd < 0)
        return fd;
    char line[32];
    int length = g_snprintf(line, sizeof line, "CONNECT %u\n", port);
    int r = hx_write_all(fd, line, length);
    if (r < 0)
        return r;
    gint64 deadline = g_get_monotonic_time() + CONNECT_TIMEOUT_MS * G_TIME_SPAN_MILLISECOND;
    /* Byte by byte: what follows the line belongs to the connection. */
    for (size_t n = 0; n < sizeof line - 1; n++) {
        r = hx_await_readable(fd, deadline, cancel);
        if (r == 0)
            r = hx_read_all(fd, &line[n], 1);
        if (r == -ENODATA || r == -ECONNRESET)
            return -ECONNREFUSED;
        if (r < 0)
            return r;
        if (line[n] == '\n')
            return g_str_has_prefix(line, "OK ") ? hx_steal_fd(&fd) : -EPROTO;
    }
    return -EPROTO;
}

static int connect_kernel(guint32 cid, guint32 port)
{
    hx_autofd int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct timeval timeout = {.tv_sec = CONNECT_TIMEOUT_MS / 1000};
    setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &timeout, sizeof timeout);
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    return hx_steal_fd(&fd);
}

int hx_vm_connect(HxVm *vm, guint32 port, GCancellable *cancel, GError **error)
{
    g_autofree char *cid = NULL;
    int fd;
    /* The monitor writes this file where the guest has the kernel's vsock. */
    if (g_file_get_contents(hx_vm_runtime_path(vm, "cid"), &cid, NULL, NULL))
        fd = connect_kernel(g_ascii_strtoull(cid, NULL, 10), port);
    else
        fd = connect_vhost_user(hx_vm_runtime_path(vm, "vsock.sock"), port, cancel);
    switch (fd) {
    case -ENOENT:
        return vm_is_down(vm, error);
    case -ECANCELED:
        g_set_error_literal(error, HX_ERROR, HX_ERROR_CANCELLED, "interrupted");
        return -1;
    case -ECONNREFUSED:
    case -ECONNRESET:
        g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL,
                    "nothing in the guest of VM \"%s\" answers on vsock port %u: see what `helixvm "
                    "status %s` says of it",
                    vm->name, port, vm->name);
        return -1;
    case -ETIMEDOUT:
        g_set_error(error, HX_ERROR, HX_ERROR_TIMEOUT,
                    "the guest of VM \"%s\" did not answer on vsock port %u within %d s", vm->name,
                    port, CONNECT_TIMEOUT_MS / 1000);
        return -1;
    }
    if (fd < 0) {
        hx_set_error_errno(error, HX_ERROR_FAILED, -fd,
                           "cannot connect to vsock port %u of VM \"%s\"", port, vm->name);
        return -1;
    }
    return fd;
}

static int compare_names(const void *a, const void *b)
{
    return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

GPtrArray *hx_vm_names(GError **error)
{
    g_autofree char *state = hx_state_directory(error);
    if (!state)
        return NULL;
    g_autofree char *path = g_build_filename(state, "vms", NULL);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name;
    while (directory && (name = g_dir_read_name(directory)))
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compare_names);
    return names;
}

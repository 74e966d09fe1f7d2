/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  Each check runs in a thread of its own and puts its answer into a queue;
 * what is not in the queue when time is up hangs, and is reported so.  An interruption comes by
 * the same queue.  Such a thread may still write to what it was given: that is never freed. */
#include "launcher/doctor/doctor.h"

#include "launcher/base/deadline.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/domain/vm-domain.h"

#define CHECKS_SECONDS 20

static const struct {
    const char *name;
    HxHostCheckFunc *check;
} checks[] = {
    {"system", hx_check_system},
    {"directories", hx_check_directories},
    {"memory", hx_check_memory},
    {"disk space", hx_check_disk_space},
    {"libvirt", hx_check_libvirt},
    {"QEMU", hx_check_qemu},
    {"accelerators", hx_check_accelerators},
    {"display", hx_check_display},
    {"GPU", hx_check_gpu},
    {"Venus", hx_check_venus},
    {"export module", hx_check_module},
    {"encoder", hx_check_encoder},
    {"vsock", hx_check_vsock},
    {"AppArmor", hx_check_apparmor},
    {"SELinux", hx_check_selinux},
    {"image", hx_check_image},
    {"image tools", hx_check_image_tools},
    {"firmware", hx_check_firmware},
    {"shared folders", hx_check_folders},
    {"port forwards", hx_check_forwards},
};

typedef struct {
    HxHost *host;
    GAsyncQueue *done;
    size_t index;
    HxHostFinding finding;
} Job;

/* What is in the queue where the user has had enough. */
static Job interruption;

static void *run(void *data)
{
    Job *job = data;
    checks[job->index].check(job->host, &job->finding);
    g_async_queue_push(job->done, job);
    return NULL;
}

/* What hangs waits for libvirtd.  For g_free. */
static char *remedy_for_hang(void)
{
    gboolean systemd = g_file_test("/run/systemd/system", G_FILE_TEST_IS_DIR);
    return g_strdup(systemd ? "systemctl restart libvirtd" : "service libvirtd restart");
}

static void on_cancelled(GCancellable *cancel, void *data)
{
    g_async_queue_push_front(data, &interruption);
}

static void clear_report(void *data)
{
    hx_host_finding_clear(&((HxHostReport *)data)->finding);
}

/* Put each answer into @reports as it comes.  FALSE where interrupted. */
static gboolean collect(GAsyncQueue *done, GArray *reports)
{
    gint64 deadline = g_get_monotonic_time() + CHECKS_SECONDS * G_TIME_SPAN_SECOND;
    for (guint answered = 0; answered < reports->len; answered++) {
        gint64 left = hx_time_left(deadline) + 1;
        Job *job = g_async_queue_timeout_pop(done, left);
        if (job == &interruption)
            return FALSE;
        if (!job)
            break;
        g_array_index(reports, HxHostReport, job->index).finding = job->finding;
    }
    return TRUE;
}

GArray *hx_doctor_check(HxVm *vm, const HxProfile *profile, GCancellable *cancel, GError **error)
{
    HxHost *host = g_new0(HxHost, 1);
    host->vm = vm;
    host->profile = profile;
    /* The image may be of another, or missing: that is one of the findings. */
    host->architecture = hx_architecture(hx_profile_string(profile, "machine.arch"));
    if (!host->architecture)
        host->architecture = hx_vm_architecture(profile, NULL);
    if (!host->architecture)
        host->architecture = hx_architecture_of_host();
    hx_autofd int monitor = vm ? hx_vm_connect_monitor(vm, NULL) : -1;
    host->is_up = monitor >= 0;
    g_mutex_init(&host->lock);
    GAsyncQueue *done = g_async_queue_new();
    g_autoptr(GArray) reports = g_array_new(FALSE, TRUE, sizeof(HxHostReport));
    g_array_set_clear_func(reports, clear_report);
    for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
        HxHostReport report = {.name = checks[i].name};
        g_array_append_val(reports, report);
        Job *job = g_new0(Job, 1);
        *job = (Job){.host = host, .done = done, .index = i};
        g_thread_unref(g_thread_new(checks[i].name, run, job));
    }
    gulong handler = g_cancellable_connect(cancel, G_CALLBACK(on_cancelled), done, NULL);
    gboolean interrupted = !collect(done, reports);
    g_cancellable_disconnect(cancel, handler);
    if (interrupted) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_CANCELLED, "interrupted");
        return NULL;
    }
    for (guint i = 0; i < reports->len; i++) {
        HxHostReport *report = &g_array_index(reports, HxHostReport, i);
        if (!report->finding.text)
            hx_host_broken(&report->finding, remedy_for_hang(), "no answer within %d s",
                           CHECKS_SECONDS);
    }
    return g_steal_pointer(&reports);
}

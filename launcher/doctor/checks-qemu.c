/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt, QEMU, accelerators by trying them, and the programs that libvirt starts beside QEMU. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/doctor/host-check.h"
#include "launcher/doctor/trial.h"
#include "launcher/profile/share.h"

#define TRIAL_SECONDS 10

/* --- libvirt ------------------------------------------------------------------------------------
 */

static char *remedy_for_libvirt(void)
{
    g_autofree char *libvirtd = g_find_program_in_path("libvirtd");
    g_autofree char *virtqemud = g_find_program_in_path("virtqemud");
    if (!libvirtd && !virtqemud)
        return hx_host_install("libvirtd");
    if (strstr(g_getenv("LIBVIRT_DEFAULT_URI") ?: "", "://"))
        return g_strdup("unset LIBVIRT_DEFAULT_URI");
    if (g_file_test("/run/systemd/system", G_FILE_TEST_IS_DIR))
        return g_strdup_printf("systemctl enable --now %s.socket",
                               virtqemud && !libvirtd ? "virtqemud" : "libvirtd");
    return hx_host_install("libvirt-driver");
}

void hx_check_libvirt(HxHost *host, HxHostFinding *finding)
{
    g_autoptr(GError) error = NULL;
    virConnect *connection = hx_host_libvirt(host, &error);
    if (!connection) {
        hx_host_broken(finding, remedy_for_libvirt(), "%s", error->message);
        return;
    }
    /* It takes QEMU's messages: libvirt starts no domain without. */
    g_autofree char *virtlogd = g_find_program_in_path("virtlogd");
    if (!virtlogd) {
        hx_host_broken(finding, hx_host_install("virtlogd"),
                       "there is no virtlogd, without which libvirt starts no VM");
        return;
    }
    unsigned long version = 0;
    virConnectGetLibVersion(connection, &version);
    char *uri = virConnectGetURI(connection);
    struct passwd entry, *user = NULL;
    char buffer[4096];
    getpwuid_r(host->qemu_user, &entry, buffer, sizeof buffer, &user);
    hx_host_fine(finding, "libvirt %lu.%lu.%lu at %s; QEMU runs as %s", version / 1000000,
                 version / 1000 % 1000, version % 1000, uri ? uri : "?",
                 user ? user->pw_name : "an unknown user");
    free(uri);
}

/* --- QEMU ---------------------------------------------------------------------------------------
 */

void hx_check_qemu(HxHost *host, HxHostFinding *finding)
{
    g_autofree char *qemu = hx_host_qemu(host);
    if (!qemu) {
        hx_host_broken(finding, hx_host_install_qemu(host), "there is no QEMU for this machine");
        return;
    }
    const char *const argv[] = {qemu, "--version", NULL};
    g_autoptr(GError) error = NULL;
    g_autoptr(HxTrial) trial = hx_trial_start(argv, NULL, NULL, &error);
    if (!trial || !hx_trial_await(trial, "version [0-9]", TRIAL_SECONDS, &error)) {
        hx_host_broken(finding, hx_host_install_qemu(host), "%s does not run: %s", qemu,
                       error->message);
        return;
    }
    g_auto(GStrv) words = g_regex_split_simple("version (\\S+)", hx_trial_output(trial), 0, 0);
    hx_host_fine(finding, "QEMU %s, %s", words[1] ? words[1] : "of an unknown version", qemu);
}

/* --- accelerators -------------------------------------------------------------------------------
 */

/* That /dev/kvm opens proves little: the firmware of an empty machine has to speak, as the user
 * that QEMU runs as. */
static gboolean try_accelerator(HxHost *host, const char *qemu, const char *accelerator,
                                GError **error)
{
    gboolean is_pc = g_str_equal(host->architecture->machine, "q35");
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    const char *const common[] = {
        qemu,  "-accel", accelerator, "-M",          host->architecture->machine, "-cpu",
        "max", "-m",     "64",        "-nodefaults", "-no-user-config",           "-display",
        "none"};
    /* SeaBIOS tells a port what it does. */
    const char *const pc[] = {"-chardev", "stdio,id=debug", "-device",
                              "isa-debugcon,iobase=0x402,chardev=debug"};
    const char *const other[] = {"-qmp", "stdio"};
    for (size_t i = 0; i < G_N_ELEMENTS(common); i++)
        g_ptr_array_add(argv, (void *)common[i]);
    for (size_t i = 0; i < (is_pc ? G_N_ELEMENTS(pc) : G_N_ELEMENTS(other)); i++)
        g_ptr_array_add(argv, (void *)(is_pc ? pc[i] : other[i]));
    g_ptr_array_add(argv, NULL);
    g_autoptr(GPtrArray) words = hx_host_as_qemu_user(host, (const char *const *)argv->pdata);
    g_autoptr(HxTrial) trial =
        hx_trial_start((const char *const *)words->pdata, NULL, is_pc ? NULL : HX_QMP_QUIT, error);
    return trial && hx_trial_await(trial, is_pc ? "SeaBIOS" : NULL, TRIAL_SECONDS, error);
}

/* What mends a KVM that fails, for g_free; NULL where nobody can tell. */
static char *remedy_for_kvm(HxHost *host)
{
    if (access("/dev/kvm", F_OK) < 0) {
        g_autofree char *cpus = NULL;
        if (g_file_get_contents("/proc/cpuinfo", &cpus, NULL, NULL) && strstr(cpus, " svm"))
            return g_strdup("modprobe kvm_amd");
        if (cpus && strstr(cpus, " vmx"))
            return g_strdup("modprobe kvm_intel");
        return NULL;
    }
    return hx_host_grant(host, "/dev/kvm");
}

void hx_check_accelerators(HxHost *host, HxHostFinding *finding)
{
    g_autofree char *qemu = hx_host_qemu(host);
    g_auto(GStrv) accelerators = hx_profile_list(host->profile, "machine.accelerators");
    g_autoptr(GString) failures = g_string_new(NULL);
    if (!qemu) {
        hx_host_broken(finding, hx_host_install_qemu(host), "there is no QEMU to try them with");
        return;
    }
    for (char **name = accelerators; *name; name++) {
        g_autoptr(GError) error = NULL;
        if (!hx_accelerator_exists(*name, host->architecture))
            continue;
        if (!try_accelerator(host, qemu, *name, &error)) {
            g_string_append_printf(failures, "%s%s fails (%s)", failures->len ? "; " : "", *name,
                                   error->message);
            continue;
        }
        if (failures->len == 0 && !g_str_equal(*name, "tcg"))
            hx_host_fine(finding, "%s runs a machine", *name);
        else if (failures->len == 0)
            hx_host_fine(finding, "tcg runs a machine, emulated, as the profile wants it");
        else
            hx_host_degraded(finding, remedy_for_kvm(host), "%s: VMs run on %s%s", failures->str,
                             *name,
                             g_str_equal(*name, "tcg") ? ", emulated and many times slower" : "");
        return;
    }
    hx_host_broken(
        finding,
        remedy_for_kvm(host) ?: g_strdup("helixvm up --set 'machine.accelerators=kvm;tcg'"), "%s",
        failures->len ? failures->str : "machine.accelerators names none for this host");
}

/* --- what is used by request --------------------------------------------------------------------
 */

void hx_check_firmware(HxHost *host, HxHostFinding *finding)
{
    g_autoptr(GError) error = NULL;
    const HxArchitecture *architecture = host->architecture;
    virConnect *connection = hx_host_libvirt(host, &error);
    char *capabilities = connection
                             ? virConnectGetDomainCapabilities(connection, NULL, architecture->name,
                                                               architecture->machine, "qemu", 0)
                             : NULL;
    if (!capabilities) {
        hx_host_degraded(finding, NULL, "not known: libvirt does not say what it has");
        return;
    }
    /* The paths that libvirt lists beside it are of any machine's firmware. */
    gboolean has_efi = g_regex_match_simple("<enum name='firmware'>\\s*(<value>bios</value>\\s*)?"
                                            "<value>efi</value>",
                                            capabilities, 0, 0);
    free(capabilities);
    if (has_efi)
        hx_host_fine(finding, "libvirt finds UEFI firmware for %s", architecture->name);
    else
        hx_host_degraded(finding, hx_host_install_firmware(host),
                         "libvirt finds no UEFI: only images with a kernel beside them boot");
}

/* Whether @program, which is taken, runs. */
static gboolean runs(char *program)
{
    g_autofree char *path = program;
    const char *const argv[] = {path, "--version", NULL};
    g_autoptr(HxTrial) trial = path ? hx_trial_start(argv, NULL, NULL, NULL) : NULL;
    return trial && hx_trial_await(trial, NULL, TRIAL_SECONDS, NULL);
}

void hx_check_folders(HxHost *host, HxHostFinding *finding)
{
    if (runs(hx_virtiofsd(NULL)))
        hx_host_fine(finding, "virtiofsd");
    else
        hx_host_degraded(finding, hx_host_install("virtiofsd"),
                         "there is no virtiofsd: no folder of the host can be shared with a guest");
}

void hx_check_forwards(HxHost *host, HxHostFinding *finding)
{
    if (runs(g_find_program_in_path("passt")))
        hx_host_fine(finding, "passt");
    else
        hx_host_degraded(finding, hx_host_install("passt"),
                         "there is no passt: no port can be forwarded to a guest");
}

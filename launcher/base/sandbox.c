/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  In this order, each for good and for every thread that is started later:
 *
 *   privileges    none new, and no capabilities.  The user stays who it is: the sockets of the VM's
 *                 owner are for it alone.
 *   files         none may be opened, changed or made; those named may be removed (Landlock).
 *                 Connecting to a Unix socket by its path is not among what Landlock restricts
 *                 before its ABI 9: the socket's permissions do.
 *   elsewhere     no TCP (Landlock 4), no signals and no abstract sockets (Landlock 6).
 *   system calls  those that the program names, sockets only of the Unix kind, no memory that can
 *                 be executed, threads where it wants them but no processes.  Any other is logged
 *                 and fails with EPERM: a C library that wants a new one is no reason to end a
 *                 VM's device. */
#include "launcher/base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/base/sanitised.h"

void hx_sandbox_close_others(const int *keep, unsigned count)
{
    int from = STDERR_FILENO + 1;
    for (;;) {
        int next = -1; /* the lowest that stays */
        for (unsigned i = 0; i < count; i++)
            if (keep[i] >= from && (next < 0 || keep[i] < next))
                next = keep[i];
        if (next != from)
            close_range(from, next < 0 ? ~0u : (unsigned)next - 1, 0);
        if (next < 0)
            return;
        from = next + 1;
    }
}

/* --- capabilities --------------------------------------------------------------------------------
 */

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

/* Root's sockets may lie where only its capabilities led. */
static int check_directory(const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    return faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* --- Landlock ------------------------------------------------------------------------------------
 */

static struct landlock_ruleset_attr ruleset_of(int abi)
{
    struct landlock_ruleset_attr attr = {
        .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1, /* ABI 1: all up to this */
    };
    if (abi >= 2)
        attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
    if (abi >= 4)
        attr.handled_access_net = LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP;
    if (abi >= 5)
        attr.handled_access_fs |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
    if (abi >= 6)
        attr.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
    if (HX_SANITISED) /* its reports read /proc */
        attr.handled_access_fs &= ~(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR);
    return attr;
}

static int allow_removal(int ruleset, const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    hx_autofd int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {
        .allowed_access = LANDLOCK_ACCESS_FS_REMOVE_FILE,
        .parent_fd = fd,
    };
    if (fd < 0 || syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return -errno;
    return 0;
}

static int restrict_files(const char *const *paths)
{
    int abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 0) {
        hx_log_info("the kernel has no Landlock (%s): files are not restricted", g_strerror(errno));
        return 0;
    }
    struct landlock_ruleset_attr attr = ruleset_of(abi);
    hx_autofd int ruleset = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return -errno;
    for (; paths && *paths; paths++) {
        int r = allow_removal(ruleset, *paths);
        if (r < 0)
            return r;
    }
    return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}

/* --- seccomp -------------------------------------------------------------------------------------
 */

/* What a thread needs of the C library and of GLib besides clone(). */
static const char *const allowed_threads[] = {"set_robust_list", "rseq", "sched_yield",
                                              "sched_getaffinity", "sched_getattr"};

/* What the sanitisers' runtime does besides, for the most part when the process ends. */
static const char *const allowed_sanitised[] = {"clone",
                                                "clone3",
                                                "ptrace",
                                                "wait4",
                                                "openat",
                                                "open",
                                                "getdents64",
                                                "prctl",
                                                "sigaltstack",
                                                "sched_yield",
                                                "getppid",
                                                "pipe",
                                                "pipe2",
                                                "stat",
                                                "newfstatat",
                                                "lseek",
                                                "mincore",
                                                "dup",
                                                "set_robust_list",
                                                "rseq",
                                                "tgkill",
                                                "kill",
                                                "getuid",
                                                "geteuid",
                                                "sched_getaffinity",
                                                "prlimit64",
                                                "getrusage",
                                                "getrandom",
                                                "process_vm_readv",
                                                "access",
                                                "faccessat"};

static int allow(scmp_filter_ctx filter, const char *const *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        if (number == __NR_SCMP_ERROR)
            continue; /* libseccomp is older than the call; it is then refused */
        int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Threads, and no processes. */
static int allow_threads(scmp_filter_ctx filter)
{
    int r = allow(filter, allowed_threads, G_N_ELEMENTS(allowed_threads));
    if (r < 0 || HX_SANITISED) /* whose runtime starts processes, too */
        return r;
    /* The flags of clone3() are in memory, where a filter cannot see them: the C library then takes
     * clone(). */
    r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    /* fork() has signals blocked, that of a refusal too. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                             SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
    /* malloc() asks /proc/sys/vm when a thread gives memory back, and does without. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 0);
    return r;
}

/* The calls of which some uses are allowed. */
static int allow_in_part(scmp_filter_ctx filter)
{
    int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (r == 0 && !HX_SANITISED) /* abort() */
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                             SCMP_A0(SCMP_CMP_EQ, getpid(), 0));
    return r;
}

static const char *program; /* "helixvm-vsock: " */

/* In the place of the refused call, which may be within malloc(): nothing here allocates. */
static void on_refusal(int signal_number, siginfo_t *info, void *context)
{
    char line[] = "error: the sandbox refused system call      \n";
    char *digit = line + sizeof line - 3;
    for (unsigned n = info->si_syscall, i = 0; i < 5 && (n > 0 || i == 0); i++, n /= 10)
        *digit-- = '0' + n % 10;
    struct iovec parts[] = {{(void *)program, strlen(program)}, {line, sizeof line - 1}};
    ssize_t ignored G_GNUC_UNUSED = writev(STDERR_FILENO, parts, 2);
    ucontext_t *caller = context;
#if defined(__x86_64__)
    caller->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
    caller->uc_mcontext.regs[0] = -EPERM;
#else
    (void)caller;
    _exit(1);
#endif
}

static int restrict_system_calls(const HxSandbox *sandbox)
{
    struct sigaction action = {.sa_sigaction = on_refusal, .sa_flags = SA_SIGINFO};
    if (sigaction(SIGSYS, &action, NULL) < 0)
        return -errno;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
    if (!filter)
        return -ENOMEM;
    /* A tree, and no slower memory accesses: what the guest says is never run here. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    int r = allow(filter, sandbox->system_calls, g_strv_length((char **)sandbox->system_calls));
    if (r == 0 && HX_SANITISED)
        r = allow(filter, allowed_sanitised, G_N_ELEMENTS(allowed_sanitised));
    if (r == 0 && sandbox->threads)
        r = allow_threads(filter);
    if (r == 0)
        r = allow_in_part(filter);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}

gboolean hx_sandbox_enter(const HxSandbox *sandbox, GError **error)
{
    const char *const *paths = sandbox->removable;
    program = sandbox->program;
    int r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
    if (r < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot give up new privileges");
        return FALSE;
    }
    r = drop_capabilities();
    if (r < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot give up capabilities");
        return FALSE;
    }
    for (const char *const *path = paths; path && *path; path++) {
        r = check_directory(*path);
        if (r < 0) {
            hx_set_error_errno(error, HX_ERROR_HOST, -r,
                               "cannot use the directory of %s without root's capabilities, which "
                               "this process gives up; choose one that its user owns",
                               *path);
            return FALSE;
        }
    }
    /* Texts of errors are converted by tables that are read with their first use. */
    g_autofree char *converted G_GNUC_UNUSED = g_locale_to_utf8("x", 1, NULL, NULL, NULL);
    r = restrict_files(paths);
    if (r < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot restrict files with Landlock");
        return FALSE;
    }
    r = restrict_system_calls(sandbox);
    if (r < 0)
        hx_set_error_errno(error, HX_ERROR_HOST, -r,
                           "cannot restrict system calls (the kernel needs CONFIG_SECCOMP_FILTER)");
    return r == 0;
}

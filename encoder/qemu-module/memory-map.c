/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  Each blob that a guest maps is a memory region of its own, and changes the
 * list of what is at which address.  An emulated CPU of QEMU 10.0 that writes to a device finds it
 * by its place in that list, kept in the CPU's TLB, which is flushed only after the list has
 * changed (iotlb_to_section() and tcg_commit() in its system/physmem.c).  What it writes in between
 * goes astray: the word that the GPU has commands, and the guest waits for ever; its timer's next
 * time, or an interrupt's end, and the CPU hears of no more; or QEMU aborts, the place being beyond
 * the list's end.
 *
 * So the CPUs stand still for that moment, and flush their TLBs before they go on.  QEMU's GPU
 * device, a library of its own, calls the functions that change the list by its table of addresses
 * (ELF's DT_JMPREL), and those are replaced there by the ones below.
 *
 * To stand still a CPU may need QEMU's lock, which is left to it.  As the GPU is at work, what a
 * CPU then writes to the GPU itself is refused (mem_reentrancy_guard in QEMU's system/memory.c); so
 * the GPU looks into its queues afterwards without being told.  And a CPU may wait for the GPU,
 * which the guest resets: the wait for the CPUs has an end. */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "encoder/qemu-module/module.h"
#include "launcher/base/log.h"

#define PAUSE_US (G_TIME_SPAN_SECOND)
#define POLL_US 50
enum { CONTROL_QUEUE, CURSOR_QUEUE };

/* QEMU's, in its main program; its main loop calls them with its lock held. */
static struct {
    bool (*is_running)(void);
    void *(*get_cpu)(int index);
    void (*pause)(void *cpu);
    void (*resume)(void *cpu);
    bool (*is_stopped)(void *cpu);
    void (*lock)(const char *file, int line);
    void (*unlock)(void);
    void *(*resolve)(const char *path, const char *type, bool *ambiguous);
    void (*notify)(void *device, int queue);
    void (*add)(void *container, uint64_t offset, void *region);
    void (*remove)(void *container, void *region);
    void (*enable)(void *region, bool enabled);
} qemu;

static const struct {
    const char *name;
    void **function;
} looked_up[] = {
    {"runstate_is_running", (void **)&qemu.is_running},
    {"qemu_get_cpu", (void **)&qemu.get_cpu},
    {"cpu_pause", (void **)&qemu.pause},
    {"cpu_resume", (void **)&qemu.resume},
    {"cpu_is_stopped", (void **)&qemu.is_stopped},
    {"bql_lock_impl", (void **)&qemu.lock},
    {"bql_unlock", (void **)&qemu.unlock},
    {"object_resolve_path_type", (void **)&qemu.resolve},
    {"virtio_queue_notify", (void **)&qemu.notify},
    {"memory_region_add_subregion", (void **)&qemu.add},
    {"memory_region_del_subregion", (void **)&qemu.remove},
    {"memory_region_set_enabled", (void **)&qemu.enable},
};

static void *gpu;

static gboolean all_stopped(void)
{
    void *cpu;
    for (int i = 0; (cpu = qemu.get_cpu(i)); i++) {
        if (!qemu.is_stopped(cpu))
            return FALSE;
    }
    return TRUE;
}

/* FALSE where they stand still anyway. */
static gboolean pause_cpus(void)
{
    if (!qemu.is_running())
        return FALSE;
    void *cpu;
    for (int i = 0; (cpu = qemu.get_cpu(i)); i++)
        qemu.pause(cpu);
    gint64 end = g_get_monotonic_time() + PAUSE_US;
    while (!all_stopped() && g_get_monotonic_time() < end) {
        qemu.unlock();
        g_usleep(POLL_US);
        qemu.lock(__FILE__, __LINE__);
    }
    return TRUE;
}

static void resume_cpus(void)
{
    void *cpu;
    for (int i = 0; (cpu = qemu.get_cpu(i)); i++)
        qemu.resume(cpu);
    qemu.notify(gpu, CONTROL_QUEUE);
    qemu.notify(gpu, CURSOR_QUEUE);
}

static void add_subregion(void *container, uint64_t offset, void *region)
{
    gboolean paused = pause_cpus();
    qemu.add(container, offset, region);
    if (paused)
        resume_cpus();
}

static void del_subregion(void *container, void *region)
{
    gboolean paused = pause_cpus();
    qemu.remove(container, region);
    if (paused)
        resume_cpus();
}

/* The device enables a region that it has just added: it is enabled already, and nothing changes.
 */
static void set_enabled(void *region, bool enabled)
{
    gboolean paused = !enabled && pause_cpus();
    qemu.enable(region, enabled);
    if (paused)
        resume_cpus();
}

static const struct {
    const char *name;
    void *replacement;
} replaced[] = {
    {"memory_region_add_subregion", add_subregion},
    {"memory_region_del_subregion", del_subregion},
    {"memory_region_set_enabled", set_enabled},
};

static gboolean is_emulated(void)
{
    const bool *allowed = dlsym(RTLD_DEFAULT, "tcg_allowed");
    return allowed && *allowed;
}

static gboolean look_up(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(looked_up); i++) {
        *looked_up[i].function = dlsym(RTLD_DEFAULT, looked_up[i].name);
        if (!*looked_up[i].function)
            return FALSE;
    }
    gpu = qemu.resolve("", "virtio-gpu-gl-device", NULL);
    return gpu != NULL;
}

/* Write @address over the one at @slot, which is read-only once the library is linked. */
static gboolean replace(void **slot, void *address)
{
    uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *page = (void *)((uintptr_t)slot & ~(page_size - 1));
    if (mprotect(page, page_size, PROT_READ | PROT_WRITE) < 0)
        return FALSE;
    *slot = address;
    return mprotect(page, page_size, PROT_READ) == 0;
}

/* What the dynamic section of @library has of @tag; 0 where it has none. */
static uintptr_t dynamic_of(const struct link_map *library, Elf64_Sxword tag)
{
    for (const Elf64_Dyn *entry = library->l_ld; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == tag)
            return entry->d_un.d_ptr;
    }
    return 0;
}

/* How many of the functions of @library's were replaced. */
static guint replace_in(const struct link_map *library)
{
    const Elf64_Rela *entries = (const void *)dynamic_of(library, DT_JMPREL);
    size_t n = dynamic_of(library, DT_PLTRELSZ) / sizeof *entries;
    const Elf64_Sym *symbols = (const void *)dynamic_of(library, DT_SYMTAB);
    const char *names = (const char *)dynamic_of(library, DT_STRTAB);
    guint count = 0;
    if (!entries || !symbols || !names || dynamic_of(library, DT_PLTREL) != DT_RELA)
        return 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = names + symbols[ELF64_R_SYM(entries[i].r_info)].st_name;
        for (size_t j = 0; j < G_N_ELEMENTS(replaced); j++) {
            if (strcmp(name, replaced[j].name) == 0)
                count += replace((void **)(library->l_addr + entries[i].r_offset),
                                 replaced[j].replacement);
        }
    }
    return count;
}

void hx_memory_map_guard(void *caller)
{
    static gboolean done;
    Dl_info info;
    struct link_map *library = NULL;
    if (done || !is_emulated())
        return;
    done = TRUE;
    guint count = 0;
    if (look_up() && dladdr1(caller, &info, (void **)&library, RTLD_DL_LINKMAP))
        count = replace_in(library);
    if (count == G_N_ELEMENTS(replaced))
        hx_log_info("emulated CPUs pause while blobs are mapped");
    else
        hx_log_warning("emulated CPUs do not pause while blobs are mapped, as this QEMU has other "
                       "functions (%u of %u found): the guest may stall",
                       count, (guint)G_N_ELEMENTS(replaced));
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which domain is ours to end, with libvirt's own test driver. */
#include "launcher/domain/stale-domain.h"

#include <string.h>

#include "launcher/base/error.h"
#include "launcher/base/process.h"

#define OURS "22222222-f6a4-8304-79aa-97f2502e193f"
#define OTHERS "11111111-f6a4-8304-79aa-97f2502e193f"

typedef struct {
    char *directory;
    HxVm *vm;
    virConnect *connection;
    virDomain *domain;
} Fixture;

static void set_up(Fixture *fixture, const void *uuid)
{
    g_autoptr(GError) error = NULL;
    fixture->directory = g_dir_make_tmp("helixvm-stale-XXXXXX", NULL);
    g_setenv("HELIXVM_STATE_DIR", fixture->directory, TRUE);
    g_setenv("HELIXVM_RUNTIME_DIR", fixture->directory, TRUE);
    g_setenv("LIBVIRT_DEFAULT_URI", "test:///default", TRUE);
    fixture->vm = hx_vm_open("left", &error);
    g_assert_no_error(error);
    g_assert_true(hx_vm_create_directories(fixture->vm, &error));
    g_assert_true(
        g_file_set_contents(hx_vm_state_path(fixture->vm, "uuid"), OURS "\n", -1, &error));
    fixture->connection = hx_libvirt_open(NULL, &error);
    g_assert_no_error(error);
    g_autofree char *xml = g_strdup_printf("<domain type='test'><name>helixvm-left</name>"
                                           "<uuid>%s</uuid><memory>1024</memory>"
                                           "<os><type>hvm</type></os></domain>",
                                           (const char *)uuid);
    fixture->domain = virDomainCreateXML(fixture->connection, xml, 0);
    g_assert_nonnull(fixture->domain);
}

static void tear_down(Fixture *fixture, const void *uuid)
{
    virDomainFree(fixture->domain);
    virConnectClose(fixture->connection);
    hx_vm_free(fixture->vm);
    const char *const argv[] = {"rm", "-r", fixture->directory, NULL};
    g_assert_true(hx_process_run(argv, NULL, NULL, NULL));
    g_free(fixture->directory);
}

static void test_own_ends(Fixture *fixture, const void *uuid)
{
    g_autoptr(GError) error = NULL;
    gboolean ended = FALSE;
    g_assert_true(hx_stale_domain_check_name(fixture->vm, fixture->connection, &error));
    g_assert_true(hx_stale_domain_end(fixture->vm, fixture->connection, &ended, &error));
    g_assert_true(ended);
    g_assert_cmpint(virDomainIsActive(fixture->domain), !=, 1);
    g_assert_true(hx_stale_domain_end(fixture->vm, fixture->connection, &ended, &error));
    g_assert_false(ended);
}

static void test_other_is_left_alone(Fixture *fixture, const void *uuid)
{
    g_autoptr(GError) error = NULL;
    gboolean ended = TRUE;
    g_assert_true(hx_stale_domain_end(fixture->vm, fixture->connection, &ended, &error));
    g_assert_false(ended);
    g_assert_cmpint(virDomainIsActive(fixture->domain), ==, 1);
    g_assert_false(hx_stale_domain_check_name(fixture->vm, fixture->connection, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_HOST);
    g_assert_nonnull(strstr(error->message, "`virsh destroy helixvm-left`"));
    virDomainDestroy(fixture->domain);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/stale-domain/own-ends", Fixture, OURS, set_up, test_own_ends, tear_down);
    g_test_add("/stale-domain/other-is-left-alone", Fixture, OTHERS, set_up,
               test_other_is_left_alone, tear_down);
    return g_test_run();
}

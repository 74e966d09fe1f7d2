/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-sources.h"

static gboolean add(HxStreamSources *sources, const char *source, const char *encoder, gint64 now)
{
    const HxStreamSource told = {.source = (char *)source, .encoder = (char *)encoder};
    return hx_stream_sources_add(sources, &told, now);
}

/* The first is no change, nor is the same once more. */
static void test_changes(void)
{
    g_auto(HxStreamSources) sources;
    hx_stream_sources_init(&sources);
    g_assert_null(hx_stream_sources_last(&sources));
    g_assert_cmpuint(hx_stream_sources_changes(&sources), ==, 0);
    g_assert_false(add(&sources, "resource", "vsockenc", 1));
    g_assert_false(add(&sources, "resource", "vsockenc", 2));
    g_assert_true(add(&sources, "pixels", "vsockenc", 3));
    g_assert_true(add(&sources, "re\x1bource", "vsockenc", 4));
    g_assert_cmpuint(hx_stream_sources_changes(&sources), ==, 2);
    g_assert_cmpstr(hx_stream_sources_change(&sources, 0)->source, ==, "pixels");
    g_assert_cmpint(hx_stream_sources_change(&sources, 0)->at, ==, 3);
    g_assert_cmpstr(hx_stream_sources_last(&sources)->source, ==, "re?ource");
}

/* A session that never ends to change is not followed for ever. */
static void test_bound(void)
{
    g_auto(HxStreamSources) sources;
    hx_stream_sources_init(&sources);
    guint changes = 0;
    for (int i = 0; i < 3 * HX_STREAM_SOURCES_MAX; i++)
        changes += add(&sources, i % 2 ? "resource" : "guest", "x", i);
    g_assert_cmpuint(changes, ==, HX_STREAM_SOURCES_MAX);
    g_assert_cmpuint(hx_stream_sources_changes(&sources), ==, HX_STREAM_SOURCES_MAX);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream-sources/changes", test_changes);
    g_test_add_func("/stream-sources/bound", test_bound);
    return g_test_run();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Of a stream without a frame, the stage that broke. */
#include "cli/stream-diagnosis.h"

#include "launcher/base/json.h"

#define ENCODER "{\"module\":{\"connected\":true,\"reason\":null}}"

static const struct {
    const char *session, *encoder, *told;
} cases[] = {
    {NULL, ENCODER, "session: its program does not answer"},
    {"{\"frames_drawn\":0}", ENCODER, "guest render: its compositor has drawn nothing"},
    {"{\"frames_drawn\":0,\"gl_renderer\":\"llvmpipe (LLVM 19)\"}", ENCODER,
     "guest render: its compositor has drawn nothing; the guest renders in software: llvmpipe "
     "(LLVM 19)"},
    {"{\"frames_drawn\":9,\"frames\":0,\"gl_renderer\":\"virgl (llvmpipe)\"}", ENCODER,
     "encode: its compositor draws, and no frame was encoded"},
    {"{\"frames_drawn\":9,\"frames\":0}", NULL,
     "encode: helixvm-encoder does not answer, and the guest has encoded nothing either"},
    {"{\"frames_drawn\":9,\"frames\":4,\"source\":\"resource\"}", NULL,
     "encode: helixvm-encoder does not answer"},
    {"{\"frames_drawn\":9,\"frames\":4,\"source\":\"guest\"}", NULL,
     "transport: it has encoded 4 frames, and none came through"},
    {"{\"frames_drawn\":9,\"frames\":4,\"source\":\"pixels\"}",
     "{\"module\":{\"connected\":false,\"reason\":\"no library\"}}",
     "transport: it has encoded 4 frames, and none came through; the host cannot read the guest's "
     "GPU: no library"},
    /* What a guest may tell. */
    {"{\"frames_drawn\":\"many\",\"gl_renderer\":[]}", "{\"module\":[]}",
     "guest render: its compositor has drawn nothing"},
};

static void test_cases(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(JsonObject) session =
            cases[i].session ? hx_json_parse_object(cases[i].session, -1) : NULL;
        g_autoptr(JsonObject) encoder =
            cases[i].encoder ? hx_json_parse_object(cases[i].encoder, -1) : NULL;
        g_autofree char *told = hx_stream_diagnose(session, encoder);
        g_assert_cmpstr(told, ==, cases[i].told);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream-diagnosis/cases", test_cases);
    return g_test_run();
}

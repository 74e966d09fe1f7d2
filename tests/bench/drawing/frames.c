/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  As a program on a screen has it, a frame may be under way while the next is
 * drawn: before each, the one IN_FLIGHT before is waited for. */
#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES3/gl3.h>
#include <stdbool.h>
#include <stdio.h>

#include "tests/bench/drawing/drawing.h"

#define IN_FLIGHT 2
#define TRIANGLES 300

static const char vertex_source[] =
    "#version 300 es\n"
    "uniform float time;\n"
    "out vec3 colour;\n"
    "void main() {\n"
    "    float n = float(gl_VertexID / 3), corner = float(gl_VertexID % 3);\n"
    "    float angle = time * (0.5 + fract(n * 0.37)) + corner * 2.094;\n"
    "    vec2 centre = vec2(fract(n * 0.618), fract(n * 0.414)) * 2.0 - 1.0;\n"
    "    colour = vec3(fract(n * 0.13), fract(n * 0.29), corner / 2.0);\n"
    "    gl_Position = vec4(centre + 0.15 * vec2(cos(angle), sin(angle)), 0.0, 1.0);\n"
    "}\n";
static const char fragment_source[] =
    "#version 300 es\n"
    "precision mediump float;\n"
    "in vec3 colour;\n"
    "out vec4 pixel;\n"
    "void main() { pixel = vec4(colour * (0.7 + 0.3 * sin(gl_FragCoord.x * 0.1)), 1.0); }\n";

static int fail(const char *what)
{
    fprintf(stderr, "drawing: %s\n", what);
    return 1;
}

static bool open_context(void)
{
    static const EGLint version[] = {EGL_CONTEXT_CLIENT_VERSION, 3, EGL_NONE};
    EGLDisplay egl =
        eglGetPlatformDisplay(EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY, NULL);
    if (!eglInitialize(egl, NULL, NULL) || !eglBindAPI(EGL_OPENGL_ES_API))
        return false;
    EGLContext context = eglCreateContext(egl, EGL_NO_CONFIG_KHR, EGL_NO_CONTEXT, version);
    return context && eglMakeCurrent(egl, EGL_NO_SURFACE, EGL_NO_SURFACE, context);
}

static bool add_shader(GLuint program, GLenum type, const char *source)
{
    GLuint shader = glCreateShader(type);
    GLint good = 0;
    glShaderSource(shader, 1, &source, NULL);
    glCompileShader(shader);
    glGetShaderiv(shader, GL_COMPILE_STATUS, &good);
    glAttachShader(program, shader);
    return good;
}

static bool use_program(GLint *ret_time)
{
    GLuint program = glCreateProgram();
    GLint good = 0;
    if (!add_shader(program, GL_VERTEX_SHADER, vertex_source) ||
        !add_shader(program, GL_FRAGMENT_SHADER, fragment_source))
        return false;
    glLinkProgram(program);
    glGetProgramiv(program, GL_LINK_STATUS, &good);
    glUseProgram(program);
    *ret_time = glGetUniformLocation(program, "time");
    return good;
}

static bool use_picture(int width, int height)
{
    GLuint framebuffer, renderbuffer;
    glGenFramebuffers(1, &framebuffer);
    glGenRenderbuffers(1, &renderbuffer);
    glBindFramebuffer(GL_FRAMEBUFFER, framebuffer);
    glBindRenderbuffer(GL_RENDERBUFFER, renderbuffer);
    glRenderbufferStorage(GL_RENDERBUFFER, GL_RGBA8, width, height);
    glFramebufferRenderbuffer(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, renderbuffer);
    glViewport(0, 0, width, height);
    return glCheckFramebufferStatus(GL_FRAMEBUFFER) == GL_FRAMEBUFFER_COMPLETE;
}

/* Until the frame that @fence follows is drawn; a NULL one is none. */
static void wait_for(GLsync fence)
{
    if (!fence)
        return;
    glClientWaitSync(fence, GL_SYNC_FLUSH_COMMANDS_BIT, GL_TIMEOUT_IGNORED);
    glDeleteSync(fence);
}

int draw_frames(double seconds, int width, int height)
{
    GLint time;
    if (!open_context())
        return fail("EGL gives no context off screen");
    if (!use_program(&time) || !use_picture(width, height))
        return fail("OpenGL ES 3 does not draw");
    GLsync fences[IN_FLIGHT] = {0};
    printf("begun\n");
    fflush(stdout);
    uint64_t begun = clock_us(), end = begun + (uint64_t)(seconds * 1e6), now;
    unsigned frames = 0;
    while ((now = clock_us()) < end) {
        GLsync *fence = &fences[frames++ % IN_FLIGHT];
        wait_for(*fence);
        glUniform1f(time, (float)(now - begun) / 1e6f);
        glClearColor(0, 0, 0, 1);
        glClear(GL_COLOR_BUFFER_BIT);
        glDrawArrays(GL_TRIANGLES, 0, 3 * TRIANGLES);
        *fence = glFenceSync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
        glFlush();
    }
    glFinish();
    printf("frames=%u seconds=%.3f renderer=%s\n", frames, (double)(clock_us() - begun) / 1e6,
           (const char *)glGetString(GL_RENDERER));
    return 0;
}

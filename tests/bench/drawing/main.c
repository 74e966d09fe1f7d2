/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/drawing/drawing.h"

uint64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "clock") == 0 && argc == 2)
        return draw_clock();
    if (strcmp(verb, "answer") == 0 && argc == 3)
        return answer_clock((unsigned)atoi(argv[2]));
    if (strcmp(verb, "frames") == 0 && argc == 5)
        return draw_frames(atof(argv[2]), atoi(argv[3]), atoi(argv[4]));
    fprintf(stderr, "usage: drawing clock | answer PORT | frames SECONDS WIDTH HEIGHT\n");
    return 2;
}

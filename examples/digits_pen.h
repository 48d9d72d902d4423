/* digits_pen.h - draws hand-written digits, in integers alone, from detnn's generator: the same pixels on every machine.
 * Needs no C library. Lengths are in 1/256 of a pixel at side 16, factors in 1/4096. */
#include "detnn.h"

/* Two ways of writing each digit: strokes of points xy, x in 0..6, y (down) in 0..9. A stroke is
 * a quadratic B-spline from its first point to its last; a point given twice makes a corner. */
static const char *const digits_strokes[10][2] = {
    { "30 00 09 69 60 30", "50 10 03 09 59 66 60 30 10" },
    { "22 40 40 49", "13 40 40 49,19 69" },
    { "02 00 60 64 09 09 69", "12 10 60 63 19 07 27 69" },
    { "01 00 60 64 24 24 64 69 09 08", "00 60 60 33 33 65 69 09 07" },
    { "40 06 06 66,43 49", "10 15 15 65,51 59" },
    { "60 10 10 04 04 23 64 69 09 07", "10 04 04 23 64 69 09,10 60" },
    { "50 20 04 09 69 64 14 06", "40 04 09 59 66 24 07" },
    { "00 60 60 29", "01 00 60 60 29,14 54" },
    { "30 00 04 65 69 09 05 64 60 30", "61 10 03 65 69 09 06 62 61" },
    { "62 60 00 05 65 61 61 69", "63 60 00 05 55 62 62 69 19 08" },
};

/* A random number in -spread .. spread, near 0 more often than far. */
static int digits_around(detnn_rng *rng, int spread)
{
    int a = (int)detnn_rng_below(rng, (uint64_t)spread + 1);
    return a - (int)detnn_rng_below(rng, (uint64_t)spread + 1);
}

/* Sets the pen down at x, y: full ink up to the distance core, none from reach on. */
static void digits_pen(int *ink, int side, int x, int y, int core)
{
    const int64_t reach = core + 300 * (side / 16), rest = reach * reach - (int64_t)core * core;
    for (int v = (y - (int)reach) / 256; v <= (y + (int)reach) / 256; v++)
        for (int u = (x - (int)reach) / 256; u <= (x + (int)reach) / 256; u++) {
            const int64_t dx = u * 256 + 128 - x, dy = v * 256 + 128 - y;
            const int64_t level = 255 * (reach * reach - dx * dx - dy * dy) / rest;
            if (u >= 0 && v >= 0 && u < side && v < side && level > ink[v * side + u])
                ink[v * side + u] = level < 255 ? (int)level : 255;
        }
}

/* Draws a digit into ink [side][side], which is empty; side a multiple of 16. */
static void digits_draw_one(detnn_rng *rng, uint32_t digit, int side, int *ink)
{
    const int scale = side / 16;
    const float turn = (float)digits_around(rng, 60) / 1024.0f; /* of a full circle */
    const int c = (int)(detnn_cos2pi(turn) * 4096.0f), s = (int)(detnn_sin2pi(turn) * 4096.0f);
    const int width = 4096 + digits_around(rng, 1200), height = 4096 + digits_around(rng, 900);
    const int slant = digits_around(rng, 1600), core = 60 + (int)detnn_rng_below(rng, 140);
    const int left = 16 * 128 + digits_around(rng, 500);
    const int top = 16 * 128 + digits_around(rng, 400);
    int x[16], y[16], n = 0;
    for (const char *p = digits_strokes[digit][detnn_rng_below(rng, 2)];; p += 3) {
        int px = (p[0] - '0') * 288 - 864 + digits_around(rng, 220);
        int py = (p[1] - '0') * 288 - 1296 + digits_around(rng, 220);
        px = (px * width + py * slant) / 4096;
        py = py * height / 4096;
        n++;
        x[n] = ((px * c - py * s) / 4096 + left) * scale;
        y[n] = ((px * s + py * c) / 4096 + top) * scale;
        if (p[2] == ' ') continue;
        x[0] = x[1], y[0] = y[1], x[n + 1] = x[n], y[n + 1] = y[n];
        for (int i = 1; i <= n; i++) /* from the middle before point i to the middle after it */
            for (int t = 0; t <= 16; t++) {
                const int before = (16 - t) * (16 - t), after = t * t, at = 512 - before - after;
                digits_pen(ink, side, (before * x[i - 1] + at * x[i] + after * x[i + 1]) / 512,
                           (before * y[i - 1] + at * y[i] + after * y[i + 1]) / 512, core * scale);
            }
        if (p[2] == '\0') return;
        n = 0;
    }
}

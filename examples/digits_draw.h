/* digits_draw.h - hand-written digits for the demo: drawn where there are no files of real ones,
 * and shown with what a net says of them. Drawn in integers alone, from detnn's generator: the same
 * pixels on every machine. Lengths are in 1/256 of a pixel, factors in 1/4096. */
#include "digits_data.h"

enum { DIGITS_DRAWN_SIDE = 16 };

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
static void digits_pen(int *ink, int x, int y, int core)
{
    const int side = DIGITS_DRAWN_SIDE, reach = core + 300;
    for (int v = (y - reach) / 256; v <= (y + reach) / 256; v++)
        for (int u = (x - reach) / 256; u <= (x + reach) / 256; u++) {
            int dx = u * 256 + 128 - x, dy = v * 256 + 128 - y;
            int level = 255 * (reach * reach - dx * dx - dy * dy) / (reach * reach - core * core);
            if (u >= 0 && v >= 0 && u < side && v < side && level > ink[v * side + u])
                ink[v * side + u] = level < 255 ? level : 255;
        }
}

static void digits_draw_one(detnn_rng *rng, uint32_t digit, int *ink)
{
    const float turn = (float)digits_around(rng, 60) / 1024.0f; /* of a full circle */
    const int c = (int)(detnn_cos2pi(turn) * 4096.0f), s = (int)(detnn_sin2pi(turn) * 4096.0f);
    const int width = 4096 + digits_around(rng, 1200), height = 4096 + digits_around(rng, 900);
    const int slant = digits_around(rng, 1600), core = 60 + (int)detnn_rng_below(rng, 140);
    const int left = DIGITS_DRAWN_SIDE * 128 + digits_around(rng, 500);
    const int top = DIGITS_DRAWN_SIDE * 128 + digits_around(rng, 400);
    int x[16], y[16], n = 0;
    for (const char *p = digits_strokes[digit][detnn_rng_below(rng, 2)];; p += 3) {
        int px = (p[0] - '0') * 288 - 864 + digits_around(rng, 220);
        int py = (p[1] - '0') * 288 - 1296 + digits_around(rng, 220);
        px = (px * width + py * slant) / 4096;
        py = py * height / 4096;
        n++;
        x[n] = (px * c - py * s) / 4096 + left;
        y[n] = (px * s + py * c) / 4096 + top;
        if (p[2] == ' ') continue;
        x[0] = x[1], y[0] = y[1], x[n + 1] = x[n], y[n + 1] = y[n];
        for (int i = 1; i <= n; i++) /* from the middle before point i to the middle after it */
            for (int t = 0; t <= 16; t++) {
                const int before = (16 - t) * (16 - t), after = t * t, at = 512 - before - after;
                digits_pen(ink, (before * x[i - 1] + at * x[i] + after * x[i + 1]) / 512,
                           (before * y[i - 1] + at * y[i] + after * y[i + 1]) / 512, core);
            }
        if (p[2] == '\0') return;
        n = 0;
    }
}

static int digits_draw(digits *d, uint64_t seed, size_t train, size_t test)
{
    enum { PIXELS = DIGITS_DRAWN_SIDE * DIGITS_DRAWN_SIDE };
    detnn_rng rng;
    detnn_rng_seed(&rng, seed);
    d->source = "drawn";
    d->train = train;
    d->test = test;
    if (!digits_reserve(d, DIGITS_DRAWN_SIDE, train + test)) return 0;
    for (size_t i = 0; i < train + test; i++) {
        int ink[PIXELS] = { 0 };
        d->labels[i] = (uint32_t)(i % 10);
        digits_draw_one(&rng, d->labels[i], ink);
        for (size_t p = 0; p < PIXELS; p++) {
            int level = ink[p] + digits_around(&rng, 40);
            d->x[i * PIXELS + p] = (float)(level < 0 ? 0 : level > 255 ? 255 : level) / 256.0f;
        }
    }
    return 1;
}

/* What the net says test digit i is; y [test][10] are its probabilities. */
static size_t digits_said(const float *y, size_t i) { return detnn_argmax(y + i * 10, 10); }

static void digits_show_table(const digits *d, const float *y)
{
    int table[10][10] = { { 0 } };
    for (size_t i = 0; i < d->test; i++) table[d->labels[d->train + i]][digits_said(y, i)]++;
    printf("said:     0    1    2    3    4    5    6    7    8    9\n");
    for (int i = 0; i < 10; i++, printf("\n")) {
        printf("a %d   ", i);
        for (int j = 0; j < 10; j++)
            if (table[i][j]) printf("%5d", table[i][j]);
            else printf("    .");
    }
}

/* The first three test digits that it gets right (or wrong), large images at half their size. */
static void digits_show(const digits *d, const float *y, int right)
{
    const size_t step = d->side > 20 ? 2 : 1;
    size_t which[3], n = 0;
    char text[40];
    for (size_t i = 0; i < d->test && n < 3; i++)
        if ((digits_said(y, i) == d->labels[d->train + i]) == right) which[n++] = i;
    printf("\n");
    for (size_t k = 0; k < n; k++) {
        snprintf(text, sizeof text, "a %d, said %d (%.1f %%)", (int)d->labels[d->train + which[k]],
                 (int)digits_said(y, which[k]), 100 * (double)detnn_max(y + which[k] * 10, 10));
        printf("%-*s", (int)(2 * d->side / step + 6), text);
    }
    for (size_t v = 0; v < d->side; v += step) {
        printf("\n");
        for (size_t k = 0; k < n; k++) {
            const float *row = d->x + ((d->train + which[k]) * d->side + v) * d->side;
            for (size_t u = 0; u < d->side; u += step) {
                char ink = "  :-=+*#%@"[(int)(row[u] * 9.99f)];
                printf("%c%c", ink, ink);
            }
            printf("%s", k + 1 < n ? "      " : "");
        }
    }
    printf("\n");
}

/* digits_draw.h - hand-written digits for the demo: drawn where there are no files of real ones,
 * and shown with what a net says of them. */
#include "digits_data.h"
#include "digits_pen.h"

static int digits_draw(digits *d, uint64_t seed, size_t train, size_t test)
{
    enum { SIDE = 16, PIXELS = SIDE * SIDE };
    detnn_rng rng;
    detnn_rng_seed(&rng, seed);
    d->source = "drawn";
    d->train = train;
    d->test = test;
    if (!digits_reserve(d, SIDE, train + test)) return 0;
    for (size_t i = 0; i < train + test; i++) {
        int ink[PIXELS] = { 0 };
        d->labels[i] = (uint32_t)(i % 10);
        digits_draw_one(&rng, d->labels[i], SIDE, ink);
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

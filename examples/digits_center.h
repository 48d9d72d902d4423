/* digits_center.h - brings any image of a digit into one size and place, those to learn from and those to read alike. In
 * integers alone, as digits_pen.h. */
#include "digits_pen.h"

enum { CENTRED_SIDE = 16, CENTRED_BOX = 14, CENTRED = CENTRED_SIDE * CENTRED_SIDE };

/* Any image of one digit, grey [height][width], dark on light or light on dark, becomes x [16][16] in 0..1, light on
 * dark: the ink's longer side fills 14 pixels, its middle is the middle. A pixel of x is the mean of what it covers.
 * Returns 0 where there is no ink. */
static int digits_center(const unsigned char *grey, int width, int height, float *x)
{
    int64_t border = 0, most = 0, left = width, right = -1, top = height, bottom = -1;
    for (int u = 0; u < width; u++) border += grey[u] + grey[(height - 1) * width + u];
    for (int v = 0; v < height; v++) border += grey[v * width] + grey[v * width + width - 1];
    const int paper = (int)(border / (2 * (width + height)));
#define INK(u, v) (paper > 127 ? paper - grey[(v) * width + (u)] : grey[(v) * width + (u)] - paper)
    for (int i = 0; i < width * height; i++) most = INK(i, 0) > most ? INK(i, 0) : most;
    if (most < 32) return 0;
    for (int v = 0; v < height; v++)
        for (int u = 0; u < width; u++)
            if (INK(u, v) > most / 3) {
                left = u < left ? u : left, right = u > right ? u : right;
                top = v < top ? v : top, bottom = v > bottom ? v : bottom;
            }
    /* in units of 1/14 pixel of the image, a pixel of x is side long */
    const int64_t wide = right + 1 - left, high = bottom + 1 - top, side = wide > high ? wide : high;
    for (int at = 0; at < CENTRED; at++) {
        const int64_t x0 = CENTRED_BOX * left + (CENTRED_BOX * wide - CENTRED_SIDE * side) / 2 + at % CENTRED_SIDE * side;
        const int64_t y0 = CENTRED_BOX * top + (CENTRED_BOX * high - CENTRED_SIDE * side) / 2 + at / CENTRED_SIDE * side;
        int64_t sum = 0;
        for (int64_t v = y0 / CENTRED_BOX - 1; v <= (y0 + side) / CENTRED_BOX; v++)
            for (int64_t u = x0 / CENTRED_BOX - 1; u <= (x0 + side) / CENTRED_BOX; u++) {
                const int64_t from_x = u * CENTRED_BOX > x0 ? u * CENTRED_BOX : x0, end_x = (u + 1) * CENTRED_BOX;
                const int64_t from_y = v * CENTRED_BOX > y0 ? v * CENTRED_BOX : y0, end_y = (v + 1) * CENTRED_BOX;
                const int64_t to_x = end_x < x0 + side ? end_x : x0 + side, to_y = end_y < y0 + side ? end_y : y0 + side;
                if (u < 0 || v < 0 || u >= width || v >= height || to_x <= from_x || to_y <= from_y) continue;
                const int64_t ink = INK((int)u, (int)v) - most / 8; /* what is nearly paper is paper */
                sum += ink > 0 ? ink * (to_x - from_x) * (to_y - from_y) : 0;
            }
        x[at] = (float)(sum * 256 / (side * side * (most - most / 8))) / 256.0f;
    }
#undef INK
    return 1;
}

/* A drawn digit, centred: what the nets that read images of any size learn from. */
static void digits_draw_centred(detnn_rng *rng, uint32_t digit, float *x)
{
    enum { SIDE = 32 };
    int ink[SIDE * SIDE] = { 0 };
    unsigned char grey[SIDE * SIDE];
    digits_draw_one(rng, digit, SIDE, ink);
    for (int i = 0; i < SIDE * SIDE; i++) grey[i] = (unsigned char)ink[i];
    digits_center(grey, SIDE, SIDE, x);
}

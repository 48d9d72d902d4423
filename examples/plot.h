/* plot.h - pictures for the examples: panels with axes, lines, dots and text, written as PNG by Sean Barrett's
 * stb_image_write (Debian: libstb-dev). Without it the same programs run, and write no picture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__has_include)
#if __has_include(<stb/stb_image_write.h>)
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
#include <stb/stb_easy_font.h>
#define PLOT_PNG
#endif
#endif

typedef struct picture {
    int width, height;
    unsigned char *rgb; /* [height][width][3] */
} picture;

/* A part of a picture with axes of its own. */
typedef struct panel {
    picture *to;
    int left, top, width, height; /* in pixels */
    double x0, x1, y0, y1;        /* what the axes run from and to */
} panel;

static void picture_blend(picture *p, int x, int y, unsigned color, double share)
{
    if (x < 0 || y < 0 || x >= p->width || y >= p->height || !(share > 0)) return;
    for (int c = 0; c < 3; c++) {
        unsigned char *at = p->rgb + (y * p->width + x) * 3 + c;
        const double ink = color >> (16 - 8 * c) & 255;
        *at = (unsigned char)(*at + (ink - *at) * (share < 1 ? share : 1) + 0.5);
    }
}

static void picture_box(picture *p, int x, int y, int width, int height, unsigned color)
{
    for (int v = y; v < y + height; v++)
        for (int u = x; u < x + width; u++) picture_blend(p, u, v, color, 1);
}

static int picture_new(picture *p, int width, int height)
{
    p->width = width, p->height = height;
    p->rgb = (unsigned char *)malloc((size_t)width * (size_t)height * 3);
    if (p->rgb) memset(p->rgb, 255, (size_t)width * (size_t)height * 3);
    return p->rgb != NULL;
}

/* A line with round ends, or a dot where both ends are one, of that width. */
static void picture_line(picture *p, double ax, double ay, double bx, double by, double width, unsigned color)
{
    const double r = width / 2 + 0.5, inner = r > 1 ? (r - 1) * (r - 1) : 0, dx = bx - ax, dy = by - ay;
    const double length2 = dx * dx + dy * dy;
    for (int v = (int)((ay < by ? ay : by) - r); v <= (int)((ay < by ? by : ay) + r); v++)
        for (int u = (int)((ax < bx ? ax : bx) - r); u <= (int)((ax < bx ? bx : ax) + r); u++) {
            const double px = u + 0.5 - ax, py = v + 0.5 - ay;
            double t = length2 > 0 ? (px * dx + py * dy) / length2 : 0;
            t = t < 0 ? 0 : t > 1 ? 1 : t;
            const double ex = px - t * dx, ey = py - t * dy;
            picture_blend(p, u, v, color, (r * r - ex * ex - ey * ey) / (r * r - inner));
        }
}

/* Text in 14 pixels' height, its upper left corner at x, y; align 1: ends at x, 0.5: is centred on it. */
static void picture_text(picture *p, int x, int y, double align, unsigned color, const char *text)
{
#ifdef PLOT_PNG
    static struct { float x, y, z; unsigned char color[4]; } corner[4 * 2000];
    char copy[200];
    snprintf(copy, sizeof copy, "%s", text);
    const int quads = stb_easy_font_print(0, 0, copy, NULL, corner, sizeof corner);
    float width = 0;
    for (int i = 0; i < quads; i++) width = corner[4 * i + 2].x > width ? corner[4 * i + 2].x : width;
    x -= (int)(align * 2 * (double)width);
    for (int i = 0; i < quads; i++)
        picture_box(p, x + (int)(2 * corner[4 * i].x), y + (int)(2 * corner[4 * i].y),
                    (int)(2 * (corner[4 * i + 2].x - corner[4 * i].x)),
                    (int)(2 * (corner[4 * i + 2].y - corner[4 * i].y)), color);
#else
    (void)p, (void)x, (void)y, (void)align, (void)color, (void)text;
#endif
}

static double panel_x(const panel *a, double x) { return a->left + (x - a->x0) / (a->x1 - a->x0) * a->width; }
static double panel_y(const panel *a, double y) { return a->top + (a->y1 - y) / (a->y1 - a->y0) * a->height; }

/* Title, frame, and a number with a faint line at each part of the axes. */
static void panel_axes(const panel *a, const char *title, int parts)
{
    char text[40];
    picture_text(a->to, a->left + a->width / 2, a->top - 30, 0.5, 0x202020, title);
    for (int i = 0; i <= parts; i++) {
        const double x = a->x0 + (a->x1 - a->x0) * i / parts, y = a->y0 + (a->y1 - a->y0) * i / parts;
        picture_box(a->to, (int)panel_x(a, x), a->top, 1, a->height, 0xe0e0e0);
        picture_box(a->to, a->left, (int)panel_y(a, y), a->width, 1, 0xe0e0e0);
        snprintf(text, sizeof text, "%g", x);
        picture_text(a->to, (int)panel_x(a, x), a->top + a->height + 10, 0.5, 0x606060, text);
        snprintf(text, sizeof text, "%g", y);
        picture_text(a->to, a->left - 10, (int)panel_y(a, y) - 7, 1, 0x606060, text);
    }
}

static void panel_line(const panel *a, double x0, double y0, double x1, double y1, double width, unsigned color)
{
    picture_line(a->to, panel_x(a, x0), panel_y(a, y0), panel_x(a, x1), panel_y(a, y1), width, color);
}

static void panel_dot(const panel *a, double x, double y, double width, unsigned color)
{
    panel_line(a, x, y, x, y, width, color);
}

/* Writes the picture and frees it. */
static int picture_save(picture *p, const char *file)
{
#ifdef PLOT_PNG
    const int done = stbi_write_png(file, p->width, p->height, 3, p->rgb, 3 * p->width);
    printf(done ? "%s: %d x %d pixels\n" : "%s: cannot be written\n", file, p->width, p->height);
#else
    const int done = 1;
    printf("%s: not written, this build is without stb_image_write.h (Debian: libstb-dev)\n", file);
#endif
    free(p->rgb);
    return done;
}

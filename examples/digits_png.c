/* digits_png.c - reads a hand-written digit from a PNG of any size, dark on light or light on dark, and says what it is.
 *
 *     cc -O2 -I. examples/digits_png.c -o digits_png      (needs Sean Barrett's stb; Debian: libstb-dev)
 *     ./digits_png seven.png
 *     ./digits_png           draws one itself, digit.png, and reads that
 *
 * The net learns from digits that the program draws, brought into one size and place by the same function as the image. */
#include <stdio.h>
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_NO_LINEAR
#include <stb/stb_image.h>
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "digits_center.h"

enum { LEARN = 3000, TEST = 500, CLASSES = 10 };

static float x[LEARN + TEST][CENTRED];
static uint32_t labels[LEARN + TEST];

static detnn_net *train(detnn_error *err)
{
    static const detnn_layer layers[] = {
        DETNN_DENSE(64, DETNN_RELU), DETNN_DROPOUT(0.2f), DETNN_DENSE(CLASSES, DETNN_SOFTMAX)
    };
    detnn_rng rng;
    detnn_rng_seed(&rng, 1);
    for (int i = 0; i < LEARN + TEST; i++) digits_draw_centred(&rng, labels[i] = (uint32_t)i % CLASSES, x[i]);

    detnn_net_desc desc = detnn_net_desc_default();
    desc.seed = 1;
    desc.inputs = CENTRED;
    desc.layers = layers;
    desc.layer_count = 3;
    desc.optimizer = detnn_adam(0.003f);
    detnn_data data = detnn_data_default(), test = detnn_data_default();
    data.x = x[0];
    data.labels = labels;
    data.count = LEARN;
    test.x = x[LEARN];
    test.labels = labels + LEARN;
    test.count = TEST;
    detnn_fit_desc fit = detnn_fit_desc_default();
    fit.epochs = 10;

    detnn_net *net;
    detnn_metrics metrics;
    if (detnn_net_create(&net, &desc, err) || detnn_fit(net, &data, &fit, err)
        || detnn_evaluate(net, &test, &metrics, err))
        return detnn_net_destroy(net), NULL;
    printf("trained on %d drawn digits; of %d others %.1f %% right\n", LEARN, TEST, 100 * (double)metrics.accuracy);
    return net;
}

/* A seven in blue ink on paper, small and near a corner of a larger image, as if someone had sent it. */
static int draw_sample(const char *file)
{
    enum { SIDE = 80, WIDTH = 200, HEIGHT = 140 };
    static int ink[SIDE * SIDE];
    static unsigned char rgb[HEIGHT][WIDTH][3];
    detnn_rng rng;
    detnn_rng_seed(&rng, 3);
    digits_draw_one(&rng, 7, SIDE, ink);
    for (int v = 0; v < HEIGHT; v++)
        for (int u = 0; u < WIDTH; u++) {
            const int inside = u >= 100 && u < 100 + SIDE && v >= 10 && v < 10 + SIDE;
            const int level = inside ? ink[(v - 10) * SIDE + u - 100] : 0;
            rgb[v][u][0] = (unsigned char)(250 - level * 220 / 255 - (int)detnn_rng_below(&rng, 5));
            rgb[v][u][1] = (unsigned char)(248 - level * 190 / 255 - (int)detnn_rng_below(&rng, 5));
            rgb[v][u][2] = (unsigned char)(240 - level * 110 / 255 - (int)detnn_rng_below(&rng, 5));
        }
    return stbi_write_png(file, WIDTH, HEIGHT, 3, rgb, 3 * WIDTH);
}

/* Grey values over a white background; 0 and a sentence where that cannot be. */
static int read_image(const char *file, float *centred)
{
    int width, height, channels;
    unsigned char *pixel = stbi_load(file, &width, &height, &channels, 2);
    if (!pixel) return fprintf(stderr, "digits_png: %s: %s\n", file, stbi_failure_reason()), 0;
    for (int i = 0; i < width * height; i++) {
        const int grey = pixel[2 * i], cover = pixel[2 * i + 1];
        pixel[i] = (unsigned char)((grey * cover + 255 * (255 - cover) + 127) / 255);
    }
    const int found = digits_center(pixel, width, height, centred);
    printf("%s: %d x %d pixels\n\n", file, width, height);
    stbi_image_free(pixel);
    if (!found) fprintf(stderr, "digits_png: %s: there is nothing on it\n", file);
    return found;
}

int main(int count, char **words)
{
    const char *file = count > 1 ? words[1] : "digit.png";
    float seen[CENTRED], probability[CLASSES];
    detnn_error err;
    if (count > 2) return fprintf(stderr, "usage: digits_png [image.png]\n"), 1;
    if (count == 1 && !draw_sample(file)) return fprintf(stderr, "digits_png: %s: cannot be written\n", file), 1;
    if (!read_image(file, seen)) return 1;
    detnn_net *net = train(&err);
    if (!net || detnn_predict(net, seen, 1, probability, &err)) return fprintf(stderr, "digits_png: %s\n", err.text), 1;

    for (int v = 0; v < CENTRED_SIDE; v++) {
        for (int u = 0; u < CENTRED_SIDE; u++) {
            const char ink = "  :-=+*#%@"[(int)(seen[v * CENTRED_SIDE + u] * 9.99f)];
            printf("%c%c", ink, ink);
        }
        if (v >= 3 && v < 3 + CLASSES) {
            const double p = (double)probability[v - 3];
            printf("   %d %5.1f %% %.*s", v - 3, 100 * p, (int)(30 * p + 0.5), "##############################");
        }
        printf("\n");
    }
    char digest[DETNN_DIGEST_TEXT];
    printf("it is a %d\n%s\n", (int)detnn_argmax(probability, CLASSES),
           detnn_tensor_digest(probability, CLASSES, digest));
    detnn_net_destroy(net);
    return 0;
}

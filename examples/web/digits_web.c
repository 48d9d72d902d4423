/* digits_web.c - the part of the web page that is C: draws digits, learns them a few steps at a time, reads what the
 * visitor draws. Compiled to WebAssembly without a C library (make web); compiled natively it is a program that trains
 * the same net and prints its digest, which the page shows beside its own. */
#ifdef __wasm__
#define DETNN_FREESTANDING 1
#endif
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "../digits_center.h"

enum { LEARN = 3000, TEST = 500, CLASSES = 10, UNITS = 32, EPOCHS = 8, BATCH = 32, PAD = 280,
       STEPS = EPOCHS * ((LEARN + BATCH - 1) / BATCH) };

static float x[LEARN + TEST][CENTRED], loss[STEPS], seen[CENTRED], probability[CLASSES];
static uint32_t labels[LEARN + TEST];
static unsigned char grey[PAD * PAD], block[1 << 20];
static char digest[DETNN_DIGEST_TEXT];
static detnn_net *net;
static detnn_error err;
static detnn_rng pen;
static int steps_left;

static int keep_loss(void *user, detnn_net *n, const detnn_progress *p)
{
    (void)user, (void)n;
    loss[p->step - 1] = p->loss;
    return --steps_left > 0 ? DETNN_GO_ON : DETNN_PAUSE;
}

static detnn_data samples(int from, int count)
{
    detnn_data data = detnn_data_default();
    data.x = x[from];
    data.labels = labels + from;
    data.count = (size_t)count;
    return data;
}

#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(#name)))
#else
#define EXPORT(name) static
#endif

/* Draws the digits and makes the net. 0 on success, as all that can fail here; web_error has the sentence. */
EXPORT(web_begin) int web_begin(void)
{
    static const detnn_layer layers[] = {
        DETNN_DENSE(UNITS, DETNN_RELU), DETNN_DROPOUT(0.1f), DETNN_DENSE(CLASSES, DETNN_SOFTMAX)
    };
    detnn_net_desc desc = detnn_net_desc_default();
    detnn_rng_seed(&pen, 1);
    for (int i = 0; i < LEARN + TEST; i++) digits_draw_centred(&pen, labels[i] = (uint32_t)i % CLASSES, x[i]);
    desc.seed = 1;
    desc.inputs = CENTRED;
    desc.layers = layers;
    desc.layer_count = 3;
    desc.optimizer = detnn_adam(0.003f);
    desc.batch_max = 64;
    return detnn_net_init(&net, &desc, block, sizeof block, &err);
}

/* Goes on with the training for so many steps: cut anywhere, it ends in the same bits. */
EXPORT(web_train) int web_train(int steps)
{
    detnn_data data = samples(0, LEARN);
    detnn_fit_desc fit = detnn_fit_desc_default();
    if (detnn_info(net).epoch >= EPOCHS) return DETNN_OK;
    fit.epochs = EPOCHS - detnn_info(net).epoch;
    fit.batch_size = BATCH;
    fit.on_step = keep_loss;
    steps_left = steps;
    return detnn_fit(net, &data, &fit, &err);
}

EXPORT(web_steps_done) int web_steps_done(void) { return (int)detnn_info(net).step; }
EXPORT(web_steps) int web_steps(void) { return STEPS; }

/* The share of the test digits that is right. */
EXPORT(web_accuracy) float web_accuracy(void)
{
    detnn_data data = samples(LEARN, TEST);
    detnn_metrics metrics;
    return detnn_evaluate(net, &data, &metrics, &err) ? -1.0f : metrics.accuracy;
}

EXPORT(web_digest) const char *web_digest(void) { return detnn_digest(net, digest); }

#ifdef __wasm__
EXPORT(web_error) const char *web_error(void) { return err.text; }
EXPORT(web_loss) const float *web_loss(void) { return loss; }
EXPORT(web_weights) const float *web_weights(void) { return detnn_weights(net, 0, DETNN_KERNEL, 0, 0); } /* [256][32] */
EXPORT(web_grey) unsigned char *web_grey(void) { return grey; } /* [280][280], for the page to fill */
EXPORT(web_seen) const float *web_seen(void) { return seen; }   /* [16][16], what the net is shown of it */
EXPORT(web_probability) const float *web_probability(void) { return probability; }

/* Reads grey; the digit, or -1 where it is empty. */
EXPORT(web_read) int web_read(void)
{
    if (!digits_center(grey, PAD, PAD, seen) || detnn_predict(net, seen, 1, probability, &err)) return -1;
    return (int)detnn_argmax(probability, CLASSES);
}

/* Draws some digit into grey, dark on light. */
EXPORT(web_draw) void web_draw(void)
{
    static int ink[80 * 80];
    for (int i = 0; i < 80 * 80; i++) ink[i] = 0;
    digits_draw_one(&pen, (uint32_t)detnn_rng_below(&pen, CLASSES), 80, ink);
    for (int v = 0; v < PAD; v++)
        for (int u = 0; u < PAD; u++) grey[v * PAD + u] = (unsigned char)(255 - ink[v * 2 / 7 * 80 + u * 2 / 7]);
}
#else
#include <stdio.h>

int main(void)
{
    int wrong = web_begin();
    while (!wrong && web_steps_done() < web_steps()) wrong = web_train(7); /* the page takes other numbers of steps */
    if (wrong) return fprintf(stderr, "digits_web: %s\n", err.text), 1;
    printf("%d steps, %.1f %% of %d test digits right, last loss %.4f\n%s\n", web_steps_done(),
           100 * (double)web_accuracy(), TEST, (double)loss[STEPS - 1], web_digest());
    (void)grey, (void)seen, (void)probability;
    return 0;
}
#endif

/* custom_loop.c - one's own training loop, with a loss of one's own: forward, backward, step.
 *
 * The net learns three quantiles of a noisy measurement (10 %, 50 %, 90 %) by the pinball loss, which is not among
 * the library's: of every prediction y for the share q, loss = max(q * (t - y), (q - 1) * (t - y)).
 *
 *     cc -O2 -I. examples/custom_loop.c -o custom_loop && ./custom_loop */
#include <stdio.h>
#define DETNN_IMPLEMENTATION
#include "detnn.h"

enum { SAMPLES = 2048, BATCH = 128, EPOCHS = 40, QUANTILES = 3 };

static const float share[QUANTILES] = { 0.1f, 0.5f, 0.9f };
static float x[SAMPLES], target[SAMPLES];

/* A line whose noise grows along it: t = 2 x + normal(0, x), x in 0 .. 1. */
static void measure(void)
{
    detnn_random_uniform(1, 0, 0, 0, SAMPLES, 0.0f, 1.0f, x);
    for (uint32_t i = 0; i < SAMPLES; i++) detnn_random_normal(1, 0, 1, i, 1, 2.0f * x[i], x[i], &target[i]);
}

/* The loss of each output into loss, its derivative into dy, already divided by the samples of the step. */
static void pinball(const float y[BATCH][QUANTILES], const float *t, float dy[BATCH][QUANTILES],
                    float loss[BATCH * QUANTILES])
{
    for (int i = 0; i < BATCH; i++)
        for (int j = 0; j < QUANTILES; j++) {
            const float slope = t[i] > y[i][j] ? share[j] : share[j] - 1.0f;
            loss[i * QUANTILES + j] = slope * (t[i] - y[i][j]);
            dy[i][j] = -slope / BATCH;
        }
}

int main(void)
{
    const detnn_layer layers[] = { DETNN_DENSE(16, DETNN_TANH), DETNN_DENSE(QUANTILES, DETNN_LINEAR) };
    detnn_net_desc desc = detnn_net_desc_default();
    desc.seed = 1;
    desc.inputs = 1;
    desc.layers = layers;
    desc.layer_count = 2;
    desc.loss = DETNN_MEAN_SQUARED_ERROR; /* not used: the gradient below is the loop's own */
    desc.optimizer = detnn_adam(0.02f);
    desc.schedule.kind = DETNN_SCHEDULE_COSINE;
    desc.schedule.period = EPOCHS * SAMPLES / BATCH;

    detnn_error err;
    detnn_net *net;
    if (detnn_net_create(&net, &desc, &err)) return fprintf(stderr, "custom_loop: %s\n", err.text), 1;
    measure();

    static float batch_x[BATCH], batch_t[BATCH], y[BATCH][QUANTILES], dy[BATCH][QUANTILES], loss[BATCH * QUANTILES];
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        double sum = 0;
        for (uint64_t at = 0; at < SAMPLES; at += BATCH) {
            for (uint64_t i = 0; i < BATCH; i++) { /* the order in which fit would visit the samples */
                const uint64_t which = detnn_epoch_order(desc.seed, epoch, SAMPLES, at + i);
                batch_x[i] = x[which];
                batch_t[i] = target[which];
            }
            if (detnn_forward(net, batch_x, BATCH, y[0], &err)) break;
            pinball((const float(*)[QUANTILES])y, batch_t, dy, loss);
            if (detnn_backward(net, dy[0], NULL, &err) || detnn_step(net, &err)) break;
            sum += (double)detnn_sum(loss, BATCH * QUANTILES); /* the library's order of adding */
        }
        if (err.code) return fprintf(stderr, "custom_loop: %s\n", err.text), 1;
        if (epoch % 10 == 9) printf("epoch %2d  loss %.4f\n", (int)epoch + 1, sum / SAMPLES);
    }

    int below[QUANTILES] = { 0 };
    for (int i = 0; i < SAMPLES; i++) {
        float answer[QUANTILES];
        if (detnn_predict(net, &x[i], 1, answer, &err)) return 1;
        for (int j = 0; j < QUANTILES; j++) below[j] += target[i] < answer[j];
    }
    printf("below the three quantiles are %.1f %%, %.1f %%, %.1f %% of the measurements\n", 100.0 * below[0] / SAMPLES,
           100.0 * below[1] / SAMPLES, 100.0 * below[2] / SAMPLES);

    char digest[DETNN_DIGEST_TEXT];
    printf("%s\n", detnn_digest(net, digest));
    detnn_net_destroy(net);
    return 0;
}

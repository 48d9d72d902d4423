/* regression.c - learns a curve from noisy measurements, stops when the validation says so, and looks at what is left
 * over: the fit and the residuals, as regression.png where stb_image_write.h is there.
 *
 *     cc -O2 -I. examples/regression.c -o regression && ./regression */
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "plot.h"

enum { POINTS = 300, LEARN = 240, BINS = 19 };

static float x[POINTS], y[POINTS], fitted[POINTS];
static const float noise = 0.1f;

static float truth(float u) { return detnn_sin2pi(u) * detnn_exp(-0.5f * u); }

/* Measurements at random places in 0 .. 3; the library adds the noise, so that all compilers round it alike. */
static void measure(void)
{
    detnn_random_uniform(1, 0, 0, 0, POINTS, 0.0f, 3.0f, x);
    for (uint32_t i = 0; i < POINTS; i++) detnn_random_normal(1, 0, 1, i, 1, truth(x[i]), noise, &y[i]);
}

static int draw(detnn_net *net)
{
    picture p;
    panel fit = { &p, 80, 60, 900, 340, 0, 3, -1.2, 1.2 }, left = { &p, 80, 480, 520, 200, 0, 3, -0.5, 0.5 };
    panel bars = { &p, 680, 480, 300, 200, -0.5, 0.5, 0, 80 };
    static float u[601], curve[601];
    int count[BINS] = { 0 };
    detnn_error err;
    for (int i = 0; i <= 600; i++) u[i] = (float)i / 200.0f;
    if (detnn_predict(net, u, 601, curve, &err)) return 0;
    if (!picture_new(&p, 1020, 730)) return 0;
    panel_axes(&fit, "measured (validation in green), the true curve, and the net", 6);
    panel_axes(&left, "residuals", 4);
    panel_axes(&bars, "how many of each size", 4);
    panel_line(&left, 0, 0, 3, 0, 2, 0x808080);
    for (int i = 0; i < POINTS; i++) {
        const double residual = (double)(y[i] - fitted[i]);
        const int bin = (int)((residual + 0.5) * BINS);
        panel_dot(&fit, (double)x[i], (double)y[i], 5, i < LEARN ? 0x5090e0 : 0x30a040);
        panel_dot(&left, (double)x[i], residual, 5, i < LEARN ? 0x5090e0 : 0x30a040);
        if (bin >= 0 && bin < BINS) count[bin]++;
    }
    for (int i = 0; i < 600; i++) {
        const double a = (double)u[i], b = (double)u[i + 1];
        if (i % 16 < 8) panel_line(&fit, a, (double)truth(u[i]), b, (double)truth(u[i + 1]), 2, 0x404040);
        panel_line(&fit, a, (double)curve[i], b, (double)curve[i + 1], 2.5, 0xc02020);
    }
    for (int i = 0; i < BINS; i++) {
        const int from = (int)panel_x(&bars, (double)i / BINS - 0.5), to = (int)panel_x(&bars, (double)(i + 1) / BINS - 0.5);
        const int top = (int)panel_y(&bars, count[i]);
        picture_box(&p, from + 1, top, to - from - 1, bars.top + bars.height - top, 0x5090e0);
    }
    return picture_save(&p, "regression.png");
}

int main(void)
{
    const detnn_layer layers[] = {
        DETNN_STANDARDIZE(), DETNN_DENSE(32, DETNN_TANH), DETNN_DENSE(32, DETNN_TANH), DETNN_DENSE(1, DETNN_LINEAR)
    };
    detnn_net_desc desc = detnn_net_desc_default();
    desc.seed = 1;
    desc.inputs = 1;
    desc.layers = layers;
    desc.layer_count = 4;
    desc.loss = DETNN_MEAN_SQUARED_ERROR;
    desc.optimizer = detnn_adam(0.01f);
    desc.keep_best = 1;

    measure();
    detnn_data data = detnn_data_default(), check = detnn_data_default();
    data.x = x;
    data.targets = y;
    data.count = LEARN;
    check.x = x + LEARN;
    check.targets = y + LEARN;
    check.count = POINTS - LEARN;
    detnn_fit_desc fit = detnn_fit_desc_default();
    fit.epochs = 1000;
    fit.batch_size = 16;
    fit.validation = &check;
    fit.patience = 100;
    fit.restore_best = 1;

    detnn_error err;
    detnn_net *net;
    detnn_metrics learned, checked;
    if (detnn_net_create(&net, &desc, &err) || detnn_fit(net, &data, &fit, &err)
        || detnn_predict(net, x, POINTS, fitted, &err) || detnn_evaluate(net, &data, &learned, &err)
        || detnn_evaluate(net, &check, &checked, &err))
        return fprintf(stderr, "regression: %s\n", err.text), 1;
    const detnn_net_info info = detnn_info(net);
    printf("stopped after %d epochs, the best was epoch %d\n", (int)info.epoch, (int)info.best_epoch + 1);
    printf("mean squared error: learned %.4f, validation %.4f, the noise itself %.4f\n", (double)learned.loss,
           (double)checked.loss, (double)(noise * noise));
    if (!draw(net)) return 1;

    char digest[DETNN_DIGEST_TEXT];
    printf("%s\n", detnn_digest(net, digest));
    detnn_net_destroy(net);
    return 0;
}

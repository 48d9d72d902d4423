/* spiral.c - two arms of a spiral: which one is a point on? Draws what the net says of every point of the plane, and
 * how the loss fell: in the terminal, and as spiral.png where stb_image_write.h is there.
 *
 *     cc -O2 -I. examples/spiral.c -o spiral && ./spiral */
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "plot.h"

enum { POINTS = 400, EPOCHS = 120, SIDE = 440 }; /* SIDE: pixels of the map, which is then -4 .. 4 */

static float x[POINTS][2], loss[EPOCHS], map[SIDE][SIDE];
static uint32_t labels[POINTS];

/* One and a half turns of each arm, with noise. An expression a * b + c of floats is rounded once or twice, as the
 * compiler likes; here every sum is the library's, so these are the same points everywhere. */
static void make_points(void)
{
    for (uint32_t i = 0; i < POINTS; i++) {
        const float along = (float)(i / 2 + 20) / 64.0f, turns = 0.375f * along; /* exact */
        float turn; /* of a full circle: the mean is the arm's, the deviation 0.02 */
        labels[i] = i % 2;
        detnn_random_normal(1, 0, 0, i, 1, labels[i] ? turns + 0.5f : turns, 0.02f, &turn);
        x[i][0] = along * detnn_cos2pi(turn);
        x[i][1] = along * detnn_sin2pi(turn);
    }
}

static int keep_loss(void *user, detnn_net *net, const detnn_progress *p)
{
    (void)user, (void)net;
    loss[p->epoch] = p->loss;
    return DETNN_GO_ON;
}

static detnn_result make_map(detnn_net *net, detnn_error *err)
{
    static float row[SIDE][2];
    for (int v = 0; v < SIDE; v++) {
        for (int u = 0; u < SIDE; u++) {
            row[u][0] = (float)(2 * u + 1 - SIDE) / 110.0f;
            row[u][1] = (float)(SIDE - 2 * v - 1) / 110.0f;
        }
        if (detnn_predict(net, row[0], SIDE, map[v], err)) return err->code;
    }
    return DETNN_OK;
}

static void show_map(void)
{
    for (int v = 10; v < SIDE; v += 20) {
        for (int u = 5; u < SIDE; u += 10) putchar("..:*#"[(int)(map[v][u] * 4.99f)]);
        putchar('\n');
    }
}

static int draw(void)
{
    picture p;
    panel plane = { &p, 80, 60, SIDE, SIDE, -4, 4, -4, 4 }, curve = { &p, 610, 60, 400, SIDE, 0, EPOCHS, 0, 0.8 };
    if (!picture_new(&p, 1080, 550)) return 0;
    panel_axes(&plane, "what the net says", 4);
    for (int v = 0; v < SIDE; v++)
        for (int u = 0; u < SIDE; u++) { /* white where it does not know */
            const double sure = 2 * (double)map[v][u] - 1;
            picture_blend(&p, plane.left + u, plane.top + v, sure > 0 ? 0xf0a050 : 0x5090e0, sure > 0 ? sure : -sure);
        }
    for (int i = 0; i < POINTS; i++) {
        panel_dot(&plane, (double)x[i][0], (double)x[i][1], 7, 0xffffff);
        panel_dot(&plane, (double)x[i][0], (double)x[i][1], 5, labels[i] ? 0xa04800 : 0x003c90);
    }
    panel_axes(&curve, "loss after each epoch", 4);
    for (int i = 1; i < EPOCHS; i++)
        panel_line(&curve, i, (double)loss[i - 1], i + 1, (double)loss[i], 2.5, 0xc02020);
    return picture_save(&p, "spiral.png");
}

int main(void)
{
    const detnn_layer layers[] = {
        DETNN_DENSE(32, DETNN_TANH), DETNN_DENSE(32, DETNN_TANH), DETNN_DENSE(1, DETNN_SIGMOID)
    };
    detnn_net_desc desc = detnn_net_desc_default();
    desc.seed = 1;
    desc.inputs = 2;
    desc.layers = layers;
    desc.layer_count = 3;
    desc.loss = DETNN_BINARY_CROSS_ENTROPY;
    desc.optimizer = detnn_adam(0.02f);

    make_points();
    detnn_data data = detnn_data_default();
    data.x = x[0];
    data.labels = labels;
    data.count = POINTS;
    detnn_fit_desc fit = detnn_fit_desc_default();
    fit.epochs = EPOCHS;
    fit.batch_size = 20;
    fit.on_epoch = keep_loss;

    detnn_error err;
    detnn_net *net;
    detnn_metrics metrics;
    if (detnn_net_create(&net, &desc, &err) || detnn_fit(net, &data, &fit, &err)
        || detnn_evaluate(net, &data, &metrics, &err) || make_map(net, &err))
        return fprintf(stderr, "spiral: %s\n", err.text), 1;
    show_map();
    printf("%.1f %% of %d points, loss %.4f\n", 100 * (double)metrics.accuracy, POINTS, (double)metrics.loss);
    if (!draw()) return 1;

    char digest[DETNN_DIGEST_TEXT];
    printf("%s\n", detnn_digest(net, digest));
    detnn_net_destroy(net);
    return 0;
}

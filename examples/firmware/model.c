/* model.c - on the desktop: trains the digit net and writes it as C source for the device's flash (firmware.sh).
 *     model digit_net.h */
#include <stdio.h>
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "../digits_center.h"

enum { LEARN = 3000, CLASSES = 10 };

static float x[LEARN][CENTRED];
static uint32_t labels[LEARN];

int main(int count, char **words)
{
    static const detnn_layer layers[] = { DETNN_DENSE(16, DETNN_RELU), DETNN_DENSE(CLASSES, DETNN_SOFTMAX) };
    detnn_rng rng;
    detnn_rng_seed(&rng, 1);
    for (int i = 0; i < LEARN; i++) digits_draw_centred(&rng, labels[i] = (uint32_t)i % CLASSES, x[i]);

    detnn_net_desc desc = detnn_net_desc_default();
    desc.seed = 1;
    desc.inputs = CENTRED;
    desc.layers = layers;
    desc.layer_count = 2;
    desc.optimizer = detnn_adam(0.003f);
    detnn_data data = detnn_data_default();
    data.x = x[0];
    data.labels = labels;
    data.count = LEARN;
    detnn_fit_desc fit = detnn_fit_desc_default();
    fit.epochs = 10;
    detnn_export_desc flash = detnn_export_desc_default();
    flash.name = "digit";

    detnn_error err;
    detnn_net *net;
    detnn_export_cost cost;
    if (count != 2) return fprintf(stderr, "usage: model digit_net.h\n"), 1;
    if (detnn_net_create(&net, &desc, &err) || detnn_fit(net, &data, &fit, &err)
        || detnn_export_c(net, words[1], &flash, &cost, &err))
        return fprintf(stderr, "model: %s\n", err.text), 1;
    printf("trained on the desktop: %d bytes for the flash\n", (int)cost.bytes);
    detnn_net_destroy(net);
    return 0;
}

/* turns.c - a GPU and the CPU take turns at one training, epoch by epoch, and leave the weights that either leaves alone.
 *     cc -I. examples/turns.c -o turns                                                   the CPU takes every turn
 *     nvcc -x cu -DDETNN_CUDA=1 -arch=native -I. examples/turns.c -o turns               the GPU takes every second one */
#include <stdio.h>
#include <string.h>
#define DETNN_IMPLEMENTATION
#include "detnn.h"

enum { SAMPLES = 600, EPOCHS = 6 };
static float x[SAMPLES * 2];
static uint32_t labels[SAMPLES];

/* Trains epoch by epoch, the odd ones on the GPU where turns is 1 and there is one. */
static int train(int turns, char digest[DETNN_DIGEST_TEXT])
{
    const detnn_layer layers[] = { DETNN_DENSE(48, DETNN_TANH), DETNN_DROPOUT(0.1f), DETNN_DENSE(3, DETNN_SOFTMAX) };
    detnn_net_desc desc = detnn_net_desc_default();
    detnn_data data = detnn_data_default();
    detnn_fit_desc fit = detnn_fit_desc_default();
    detnn_error err;
    detnn_net *net;
    int epoch;
    desc.seed = 11;
    desc.inputs = 2;
    desc.layers = layers;
    desc.layer_count = 3;
    desc.optimizer = detnn_adam(0.01f);
    if (detnn_net_create(&net, &desc, &err)) return fprintf(stderr, "%s\n", err.text), 1;
    data.x = x;
    data.labels = labels;
    data.count = SAMPLES;
    for (epoch = 0; epoch < EPOCHS; epoch++) {
        detnn_device device = turns && epoch % 2 ? DETNN_GPU : DETNN_CPU;
        if (detnn_set_device(net, device, &err)) { /* no GPU, or a build without it: the net stays on the CPU */
            if (epoch == 1) fprintf(stderr, "the CPU takes all turns: %s\n", err.text);
            device = DETNN_CPU;
        }
        if (detnn_fit(net, &data, &fit, &err)) return fprintf(stderr, "%s\n", err.text), 1;
        if (turns) fprintf(stderr, "epoch %d on the %s: %.16s...\n", epoch + 1, device == DETNN_GPU ? "GPU" : "CPU",
                           detnn_state_digest(net, digest));
    }
    detnn_digest(net, digest);
    detnn_net_destroy(net);
    return 0;
}

int main(void)
{
    char alone[DETNN_DIGEST_TEXT], in_turns[DETNN_DIGEST_TEXT];
    size_t i;
    detnn_random_normal(11, 0, 0, 0, SAMPLES * 2, 0.0f, 1.0f, x);
    for (i = 0; i < SAMPLES; i++) labels[i] = x[2 * i] > 0.5f ? 2 : x[2 * i + 1] > 0.0f;
    if (train(0, alone) || train(1, in_turns)) return 1;
    printf("alone and in turns: %s\n", strcmp(alone, in_turns) ? "different weights" : "the same weights");
    printf("%s\n", in_turns);
    return strcmp(alone, in_turns) != 0;
}

/* divergence.c - a training that records itself, so that two builds can be compared: see divergence.sh.
 *
 *     cc -O2 -I. examples/divergence.c -o divergence
 *     ./divergence [record [step]]    writes the record (divergence.trace); that step with all its numbers */
#include <stdio.h>
#include <stdlib.h>
#define DETNN_IMPLEMENTATION
#include "detnn.h"

enum { SAMPLES = 192, INPUTS = 6, CLASSES = 3 };

static int write_file(void *user, const char *text, size_t length)
{
    return fwrite(text, 1, length, (FILE *)user) != length;
}

int main(int count, char **words)
{
    static float x[SAMPLES * INPUTS];
    static uint32_t labels[SAMPLES];
    const char *record = count > 1 ? words[1] : "divergence.trace";
    if (count > 3) return fprintf(stderr, "usage: divergence [record [step]]\n"), 1;
    FILE *f = fopen(record, "w");
    if (!f) return perror(record), 1;

    detnn_random_normal(1, 0, 0, 0, SAMPLES * INPUTS, 0.0f, 1.0f, x);
    for (int i = 0; i < SAMPLES; i++) labels[i] = (uint32_t)detnn_argmax(x + i * INPUTS, CLASSES);

    const detnn_layer layers[] = { DETNN_DENSE(16, DETNN_RELU), DETNN_DENSE(CLASSES, DETNN_SOFTMAX) };
    detnn_net_desc desc = detnn_net_desc_default();
    desc.seed = 1;
    desc.inputs = INPUTS;
    desc.layers = layers;
    desc.layer_count = 2;
    desc.optimizer = detnn_adam(0.01f);
    desc.trace = 1;
    detnn_data data = detnn_data_default();
    data.x = x;
    data.labels = labels;
    data.count = SAMPLES;
    detnn_fit_desc fit = detnn_fit_desc_default();
    fit.epochs = 10;
    detnn_trace_desc trace = detnn_trace_desc_default();
    trace.write = write_file;
    trace.user = f;
    if (count == 3) {
        trace.full_from = strtoull(words[2], NULL, 10);
        trace.full_to = trace.full_from + 1;
    }

    detnn_error err;
    detnn_net *net;
    if (detnn_net_create(&net, &desc, &err) || detnn_trace_start(net, &trace, &err)
        || detnn_fit(net, &data, &fit, &err))
        return fprintf(stderr, "divergence: %s\n", err.text), 1;
    if (fclose(f)) return perror(record), 1;
    char digest[DETNN_DIGEST_TEXT];
    printf("%s\n", detnn_digest(net, digest));
    detnn_net_destroy(net);
    return 0;
}

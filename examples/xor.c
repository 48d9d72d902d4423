/* xor.c - the textbook's first net: two inputs, eight hidden units, one output.   cc -I. examples/xor.c -o xor */
#include <stdio.h>
#define DETNN_IMPLEMENTATION
#include "detnn.h"

int main(void)
{
    static const float x[4][2] = { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } };
    static const float t[4] = { 0, 1, 1, 0 };
    float y[4];

    const detnn_layer layers[] = { DETNN_DENSE(8, DETNN_TANH), DETNN_DENSE(1, DETNN_SIGMOID) };
    detnn_net_desc desc = detnn_net_desc_default();
    desc.seed = 1;
    desc.inputs = 2;
    desc.layers = layers;
    desc.layer_count = 2;
    desc.loss = DETNN_BINARY_CROSS_ENTROPY;
    desc.optimizer = detnn_adam(0.05f);

    detnn_data data = detnn_data_default();
    data.x = x[0];
    data.targets = t;
    data.count = 4;
    detnn_fit_desc fit = detnn_fit_desc_default();
    fit.epochs = 200;

    detnn_error err;
    detnn_net *net;
    if (detnn_net_create(&net, &desc, &err) || detnn_fit(net, &data, &fit, &err)
        || detnn_predict(net, x[0], 4, y, &err))
        return fprintf(stderr, "%s\n", err.text), 1;
    for (int i = 0; i < 4; i++)
        printf("%.0f xor %.0f = %.3f\n", (double)x[i][0], (double)x[i][1], (double)y[i]);

    char digest[DETNN_DIGEST_TEXT];
    printf("%s\n", detnn_digest(net, digest));
    detnn_net_destroy(net);
    return 0;
}

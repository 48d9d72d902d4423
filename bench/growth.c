/* How cost grows: nanoseconds a sample for a net of three dense layers of one width with about as many parameters as the
   case says: a step of SGD on 64 samples, the prediction of 64 and of one. */
#include "bench.h"
#include "detnn.h"

static detnn_net *net;
static detnn_data data;
static detnn_error err;
static float *y;
static void step(void *of)
{
    (void)of;
    if (detnn_train_batch(net, &data, 0, &err)) fail("detnn", err.text);
}
static void predict(void *of)
{
    if (detnn_predict(net, data.x, *(size_t *)of, y, &err)) fail("detnn", err.text);
}

int main(void)
{
    char name[80], last[80] = "";
    static uint32_t labels[64];
    float *x = 0;
    while (asked(name)) {
        const double parameters = atof(name);
        const size_t width = (size_t)(sqrt(parameters / 3 + 0.25) - 0.5 + 0.5);
        size_t one = 1, many = 64;
        if (strcmp(name, last)) {
            detnn_layer layers[] = { DETNN_DENSE(width, DETNN_RELU), DETNN_DENSE(width, DETNN_RELU), DETNN_DENSE(width, DETNN_SOFTMAX) };
            detnn_net_desc desc = detnn_net_desc_default();
            strcpy(last, name);
            desc.inputs = width, desc.layers = layers, desc.layer_count = 3;
            desc.batch_max = 64, desc.optimizer = detnn_sgd(1e-4f);
            detnn_net_destroy(net);
            free(x), free(y);
            if (detnn_net_create(&net, &desc, &err)) fail("detnn", err.text);
            x = array(64 * width), y = array(64 * width);
            data = detnn_data_default();
            data.x = x, data.labels = labels, data.count = 64;
        }
        tell("training", 1e9 / 64 * seconds(step, 0), "ns/sample");
        tell("prediction of 64", 1e9 / 64 * seconds(predict, &many), "ns/sample");
        tell("prediction of one", 1e9 * seconds(predict, &one), "ns/sample");
        told();
    }
    return 0;
}

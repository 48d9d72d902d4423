/* How cost grows: nanoseconds a sample for a net of three dense layers of one width with about as many parameters as the
   case says: a step of SGD on 64 samples, by one thread and by two, the prediction of 64 and of one. */
#define DETNN_IMPLEMENTATION
#define DETNN_THREADS 1
#include "bench.h"
#include "detnn.h"
#include <sched.h>

static detnn_net *net, *shared;
static detnn_data data;
static detnn_error err;
static float *y;
static void step(void *of)
{
    if (detnn_train_batch(*(detnn_net **)of, &data, 0, &err)) fail("detnn", err.text);
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
    detnn_pool *pool;
    cpu_set_t all; /* run.py keeps us on one processor */
    memset(&all, 255, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
    seconds_clock = wall;
    if (detnn_pool_create(&pool, 2, &err)) fail("detnn", err.text);
    while (asked(name)) {
        const double parameters = atof(name);
        const size_t width = (size_t)(sqrt(parameters / 3 + 0.25));
        size_t one = 1, many = 64;
        if (strcmp(name, last)) {
            detnn_layer layers[] = { DETNN_DENSE(width, DETNN_RELU), DETNN_DENSE(width, DETNN_RELU), DETNN_DENSE(width, DETNN_SOFTMAX) };
            detnn_net_desc desc = detnn_net_desc_default();
            strcpy(last, name);
            desc.inputs = width, desc.layers = layers, desc.layer_count = 3;
            desc.batch_max = 64, desc.optimizer = detnn_sgd(1e-4f);
            detnn_net_destroy(net), detnn_net_destroy(shared);
            free(x), free(y);
            if (detnn_net_create(&net, &desc, &err)) fail("detnn", err.text);
            desc.parallel_for = detnn_pool_for, desc.parallel_user = pool, desc.workers = 2;
            if (detnn_net_create(&shared, &desc, &err)) fail("detnn", err.text);
            x = array(64 * width), y = array(64 * width);
            data = detnn_data_default();
            data.x = x, data.labels = labels, data.count = 64;
        }
        tell("training", 1e9 / 64 * seconds(step, &net), "ns/sample");
        tell("training by 2 threads", 1e9 / 64 * seconds(step, &shared), "ns/sample");
        tell("prediction of 64", 1e9 / 64 * seconds(predict, &many), "ns/sample");
        tell("prediction of one", 1e9 * seconds(predict, &one), "ns/sample");
        told();
    }
    return 0;
}

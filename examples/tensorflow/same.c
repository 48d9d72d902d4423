/* same.c - the questions of this folder's programs, put to detnn: one net, trained in all the ways that change
 * TensorFlow's result. Every line must show the same digest.
 *
 *     cc -O2 -pthread -I. examples/tensorflow/same.c -o same && ./same */
#include <stdio.h>
#include <string.h>
#define DETNN_THREADS 1
#define DETNN_IMPLEMENTATION
#include "detnn.h"

enum { SAMPLES = 2000, INPUTS = 32, CLASSES = 10, EPOCHS = 6 };

static float x[SAMPLES * INPUTS], answers[SAMPLES * CLASSES];
static uint32_t labels[SAMPLES];
static unsigned char saved[1 << 20];
static char expected[DETNN_DIGEST_TEXT];
static detnn_error err;
static int wrong;

static detnn_net *make(detnn_isa isa, size_t batch_max, detnn_pool *pool)
{
    static const detnn_layer layers[] = {
        DETNN_DENSE(64, DETNN_RELU), DETNN_DROPOUT(0.2f), DETNN_DENSE(CLASSES, DETNN_SOFTMAX)
    };
    detnn_net_desc desc = detnn_net_desc_default();
    detnn_net *net;
    desc.seed = 1;
    desc.inputs = INPUTS;
    desc.layers = layers;
    desc.layer_count = 3;
    desc.optimizer = detnn_adam(0.01f);
    desc.isa = isa;
    desc.batch_max = batch_max;
    desc.parts_max = 8;
    if (pool) {
        desc.parallel_for = detnn_pool_for;
        desc.parallel_user = pool;
        desc.workers = detnn_pool_threads(pool);
        desc.task_work = 1000; /* such a small net is worth no threads by itself */
    }
    return detnn_net_create(&net, &desc, &err) ? NULL : net;
}

static int train(detnn_net *net, uint64_t epochs)
{
    detnn_data data = detnn_data_default();
    detnn_fit_desc fit = detnn_fit_desc_default();
    data.x = x;
    data.labels = labels;
    data.count = SAMPLES;
    fit.epochs = epochs;
    fit.batch_size = 500;
    return detnn_fit(net, &data, &fit, &err) == DETNN_OK;
}

static void show(const char *what, const char *digest)
{
    if (!expected[0]) strcpy(expected, digest);
    wrong += strcmp(expected, digest) != 0;
    printf("%-52s %.16s%s\n", what, digest, strcmp(expected, digest) ? "  NOT EQUAL" : "");
}

int main(void)
{
    char digest[DETNN_DIGEST_TEXT], line[80];
    detnn_random_normal(1, 0, 0, 0, SAMPLES * INPUTS, 0.0f, 1.0f, x);
    for (size_t i = 0; i < SAMPLES; i++) labels[i] = (uint32_t)detnn_argmax(x + i * INPUTS, CLASSES);

    for (int run = 1; run <= 2; run++) { /* weights, shuffles and dropout all come from the one seed */
        detnn_net *net = make(DETNN_ISA_AUTO, 512, NULL);
        if (!net || !train(net, EPOCHS)) return fprintf(stderr, "same: %s\n", err.text), 1;
        sprintf(line, "run %d", run);
        show(line, detnn_digest(net, digest));
        detnn_net_destroy(net);
    }
    for (int isa = DETNN_ISA_PLAIN; isa < DETNN_ISA_COUNT; isa++) {
        detnn_net *net = make((detnn_isa)isa, 512, NULL);
        if (!net) continue; /* this machine does not have it */
        if (!train(net, EPOCHS)) return fprintf(stderr, "same: %s\n", err.text), 1;
        sprintf(line, "instruction set %s", detnn_isa_name((detnn_isa)isa));
        show(line, detnn_digest(net, digest));
        detnn_net_destroy(net);
    }
    for (size_t threads = 1; threads <= 4; threads++) {
        detnn_pool *pool;
        if (detnn_pool_create(&pool, threads, &err)) return fprintf(stderr, "same: %s\n", err.text), 1;
        detnn_net *net = make(DETNN_ISA_AUTO, 512, pool);
        if (!net || !train(net, EPOCHS)) return fprintf(stderr, "same: %s\n", err.text), 1;
        sprintf(line, "threads: %d", (int)threads);
        show(line, detnn_digest(net, digest));
        detnn_net_destroy(net);
        detnn_pool_destroy(pool);
    }
    for (size_t part = 64; part <= 256; part *= 2) {
        detnn_net *net = make(DETNN_ISA_AUTO, part, NULL);
        if (!net || !train(net, EPOCHS)) return fprintf(stderr, "same: %s\n", err.text), 1;
        sprintf(line, "batches of 500 in parts of %d", (int)part);
        show(line, detnn_digest(net, digest));
        detnn_net_destroy(net);
    }
    detnn_net *first = make(DETNN_ISA_AUTO, 512, NULL), *second = make(DETNN_ISA_AUTO, 512, NULL);
    if (!first || !second || !train(first, 3) || detnn_snapshot(first, saved, sizeof saved, &err)
        || detnn_restore(second, saved, sizeof saved, &err) || !train(second, 3))
        return fprintf(stderr, "same: %s\n", err.text), 1;
    show("three epochs, state to another net, three more", detnn_digest(second, digest));

    printf("\nthe answers for all samples\n");
    expected[0] = 0;
    for (size_t ask = 1; ask <= SAMPLES; ask *= 10) {
        for (size_t i = 0; i < SAMPLES; i += ask)
            if (detnn_predict(second, x + i * INPUTS, SAMPLES - i < ask ? SAMPLES - i : ask, answers + i * CLASSES, &err))
                return fprintf(stderr, "same: %s\n", err.text), 1;
        sprintf(line, "asked %d at a time", (int)ask);
        show(line, detnn_tensor_digest(answers, SAMPLES * CLASSES, digest));
    }
    printf("%s\n", wrong ? "NOT EQUAL" : detnn_digest(second, digest));
    detnn_net_destroy(first);
    detnn_net_destroy(second);
    return wrong != 0;
}

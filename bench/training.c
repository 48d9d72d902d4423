/* Training, samples a second: detnn, the trainer on OpenBLAS (bench/blas_trainer.c) and FANN. 6400 samples of 784 features
   are visited in a new order every epoch, in batches of 64. Arguments: OpenBLAS's library and FANN's (or -). Case:
   "784-128-10 SGD", "784-512-512-10 Adam" (with dropout of 0.2 behind each hidden layer) ... */
#include "bench.h"
#include "detnn.h"
#include "trainer.h"

#define SAMPLES 6400
#define BATCH   64
static float *x, *targets;
static uint32_t labels[SAMPLES], order[SAMPLES];

/* FANN 2.2 has neither ReLU nor softmax nor Adam: its cheapest activation, one step of its batch training for each 64
   samples, which is SGD; in the order of the data. */
typedef void *fann_new(unsigned, const unsigned *);
typedef void fann_choose(void *, int);
typedef void *fann_data(unsigned, unsigned, unsigned, void (*)(unsigned, unsigned, unsigned, float *, float *));
typedef float fann_epoch(void *, void *);
static unsigned filled;
static void fill(unsigned number, unsigned inputs, unsigned outputs, float *in, float *out)
{
    memcpy(in, x + (size_t)((filled + number) % SAMPLES) * inputs, inputs * sizeof *in);
    memcpy(out, targets + (size_t)((filled + number) % SAMPLES) * outputs, outputs * sizeof *out);
}

int main(int argc, char **argv)
{
    char name[80], last[80] = "";
    const char *blas = argc > 1 && strcmp(argv[1], "-") ? argv[1] : 0, *fann = argc > 2 && strcmp(argv[2], "-") ? argv[2] : 0;
    static const int small[] = { 784, 128, 10 }, large[] = { 784, 512, 512, 10 };
    static void *pieces[10];
    trainer *t = 0;
    detnn_net *net = 0;
    void *ann = 0;
    fann_epoch *train_epoch = 0;
    double flops = 0;
    size_t i;
    x = array(SAMPLES * 784);
    targets = array(SAMPLES * 10);
    memset(targets, 0, SAMPLES * 10 * sizeof *targets);
    for (i = 0; i < SAMPLES; i++) {
        labels[i] = (uint32_t)(i * 7 % 10), order[i] = (uint32_t)i;
        targets[i * 10 + labels[i]] = 1;
        x[i * 784 + labels[i]] += 1; /* something to learn */
    }
    while (asked(name)) {
        const int deep = strncmp(name, "784-512", 7) == 0, adam = strstr(name, "Adam") != 0, layers = deep ? 3 : 2;
        const int *size = deep ? large : small;
        detnn_data data = detnn_data_default();
        detnn_fit_desc fit = detnn_fit_desc_default();
        detnn_error err;
        detnn_rng rng;
        double start;
        int l;
        data.x = x, data.labels = labels, data.count = SAMPLES;
        fit.batch_size = BATCH;
        fit.epochs = deep ? 1 : 4; /* each fit checks all data first */
        if (strcmp(name, last)) {
            detnn_layer shallow_net[] = { DETNN_DENSE(128, DETNN_RELU), DETNN_DENSE(10, DETNN_SOFTMAX) };
            detnn_layer deep_net[] = { DETNN_DENSE(512, DETNN_RELU), DETNN_DROPOUT(0.2), DETNN_DENSE(512, DETNN_RELU),
                                       DETNN_DROPOUT(0.2), DETNN_DENSE(10, DETNN_SOFTMAX) };
            detnn_net_desc desc = detnn_net_desc_default();
            strcpy(last, name);
            desc.inputs = 784, desc.layers = deep ? deep_net : shallow_net, desc.layer_count = deep ? 5 : 2;
            desc.optimizer = adam ? detnn_adam(1e-3f) : detnn_sgd(1e-2f);
            desc.batch_max = BATCH;
            detnn_net_destroy(net);
            if (detnn_net_create(&net, &desc, &err)) fail("detnn", err.text);
            for (l = 0, flops = 0; l < layers; l++) flops += (l ? 6.0 : 4.0) * size[l] * size[l + 1];
            if (blas) t = trainer_new(blas, layers, size, BATCH, deep ? 0.2f : 0, adam);
            if (fann && !adam) {
                const unsigned sizes[] = { 784, deep ? 512 : 128, deep ? 512 : 10, 10 };
                fann_data *create_data = (fann_data *)peer(fann, "fann_create_train_from_callback");
                ann = ((fann_new *)peer(fann, "fann_create_standard_array"))((unsigned)layers + 1, sizes);
                ((fann_choose *)peer(fann, "fann_set_activation_function_hidden"))(ann, 12); /* LINEAR_PIECE */
                ((fann_choose *)peer(fann, "fann_set_activation_function_output"))(ann, 12);
                ((fann_choose *)peer(fann, "fann_set_training_algorithm"))(ann, 1); /* FANN_TRAIN_BATCH */
                train_epoch = (fann_epoch *)peer(fann, "fann_train_epoch");
                for (i = 0; i < 10; i++) {
                    filled = (unsigned)(i * BATCH);
                    pieces[i] = create_data(BATCH, 784, 10, fill);
                }
            }
        }
        tell("floor", peak() * 1e9 / flops, "samples/s");
        start = cpu();
        if (detnn_fit(net, &data, &fit, &err)) fail("detnn", err.text);
        tell("detnn", SAMPLES * fit.epochs / (cpu() - start), "samples/s");
        if (blas) {
            start = cpu();
            detnn_rng_seed(&rng, 1);
            detnn_shuffle(&rng, order, SAMPLES, sizeof order[0]);
            for (i = 0; i + BATCH <= SAMPLES; i += BATCH) trainer_step(t, x, labels, order + i);
            tell("trainer on OpenBLAS", SAMPLES / (cpu() - start), "samples/s");
        }
        if (fann && !adam) {
            const int steps = deep ? 1 : 10;
            start = cpu();
            for (l = 0; l < steps; l++) train_epoch(ann, pieces[l]);
            tell("FANN", BATCH * steps / (cpu() - start), "samples/s");
        }
        told();
    }
    return 0;
}

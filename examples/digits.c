/* digits.c - learns hand-written digits; then once more, to the same bits; then with another seed.
 *
 *     cc -O2 -I. examples/digits.c -o digits
 *     ./digits [seed]        the seed is 1 unless given
 *     ./digits --seeds 10    only the test accuracy of seeds 1 to 10, and its mean
 *
 * The environment variable DETNN_DATA names a folder with optdigits.tra and optdigits.tes, or with
 * MNIST's four files, unpacked; without it the program draws its own digits. */
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "digits_draw.h"
#include <string.h>

enum { CLASSES = 10, BATCH = 128 };

/* The net, and the numbers in run(), were chosen by cross-validation inside optdigits.tra alone. */
static const detnn_layer layers[] = {
    DETNN_STANDARDIZE(),
    DETNN_DENSE(256, DETNN_RELU), DETNN_DROPOUT(0.3f),
    DETNN_DENSE(128, DETNN_RELU), DETNN_DROPOUT(0.3f),
    DETNN_DENSE(CLASSES, DETNN_SOFTMAX),
};

typedef struct outcome {
    size_t right, memory;
    char weights[DETNN_DIGEST_TEXT], answers[DETNN_DIGEST_TEXT];
} outcome;

static detnn_error err;

static void check(detnn_result result)
{
    if (result == DETNN_OK) return;
    fprintf(stderr, "digits: %s\n", err.text);
    exit(1);
}

static int show_epoch(void *user, detnn_net *net, const detnn_progress *p)
{
    (void)user, (void)net;
    printf("%5d %10.4f %10.2f %% %10.2f %%\n", (int)p->epoch + 1, (double)p->loss,
           100 * (double)p->accuracy, 100 * (double)p->val_accuracy);
    return fflush(stdout);
}

/* Trains a net, then asks it about the test digits: y [test][CLASSES] gets the probabilities. The
 * other way of doing so must lead to the same bits: the net in a static block of memory, batches
 * computed in two parts, digits asked seven at a time. */
static outcome run(const digits *d, uint64_t seed, int other_way, int show, float *y)
{
    static unsigned char block[16 << 20];
    const size_t ask = other_way ? 7 : d->test;
    outcome result = { 0 };

    detnn_fit_desc fit = detnn_fit_desc_default();
    fit.epochs = d->train > 5000 ? 10 : 30;
    fit.batch_size = BATCH;
    fit.validation_split = 0.1f;
    fit.on_epoch = show ? show_epoch : NULL;

    detnn_net_desc desc = detnn_net_desc_default();
    desc.seed = seed;
    desc.inputs = d->side * d->side;
    desc.layers = layers;
    desc.layer_count = sizeof layers / sizeof *layers;
    desc.loss = DETNN_CROSS_ENTROPY;
    desc.label_smoothing = 0.1f;
    desc.optimizer = detnn_adam(0.004f);
    desc.schedule.kind = DETNN_SCHEDULE_COSINE; /* the learning rate falls to 0 at the last step */
    desc.schedule.period = fit.epochs * (d->train * 9 / 10 / BATCH + 1);
    desc.batch_max = other_way ? BATCH / 2 : BATCH;
    desc.parts_max = 2;
    detnn_net *net;
    check(other_way ? detnn_net_init(&net, &desc, block, sizeof block, &err)
                    : detnn_net_create(&net, &desc, &err));
    if (show) {
        char summary[1000];
        detnn_summary(net, summary, sizeof summary);
        printf("%s\nepoch       loss     accuracy   validation\n", summary);
    }

    detnn_data data = detnn_data_default();
    data.x = d->x;
    data.labels = d->labels;
    data.count = d->train;
    check(detnn_fit(net, &data, &fit, &err));

    const float *x = d->x + d->train * desc.inputs;
    const uint32_t *labels = d->labels + d->train;
    for (size_t i = 0; i < d->test; i += ask) {
        size_t count = d->test - i < ask ? d->test - i : ask;
        check(detnn_predict(net, x + i * desc.inputs, count, y + i * CLASSES, &err));
    }
    for (size_t i = 0; i < d->test; i++) result.right += digits_said(y, i) == labels[i];
    result.memory = detnn_info(net).memory;
    detnn_digest(net, result.weights);
    detnn_tensor_digest(y, d->test * CLASSES, result.answers);
    detnn_net_destroy(net);
    return result;
}

static double percent(double right, const digits *d) { return 100 * right / (double)d->test; }

static int run_seeds(const digits *d, uint64_t seeds, float *y)
{
    double sum = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        const double right = (double)run(d, seed, 0, 0, y).right;
        printf("seed %2d  %.2f %%\n", (int)seed, percent(right, d));
        fflush(stdout);
        sum += right;
    }
    printf("mean     %.2f %%\n", percent(sum / (double)seeds, d));
    return 0;
}

static int run_demo(const digits *d, uint64_t seed, float *y)
{
    const outcome first = run(d, seed, 0, 1, y);
    printf("\nTest: %d of %d right\n\n", (int)first.right, (int)d->test);
    digits_show_table(d, y);
    digits_show(d, y, 1);
    digits_show(d, y, 0);

    printf("\nTraining again in another way, then with another seed ...\n");
    const outcome again = run(d, seed, 1, 0, y), other = run(d, seed + 1, 0, 0, y);
    const int same = !strcmp(again.weights, first.weights) && !strcmp(again.answers, first.answers);
    const int differs = strcmp(other.weights, first.weights) != 0;
    const outcome *all[3] = { &first, &again, &other };
    const char *names[3] = { "first", same ? "again: equal" : "again: NOT EQUAL",
                             differs ? "other: differs" : "other: DOES NOT DIFFER" };
    printf("\n                  test     bytes   digest of the weights\n");
    for (int i = 0; i < 3; i++)
        printf("%-14s %5.2f %% %9d   %s\n", names[i], percent((double)all[i]->right, d),
               (int)all[i]->memory, all[i]->weights);
    printf("\n%s\n", first.weights);
    return same && differs ? 0 : 1;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    const int seeds = argc > 2 && !strcmp(argv[1], "--seeds");
    const uint64_t n = argc > 1 ? strtoull(argv[1 + seeds], &end, 10) : 1;
    if ((end && *end) || argc > 2 + seeds || (seeds && !n))
        return fprintf(stderr, "usage: digits [seed | --seeds n]\n"), 1;

    digits d = { 0 };
    const char *folder = getenv("DETNN_DATA");
    const int found = folder ? digits_load(&d, folder, &err) : 0;
    if (found < 0) return fprintf(stderr, "digits: %s\n", err.text), 1;
    if (!found)
        printf("%s: the program draws its own digits.\n",
               folder ? "DETNN_DATA has no digits" : "DETNN_DATA is not set");
    if (!found && !digits_draw(&d, 1, 3000, 1000)) return fprintf(stderr, "digits: no memory\n"), 1;
    printf("Digits: %s, %d to learn from, %d to test\n\n", d.source, (int)d.train, (int)d.test);

    float *y = (float *)malloc(d.test * CLASSES * sizeof *y);
    if (!y) return fprintf(stderr, "digits: no memory\n"), 1;
    const int status = seeds ? run_seeds(&d, n, y) : run_demo(&d, n, y);
    free(y);
    digits_free(&d);
    return status;
}

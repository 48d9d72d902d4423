/* The golden trainings: runs every case of tests/cases.txt and prints "name net-digest state-digest loss-bits".
 *
 *     golden [--isa NAME] [--parts] [--workers N] [--check FILE] CASES
 *
 * --isa forces a set of kernels; --parts computes batches in parts of 64 samples; --workers cuts all work into so
 * many tasks, which are run from the last to the first (test_threads has real threads); --check compares with the
 * lines of FILE (tests/golden.txt) and ends with "N passed, N failed". tests/oracle.py prints the same lines. */
#ifndef TEST_LINKED
#define DETNN_IMPLEMENTATION
#endif
#include "detnn.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMED(name, text) text,
static const char *const activations[] = { DETNN_ACTIVATIONS(NAMED) 0 };
static const char *const initializers[] = { DETNN_INITIALIZERS(NAMED) 0 };
static const char *const losses[] = { DETNN_LOSSES(NAMED) 0 };
static const char *const optimizers[] = { DETNN_OPTIMIZERS(NAMED) 0 };
static const char *const schedules[] = { DETNN_SCHEDULES(NAMED) 0 };

typedef struct {
    char name[32], truth[16];
    detnn_layer layers[32];
    detnn_net_desc desc;
    detnn_fit_desc fit;
    size_t samples;
    float a, b, low, high; /* of the truth and of the weights */
    int weighted;
} golden_case;

static detnn_isa isa = DETNN_ISA_AUTO;
static int parts;
static size_t workers = 1;

static void last_to_first(void *user, detnn_task task, void *arg, size_t count)
{
    (void)user;
    while (count) task(arg, --count);
}

static void die(const char *what, const char *which)
{
    fprintf(stderr, "golden: %s: %s\n", what, which);
    exit(1);
}

static int find(const char *const *names, const char *name)
{
    int i;
    for (i = 0; names[i]; i++)
        if (!strcmp(names[i], name)) return i;
    die("unknown name", name);
    return 0;
}

static float real(unsigned bits)
{
    float x;
    uint32_t b = bits;
    memcpy(&x, &b, 4);
    return x;
}

/* One line of a case; fields not set keep their defaults. */
static void read_line(golden_case *c, const char *line)
{
    char key[32], w[3][32];
    unsigned r[6], n[4];
    unsigned long long big, period;
    detnn_layer *l = &c->layers[c->desc.layer_count];
    if (sscanf(line, "%31s", key) != 1 || !strcmp(key, "about")) return;
    line = strstr(line, key) + strlen(key);
    if (c->desc.layer_count == 32) die("too many layers in", c->name);
    if (!strcmp(key, "seed") && sscanf(line, "%llu", &big) == 1) c->desc.seed = big;
    else if (!strcmp(key, "inputs") && sscanf(line, "%u", n) == 1) c->desc.inputs = n[0];
    else if (!strcmp(key, "standardize")) {
        const detnn_layer standardize = DETNN_STANDARDIZE();
        *l = standardize;
        c->desc.layer_count++;
    } else if (!strcmp(key, "dense")
               && sscanf(line, "%u %31s %x %31s %x %x %31s %x %x %u %u", n, w[0], r, w[1], r + 1, r + 2, w[2], r + 3, r + 4,
                         n + 1, n + 2) == 11) {
        const detnn_layer dense = DETNN_DENSE_EX(n[0], (detnn_activation)find(activations, w[0]), real(r[0]),
            DETNN_INIT((detnn_initializer_kind)find(initializers, w[1]), real(r[1]), real(r[2])),
            DETNN_INIT((detnn_initializer_kind)find(initializers, w[2]), real(r[3]), real(r[4])), (int)n[1], (int)n[2]);
        *l = dense;
        c->desc.layer_count++;
    } else if (!strcmp(key, "dropout") && sscanf(line, "%x", r) == 1) {
        const detnn_layer dropout = DETNN_DROPOUT(real(r[0]));
        *l = dropout;
        c->desc.layer_count++;
    } else if (!strcmp(key, "activation") && sscanf(line, "%31s %x", w[0], r) == 2) {
        const detnn_layer activation = DETNN_ACTIVATE_EX((detnn_activation)find(activations, w[0]), real(r[0]));
        *l = activation;
        c->desc.layer_count++;
    } else if (!strcmp(key, "loss") && sscanf(line, "%31s", w[0]) == 1) c->desc.loss = (detnn_loss)find(losses, w[0]);
    else if (!strcmp(key, "optimizer") && sscanf(line, "%31s %x", w[0], r) == 2) {
        switch ((detnn_optimizer_kind)find(optimizers, w[0])) {
        case DETNN_SGD:     c->desc.optimizer = detnn_sgd(real(r[0])); break;
        case DETNN_ADAM:    c->desc.optimizer = detnn_adam(real(r[0])); break;
        case DETNN_ADAMW:   c->desc.optimizer = detnn_adamw(real(r[0]), 0.0f); break;
        case DETNN_RMSPROP: c->desc.optimizer = detnn_rmsprop(real(r[0])); break;
        default: break;
        }
    } else if (!strcmp(key, "schedule") && sscanf(line, "%31s %llu %llu %x %x", w[0], &big, &period, r, r + 1) == 5) {
        c->desc.schedule.kind = (detnn_schedule_kind)find(schedules, w[0]);
        c->desc.schedule.warmup_steps = big;
        c->desc.schedule.period = period;
        c->desc.schedule.gamma = real(r[0]);
        c->desc.schedule.final = real(r[1]);
    } else if (!strcmp(key, "truth") && sscanf(line, "%15s %x %x", c->truth, r, r + 1) == 3) {
        c->a = real(r[0]);
        c->b = real(r[1]);
    } else if (!strcmp(key, "weights") && sscanf(line, "%x %x", r, r + 1) == 2) {
        c->weighted = 1;
        c->low = real(r[0]);
        c->high = real(r[1]);
    } else if (!strcmp(key, "samples") && sscanf(line, "%u", n) == 1) c->samples = n[0];
    else if (!strcmp(key, "batch") && sscanf(line, "%u", n) == 1) c->fit.batch_size = n[0];
    else if (!strcmp(key, "epochs") && sscanf(line, "%u", n) == 1) c->fit.epochs = n[0];
    else if (!strcmp(key, "shuffle") && sscanf(line, "%u", n) == 1) c->fit.shuffle = (int)n[0];
    else if (!strcmp(key, "nesterov") && sscanf(line, "%u", n) == 1) c->desc.optimizer.nesterov = (int)n[0];
    else if (sscanf(line, "%x", r) == 1) {
        detnn_optimizer *o = &c->desc.optimizer;
        float *field = !strcmp(key, "smoothing") ? &c->desc.label_smoothing : !strcmp(key, "delta") ? &c->desc.huber_delta
            : !strcmp(key, "split") ? &c->fit.validation_split : !strcmp(key, "momentum") ? &o->momentum
            : !strcmp(key, "beta1") ? &o->beta1 : !strcmp(key, "beta2") ? &o->beta2 : !strcmp(key, "rho") ? &o->rho
            : !strcmp(key, "epsilon") ? &o->epsilon : !strcmp(key, "weight_decay") ? &o->weight_decay
            : !strcmp(key, "clip_value") ? &o->clip_value : !strcmp(key, "clip_norm") ? &o->clip_norm : 0;
        if (!field) die("unknown key", key);
        *field = real(r[0]);
    } else die("cannot read the line of", key);
}

static int keep_loss(void *user, detnn_net *net, const detnn_progress *progress)
{
    (void)net;
    *(float *)user = progress->loss;
    return 0;
}

static float *floats(size_t n)
{
    float *x = (float *)malloc(n * sizeof *x);
    if (!x) die("out of memory", "");
    return x;
}

/* Draws the case's data, trains, writes its line. */
static void run(golden_case *c, char *line, size_t size)
{
    detnn_error err;
    detnn_net *net;
    detnn_data data = detnn_data_default();
    char digest[2][DETNN_DIGEST_TEXT];
    float loss = 0.0f, *x, *targets = 0, *weights = 0;
    uint32_t *labels = 0, bits;
    size_t i, outputs;
    c->desc.layers = c->layers;
    c->desc.isa = isa;
    c->desc.workers = workers;
    c->desc.parallel_for = last_to_first;
    c->desc.task_work = 0;
    c->desc.batch_max = parts ? 64 : 512;
    c->desc.parts_max = 8;
    if (detnn_net_create(&net, &c->desc, &err)) die(c->name, err.text);
    outputs = detnn_info(net).outputs;
    x = floats(c->samples * c->desc.inputs);
    detnn_random_normal(c->desc.seed, 0, 0, 0, c->samples * c->desc.inputs, 0.0f, 1.0f, x);
    if (!strcmp(c->truth, "labels")) {
        labels = (uint32_t *)malloc(c->samples * sizeof *labels);
        if (!labels) die("out of memory", "");
        detnn_random_words(c->desc.seed, 0, 1, 0, c->samples, labels);
        for (i = 0; i < c->samples; i++) labels[i] %= outputs > 2 ? (uint32_t)outputs : 2;
    } else {
        targets = floats(c->samples * outputs);
        if (!strcmp(c->truth, "uniform"))
            detnn_random_uniform(c->desc.seed, 0, 1, 0, c->samples * outputs, c->a, c->b, targets);
        else
            detnn_random_normal(c->desc.seed, 0, 1, 0, c->samples * outputs, c->a, c->b, targets);
        for (i = 0; !strcmp(c->truth, "softmax") && i < c->samples; i++)
            detnn_softmax(targets + i * outputs, outputs, targets + i * outputs);
    }
    if (c->weighted) {
        weights = floats(c->samples);
        detnn_random_uniform(c->desc.seed, 0, 2, 0, c->samples, c->low, c->high, weights);
    }
    data.count = c->samples;
    data.x = x;
    data.labels = labels;
    data.targets = targets;
    data.weights = weights;
    c->fit.on_step = keep_loss;
    c->fit.user = &loss;
    if (detnn_fit(net, &data, &c->fit, &err)) die(c->name, err.text);
    memcpy(&bits, &loss, 4);
    snprintf(line, size, "%s %s %s %08lx", c->name, detnn_digest(net, digest[0]), detnn_state_digest(net, digest[1]),
             (unsigned long)bits);
    detnn_net_destroy(net);
    free(x);
    free(targets);
    free(labels);
    free(weights);
}

int main(int argc, char **argv)
{
    const char *check = 0, *cases = "tests/cases.txt";
    char text[512], line[300];
    golden_case c;
    FILE *f, *golden = 0;
    int passed = 0, failed = 0, i;
    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--parts")) parts = 1;
        else if (!strcmp(argv[i], "--check") && i + 1 < argc) check = argv[++i];
        else if (!strcmp(argv[i], "--workers") && i + 1 < argc) workers = (size_t)atoi(argv[++i]);
        else if (!strcmp(argv[i], "--isa") && i + 1 < argc) {
            for (isa = DETNN_ISA_AUTO; isa < DETNN_ISA_COUNT && strcmp(detnn_isa_name(isa), argv[i + 1]); )
                isa = (detnn_isa)((int)isa + 1);
            i++;
        } else cases = argv[i];
    }
    f = fopen(cases, "r");
    if (!f) die("cannot open", cases);
    if (check && !(golden = fopen(check, "r"))) die("cannot open", check);
    memset(&c, 0, sizeof c);
    while (fgets(text, sizeof text, f)) {
        char word[32];
        text[strcspn(text, "#\n")] = 0;
        if (sscanf(text, "%31s", word) != 1) continue;
        if (!strcmp(word, "case")) {
            memset(&c, 0, sizeof c);
            c.desc = detnn_net_desc_default();
            c.fit = detnn_fit_desc_default();
            sscanf(text, "%*s %31s", c.name);
        } else if (!strcmp(word, "end")) {
            run(&c, line, sizeof line);
            if (!golden) puts(line);
            else if (fgets(text, sizeof text, golden) && (text[strcspn(text, "\n")] = 0, !strcmp(text, line))) passed++;
            else {
                failed++;
                printf("FAILED golden case %s\n  wanted %s\n  got    %s\n", c.name, text, line);
            }
        } else read_line(&c, text);
    }
    fclose(f);
    if (golden) {
        if (fgets(text, sizeof text, golden)) { failed++; printf("FAILED more lines in %s than cases\n", check); }
        fclose(golden);
        printf("%d passed, %d failed\n", passed, failed);
    }
    return failed != 0;
}

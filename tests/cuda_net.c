/* The GPU's kernels and their host's side, run on the CPU through cuda_shim.h (tests/cuda.sh compiles it so), against
 * the CPU's own. With a GPU, make gpu-check compiles it with nvcc; then the tests of failures are left out.
 *
 *     cuda_net [small] */
#include "test.h"
#ifndef CUDA_SHIM_H
static long shim_launches, shim_graphs, shim_allocated;
#endif

static int small; /* the argument "small": no large products */

/* ---- Products, by all tiles ---- */

static void fill(float *x, size_t n, uint32_t layer)
{
    static const uint32_t special[] = { 0x80000000u, 1, 0x80000001u, 0x7f800000u, 0x7fc00000u, 0x007fffffu, 0x7f7fffffu, 0x80000000u };
    size_t i;
    detnn_random_normal(9, 0, layer, 0, n, 0.0f, 1.0f, x);
    for (i = 0; i < sizeof special / sizeof *special; i++) x[(i * 7919 + 3) % n] = detnni_float(special[i]);
    for (i = layer % 5; i < n; i += 5) x[i] = -0.0f;
}

static detnni_gpu *scratch_gpu(detnn_net **net)
{
    static detnn_layer layers[] = { DETNN_DENSE(1024, DETNN_LINEAR) };
    detnn_net_desc d = detnn_net_desc_default();
    detnn_error err;
    d.inputs = 1536;
    d.layers = layers;
    d.layer_count = 1;
    d.batch_max = 2000;
    d.loss = DETNN_MEAN_SQUARED_ERROR;
    d.device = DETNN_GPU;
    if (detnn_net_create(net, &d, &err)) { printf("%s\n", err.text); exit(1); }
    return (*net)->gpu;
}

/* One product of rows x in x out of all three forms, with a bias where bias is 1. */
static void product(detnni_gpu *g, size_t rows, size_t in, size_t out, int bias)
{
    const detnni_kernels *plain = detnni_kernels_of(DETNN_ISA_AUTO);
    const size_t most = rows * in + in * out + rows * out + in * out + out + rows * in + 64, nx = rows * in, nw = in * out, nz = rows * out;
    float *host = (float *)malloc(most * sizeof(float)), *device = 0, *x = host, *w = x + nx, *z = w + nw, *got, *want;
    float *b = (float *)malloc(out * sizeof(float)), *scratch = (float *)malloc((detnni_room(rows, in, out, 1) + 1) * sizeof(float));
    float *dw;
    detnni_dense p = detnni_dense_of(rows, in, out, out, scratch, detnni_room(rows, in, out, 1));
    detnni_gpu_dense q;
    detnni_gpu_run run;
    uint32_t largest;
    size_t big = nx + nw + nz + out;
    got = (float *)malloc(big * sizeof(float));
    want = (float *)malloc(big * sizeof(float));
    memset(&run, 0, sizeof run);
    fill(x, nx, 1);
    fill(w, nw, 2);
    fill(z, nz, 3);
    fill(b, out, 4);
    detnni_gpu_up(g, g->run, &run, sizeof run);
    if (cudaMalloc((void **)&device, (3 * (nx + nw + nz) + 4 * out + 64) * sizeof(float)) != cudaSuccess) exit(1);
    detnni_gpu_up(g, device, host, (nx + nw + nz) * sizeof(float));
    dw = device + nx + nw + nz;
    detnni_gpu_up(g, dw + nw + out + nz, b, out * sizeof(float));
    memset(&q, 0, sizeof q);
    q.a = device; q.b = device + nx; q.start = bias ? dw + nw + out + nz : 0; q.c = dw;
    q.rows = rows; q.cols = q.ldb = out; q.terms = q.lda = in;
    detnni_gpu_product(g, DETNNI_FORWARD, q);
    detnni_gpu_down(g, got, dw, nz * sizeof(float));
    plain->forward(&p, x, w, bias ? b : 0, want);
    CHECKF(detnni_same_bits(got, want, nz), "forward %zu x %zu x %zu", rows, in, out);
    memset(&q, 0, sizeof q);
    q.a = device + nx + nw; q.b = device + nx; q.c = dw;
    q.rows = rows; q.cols = in; q.terms = q.lda = q.ldb = out;
    detnni_gpu_product(g, DETNNI_INPUT_GRADIENT, q);
    detnni_gpu_down(g, got, dw, nx * sizeof(float));
    p.to = in;
    plain->input_gradient(&p, z, w, want);
    CHECKF(detnni_same_bits(got, want, nx), "input gradient %zu x %zu x %zu", rows, in, out);
    memset(&q, 0, sizeof q);
    q.run = g->run; q.a = device; q.b = device + nx + nw; q.c = dw;
    q.a_rows = q.lda = in; q.rows = in + (size_t)bias; q.cols = q.ldb = out; q.terms = rows;
    detnni_gpu_product(g, DETNNI_WEIGHT_GRADIENT, q);
    detnni_gpu_down(g, got, dw, (nw + (bias ? out : 0)) * sizeof(float));
    plain->weight_gradient(&p, x, z, want, bias ? want + nw : 0);
    CHECKF(detnni_same_bits(got, want, nw + (bias ? out : 0)), "weight gradient %zu x %zu x %zu", rows, in, out);
    detnni_gpu_down(g, &run, g->run, sizeof run);
    largest = plain->magnitude(want, nw + (bias ? out : 0));
    CHECKF(run.largest == largest || (run.largest > 0x7f800000 && largest > 0x7f800000), "magnitude %zu x %zu x %zu", rows, in, out);
    CHECK(g->error == cudaSuccess);
    cudaFree(device);
    free(host); free(got); free(want); free(b); free(scratch);
}

static void products(void)
{
    static const size_t shape[][3] = {
        { 1, 1, 1 }, { 8, 1, 20 }, { 3, 5, 7 }, { 9, 3, 2 }, { 17, 33, 18 }, { 64, 20, 16 }, { 65, 64, 48 }, { 130, 17, 4 }, { 1100, 20, 10 }, { 600, 12, 33 },
        { 250, 250, 20 }, { 1100, 250, 252 }, { 640, 1030, 20 }, { 700, 36, 700 }, { 1536, 5, 1030 }, { 70, 650, 640 }, { 65, 1024, 772 }, { 1536, 1024, 3 }
    };
    detnn_net *net;
    detnni_gpu *g = scratch_gpu(&net);
    size_t i;
    int tiles[4] = { 0, 0, 0, 0 };
    for (i = 0; i < sizeof shape / sizeof *shape; i++) {
        int form;
        if (small && shape[i][0] * shape[i][1] * shape[i][2] > 1000000) continue;
        product(g, shape[i][0], shape[i][1], shape[i][2], (int)(i % 2));
        for (form = 0; form < 3; form++)
            tiles[detnni_log2((size_t)detnni_gpu_tile(form == 2, form == 2 ? shape[i][1] : shape[i][0], form == 1 ? shape[i][1] : shape[i][2])) - 4]
                |= 1 << form;
    }
    for (i = 0; !small && i < 4; i++) CHECKF(tiles[i] == 7, "a form has no shape for tiles of %d", 16 << i); /* the shapes above */
    detnn_net_destroy(net);
}

/* The room for partial sums is enough for any batch. */
static void partial_sums(void)
{
    static const size_t shape[][3] = { { 511, 16, 576 }, { 128, 3009, 600 }, { 20, 32, 5000 }, { 128, 10, 6000 }, { 999, 1, 20000 } };
    size_t i, rows;
    for (i = 0; i < 2 * sizeof shape / sizeof *shape; i++) {
        detnn_layer layers[] = { DETNN_DENSE(1, DETNN_RELU), DETNN_DENSE(1, DETNN_LINEAR) };
        detnn_net_desc d = detnn_net_desc_default();
        const size_t in = shape[i / 2][0], n = shape[i / 2][1], bias = i % 2;
        size_t enough = 1;
        detnn_net *net;
        detnn_error err;
        d.inputs = in;
        layers[0].units = n;
        layers[0].use_bias = (int)bias;
        d.layers = layers;
        d.layer_count = 2;
        d.batch_max = shape[i / 2][2];
        d.loss = DETNN_MEAN_SQUARED_ERROR;
        d.device = DETNN_GPU;
        if (detnn_net_create(&net, &d, &err)) { CHECKF(0, "%s", err.text); continue; }
        for (rows = 1; enough && rows <= d.batch_max; rows++) { /* as detnni_gpu_part cuts it */
            const int alone = bias && in % 128 == 0 && detnni_gpu_tile(1, in + 1, n) == 128;
            size_t m = alone ? in : in + bias;
            for (; m; m = alone && m > 1 ? 1 : 0) {
                size_t leaves, groups = detnni_gpu_groups(rows, detnni_gpu_tile_count(detnni_gpu_tile(1, m, n), 1, m, n), &leaves);
                if (groups > 1 && net->gpu->partial + groups * m * n > net->gpu->targets) enough = 0;
            }
        }
        CHECKF(enough, "%zu x %zu, bias %zu: batch %zu of at most %zu", in, n, bias, rows - 1, d.batch_max);
        detnn_net_destroy(net);
    }
}

/* ---- Nets ---- */

typedef struct { detnn_net_desc desc; detnn_data data; detnn_fit_desc fit; float *x, *t, *w; uint32_t *labels; } setting;
static detnn_layer net_layers[] = {
    DETNN_STANDARDIZE(), DETNN_DENSE(12, DETNN_TANH), DETNN_DROPOUT(0.25), DETNN_DENSE(9, DETNN_GELU),
    DETNN_DENSE(8, DETNN_RELU), DETNN_DENSE(6, DETNN_SOFTMAX)
};

static void start(setting *s)
{
    size_t i;
    memset(s, 0, sizeof *s);
    s->desc = detnn_net_desc_default();
    s->desc.seed = 77;
    s->desc.inputs = 5;
    s->desc.layers = net_layers;
    s->desc.layer_count = sizeof net_layers / sizeof *net_layers;
    s->desc.optimizer = detnn_adamw(0.01f, 0.1f);
    s->desc.optimizer.clip_norm = 0.5f;
    s->desc.schedule.warmup_steps = 5;
    s->desc.batch_max = 64;
    s->desc.parts_max = 4;
    s->desc.keep_best = 1;
    s->desc.trace = 1;
    s->data = detnn_data_default();
    s->data.count = 201;
    s->x = (float *)malloc(201 * 5 * sizeof(float));
    s->w = (float *)malloc(201 * sizeof(float));
    s->labels = (uint32_t *)malloc(201 * sizeof(uint32_t));
    detnn_random_normal(1, 0, 0, 0, 201 * 5, 0.0f, 2.0f, s->x);
    detnn_random_words(1, 0, 1, 0, 201, s->labels);
    detnn_random_uniform(1, 0, 2, 0, 201, 0.0f, 2.0f, s->w);
    for (i = 0; i < 201; i++) s->labels[i] = (s->labels[i] % 3 + (s->x[5 * i] > 0.0f)) % 6;
    s->data.x = s->x;
    s->data.labels = s->labels;
    s->data.weights = s->w;
    s->fit = detnn_fit_desc_default();
    s->fit.batch_size = 40;
    s->fit.epochs = 3;
    s->fit.validation_split = 0.2f;
}

static void finish(setting *s) { free(s->x); free(s->w); free(s->labels); }

static detnn_net *make(const setting *s, detnn_device device)
{
    detnn_net_desc d = s->desc;
    detnn_net *net;
    detnn_error err;
    d.device = device;
    if (detnn_net_create(&net, &d, &err)) { printf("%s\n", err.text); exit(1); }
    CHECK(detnn_info(net).device == device);
    return net;
}

static int same_state(const detnn_net *a, const detnn_net *b)
{
    char da[DETNN_DIGEST_TEXT], db[DETNN_DIGEST_TEXT];
    return !strcmp(detnn_state_digest(a, da), detnn_state_digest(b, db)) && da[0];
}

static int same_results(const setting *s, detnn_net *a, detnn_net *b)
{
    float ya[201 * 6], yb[201 * 6];
    detnn_metrics ma, mb;
    detnn_error err;
    if (detnn_evaluate(a, &s->data, &ma, &err) || detnn_evaluate(b, &s->data, &mb, &err)) return 0;
    if (detnn_predict(a, s->x, 201, ya, &err) || detnn_predict(b, s->x, 201, yb, &err)) return 0;
    return !memcmp(&ma.loss, &mb.loss, 4) && !memcmp(&ma.mean_absolute_error, &mb.mean_absolute_error, 4)
        && !memcmp(&ma.accuracy, &mb.accuracy, 4) && ma.count == mb.count && !memcmp(ya, yb, sizeof ya);
}

typedef struct { float epoch[3][5]; int count; } report;
static int keep_epoch(void *user, detnn_net *net, const detnn_progress *p)
{
    report *r = (report *)user;
    float *e = r->epoch[r->count++ % 3];
    e[0] = p->loss; e[1] = p->accuracy; e[2] = p->val_loss; e[3] = p->val_accuracy; e[4] = (float)p->improved;
    (void)net;
    return DETNN_GO_ON;
}

/* Both devices under the setting's fit; the GPU must have made the steps, all of them. */
static void both(setting *s, const char *what)
{
    detnn_net *cpu = make(s, DETNN_CPU), *gpu = make(s, DETNN_GPU);
    detnn_error err;
    report r[2];
    const long launches = shim_launches; (void)launches;
    memset(r, 0, sizeof r);
    s->fit.on_epoch = keep_epoch;
    s->fit.user = &r[0];
    CHECKF(!detnn_fit(cpu, &s->data, &s->fit, &err), "%s: %s", what, err.text);
    s->fit.user = &r[1];
    CHECKF(!detnn_fit(gpu, &s->data, &s->fit, &err), "%s: %s", what, err.text);
    CHECKF(r[0].count == 3 && !memcmp(&r[0], &r[1], sizeof r[0]), "%s: losses of epochs", what);
    CHECKF(!gpu->gpu->behind, "%s: the CPU made the last step", what);
    CHECKF(same_state(cpu, gpu), "%s", what);
    CHECKF(same_results(s, cpu, gpu), "%s", what);
#ifdef CUDA_SHIM_H
    CHECKF(shim_launches > launches, "%s: nothing ran there", what);
#endif

    detnn_net_destroy(cpu);
    detnn_net_destroy(gpu);
}

static int get_sample(void *user, detnn_sample *sample)
{
    const setting *s = (const setting *)user;
    memcpy(sample->x, s->x + 5 * sample->index, 5 * sizeof(float));
    sample->label = s->labels[sample->index];
    sample->weight = s->w[sample->index];
    return 0;
}

/* Fewer rows than batch_max that have more groups of leaves. */
static void partial_overflow(void)
{
    static detnn_layer layers[] = { DETNN_DENSE(16, DETNN_RELU), DETNN_DENSE(1, DETNN_LINEAR) };
    setting s;
    detnn_net *net[2];
    detnn_error err;
    int i;
    start(&s);
    free(s.x);
    free(s.w);
    s.x = (float *)malloc(512 * 511 * sizeof(float));
    s.w = (float *)malloc(512 * sizeof(float));
    detnn_random_normal(1, 0, 0, 0, 512 * 511, 0.0f, 1.0f, s.x);
    detnn_random_normal(1, 0, 1, 0, 512, 0.0f, 1.0f, s.w);
    s.data.x = s.x;
    s.data.targets = s.w;
    s.data.weights = 0;
    s.data.labels = 0;
    s.data.count = s.fit.batch_size = 512;
    s.desc.inputs = 511;
    s.desc.layers = layers;
    s.desc.layer_count = 2;
    s.desc.loss = DETNN_MEAN_SQUARED_ERROR;
    s.desc.batch_max = 576;
    s.fit.epochs = 1;
    s.fit.validation_split = 0.0f;
    for (i = 0; i < 2; i++) {
        net[i] = make(&s, i ? DETNN_GPU : DETNN_CPU);
        CHECKF(!detnn_fit(net[i], &s.data, &s.fit, &err), "%s", err.text);
    }
    CHECK(same_state(net[0], net[1]));
    for (i = 0; i < 2; i++) detnn_net_destroy(net[i]);
    finish(&s);
}

static void nets(void)
{
    setting s;
    long graphs;
    start(&s);
    graphs = shim_graphs;
    (void)graphs;
    both(&s, "a fit");
#ifdef CUDA_SHIM_H
    CHECK(shim_graphs - graphs == 3 * 4); /* full batches of 161 / 40 */
#endif

    s.fit.batch_size = 100;
    both(&s, "parts");
    s.data.count = 200;
    s.fit.validation_split = 0.0f;
    both(&s, "parts in the last step");
    s.data.count = 201;
    s.fit.validation_split = 0.2f;
    s.fit.batch_size = 161;
    s.fit.shuffle = 0;
    s.fit.restore_best = 1;
    both(&s, "the best weights");
    finish(&s);
    start(&s);
    s.data = detnn_data_default();
    s.data.count = 201;
    s.data.get = get_sample;
    s.data.get_labels = 1;
    s.data.user = &s;
    both(&s, "data from a callback");
    s.fit.batch_size = 100;
    both(&s, "parts from a callback");
    finish(&s);
    start(&s);
    s.desc.optimizer.clip_value = 0.01f;
    s.desc.label_smoothing = 0.1f;
    net_layers[3].frozen = 1;
    both(&s, "a frozen layer");
    net_layers[3].frozen = 0;
    finish(&s);
    start(&s);
    s.desc.batch_max = 512;
    s.fit.batch_size = 200;
    s.fit.validation_split = 0.0f;
    both(&s, "leaves");
    finish(&s);
    partial_overflow();
}

/* ---- Moving, callbacks ---- */

static int count_calls;
static int every_third(void *user, detnn_net *net, const detnn_progress *progress)
{
    float w[12];
    detnn_error err;
    size_t i;
    (void)user;
    if (progress->step == 3) { /* reads, changes, trains on with it */
        const float *b = detnn_weights(net, 1, DETNN_BIAS, 0, 0);
        for (i = 0; i < 12; i++) w[i] = b[i] + 0.125f;
        if (detnn_weights_set(net, 1, DETNN_BIAS, w, 12, &err)) return DETNN_FINISH;
        if (detnn_set_learning_rate(net, 0.02f, &err)) return DETNN_FINISH;
    }
    return ++count_calls % 3 ? DETNN_GO_ON : DETNN_PAUSE;
}

static void moves(void)
{
    setting s;
    detnn_net *cpu, *net;
    detnn_error err;
    int i;
    float loss[2];
    start(&s);
    cpu = make(&s, DETNN_CPU);
    net = make(&s, DETNN_CPU);
    s.fit.on_step = every_third;
    for (i = 0; i < 12; i++) { /* the same pauses for both; one changes its device at each */
        s.fit.epochs = 3;
        count_calls = 0;
        CHECK(!detnn_fit(cpu, &s.data, &s.fit, &err));
        CHECK(!detnn_set_device(net, i % 2 ? DETNN_CPU : DETNN_GPU, &err));
        count_calls = 0;
        CHECKF(!detnn_fit(net, &s.data, &s.fit, &err), "%s", err.text);
        CHECKF(same_state(cpu, net), "move %d", i);
    }
    CHECK(!detnn_set_device(net, DETNN_GPU, &err));
    for (i = 0; i < 3; i++) {
        CHECK(!detnn_train_batch(cpu, &s.data, &loss[0], &err));
        CHECK(!detnn_train_batch(net, &s.data, &loss[1], &err));
        CHECK(!memcmp(&loss[0], &loss[1], 4));
        CHECK(same_state(cpu, net));
        CHECK(!memcmp(detnn_gradient(cpu, 1, DETNN_KERNEL, 0, 0), detnn_gradient(net, 1, DETNN_KERNEL, 0, 0), 60 * sizeof(float)));
    }
    { /* one's own loop, a copy, a snapshot */
        float y[2][40 * 6];
        size_t size = detnn_snapshot_size(net);
        void *memory = malloc(size);
        detnn_net *copy;
        CHECK(!detnn_snapshot(net, memory, size, &err));
        CHECK(!detnn_forward(cpu, s.x, 40, y[0], &err) && !detnn_backward(cpu, y[0], 0, &err) && !detnn_step(cpu, &err));
        CHECK(!detnn_forward(net, s.x, 40, y[1], &err) && !detnn_backward(net, y[1], 0, &err) && !detnn_step(net, &err));
        CHECK(same_state(cpu, net) && same_results(&s, cpu, net));
        CHECK(!detnn_net_copy(&copy, net, &err) && same_state(copy, net) && same_results(&s, copy, net));
        CHECK(detnn_info(copy).device == DETNN_GPU);
        CHECK(!detnn_restore(net, memory, size, &err) && !detnn_restore(cpu, memory, size, &err));
        CHECK(same_results(&s, cpu, net) && !same_state(copy, net));
        detnn_net_destroy(copy);
        free(memory);
    }
    detnn_net_destroy(cpu);
    detnn_net_destroy(net);
    finish(&s);
}

/* ---- The trace ---- */

typedef struct { char *p; size_t n; } text;
static int keep(void *user, const char *p, size_t n)
{
    text *t = (text *)user;
    t->p = (char *)realloc(t->p, t->n + n + 1);
    memcpy(t->p + t->n, p, n);
    t->p[t->n += n] = 0;
    return 0;
}

static void traces(void)
{
    setting s;
    text t[2] = { { 0, 0 }, { 0, 0 } };
    detnn_trace_desc d = detnn_trace_desc_default();
    detnn_error err;
    int i;
    start(&s);
    s.fit.batch_size = 70; /* two parts */
    d.write = keep;
    d.from = 1;
    d.to = 5;
    d.full_from = 2;
    d.full_to = 3;
    for (i = 0; i < 2; i++) {
        detnn_net *net = make(&s, i ? DETNN_GPU : DETNN_CPU);
        d.user = &t[i];
        CHECK(!detnn_trace_start(net, &d, &err));
        CHECK(!detnn_fit(net, &s.data, &s.fit, &err));
        detnn_net_destroy(net);
    }
    CHECK(t[0].n > 1000 && t[0].n == t[1].n && !strcmp(t[0].p, t[1].p));
    free(t[0].p);
    free(t[1].p);
    finish(&s);
}

/* ---- Steps that the CPU must make, and errors ---- */

static void numbers(void)
{
    setting s;
    detnn_error e[2];
    detnn_result r[2];
    detnn_net *net[2];
    int what, i;
    for (what = 0; what < 4; what++) {
        start(&s);
        if (what == 0) s.x[5 * 150] = 1e38f, s.x[5 * 20] = -3e38f;       /* losses, gradients: from adapt on */
        if (what == 1) s.desc.optimizer = detnn_sgd(1e20f), s.desc.optimizer.clip_norm = 0.0f; /* not an ordinary rate */
        if (what == 2) s.w[100] = 3e38f;                                  /* one gradient overflows */
        if (what == 3) s.w[100] = 1e11f;                                  /* above 2^30: by the CPU, without an error */
        for (i = 0; i < 2; i++) {
            net[i] = make(&s, i ? DETNN_GPU : DETNN_CPU);
            r[i] = detnn_fit(net[i], &s.data, &s.fit, &e[i]);
        }
        CHECKF(r[0] == r[1] && !strcmp(e[0].text, e[1].text), "%d: %s / %s", what, e[0].text, e[1].text);
        CHECKF((what == 3) == (r[0] == DETNN_OK), "%d: %s", what, e[0].text);
        CHECKF(same_state(net[0], net[1]), "%d", what);
        detnn_net_destroy(net[0]);
        detnn_net_destroy(net[1]);
        finish(&s);
    }
}

#ifdef CUDA_SHIM_H
static int pause_epoch(void *user, detnn_net *net, const detnn_progress *progress)
{
    (void)user; (void)net; (void)progress;
    return DETNN_PAUSE;
}

/* A fit that was paused, and goes on; then the GPU fails: the best weights of before are still there, and at the end. */
static void lost_best(void)
{
    setting s;
    detnn_net *cpu = 0, *net;
    detnn_error err;
    const float bias[6] = { 0.01f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f };
    long at = 0, all = 0, back = 0; /* call 0: the CPU's; then one without a failure counts them; then from the last on */
    int lost = 0;
    start(&s);
    s.fit.restore_best = 1;
    for (; at >= 0; at = all ? all - back : 1000000, back = all ? back * 2 + 1 : 0) {
        detnn_net *const n = make(&s, at ? DETNN_GPU : DETNN_CPU);
        float *before;
        detnn_result r;
        s.fit.epochs = 3;
        s.fit.on_epoch = pause_epoch;
        CHECKF(!detnn_fit(n, &s.data, &s.fit, &err), "%s", err.text);
        s.fit.on_epoch = 0;
        CHECK(!detnn_weights_set(n, 5, DETNN_BIAS, bias, 6, &err)); /* no longer the best */
        before = (float *)malloc(2 * n->parameters * sizeof(float));
        memcpy(before, n->best, n->parameters * sizeof(float));
        memcpy(before + n->parameters, n->own_weights, n->parameters * sizeof(float));
        shim_calls = 0;
        shim_fail_at = at;
        r = detnn_fit(n, &s.data, &s.fit, &err);
        shim_fail_at = 0;
        if (at && !all) all = shim_calls;
        if (r) {
            CHECKF(r == DETNN_ERROR_DEVICE, "%s", err.text);
            lost++;
            CHECKF(detnn_info(n).epoch == 1 && !memcmp(before, n->best, n->parameters * sizeof(float))
                && !memcmp(before + n->parameters, n->own_weights, n->parameters * sizeof(float)), "failure at call %ld", at);
            CHECKF(!detnn_fit(n, &s.data, &s.fit, &err), "%s", err.text);
        }
        free(before);
        if (!at) { cpu = n; continue; }
        net = n;
        CHECKF(same_state(cpu, net), "failure at call %ld", at);
        detnn_net_destroy(net);
    }
    CHECK(lost > 5);
    detnn_net_destroy(cpu);
    finish(&s);
}

static void failures(void)
{
    setting s;
    detnn_net *cpu, *net;
    detnn_error err;
    detnn_metrics m;
    detnn_net_desc d;
    long at;
    int lost = 0;
    start(&s);
    d = s.desc;
    d.device = DETNN_GPU;
    shim_devices = 0;
    CHECK(detnn_net_create(&net, &d, &err) == DETNN_ERROR_DEVICE && !net && strstr(err.text, "no CUDA device"));
    shim_devices = 1;
    shim_capability = 70;
    CHECK(detnn_net_create(&net, &d, &err) == DETNN_ERROR_DEVICE && strstr(err.text, "capability 7.0, 7.5"));
    shim_capability = 75;
    shim_image = 80;
    CHECK(detnn_net_create(&net, &d, &err) == DETNN_ERROR_DEVICE && strstr(err.text, "do not run on a GPU of compute capability 7.5"));
    shim_image = 75;
    shim_memory = 10000;
    CHECK(detnn_net_create(&net, &d, &err) == DETNN_ERROR_MEMORY && strstr(err.text, "out of memory"));
    shim_memory = (size_t)1 << 34;
    shim_capability = 90;
    cpu = make(&s, DETNN_CPU);
    CHECK(!detnn_fit(cpu, &s.data, &s.fit, &err));
    net = make(&s, DETNN_GPU);
    shim_memory = 4000; /* not for the data: batches come from the host, but losses fit */
    CHECKF(!detnn_fit(net, &s.data, &s.fit, &err), "%s", err.text);
    CHECK(same_state(cpu, net) && detnn_info(net).device == DETNN_GPU);
    shim_memory = (size_t)1 << 34;
    detnn_net_destroy(net);
    net = make(&s, DETNN_GPU);
    shim_no_capture = 1; /* then without a graph */
    CHECKF(!detnn_fit(net, &s.data, &s.fit, &err), "%s", err.text);
    CHECK(same_state(cpu, net) && detnn_info(net).device == DETNN_GPU && !net->gpu->behind);
    shim_no_capture = 0;
    detnn_net_destroy(net);
    for (at = 1; at < 400; at = at * 5 / 4 + 1) { /* the GPU fails here: the fit goes on on the CPU */
        net = make(&s, DETNN_GPU);
        shim_calls = 0;
        shim_fail_at = at;
        s.fit.epochs = 3;
        if (detnn_fit(net, &s.data, &s.fit, &err) == DETNN_ERROR_DEVICE) {
            uint64_t left = 3 - detnn_info(net).epoch;
            CHECKF(strstr(err.text, "the GPU failed"), "%s", err.text);
            CHECK(detnn_info(net).device == DETNN_CPU);
            shim_fail_at = 0;
            lost++;
            s.fit.epochs = left;
            if (left) CHECKF(!detnn_fit(net, &s.data, &s.fit, &err), "%s", err.text);
        }
        shim_fail_at = 0;
        CHECKF(same_state(cpu, net), "failure at call %ld", at);
        detnn_net_destroy(net);
    }
    CHECK(lost > 5);
    net = make(&s, DETNN_GPU);
    shim_calls = 0;
    shim_fail_at = 2;
    CHECK(detnn_evaluate(net, &s.data, &m, &err) == DETNN_ERROR_STATE); /* not adapted: before the GPU is asked */
    CHECK(!detnn_adapt(net, &s.data, &err));
    CHECK(detnn_evaluate(net, &s.data, &m, &err) == DETNN_ERROR_DEVICE);
    shim_fail_at = 0;
    CHECK(!detnn_evaluate(net, &s.data, &m, &err) && !detnn_set_device(net, DETNN_GPU, &err) && !detnn_evaluate(net, &s.data, &m, &err));
    detnn_net_destroy(net);
    detnn_net_destroy(cpu);
    finish(&s);
}
#endif

int main(int argc, char **argv)
{
    small = argc > 1 && !strcmp(argv[1], "small");
    TEST(products);
    TEST(partial_sums);
    TEST(nets);
    TEST(moves);
    TEST(traces);
    TEST(numbers);
#ifdef CUDA_SHIM_H
    TEST(failures);
    TEST(lost_best);
#endif
    CHECK(shim_allocated == 0);
    return test_end();
}

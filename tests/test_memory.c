/* Where a net's memory comes from, how much it is, and that nothing else is touched. */
#include <stdlib.h>

/* Any use of malloc and free by the implementation (private names begin with detnni_), which this
 * program includes, is counted here. */
static long mallocs, frees;
static inline void *test_malloc(size_t size) { mallocs++; return malloc(size); }
static inline void test_free(void *memory) { frees++; free(memory); }
#define malloc(size) test_malloc(size)
#define free(memory) test_free(memory)
#include "test.h"
#undef malloc
#undef free
#include "small.h"
#include "helpers.h"

/* ---- Descriptions ---- */

static const detnn_layer one_dense[] = { DETNN_DENSE(1, DETNN_LINEAR) };
static const detnn_layer only_dropout[] = { DETNN_DROPOUT(0.5f) };
static const detnn_layer wide[] = { DETNN_DENSE(70, DETNN_GELU), DETNN_DENSE(3, DETNN_SOFTMAX) };
static const detnn_layer everything[] = {
    DETNN_STANDARDIZE(), DETNN_DENSE(9, DETNN_SILU), DETNN_DROPOUT(0.5f),
    DETNN_DENSE_EX(7, DETNN_SOFTPLUS, 1.0f, DETNN_INIT(DETNN_ORTHOGONAL, 1.0f, 0.0f),
                   DETNN_INIT(DETNN_ZEROS, 0.0f, 0.0f), 0, 0),
    DETNN_ACTIVATE(DETNN_ELU),
    DETNN_DENSE_EX(5, DETNN_GELU, 1.0f, DETNN_INIT(DETNN_HE_NORMAL, 0.0f, 0.0f),
                   DETNN_INIT(DETNN_CONSTANT, 0.5f, 0.0f), 1, 1),
    DETNN_DENSE(3, DETNN_LINEAR), DETNN_ACTIVATE(DETNN_SOFTMAX)
};

enum { DESCRIPTIONS = 14 };

/* Many descriptions, for five inputs and, but where the loss is another, three classes. */
static detnn_net_desc description(int i)
{
    detnn_net_desc desc = small_desc();
    desc.batch_max = 32;
    desc.parts_max = 1;
    if (i >= 6) {
        desc.layers = everything;
        desc.layer_count = sizeof everything / sizeof *everything;
        desc.keep_best = i & 1;
        desc.trace = 1;
    }
    switch (i) {
    case 1: desc.layers = one_dense; desc.layer_count = 1; desc.loss = DETNN_HUBER; break;
    case 2: desc.layers = only_dropout; desc.layer_count = 1; desc.loss = DETNN_HUBER; break;
    case 3: desc.layers = wide; desc.layer_count = 2; desc.batch_max = 1; break;
    case 4: desc.predict_only = 1; break;
    case 5: desc.optimizer = detnn_sgd(0.0625f); break;
    case 7: desc.optimizer = detnn_sgd_momentum(0.0625f, 0.5f, 1); break;
    case 8: desc.optimizer = detnn_rmsprop(0.0625f); break;
    case 9: desc.optimizer = detnn_rmsprop(0.0625f); desc.optimizer.momentum = 0.5f; break;
    case 10: desc.optimizer = detnn_adamw(0.0625f, 0.5f); break;
    case 11: desc.batch_max = 64; desc.parts_max = 2; break;
    case 12: desc.batch_max = 65; desc.parts_max = 7; break;
    case 13: desc.batch_max = 90; desc.parts_max = 1; break;
    default: break;
    }
    return desc;
}

static int drop_text(void *user, const char *text, size_t length)
{
    (void)user;
    return !text || !length;
}

/* Everything that a net can do: if memory outside of its block can be touched, it will be. */
static void use(detnn_net *net, const detnn_net_desc *desc, detnn_data data)
{
    static float targets[SMALL_SAMPLES * SMALL_INPUTS], y[SMALL_SAMPLES * SMALL_INPUTS];
    static char snapshot[200000];
    size_t outputs = detnn_info(net).outputs, size = detnn_snapshot_size(net), i;
    detnn_fit_desc fit = small_fit(1);
    detnn_trace_desc trace = detnn_trace_desc_default();
    detnn_metrics m;
    detnn_error err;
    trace.write = drop_text;
    if (desc->trace) CHECK(!detnn_trace_start(net, &trace, NULL));
    if (desc->loss != DETNN_CROSS_ENTROPY) {
        data.labels = NULL;
        data.targets = targets;
    }
    fit.batch_size = desc->batch_max;
    CHECK(outputs * SMALL_SAMPLES <= sizeof y / sizeof *y && size <= sizeof snapshot);
    /* made known by hand */
    if (desc->layers[0].kind == DETNN_LAYER_STANDARDIZE && desc->predict_only) {
        float ones[SMALL_INPUTS];
        for (i = 0; i < SMALL_INPUTS; i++) ones[i] = 1.0f;
        CHECK(!detnn_weights_set(net, 0, DETNN_DEVIATION, ones, SMALL_INPUTS, NULL));
    }
    if (!desc->predict_only) {
        CHECKF(!detnn_fit(net, &data, &fit, &err), "%s", err.text);
        if (desc->parts_max * desc->batch_max >= SMALL_SAMPLES)
            CHECK(!detnn_train_batch(net, &data, NULL, NULL));
        CHECK(!detnn_forward(net, data.x, desc->batch_max, y, NULL));
        CHECK(!detnn_backward(net, y, y, NULL) && !detnn_step(net, NULL));
    }
    CHECKF(!detnn_predict(net, data.x, SMALL_SAMPLES, y, &err), "%s", err.text);
    CHECKF(!detnn_evaluate(net, &data, &m, &err), "%s", err.text);
    CHECK(!detnn_snapshot(net, snapshot, size, NULL) && !detnn_restore(net, snapshot, size, NULL));
}

/* ---- The size is exact ---- */

enum { BLOCK = 400000, GUARD = 64 };
static unsigned char block[BLOCK];

static int guards_hold(size_t begin, size_t end)
{
    size_t i;
    for (i = 0; i < BLOCK; i++)
        if ((i < begin || i >= end) && block[i] != 0xa5) return 0;
    return 1;
}

/* Works in a block of exactly its size at an address that is offset above a multiple of 64, leaves
 * the rest alone, and refuses one byte less. */
static void exact_at(const detnn_net_desc *desc, const detnn_data *data, size_t offset,
                     char *digest)
{
    size_t size = 0, begin = GUARD + (64 - (size_t)((uintptr_t)block & 63)) % 64 + offset;
    char need[32];
    detnn_net *net;
    detnn_error err;
    CHECKF(!detnn_net_size(desc, &size, &err), "%s", err.text);
    CHECK(size > 0 && begin + size + GUARD <= BLOCK);
    memset(block, 0xa5, sizeof block);
    CHECK(detnn_net_init(&net, desc, block + begin, size - 1, &err) == DETNN_ERROR_MEMORY && !net);
    sprintf(need, " %lu", (unsigned long)size);
    CHECKF(strstr(err.text, need), "%s", err.text);
    CHECK(guards_hold(0, 0)); /* nothing was written */
    CHECKF(!detnn_net_init(&net, desc, block + begin, size, &err), "%s", err.text);
    if (!net) return;
    CHECK(detnn_info(net).memory == size);
    use(net, desc, *data);
    detnn_state_digest(net, digest);
    detnn_net_destroy(net);
    CHECKF(guards_hold(begin, begin + size), "offset %u", (unsigned)offset);
}

static void size_is_exact_at_every_offset(void)
{
    detnn_net_desc desc = description(6);
    detnn_data data = small_data();
    char first[DETNN_DIGEST_TEXT], digest[DETNN_DIGEST_TEXT];
    size_t offset;
    exact_at(&desc, &data, 0, first);
    for (offset = 1; offset <= 64; offset++) {
        exact_at(&desc, &data, offset, digest);
        CHECKF(small_equal(first, digest), "offset %u", (unsigned)offset);
    }
}

static void size_is_exact_for_every_description(void)
{
    detnn_data data = small_data();
    char a[DETNN_DIGEST_TEXT], b[DETNN_DIGEST_TEXT], c[DETNN_DIGEST_TEXT];
    int i;
    for (i = 0; i < DESCRIPTIONS; i++) {
        detnn_net_desc desc = description(i);
        exact_at(&desc, &data, 0, a);
        exact_at(&desc, &data, 1, b);
        exact_at(&desc, &data, 63, c);
        CHECKF(small_equal(a, b) && small_equal(a, c), "description %d", i);
    }
}

/* On the heap an address sanitizer watches the ends; the size given is the size in use: at some
 * alignment the last byte is needed. */
static void size_is_exact_on_the_heap(void)
{
    detnn_data data = small_data();
    int i;
    for (i = 0; i < DESCRIPTIONS; i++) {
        detnn_net_desc desc = description(i);
        size_t size = 0, offset;
        detnn_net *net;
        void *memory;
        CHECK(!detnn_net_size(&desc, &size, NULL));
        for (offset = 0; offset < 64; offset += 21) {
            memory = malloc(size + offset);
            CHECK(!detnn_net_init(&net, &desc, (char *)memory + offset, size, NULL));
            use(net, &desc, data);
            detnn_net_destroy(net);
            free(memory);
        }
    }
}

/* ---- Providers ---- */

static void allocator_gets_its_sizes_back(void)
{
    detnn_data data = small_data();
    int i;
    for (i = 0; i < DESCRIPTIONS; i++) {
        detnn_net_desc desc = description(i);
        counter c;
        detnn_net *net, *copy;
        size_t size = 0;
        memset(&c, 0, sizeof c);
        mallocs = frees = 0;
        desc.allocator = counter_of(&c);
        net = make(&desc);
        CHECK(!detnn_net_size(&desc, &size, NULL));
        CHECK(c.calls == 1 && c.blocks == 1 && c.bytes == size && detnn_info(net).memory == size);
        use(net, &desc, data);
        CHECK(c.calls == 1); /* nothing more after creation */
        CHECK(!detnn_net_copy(&copy, net, NULL));
        CHECK(c.calls == 2 && c.blocks == 2 && same_state(net, copy));
        detnn_net_destroy(net);
        use(copy, &desc, data);
        detnn_net_destroy(copy);
        CHECK(c.calls == 2 && c.blocks == 0 && c.bytes == 0 && c.wrong == 0);
        CHECK(mallocs == 0 && frees == 0);
    }
}

static void nothing_is_allocated_after_creation(void)
{
    detnn_data data = small_data();
    int i;
    for (i = 0; i < DESCRIPTIONS; i++) {
        detnn_net_desc desc = description(i);
        detnn_net *net, *other;
        mallocs = frees = 0;
        net = make(&desc);
        CHECK(mallocs == 1);
        use(net, &desc, data);
        CHECK(mallocs == 1 && frees == 0);
        CHECK(!detnn_net_copy(&other, net, NULL) && mallocs == 2);
        detnn_net_destroy(other);
        detnn_net_destroy(net);
        detnn_net_destroy(NULL);
        CHECK(mallocs == 2 && frees == 2);
    }
    mallocs = 0;
    CHECK(!detnn_selftest(NULL) && mallocs == 0);
}

/* malloc, an allocator and a block: the same bits. */
static void every_provider_gives_the_same_bits(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(4);
    counter c;
    int i;
    memset(&c, 0, sizeof c);
    memset(block, 0xff, sizeof block); /* NaNs, where something is read before it is written */
    for (i = 0; i < 3; i++) {
        detnn_net *net;
        if (i == 1) desc.allocator = counter_of(&c);
        if (i == 2) CHECK(!detnn_net_init(&net, &desc, block, sizeof block, NULL));
        else net = make(&desc);
        CHECK(!detnn_fit(net, &data, &fit, NULL));
        CHECK(state_is(net, SMALL_STATE));
        detnn_net_destroy(net);
    }
}

/* ---- Copies and snapshots ---- */

static void snapshot_and_restore(void)
{
    static char memory[100000];
    detnn_net_desc desc = description(7);
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(2);
    detnn_net *net = make(&desc), *other = make(&desc);
    char before[DETNN_DIGEST_TEXT], after[DETNN_DIGEST_TEXT];
    size_t size = detnn_snapshot_size(net), offset;
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    CHECK(!detnn_set_learning_rate(net, 0.03125f, NULL));
    detnn_state_digest(net, before);
    for (offset = 0; offset < 3; offset++) { /* any alignment */
        memset(memory, 0xa5, sizeof memory);
        CHECK(!detnn_snapshot(net, memory + offset, size, NULL));
        CHECK(memory[offset + size] == (char)0xa5 && state_is(net, before));
        CHECK(!detnn_fit(net, &data, &fit, NULL) && !state_is(net, before));
        detnn_state_digest(net, after);
        CHECK(!detnn_restore(net, memory + offset, size, NULL) && state_is(net, before));
        CHECK(!detnn_fit(net, &data, &fit, NULL) && state_is(net, after)); /* the same way again */
        CHECK(!detnn_restore(other, memory + offset, size, NULL) && state_is(other, before));
        CHECK(!detnn_fit(other, &data, &fit, NULL) && state_is(other, after));
        CHECK(!detnn_restore(net, memory + offset, size, NULL));
    }
    detnn_net_destroy(net);
    detnn_net_destroy(other);
}

/* A copy has the frozen layers and the learning rate that were changed after creation. */
static void copy_has_what_was_changed(void)
{
    detnn_net_desc desc = description(7);
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(2);
    detnn_net *net = make(&desc), *copy;
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    CHECK(!detnn_freeze(net, 1, 1, NULL) && !detnn_freeze(net, 5, 0, NULL));
    CHECK(!detnn_set_learning_rate(net, 0.25f, NULL));
    CHECK(!detnn_net_copy(&copy, net, NULL));
    CHECK(detnn_info(net).trainable == detnn_info(copy).trainable);
    CHECK(!detnn_fit(net, &data, &fit, NULL) && !detnn_fit(copy, &data, &fit, NULL));
    CHECK(same_state(net, copy));
    detnn_net_destroy(net);
    detnn_net_destroy(copy);
}

/* Weights of a trained net used where they lie, as from flash. */
static void weights_in_flash(void)
{
    static float flash[1000], y[2][SMALL_SAMPLES * 3];
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(2);
    detnn_net *net = make(&desc), *flashed;
    size_t layer, n = 0, size[2];
    int t;
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    for (layer = 0; layer < desc.layer_count; layer++)
        for (t = 0; t < (int)DETNN_TENSOR_COUNT; t++) {
            size_t rows, cols;
            const float *w = detnn_weights(net, layer, (detnn_tensor)t, &rows, &cols);
            if (!w) continue;
            memcpy(flash + n, w, rows * cols * sizeof(float));
            n += rows * cols;
        }
    CHECK(n == detnn_info(net).parameters);
    CHECK(!detnn_net_size(&desc, &size[0], NULL));
    desc.predict_only = 1;
    desc.weights = flash;
    CHECK(!detnn_net_size(&desc, &size[1], NULL) && size[1] + n * sizeof(float) < size[0]);
    flashed = make(&desc);
    CHECK(same_weights(net, flashed));
    CHECK(detnn_weights(flashed, 0, DETNN_MEAN, NULL, NULL) == flash);
    CHECK(!detnn_predict(net, data.x, SMALL_SAMPLES, y[0], NULL));
    CHECK(!detnn_predict(flashed, data.x, SMALL_SAMPLES, y[1], NULL));
    CHECK(!memcmp(y[0], y[1], sizeof y[0]));
    CHECK(detnn_weights_set(flashed, 1, DETNN_BIAS, flash, 8, NULL) == DETNN_ERROR_STATE);
    detnn_net_destroy(net);
    detnn_net_destroy(flashed);
}

/* ---- Parts ---- */

enum { MANY = 300 };
static float many_x[MANY * SMALL_INPUTS];
static uint32_t many_labels[MANY];

static detnn_data many_data(void)
{
    detnn_data data = detnn_data_default();
    size_t i;
    detnn_random_normal(11, 0, 0, 0, MANY * SMALL_INPUTS, 0.0f, 1.0f, many_x);
    detnn_random_words(11, 0, 1, 0, MANY, many_labels);
    for (i = 0; i < MANY; i++) many_labels[i] %= 3;
    data.x = many_x;
    data.labels = many_labels;
    data.count = MANY;
    return data;
}

/* Two steps of fit, one by hand, an evaluation: the digest of the state and of all losses. */
static size_t train_many(size_t batch_max, char *state, char *losses)
{
    detnn_net_desc desc = description(7);
    detnn_data data = many_data();
    detnn_fit_desc fit = small_fit(2);
    detnn_metrics m;
    detnn_net *net;
    float all[4];
    size_t memory;
    desc.batch_max = batch_max;
    desc.parts_max = 5;
    desc.optimizer.clip_norm = 0.5f;
    net = make(&desc);
    fit.batch_size = MANY;
    memory = detnn_info(net).memory;
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    CHECK(!detnn_train_batch(net, &data, &all[0], NULL));
    CHECK(!detnn_evaluate(net, &data, &m, NULL));
    all[1] = m.loss;
    all[2] = m.accuracy;
    all[3] = m.mean_absolute_error;
    detnn_tensor_digest(all, 4, losses);
    detnn_state_digest(net, state);
    detnn_net_destroy(net);
    return memory;
}

static void parts_of_a_batch_give_the_same_bits(void)
{
    static const size_t batch_max[] = { 64, 128, 256, 100, 1000 };
    char state[2][DETNN_DIGEST_TEXT], losses[2][DETNN_DIGEST_TEXT];
    size_t whole = train_many(MANY, state[0], losses[0]), i;
    for (i = 0; i < sizeof batch_max / sizeof *batch_max; i++) {
        size_t memory = train_many(batch_max[i], state[1], losses[1]);
        CHECKF(small_equal(state[0], state[1]), "batch_max %u", (unsigned)batch_max[i]);
        CHECKF(small_equal(losses[0], losses[1]), "batch_max %u", (unsigned)batch_max[i]);
        CHECK((memory < whole) == (batch_max[i] < MANY)); /* what parts are for */
    }
}

/* ---- Prediction in the caller's memory ---- */

static detnn_net *predicting_net(void)
{
    detnn_net_desc desc = description(6);
    detnn_data data = many_data();
    detnn_fit_desc fit = small_fit(1);
    detnn_net *net = make(&desc);
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    return net;
}

static void predict_const_in_any_scratch(void)
{
    static float y[2][MANY * 3];
    detnn_net *net = predicting_net();
    char digest[DETNN_DIGEST_TEXT];
    size_t rows, offset, size;
    detnn_error err;
    CHECK(!detnn_predict(net, many_x, MANY, y[0], NULL));
    detnn_state_digest(net, digest);
    for (rows = 1; rows <= 65; rows += rows < 4 ? 1 : 20)
        for (offset = 0; offset < 64; offset += offset < 2 ? 1 : 17) {
            size = detnn_predict_size(net, rows);
            memset(block, 0xa5, sizeof block);
            memset(y[1], 0, sizeof y[1]);
            CHECK(!detnn_predict_const(net, many_x, MANY, y[1], block + GUARD + offset, size,
                                       &err));
            CHECKF(!memcmp(y[0], y[1], sizeof y[0]), "%u rows, offset %u", (unsigned)rows,
                   (unsigned)offset);
            CHECK(guards_hold(GUARD + offset, GUARD + offset + size));
        }
    size = detnn_predict_size(net, 1);
    CHECK(detnn_predict_const(net, many_x, MANY, y[1], block, size - 1,
                              &err) == DETNN_ERROR_MEMORY);
    CHECK(state_is(net, digest));
    detnn_net_destroy(net);
}

#if TEST_THREADS
typedef struct predict_job {
    const detnn_net *net;
    float y[MANY * 3];
    char scratch[10000];
    size_t rows;
    detnn_result result;
} predict_job;

static void *predict_thread(void *user)
{
    predict_job *j = (predict_job *)user;
    int i;
    for (i = 0; i < 20 && !j->result; i++)
        j->result = detnn_predict_const(j->net, many_x, MANY, j->y, j->scratch,
                                        detnn_predict_size(j->net, j->rows), NULL);
    return NULL;
}

static void predict_const_in_four_threads(void)
{
    static predict_job jobs[4];
    static float y[MANY * 3];
    pthread_t threads[4];
    detnn_net *net = predicting_net();
    size_t i;
    CHECK(!detnn_predict(net, many_x, MANY, y, NULL));
    for (i = 0; i < 4; i++) {
        jobs[i].net = net;
        jobs[i].rows = 1 + 13 * i;
        CHECK(detnn_predict_size(net, jobs[i].rows) <= sizeof jobs[i].scratch);
        CHECK(!pthread_create(&threads[i], NULL, predict_thread, &jobs[i]));
    }
    for (i = 0; i < 4; i++) {
        CHECK(!pthread_join(threads[i], NULL));
        CHECK(!jobs[i].result && !memcmp(y, jobs[i].y, sizeof y));
    }
    detnn_net_destroy(net);
}
#endif

static void predict_in_any_cut(void)
{
    static float y[2][MANY * 3];
    detnn_net *net = predicting_net();
    size_t cut, i, n;
    CHECK(!detnn_predict(net, many_x, MANY, y[0], NULL));
    for (cut = 1; cut <= MANY; cut += cut < 70 ? 1 : 37) {
        for (i = 0; i < MANY; i += n) {
            n = cut < MANY - i ? cut : MANY - i;
            CHECK(!detnn_predict(net, many_x + i * SMALL_INPUTS, n, y[1] + i * 3, NULL));
        }
        CHECKF(!memcmp(y[0], y[1], sizeof y[0]), "cut into %u", (unsigned)cut);
    }
    detnn_net_destroy(net);
}

#if defined(__linux__) && defined(__GNUC__)
/* Asked for them, not whether there are any: that is the system's to say. */
static void large_nets_ask_for_huge_pages(void)
{
    detnn_layer layer = DETNN_DENSE(1024, DETNN_RELU);
    detnn_net_desc desc = detnn_net_desc_default();
    unsigned long at, from, to;
    detnn_error err;
    detnn_net *net;
    char line[512], dash;
    int inside = 0, asked = 0;
    FILE *maps = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    if (!maps) return; /* a system without */
    (void)fclose(maps);
    desc.inputs = 2048, desc.layers = &layer, desc.layer_count = 1, desc.loss = DETNN_MEAN_SQUARED_ERROR;
    CHECKF(!detnn_net_create(&net, &desc, &err), "%s", err.text);
    at = (unsigned long)(uintptr_t)(net->weights + 1024 * 1024); /* the middle of 8 MB */
    maps = fopen("/proc/self/smaps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx%c%lx", &from, &dash, &to) == 3 && dash == '-') inside = from <= at && at < to;
        if (inside && strncmp(line, "VmFlags:", 8) == 0) asked = strstr(line, " hg") != 0;
    }
    if (maps) (void)fclose(maps);
    CHECKF(asked, "no huge pages were asked for");
    detnn_net_destroy(net);
}
#endif

int main(void)
{
    TEST(size_is_exact_at_every_offset);
    TEST(size_is_exact_for_every_description);
    TEST(size_is_exact_on_the_heap);
    TEST(allocator_gets_its_sizes_back);
#if defined(__linux__) && defined(__GNUC__)
    TEST(large_nets_ask_for_huge_pages);
#endif
    TEST(nothing_is_allocated_after_creation);
    TEST(every_provider_gives_the_same_bits);
    TEST(snapshot_and_restore);
    TEST(copy_has_what_was_changed);
    TEST(weights_in_flash);
    TEST(parts_of_a_batch_give_the_same_bits);
    TEST(predict_const_in_any_scratch);
    TEST(predict_in_any_cut);
#if TEST_THREADS
    TEST(predict_const_in_four_threads);
#else
    printf("skipped: predict_const in four threads (TEST_THREADS is 0)\n");
#endif
    return test_end();
}

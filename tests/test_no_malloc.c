/* A net for handwritten digits (64-256-128-10, dropout, Adam) trains inside a static block, in a
 * build without malloc. Whatever the implementation (private names begin with detnni_) asked of
 * malloc would end the program. */
#define DETNN_NO_MALLOC 1
#define DETNN_NO_STDIO 1
#include <stdlib.h>

static inline void *forbidden_malloc(size_t size) { (void)size; abort(); }
static inline void forbidden_free(void *memory) { (void)memory; abort(); }
#define malloc(size) forbidden_malloc(size)
#define free(memory) forbidden_free(memory)
#include "test.h"
#undef malloc
#undef free

enum { SAMPLES = 192, PIXELS = 64, CLASSES = 10 };

static const detnn_layer layers[] = {
    DETNN_DENSE(256, DETNN_RELU), DETNN_DROPOUT(0.25f), DETNN_DENSE(128, DETNN_RELU),
    DETNN_DROPOUT(0.25f), DETNN_DENSE(CLASSES, DETNN_SOFTMAX)
};
static float x[SAMPLES][PIXELS];
static uint32_t labels[SAMPLES];
static unsigned char block[2][1600000]; /* weights, gradients and Adam's moments are 4 x 204 kB */

static detnn_net_desc digits_desc(void)
{
    detnn_net_desc desc = detnn_net_desc_default();
    desc.seed = 1;
    desc.inputs = PIXELS;
    desc.layers = layers;
    desc.layer_count = sizeof layers / sizeof *layers;
    desc.optimizer = detnn_adam(0.002f);
    desc.batch_max = 64;
    return desc;
}

/* Ten patterns of 8 x 8 dots from 0 to 1, each drawn with noise. */
static detnn_data digits_data(void)
{
    static float pattern[CLASSES][PIXELS];
    detnn_data data = detnn_data_default();
    size_t i, j;
    detnn_random_uniform(1, 0, 0, 0, CLASSES * PIXELS, 0.0f, 1.0f, &pattern[0][0]);
    detnn_random_normal(1, 0, 1, 0, SAMPLES * PIXELS, 0.0f, 0.25f, &x[0][0]);
    for (i = 0; i < SAMPLES; i++) {
        labels[i] = (uint32_t)(i % CLASSES);
        for (j = 0; j < PIXELS; j++) x[i][j] += pattern[labels[i]][j];
    }
    data.x = &x[0][0];
    data.labels = labels;
    data.count = SAMPLES;
    return data;
}

/* The block as an allocator, for one net. */
static void *block_alloc(void *user, size_t size)
{
    (void)user;
    return size <= sizeof block[1] ? block[1] : NULL;
}
static void block_release(void *user, void *memory, size_t size)
{
    *(int *)user += memory == block[1] && size > 0;
}

static void digit_net_in_a_static_block(void)
{
    detnn_net_desc desc = digits_desc();
    detnn_data data = digits_data();
    detnn_fit_desc fit = detnn_fit_desc_default();
    detnn_metrics before, after;
    detnn_net *net, *other;
    detnn_error err;
    char a[DETNN_DIGEST_TEXT], b[DETNN_DIGEST_TEXT];
    size_t size = 0;
    int released = 0;
    fit.epochs = 3;
    fit.batch_size = 64;
    CHECKF(!detnn_net_size(&desc, &size, &err), "%s", err.text);
    CHECKF(size <= sizeof block[0], "the block has to be %lu", (unsigned long)size);
    CHECKF(!detnn_net_init(&net, &desc, block[0], size, &err), "%s", err.text);
    CHECK(!detnn_evaluate(net, &data, &before, NULL));
    CHECKF(!detnn_fit(net, &data, &fit, &err), "%s", err.text);
    CHECK(!detnn_evaluate(net, &data, &after, NULL));
    CHECKF(before.accuracy < 0.5f && after.accuracy > 0.95f, "%g %g", (double)before.accuracy,
           (double)after.accuracy);
    desc.allocator.alloc = block_alloc;
    desc.allocator.release = block_release;
    desc.allocator.user = &released;
    CHECKF(!detnn_net_create(&other, &desc, &err), "%s", err.text);
    CHECK(!detnn_fit(other, &data, &fit, NULL));
    CHECK(!strcmp(detnn_state_digest(net, a), detnn_state_digest(other, b)));
    detnn_net_destroy(other);
    CHECK(released == 1);
    detnn_net_destroy(net);
}

static void create_without_a_provider_says_so(void)
{
    detnn_net_desc desc = digits_desc();
    detnn_net *net;
    detnn_error err;
    CHECK(detnn_net_create(&net, &desc, &err) == DETNN_ERROR_MEMORY && !net);
    CHECKF(strstr(err.text, "malloc") && strstr(err.text, "detnn_net_init"), "%s", err.text);
    CHECK(detnn_net_create(&net, &desc, NULL) == DETNN_ERROR_MEMORY && !net);
}

int main(void)
{
    (void)forbidden_malloc; /* not used, which is the point */
    (void)forbidden_free;
    TEST(digit_net_in_a_static_block);
    TEST(create_without_a_provider_says_so);
    return test_end();
}

/* A small training that several tests share, with digests that tests/oracle.py agrees to. Needs
 * nothing of the C library, so that the freestanding test can use it. Include it after detnn.h. */
#ifndef SMALL_H
#define SMALL_H

enum { SMALL_SAMPLES = 90, SMALL_INPUTS = 5, SMALL_CLASSES = 3 };

static float small_x[SMALL_SAMPLES][SMALL_INPUTS];
static uint32_t small_labels[SMALL_SAMPLES];

/* Standardize, two hidden layers with dropout, Adam: a bit of everything. */
static const detnn_layer small_layers[] = {
    DETNN_STANDARDIZE(), DETNN_DENSE(8, DETNN_TANH), DETNN_DROPOUT(0.25f),
    DETNN_DENSE(6, DETNN_RELU), DETNN_DENSE(SMALL_CLASSES, DETNN_SOFTMAX)
};

#define SMALL_STATE "65d886005e7b656698967531d7a88aae2cb88cf319c4fa53eccb5c3879b3ebab"
#define SMALL_NET   "8e3b95b32c5a8305332aed6a403a57d1b0550b3db70326fabfe474d0fe802b56"
#define TINY_NET    "4c0d422d361490537abfe9628cb65717319ab240cadd5aad2bb846170ff423de"

static inline detnn_net_desc small_desc(void)
{
    detnn_net_desc desc = detnn_net_desc_default();
    desc.seed = 7;
    desc.inputs = SMALL_INPUTS;
    desc.layers = small_layers;
    desc.layer_count = sizeof small_layers / sizeof *small_layers;
    desc.optimizer = detnn_adam(0.015625f);
    desc.batch_max = 128;
    return desc;
}

/* The data, the same in every test: normal features, labels by chance. */
static inline detnn_data small_data(void)
{
    detnn_data data = detnn_data_default();
    size_t i;
    detnn_random_normal(7, 0, 0, 0, SMALL_SAMPLES * SMALL_INPUTS, 0.0f, 1.0f, &small_x[0][0]);
    detnn_random_words(7, 0, 1, 0, SMALL_SAMPLES, small_labels);
    for (i = 0; i < SMALL_SAMPLES; i++) small_labels[i] %= SMALL_CLASSES;
    data.x = &small_x[0][0];
    data.labels = small_labels;
    data.count = SMALL_SAMPLES;
    return data;
}

static inline detnn_fit_desc small_fit(uint64_t epochs)
{
    detnn_fit_desc fit = detnn_fit_desc_default();
    fit.epochs = epochs;
    fit.batch_size = 24;
    fit.validation_split = 0.125f;
    return fit;
}

/* What remains in every build: plain SGD, ReLU and softmax; weights from the caller. */
static const detnn_layer tiny_layers[] = { DETNN_DENSE(7, DETNN_RELU),
                                          DETNN_DENSE(SMALL_CLASSES, DETNN_SOFTMAX) };

static inline detnn_net_desc tiny_desc(void)
{
    detnn_net_desc desc = small_desc();
    desc.layers = tiny_layers;
    desc.layer_count = 2;
    desc.optimizer = detnn_sgd(0.125f);
    return desc;
}

/* Sets all kernels by the generator. */
static inline detnn_result small_draw_kernels(detnn_net *net, uint64_t seed)
{
    float w[256];
    size_t i, rows, cols, layers = detnn_info(net).layer_count;
    for (i = 0; i < layers; i++) {
        detnn_result r;
        if (!detnn_weights(net, i, DETNN_KERNEL, &rows, &cols)) continue;
        if (rows * cols > sizeof w / sizeof *w) return DETNN_ERROR_SIZE;
        detnn_random_uniform(seed, 0, (uint32_t)i, 0, rows * cols, -0.5f, 0.5f, w);
        r = detnn_weights_set(net, i, DETNN_KERNEL, w, rows * cols, 0);
        if (r) return r;
    }
    return DETNN_OK;
}

static inline int small_equal(const char *a, const char *b)
{
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

#endif

/* Features left out by DETNN_FEATURES: what is left works to the same bits, what is missing is
 * refused with a sentence. This program has training alone; test_features_none.c leaves that out,
 * too. The implementation (private names begin with detnni_) is compiled here, with this mask. */
#ifndef DETNN_FEATURES
#define DETNN_FEATURES (DETNN_FEATURE_TRAINING | DETNN_FEATURE_MESSAGES)
#endif
#include "test.h"
#include "small.h"
#include "helpers.h"

#define HAS_TRAINING (((DETNN_FEATURES) & DETNN_FEATURE_TRAINING) != 0)

/* A description with this change is refused as not part of this build. */
#define MISSING(word, change)                                                                     \
    do {                                                                                          \
        detnn_net_desc desc = tiny_desc();                                                        \
        detnn_layer layers[2];                                                                    \
        detnn_net *none;                                                                          \
        detnn_error err;                                                                          \
        size_t size = 1;                                                                          \
        memcpy(layers, tiny_layers, sizeof layers);                                               \
        desc.layers = layers;                                                                     \
        change;                                                                                   \
        CHECK(detnn_net_create(&none, &desc, &err) == DETNN_ERROR_FEATURE && !none);              \
        CHECKF(strstr(err.text, word) && strstr(err.text, "this build"), "%s", err.text);         \
        CHECK(err.code == DETNN_ERROR_FEATURE);                                                   \
        CHECK(detnn_net_size(&desc, &size, NULL) == DETNN_ERROR_FEATURE && size == 0);            \
        CHECK(detnn_net_create(&none, &desc, NULL) == DETNN_ERROR_FEATURE && !none);              \
    } while (0)

static void missing_features(void)
{
    static const detnn_layer dropout = DETNN_DROPOUT(0.5f), standardize = DETNN_STANDARDIZE();
    int i;
    MISSING("layer 0 (dropout)", layers[0] = dropout);
    MISSING("layer 0 (standardize)", layers[0] = standardize);
    for (i = DETNN_LEAKY_RELU; i < (int)DETNN_SOFTMAX; i++)
        MISSING(detnn_activation_name((detnn_activation)i),
                layers[0].activation = (detnn_activation)i);
    MISSING("binary_cross_entropy",
            (layers[1].activation = DETNN_LINEAR, desc.loss = DETNN_BINARY_CROSS_ENTROPY));
    MISSING("mean_squared_error", desc.loss = DETNN_MEAN_SQUARED_ERROR);
    MISSING("mean_absolute_error", desc.loss = DETNN_MEAN_ABSOLUTE_ERROR);
    MISSING("huber", desc.loss = DETNN_HUBER);
    MISSING("optimizer", desc.optimizer = detnn_sgd_momentum(0.5f, 0.5f, 0));
    MISSING("optimizer", desc.optimizer = detnn_adam(0.5f));
    MISSING("optimizer", desc.optimizer = detnn_adamw(0.5f, 0.5f));
    MISSING("optimizer", desc.optimizer = detnn_rmsprop(0.5f));
    MISSING("clipping", desc.optimizer.clip_value = 0.5f);
    MISSING("clipping", desc.optimizer.clip_norm = 0.5f);
    MISSING("schedule", desc.schedule.kind = DETNN_SCHEDULE_COSINE);
    MISSING("schedule", desc.schedule.warmup_steps = 5);
    MISSING("initializers", layers[1].kernel.kind = DETNN_HE_NORMAL);
    MISSING("desc.workers", desc.workers = 2);
    MISSING("trace", desc.trace = 1);
}

/* Without random initializers the defaults give zeros; the weights then come from elsewhere. */
static void what_is_left(void)
{
    detnn_net_desc desc = tiny_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(4);
    detnn_metrics m;
    detnn_error err;
    float y[3], sum;
    char digest[DETNN_DIGEST_TEXT];
    detnn_net *net = make(&desc);
    size_t i;
    for (i = 0; i < 35; i++) CHECK(detnn_weights(net, 0, DETNN_KERNEL, NULL, NULL)[i] == 0.0f);
    CHECK(!small_draw_kernels(net, 3));
    fit.validation_split = 0.0f;
    if (HAS_TRAINING) {
        CHECKF(!detnn_fit(net, &data, &fit, &err), "%s", err.text);
        CHECKF(small_equal(detnn_digest(net, digest), TINY_NET), "%s", digest);
    } else {
        CHECK(detnn_fit(net, &data, &fit, &err) == DETNN_ERROR_FEATURE);
        CHECKF(strstr(err.text, "training"), "%s", err.text);
        CHECK(detnn_train_batch(net, &data, NULL, &err) == DETNN_ERROR_FEATURE);
        CHECK(detnn_forward(net, data.x, 1, y, &err) == DETNN_ERROR_FEATURE);
        CHECK(detnn_backward(net, y, NULL, &err) == DETNN_ERROR_FEATURE);
        CHECK(detnn_step(net, &err) == DETNN_ERROR_FEATURE);
        CHECK(detnn_set_learning_rate(net, 0.5f, &err) == DETNN_ERROR_FEATURE);
    }
    CHECK(detnn_trace_start(net, NULL, &err) == DETNN_ERROR_FEATURE && strstr(err.text, "trace"));
    CHECKF(!detnn_predict(net, data.x, 1, y, &err), "%s", err.text);
    sum = y[0] + y[1] + y[2];
    CHECK(y[0] > 0.0f && y[0] < 1.0f && sum > 0.999f && sum < 1.001f);
    CHECKF(!detnn_evaluate(net, &data, &m, &err) && m.loss > 0.0f, "%s", err.text);
    detnn_net_destroy(net);
}

static void selftest_passes(void)
{
    detnn_error err;
    CHECKF(!detnn_selftest(&err), "%s", err.text);
}

int main(void)
{
    TEST(selftest_passes);
    TEST(missing_features);
    TEST(what_is_left);
    return test_end();
}

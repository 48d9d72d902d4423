/* Hostile hosts: the caller's thread, or one of its callbacks, has another rounding mode, flushes subnormals or
 * traps exceptions. Same bits, and the caller's mode is as it was. What a callback may do to fit and net. */
#include "test.h"
#include "small.h"
#include "modes.h"

static int hostile = -1; /* the mode that callbacks leave behind, if not -1 */
static int visit_get(void *user, detnn_sample *sample)
{
    const detnn_data *from = (const detnn_data *)user;
    memcpy(sample->x, from->x + sample->index * SMALL_INPUTS, SMALL_INPUTS * sizeof(float));
    sample->label = from->labels[sample->index];
    if (hostile >= 0) mode_set(mode_list[hostile]);
    return 0;
}

static int visit_step(void *user, detnn_net *net, const detnn_progress *progress)
{
    (void)user, (void)net, (void)progress;
    if (hostile >= 0) mode_set(mode_list[hostile]);
    return 0;
}

static detnn_data data; /* drawn in the default mode: level 3 is not guarded */

/* Creates, trains, predicts and digests the small net; callbacks: through some that change the mode. */
static void train(int callbacks, char *digest, float *y)
{
    detnn_net_desc desc = small_desc();
    detnn_data sampled = detnn_data_default();
    detnn_fit_desc fit = small_fit(4);
    detnn_net *net;
    CHECK(!detnn_net_create(&net, &desc, NULL));
    if (callbacks) {
        sampled.count = data.count;
        sampled.get = visit_get;
        sampled.get_labels = 1;
        sampled.user = &data;
        fit.on_step = fit.on_epoch = visit_step;
    }
    CHECK(!detnn_fit(net, callbacks ? &sampled : &data, &fit, NULL));
    CHECK(!detnn_predict(net, data.x, 8, y, NULL));
    detnn_state_digest(net, digest);
    detnn_net_destroy(net);
}

static void the_callers_mode(void)
{
    char wanted[DETNN_DIGEST_TEXT], digest[DETNN_DIGEST_TEXT];
    float right[8 * 16], y[8 * 16];
    int mode;
    train(0, wanted, right);
    for (mode = 0; mode < MODE_COUNT; mode++) {
        unsigned before, after;
        mode_set(mode_list[mode]);
        before = mode_now();
        train(0, digest, y);
        after = mode_now();
        mode_set(MODE_DEFAULT);
        CHECKF(!strcmp(digest, wanted) && !memcmp(y, right, 8 * SMALL_CLASSES * sizeof *y), "mode %d", mode);
        CHECKF(before == after, "mode %d: %x became %x", mode, before, after);
    }
}

static void a_callbacks_mode(void)
{
    char wanted[DETNN_DIGEST_TEXT], digest[DETNN_DIGEST_TEXT];
    float y[8 * 16];
    train(1, wanted, y);
    for (hostile = 0; hostile < MODE_COUNT; hostile++) {
        train(1, digest, y);
        mode_set(MODE_DEFAULT);
        CHECKF(!strcmp(digest, wanted), "mode %d", hostile);
    }
    hostile = -1;
}

/* ---- What callbacks may do ---- */

static int answer;
static uint64_t answer_at;
static int answer_step(void *user, detnn_net *net, const detnn_progress *progress)
{
    (void)user, (void)net;
    return progress->step == answer_at ? answer : DETNN_GO_ON;
}

static void pause_and_finish(void)
{
    detnn_net_desc desc = small_desc();
    detnn_fit_desc fit = small_fit(4);
    detnn_net *net;
    answer_at = 3;
    fit.on_step = answer_step;
    CHECK(!detnn_net_create(&net, &desc, NULL));
    answer = DETNN_PAUSE;
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    CHECK(detnn_info(net).step == 3 && detnn_info(net).samples != 0 && detnn_info(net).position != 0);
    detnn_net_destroy(net);
    CHECK(!detnn_net_create(&net, &desc, NULL));
    answer = DETNN_FINISH;
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    CHECK(detnn_info(net).step == 3 && detnn_info(net).samples == 0 && detnn_info(net).position == 0);
    detnn_net_destroy(net);
}

static int refusals;
static int train_within(void *user, detnn_net *net, const detnn_progress *progress)
{
    detnn_fit_desc fit = small_fit(4);
    detnn_error err;
    char *memory = (char *)malloc(detnn_snapshot_size(net));
    (void)user, (void)progress;
    CHECK(detnn_fit(net, &data, &fit, &err) == DETNN_ERROR_STATE && strstr(err.text, "callback"));
    CHECK(detnn_train_batch(net, &data, NULL, &err) == DETNN_ERROR_STATE);
    CHECK(detnn_forward(net, data.x, 1, NULL, &err) == DETNN_ERROR_STATE);
    CHECK(detnn_adapt(net, &data, &err) == DETNN_ERROR_STATE);
    CHECK(!detnn_snapshot(net, memory, detnn_snapshot_size(net), NULL));
    CHECK(detnn_restore(net, memory, detnn_snapshot_size(net), &err) == DETNN_ERROR_STATE);
    free(memory);
    refusals++;
    return DETNN_GO_ON;
}

static void training_within_a_callback(void)
{
    char wanted[DETNN_DIGEST_TEXT], digest[DETNN_DIGEST_TEXT];
    detnn_net_desc desc = small_desc();
    detnn_fit_desc fit = small_fit(4);
    detnn_net *net;
    float y[8 * 16];
    train(0, wanted, y);
    fit.on_epoch = train_within;
    CHECK(!detnn_net_create(&net, &desc, NULL));
    CHECK(!detnn_fit(net, &data, &fit, NULL) && refusals > 0);
    CHECK(!strcmp(detnn_state_digest(net, digest), wanted));
    detnn_net_destroy(net);
}

/* ---- Sizes near the end of the address space, weights and rates near that of binary32 ---- */

static void sizes_that_wrap(void)
{
    detnn_layer layers[] = { DETNN_DENSE(1, DETNN_LINEAR) };
    detnn_net_desc desc = detnn_net_desc_default();
    size_t size = 0, row, d;
    desc.inputs = 1;
    desc.layers = layers;
    desc.layer_count = 1;
    desc.loss = DETNN_MEAN_SQUARED_ERROR;
    desc.predict_only = 1;
    for (layers[0].units = 1; layers[0].units < 600; layers[0].units++)
        for (d = 0; d < 12; d++) { /* the first buffer ends just before, at and after the middle of all addresses */
            row = layers[0].units * sizeof(float);
            desc.batch_max = 1;
            CHECK(!detnn_net_size(&desc, &size, NULL));
            desc.batch_max = ((size_t)-1 / 2 - size) / row + d - 4;
            if (!detnn_net_size(&desc, &size, NULL))
                CHECKF(size / row >= desc.batch_max, "units %u, d %u", (unsigned)layers[0].units, (unsigned)d);
        }
}

static void infinite_weights(void)
{
    detnn_layer layers[] = { DETNN_DENSE(2, DETNN_LINEAR) };
    static const float x[2] = { 1, 2 }, t[2] = { 0, 0 };
    detnn_net_desc desc = detnn_net_desc_default();
    detnn_data one = detnn_data_default();
    detnn_error err;
    detnn_net *net;
    char before[DETNN_DIGEST_TEXT], after[DETNN_DIGEST_TEXT];
    desc.inputs = 2;
    desc.layers = layers;
    desc.layer_count = 1;
    desc.loss = DETNN_MEAN_SQUARED_ERROR;
    layers[0].kernel.kind = DETNN_NORMAL;
    layers[0].kernel.b = 3e38f;
    desc.seed = 3;
    CHECK(detnn_net_create(&net, &desc, &err) == DETNN_ERROR_VALUE && strstr(err.text, "layer 0") && !net);
    layers[0].kernel.b = 1.0f;
    desc.optimizer = detnn_sgd(0.1f);
    desc.schedule.kind = DETNN_SCHEDULE_COSINE;
    desc.schedule.period = 2;
    desc.schedule.final = 3e38f;
    CHECK(!detnn_net_create(&net, &desc, NULL));
    one.x = x;
    one.targets = t;
    one.count = 1;
    CHECK(!detnn_train_batch(net, &one, NULL, NULL));
    detnn_state_digest(net, before);
    CHECK(detnn_train_batch(net, &one, NULL, &err) == DETNN_ERROR_NONFINITE);
    CHECK(!strcmp(detnn_state_digest(net, after), before));
    detnn_net_destroy(net);
}

int main(void)
{
    data = small_data();
    TEST(the_callers_mode);
    TEST(a_callbacks_mode);
    TEST(pause_and_finish);
    TEST(training_within_a_callback);
    TEST(sizes_that_wrap);
    TEST(infinite_weights);
    return test_end();
}

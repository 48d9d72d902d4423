/* What people report of trainings that do not repeat, each as a test that fails when the symptom
 * is there. */
#include "test.h"
#include "small.h"
#include "helpers.h"

/* ---- Seeds ---- */

static void weights_not_seeded(void)
{
    static char block[2][100000];
    detnn_net_desc desc = small_desc();
    detnn_net *a, *b, *other;
    detnn_error err;
    memset(block[0], 0xaa, sizeof block[0]); /* what lay in memory must not matter */
    memset(block[1], 0x55, sizeof block[1]);
    CHECKF(!detnn_net_init(&a, &desc, block[0], sizeof block[0], &err), "%s", err.text);
    CHECKF(!detnn_net_init(&b, &desc, block[1] + 3, sizeof block[1] - 3, &err), "%s", err.text);
    if (!a || !b) return;
    CHECK(same_state(a, b));
    CHECK(detnn_weights(a, 1, DETNN_KERNEL, NULL, NULL)[0] != 0.0f);
    desc.seed = 8;
    other = make(&desc);
    CHECK(!same_weights(a, other));
    detnn_net_destroy(other);
}

static void known_digests(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(4);
    detnn_net *net = make(&desc);
    detnn_error err;
    char digest[DETNN_DIGEST_TEXT];
    CHECKF(!detnn_fit(net, &data, &fit, &err), "%s", err.text);
    CHECKF(small_equal(detnn_digest(net, digest), SMALL_NET), "%s", digest);
    CHECKF(small_equal(detnn_state_digest(net, digest), SMALL_STATE), "%s", digest);
    detnn_net_destroy(net);
    desc = tiny_desc();
    fit.validation_split = 0.0f;
    net = make(&desc);
    CHECK(!small_draw_kernels(net, 3));
    CHECKF(!detnn_fit(net, &data, &fit, &err), "%s", err.text);
    CHECKF(small_equal(detnn_digest(net, digest), TINY_NET), "%s", digest);
    detnn_net_destroy(net);
}

/* Other seed, other training, even from equal weights: order and dropout follow the seed. */
static void other_seed_is_other_training(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(1);
    detnn_net *a = make(&desc), *b;
    size_t i;
    desc.seed ^= (uint64_t)1 << 63; /* the highest bit counts too */
    b = make(&desc);
    CHECK(!same_weights(a, b));
    for (i = 0; i < desc.layer_count; i++) {
        size_t rows, cols;
        const float *w = detnn_weights(a, i, DETNN_KERNEL, &rows, &cols);
        if (w) CHECK(!detnn_weights_set(b, i, DETNN_KERNEL, w, rows * cols, NULL));
    }
    CHECK(same_weights(a, b));
    CHECK(!detnn_fit(a, &data, &fit, NULL) && !detnn_fit(b, &data, &fit, NULL));
    CHECK(!same_weights(a, b));
    detnn_net_destroy(a);
    detnn_net_destroy(b);
}

/* ---- Dropout ---- */

static const detnn_layer with_dropout[] = {
    DETNN_DROPOUT(0.5f), DETNN_DENSE(9, DETNN_TANH),
    DETNN_DROPOUT(0.75f), DETNN_DENSE(3, DETNN_SOFTMAX)
};
static const detnn_layer without_dropout[] = {
    DETNN_DENSE(9, DETNN_TANH), DETNN_DENSE(3, DETNN_SOFTMAX)
};

static void dropout_in_predict(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_metrics m, n;
    float y[2][SMALL_SAMPLES * 3];
    detnn_net *a, *b;
    desc.layers = with_dropout;
    desc.layer_count = 4;
    a = make(&desc);
    desc.layers = without_dropout;
    desc.layer_count = 2;
    b = make(&desc);
    CHECK(!detnn_weights_set(b, 0, DETNN_KERNEL, detnn_weights(a, 1, DETNN_KERNEL, NULL, NULL), 45,
                             NULL));
    CHECK(!detnn_weights_set(b, 1, DETNN_KERNEL, detnn_weights(a, 3, DETNN_KERNEL, NULL, NULL), 27,
                             NULL));
    CHECK(!detnn_predict(a, data.x, data.count, y[0], NULL));
    CHECK(!detnn_predict(b, data.x, data.count, y[1], NULL));
    CHECK(!memcmp(y[0], y[1], sizeof y[0]));
    CHECK(!detnn_evaluate(a, &data, &m, NULL) && !detnn_evaluate(b, &data, &n, NULL));
    CHECK(m.loss == n.loss && m.accuracy == n.accuracy
          && m.mean_absolute_error == n.mean_absolute_error);
    /* and forward, which trains, does drop */
    CHECK(!detnn_forward(a, data.x, SMALL_SAMPLES, y[0], NULL));
    CHECK(memcmp(y[0], y[1], sizeof y[0]));
    detnn_net_destroy(a);
    detnn_net_destroy(b);
}

/* Every step drops other units, and the mask is that of (seed, step), not of how often something
 * was asked. */
static void dropout_follows_the_step_alone(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    float y[3][SMALL_SAMPLES * 3], dy[SMALL_SAMPLES * 3];
    detnn_net *net;
    memset(dy, 0, sizeof dy);
    desc.layers = with_dropout;
    desc.layer_count = 4;
    desc.optimizer = detnn_sgd(1.0f);
    net = make(&desc);
    CHECK(!detnn_forward(net, data.x, SMALL_SAMPLES, y[0], NULL));
    CHECK(!detnn_predict(net, data.x, SMALL_SAMPLES, y[1], NULL));
    CHECK(!detnn_forward(net, data.x, SMALL_SAMPLES, y[1], NULL));
    CHECK(!memcmp(y[0], y[1], sizeof y[0]));
    /* changes no weight, but counts */
    CHECK(!detnn_backward(net, dy, NULL, NULL) && !detnn_step(net, NULL));
    CHECK(!detnn_forward(net, data.x, SMALL_SAMPLES, y[2], NULL));
    CHECK(memcmp(y[0], y[2], sizeof y[0]));
    detnn_net_destroy(net);
}

/* ---- Order ---- */

enum { EPOCHS = 5 };

/* Notes which sample came when. */
typedef struct visits {
    uint32_t order[EPOCHS][SMALL_SAMPLES];
    size_t count[EPOCHS];
} visits;

static int visit(void *user, detnn_sample *sample)
{
    visits *v = (visits *)user;
    memcpy(sample->x, small_x[sample->index], sizeof small_x[0]);
    sample->label = small_labels[sample->index];
    if (sample->training && sample->epoch < EPOCHS && v->count[sample->epoch] < SMALL_SAMPLES)
        v->order[sample->epoch][v->count[sample->epoch]++] = (uint32_t)sample->index;
    return 0;
}

/* The weights' digest at the end of epoch `epoch`. */
typedef struct epoch_digest {
    uint64_t epoch;
    char digest[DETNN_DIGEST_TEXT];
} epoch_digest;

static int note_digest(void *user, detnn_net *net, const detnn_progress *progress)
{
    epoch_digest *d = (epoch_digest *)user;
    if (progress->epoch == d->epoch) detnn_digest(net, d->digest);
    return 0;
}

static void fit_and_note(uint64_t epochs, visits *v, epoch_digest *d)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data(), get = detnn_data_default();
    detnn_fit_desc fit = small_fit(epochs);
    detnn_net *net = make(&desc);
    memset(v, 0, sizeof *v);
    get.count = data.count;
    get.get = visit;
    get.get_labels = 1;
    get.user = v;
    fit.validation_split = 0.0f;
    fit.on_epoch = note_digest;
    fit.user = d;
    CHECK(!detnn_fit(net, &get, &fit, NULL));
    detnn_net_destroy(net);
}

static void shuffle_changes_with_the_epoch_count(void)
{
    static visits two, five;
    epoch_digest a = { 1, "" }, b = { 1, "" };
    size_t e, i;
    fit_and_note(2, &two, &a);
    fit_and_note(5, &five, &b);
    CHECK(!memcmp(two.order[0], five.order[0], sizeof two.order[0]));
    CHECK(!memcmp(two.order[1], five.order[1], sizeof two.order[1]));
    CHECK(a.digest[0] && small_equal(a.digest, b.digest));
    for (e = 0; e < 5; e++) {
        char seen[SMALL_SAMPLES] = { 0 };
        CHECK(five.count[e] == SMALL_SAMPLES);
        for (i = 0; i < SMALL_SAMPLES; i++) {
            CHECK(!seen[five.order[e][i]]);
            seen[five.order[e][i]] = 1;
            CHECK(five.order[e][i] == detnn_epoch_order(7, e, SMALL_SAMPLES, i));
        }
        if (e) CHECK(memcmp(five.order[e], five.order[e - 1], sizeof five.order[e]));
    }
}

/* The order of an epoch is that of (seed, epoch, samples), not of the batch size. */
static void shuffle_changes_with_the_batch_size(void)
{
    static visits v[2];
    int i;
    for (i = 0; i < 2; i++) {
        detnn_net_desc desc = small_desc();
        detnn_data data = detnn_data_default();
        detnn_fit_desc fit = small_fit(1);
        detnn_net *net = make(&desc);
        (void)small_data();
        memset(&v[i], 0, sizeof v[i]);
        data.count = SMALL_SAMPLES;
        data.get = visit;
        data.get_labels = 1;
        data.user = &v[i];
        fit.batch_size = i ? 7 : 64;
        CHECK(!detnn_fit(net, &data, &fit, NULL));
        detnn_net_destroy(net);
    }
    CHECK(!memcmp(v[0].order[0], v[1].order[0], sizeof v[0].order[0]));
}

/* ---- Sums ---- */

/* Sum along a vector as the manual's C4 has it, for up to 4096 elements. */
static float sum_by_the_manual(const float *x, size_t n)
{
    float lane[64] = { 0 };
    size_t i, h;
    for (i = 0; i < n; i++) lane[i % 64] = lane[i % 64] + x[i];
    for (h = 32; h; h /= 2)
        for (i = 0; i < h; i++) lane[i] = lane[i] + lane[i + h];
    return lane[0];
}

/* Sum over samples as C3 has it. */
static float batch_sum_by_the_manual(const float *x, size_t n)
{
    float sum = 0.0f;
    size_t left = 64, i;
    if (n > 64) {
        while (2 * left < n) left *= 2;
        return batch_sum_by_the_manual(x, left) + batch_sum_by_the_manual(x + left, n - left);
    }
    for (i = 0; i < n; i++) sum = sum + x[i];
    return sum;
}

/* The bias gradient of one layer that is given dy = 0.1 a thousand times, computed in parts. */
static float bias_gradient_in_parts(size_t batch_max, size_t part)
{
    static const detnn_layer layer[] = { DETNN_DENSE(1, DETNN_LINEAR) };
    static float x[1000], dy[1000];
    detnn_net_desc desc = detnn_net_desc_default();
    detnn_net *net;
    size_t i, n;
    float g;
    for (i = 0; i < 1000; i++) dy[i] = 0.1f;
    desc.inputs = 1;
    desc.layers = layer;
    desc.layer_count = 1;
    desc.loss = DETNN_MEAN_SQUARED_ERROR;
    desc.batch_max = batch_max;
    desc.parts_max = 16;
    net = make(&desc);
    for (i = 0; i < 1000; i += n) {
        n = part < 1000 - i ? part : 1000 - i;
        CHECK(!detnn_forward(net, x + i, n, NULL, NULL)
              && !detnn_backward(net, dy + i, NULL, NULL));
    }
    CHECK(!detnn_step(net, NULL));
    g = detnn_gradient(net, 0, DETNN_BIAS, NULL, NULL)[0];
    detnn_net_destroy(net);
    return g;
}

static void sum_changes_with_its_grouping(void)
{
    float x[1000], whole = 0.0f, tens = 0.0f, g;
    volatile float part;
    size_t i, j, n;
    for (i = 0; i < 1000; i++) x[i] = 0.1f;
    for (i = 0; i < 1000; i++) {
        part = whole + x[i];
        whole = part;
    }
    for (i = 0; i < 100; i++) {
        part = 0.0f;
        for (j = 0; j < 10; j++) part = part + x[10 * i + j];
        part = tens + part;
        tens = part;
    }
    CHECK(whole != tens); /* the symptom itself */
    for (n = 0; n <= 1000; n++) {
        CHECKF(detnn_sum(x, n) == sum_by_the_manual(x, n), "%u", (unsigned)n);
        CHECKF(detnn_batch_sum(x, n) == batch_sum_by_the_manual(x, n), "%u", (unsigned)n);
    }
    g = batch_sum_by_the_manual(x, 1000);
    CHECK(bias_gradient_in_parts(1000, 1000) == g);
    CHECK(bias_gradient_in_parts(64, 64) == g);
    CHECK(bias_gradient_in_parts(128, 128) == g);
    CHECK(bias_gradient_in_parts(1000, 256) == g);
    CHECK(bias_gradient_in_parts(700, 512) == g);
}

/* ---- Batches of predictions, copies ---- */

static detnn_net *trained(uint64_t epochs)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(epochs);
    detnn_net *net = make(&desc);
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    return net;
}

static void batch_of_1_against_batch_of_64(void)
{
    detnn_net *net = trained(2);
    float one[SMALL_SAMPLES][3], many[SMALL_SAMPLES][3];
    size_t i, n, size;
    for (size = 2; size <= SMALL_SAMPLES; size++) {
        if (size > 20 && size != 64 && size != SMALL_SAMPLES) continue;
        for (i = 0; i < SMALL_SAMPLES; i += n) {
            n = size < SMALL_SAMPLES - i ? size : SMALL_SAMPLES - i;
            CHECK(!detnn_predict(net, small_x[i], n, many[i], NULL));
        }
        for (i = 0; i < SMALL_SAMPLES; i++) CHECK(!detnn_predict(net, small_x[i], 1, one[i], NULL));
        CHECKF(!memcmp(one, many, sizeof one), "batches of %u", (unsigned)size);
    }
    detnn_net_destroy(net);
}

static void predict_before_and_after_copying(void)
{
    detnn_net *net = trained(2), *copy;
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(1);
    float before[SMALL_SAMPLES][3], after[SMALL_SAMPLES][3], of_copy[SMALL_SAMPLES][3];
    char digest[DETNN_DIGEST_TEXT];
    detnn_state_digest(net, digest);
    CHECK(!detnn_predict(net, data.x, data.count, before[0], NULL));
    CHECK(!detnn_net_copy(&copy, net, NULL));
    CHECK(!detnn_predict(net, data.x, data.count, after[0], NULL));
    CHECK(!detnn_predict(copy, data.x, data.count, of_copy[0], NULL));
    CHECK(!memcmp(before, after, sizeof before) && !memcmp(before, of_copy, sizeof before));
    CHECK(state_is(net, digest) && state_is(copy, digest));
    /* training the copy leaves the first alone, and goes the same way */
    CHECK(!detnn_fit(copy, &data, &fit, NULL));
    CHECK(state_is(net, digest) && !state_is(copy, digest));
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    CHECK(same_state(net, copy));
    detnn_net_destroy(net);
    CHECK(!detnn_predict(copy, data.x, data.count, after[0], NULL)); /* and the copy outlives it */
    detnn_net_destroy(copy);
}

/* ---- Threads ---- */

#if TEST_THREADS
typedef struct job {
    detnn_net *net;
    const detnn_data *data;
    detnn_result result;
} job;

static void *train_job(void *user)
{
    job *j = (job *)user;
    detnn_fit_desc fit = small_fit(20);
    j->result = detnn_fit(j->net, j->data, &fit, NULL);
    return NULL;
}

static void two_nets_at_once_in_two_threads(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    job jobs[2], alone[2];
    pthread_t threads[2];
    int i;
    for (i = 0; i < 2; i++) {
        desc.seed = 7 + (uint64_t)i;
        jobs[i].net = make(&desc);
        alone[i].net = make(&desc);
        jobs[i].data = alone[i].data = &data;
        (void)train_job(&alone[i]);
        CHECK(!alone[i].result);
    }
    for (i = 0; i < 2; i++) CHECK(!pthread_create(&threads[i], NULL, train_job, &jobs[i]));
    for (i = 0; i < 2; i++) CHECK(!pthread_join(threads[i], NULL));
    for (i = 0; i < 2; i++) {
        CHECK(!jobs[i].result && same_state(jobs[i].net, alone[i].net));
        detnn_net_destroy(jobs[i].net);
        detnn_net_destroy(alone[i].net);
    }
}
#endif

/* ---- Stopping and going on ---- */

enum { TOTAL = 8 };

/* Where to stop; what was seen. */
typedef struct stopper {
    /* in the callback of this many steps, of this epoch (none: UINT64_MAX) */
    uint64_t stop_step, stop_epoch;
    uint64_t steps, epochs;
} stopper;

static int stop_at_step(void *user, detnn_net *net, const detnn_progress *progress)
{
    stopper *s = (stopper *)user;
    (void)net;
    s->steps = progress->step;
    return progress->step == s->stop_step;
}

static int stop_at_epoch(void *user, detnn_net *net, const detnn_progress *progress)
{
    stopper *s = (stopper *)user;
    (void)net;
    s->epochs = progress->epoch + 1;
    return progress->epoch == s->stop_epoch;
}

/* The share of validation; without one, the losses of training decide what is best. */
static float share = 0.25f;

/* Dropout, Adam, shuffling, a validation share, early stopping that keeps the best. */
static detnn_fit_desc stopping_fit(stopper *s, uint64_t epochs)
{
    detnn_fit_desc fit = small_fit(epochs);
    fit.validation_split = share;
    fit.patience = 3;
    fit.restore_best = 1;
    fit.on_step = stop_at_step;
    fit.on_epoch = stop_at_epoch;
    fit.user = s;
    return fit;
}

static detnn_net_desc stopping_desc(void)
{
    detnn_net_desc desc = small_desc();
    desc.keep_best = 1;
    desc.optimizer = detnn_adam(0.0625f);
    return desc;
}

static stopper stopper_of(uint64_t step, uint64_t epoch)
{
    stopper s;
    memset(&s, 0, sizeof s);
    s.stop_step = step;
    s.stop_epoch = epoch;
    return s;
}

/* The digest of a training that never stopped; it must end early, by its patience. */
static void never_stopped(char *digest, stopper *seen)
{
    detnn_net_desc desc = stopping_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = stopping_fit(seen, TOTAL);
    detnn_net *net = make(&desc);
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    detnn_state_digest(net, digest);
    CHECKF(seen->epochs > 3 && (seen->epochs < TOTAL || share == 0.0f), "%u epochs",
           (unsigned)seen->epochs);
    CHECK(detnn_info(net).samples == 0);
    detnn_net_destroy(net);
}

/* Trains until stop, goes on (in a fresh net that takes a snapshot, or the same), and gives the
 * last digest. */
static void stop_and_go_on(stopper stop, int through_snapshot, char *digest)
{
    detnn_net_desc desc = stopping_desc();
    detnn_data data = small_data();
    stopper none = stopper_of(UINT64_MAX, UINT64_MAX);
    detnn_fit_desc fit = stopping_fit(&stop, TOTAL), rest;
    detnn_net *net = make(&desc);
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    if (through_snapshot) {
        size_t size = detnn_snapshot_size(net);
        void *memory = malloc(size);
        CHECK(!detnn_snapshot(net, memory, size, NULL));
        detnn_net_destroy(net);
        net = make(&desc);
        CHECK(!detnn_restore(net, memory, size, NULL));
        free(memory);
    }
    rest = stopping_fit(&none, TOTAL - detnn_info(net).epoch);
    /* else the fit had ended by itself */
    if (detnn_info(net).samples) CHECK(!detnn_fit(net, &data, &rest, NULL));
    detnn_state_digest(net, digest);
    detnn_net_destroy(net);
}

static void stopped_and_continued_at_any_step(void)
{
    char whole[DETNN_DIGEST_TEXT], digest[DETNN_DIGEST_TEXT];
    stopper seen = stopper_of(UINT64_MAX, UINT64_MAX);
    uint64_t step;
    never_stopped(whole, &seen);
    CHECK(seen.steps > 10);
    for (step = 1; step <= seen.steps; step++) {
        stop_and_go_on(stopper_of(step, UINT64_MAX), 0, digest);
        CHECKF(small_equal(digest, whole), "stopped after step %u", (unsigned)step);
        stop_and_go_on(stopper_of(step, UINT64_MAX), 1, digest);
        CHECKF(small_equal(digest, whole), "stopped after step %u, snapshot", (unsigned)step);
    }
}

static void stopped_and_continued_at_any_step_without_validation(void)
{
    share = 0.0f;
    stopped_and_continued_at_any_step();
    share = 0.25f;
}

static void stopped_and_continued_after_any_epoch(void)
{
    char whole[DETNN_DIGEST_TEXT], digest[DETNN_DIGEST_TEXT];
    stopper seen = stopper_of(UINT64_MAX, UINT64_MAX);
    uint64_t epoch;
    never_stopped(whole, &seen);
    for (epoch = 0; epoch < seen.epochs; epoch++) {
        stop_and_go_on(stopper_of(UINT64_MAX, epoch), 0, digest);
        CHECKF(small_equal(digest, whole), "stopped after epoch %u", (unsigned)epoch);
        stop_and_go_on(stopper_of(UINT64_MAX, epoch), 1, digest);
        CHECKF(small_equal(digest, whole), "stopped after epoch %u, snapshot", (unsigned)epoch);
    }
}

/* Nothing is left to do when the callback of the last epoch stops. */
static void stopped_after_the_last_epoch(void)
{
    detnn_net_desc desc = stopping_desc();
    detnn_data data = small_data();
    stopper none = stopper_of(UINT64_MAX, UINT64_MAX), stop = stopper_of(UINT64_MAX, 1);
    detnn_fit_desc fit = stopping_fit(&none, 2), stopped = stopping_fit(&stop, 2);
    detnn_net *a = make(&desc), *b = make(&desc);
    CHECK(!detnn_fit(a, &data, &fit, NULL) && !detnn_fit(b, &data, &stopped, NULL));
    CHECK(same_state(a, b));
    detnn_net_destroy(a);
    detnn_net_destroy(b);
}

/* Stopped after every single step. */
static void stopped_all_the_time(void)
{
    char whole[DETNN_DIGEST_TEXT];
    stopper seen = stopper_of(UINT64_MAX, UINT64_MAX), stop = stopper_of(0, UINT64_MAX);
    detnn_net_desc desc = stopping_desc();
    detnn_data data = small_data();
    detnn_net *net = make(&desc);
    never_stopped(whole, &seen);
    do {
        detnn_fit_desc fit = stopping_fit(&stop, TOTAL - detnn_info(net).epoch);
        stop.stop_step = detnn_info(net).step + 1;
        CHECK(!detnn_fit(net, &data, &fit, NULL));
    } while (detnn_info(net).samples && detnn_info(net).step < 100);
    CHECK(state_is(net, whole));
    detnn_net_destroy(net);
}

/* A fit of no epochs in the middle of one loses nothing. */
static void stopped_and_asked_for_no_epochs(void)
{
    char whole[DETNN_DIGEST_TEXT];
    stopper seen = stopper_of(UINT64_MAX, UINT64_MAX), stop = stopper_of(4, UINT64_MAX);
    detnn_net_desc desc = stopping_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = stopping_fit(&stop, TOTAL);
    detnn_net *net = make(&desc);
    never_stopped(whole, &seen);
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    CHECK(detnn_info(net).position > 0);
    fit.epochs = 0;
    (void)detnn_fit(net, &data, &fit, NULL);
    fit = stopping_fit(&seen, TOTAL - detnn_info(net).epoch);
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    CHECK(state_is(net, whole));
    detnn_net_destroy(net);
}

/* Predicting and evaluating in between changes nothing. */
static int look_around(void *user, detnn_net *net, const detnn_progress *progress)
{
    float y[SMALL_SAMPLES * 3];
    detnn_metrics m;
    (void)progress;
    CHECK(!detnn_predict(net, &small_x[0][0], SMALL_SAMPLES, y, NULL));
    CHECK(!detnn_evaluate(net, (const detnn_data *)user, &m, NULL));
    return 0;
}

static void predict_while_training(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(4);
    detnn_net *net = make(&desc);
    fit.on_step = fit.on_epoch = look_around;
    fit.user = &data;
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    CHECK(state_is(net, SMALL_STATE));
    detnn_net_destroy(net);
}

/* Two fits in a row: weights, counts and all that a third fit starts from. */
static void fit_twice_is_fit_once(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc one = small_fit(1), two = small_fit(2);
    detnn_fit_desc three = small_fit(3), five = small_fit(5);
    detnn_net *a = make(&desc), *b = make(&desc);
    CHECK(!detnn_fit(a, &data, &two, NULL) && !detnn_fit(a, &data, &three, NULL));
    CHECK(!detnn_fit(b, &data, &five, NULL));
    CHECK(same_weights(a, b));
    CHECK(detnn_info(a).step == detnn_info(b).step && detnn_info(a).epoch == 5
          && detnn_info(b).epoch == 5);
    CHECK(!detnn_fit(a, &data, &one, NULL) && !detnn_fit(b, &data, &one, NULL));
    CHECK(same_state(a, b));
    detnn_net_destroy(a);
    detnn_net_destroy(b);
}

/* ---- Early stopping ---- */

/* The weights' digest whenever an epoch was the best so far, and the last one. */
typedef struct best {
    char best[DETNN_DIGEST_TEXT], last[DETNN_DIGEST_TEXT];
    float loss;
    uint64_t epoch;
} best;

static int note_best(void *user, detnn_net *net, const detnn_progress *progress)
{
    best *b = (best *)user;
    detnn_digest(net, b->last);
    if (!progress->improved) return 0;
    detnn_digest(net, b->best);
    b->loss = progress->val_loss;
    b->epoch = progress->epoch;
    return 0;
}

static void restore_best_restores(void)
{
    detnn_net_desc desc = stopping_desc();
    detnn_data data = small_data(), held;
    stopper none = stopper_of(UINT64_MAX, UINT64_MAX);
    detnn_fit_desc fit = stopping_fit(&none, 20);
    detnn_net *net = make(&desc);
    detnn_metrics m;
    char digest[DETNN_DIGEST_TEXT];
    best b;
    int restore;
    held = data; /* the share that validation_split keeps out: floor(0.25 * 90) */
    held.count = 22;
    held.x = small_x[SMALL_SAMPLES - 22];
    held.labels = small_labels + SMALL_SAMPLES - 22;
    for (restore = 0; restore < 2; restore++) {
        memset(&b, 0, sizeof b);
        detnn_net_destroy(net);
        net = make(&desc);
        fit.on_step = NULL;
        fit.on_epoch = note_best;
        fit.user = &b;
        fit.restore_best = restore;
        CHECK(!detnn_fit(net, &data, &fit, NULL));
        CHECK(!small_equal(b.best, b.last) && detnn_info(net).best_epoch == b.epoch);
        CHECK(small_equal(detnn_digest(net, digest), restore ? b.best : b.last));
        CHECK(!detnn_evaluate(net, &held, &m, NULL));
        CHECK((m.loss == b.loss) == restore);
        CHECK(detnn_info(net).best_loss == b.loss);
        CHECK(detnn_info(net).stale_epochs == fit.patience);
    }
    detnn_net_destroy(net);
}

/* ---- This build on this machine ---- */

static void selftest_passes(void)
{
    detnn_error err;
    CHECKF(!detnn_selftest(&err), "%s", err.text);
}

int main(void)
{
    TEST(selftest_passes);
    TEST(known_digests);
    TEST(weights_not_seeded);
    TEST(other_seed_is_other_training);
    TEST(dropout_in_predict);
    TEST(dropout_follows_the_step_alone);
    TEST(shuffle_changes_with_the_epoch_count);
    TEST(shuffle_changes_with_the_batch_size);
    TEST(sum_changes_with_its_grouping);
    TEST(batch_of_1_against_batch_of_64);
    TEST(predict_before_and_after_copying);
#if TEST_THREADS
    TEST(two_nets_at_once_in_two_threads);
#else
    printf("skipped: two nets in two threads (TEST_THREADS is 0)\n");
#endif
    TEST(stopped_and_continued_at_any_step);
    TEST(stopped_and_continued_at_any_step_without_validation);
    TEST(stopped_and_continued_after_any_epoch);
    TEST(stopped_after_the_last_epoch);
    TEST(stopped_all_the_time);
    TEST(stopped_and_asked_for_no_epochs);
    TEST(predict_while_training);
    TEST(fit_twice_is_fit_once);
    TEST(restore_best_restores);
    return test_end();
}

/* Bad input, one by one: each is refused with its code and a sentence that names it; nothing
 * changes, nothing leaks; and all the same where the caller does not want to hear of it (err is
 * null). */
#include "test.h"
#include "small.h"
#include "helpers.h"

static counter memory;     /* where all nets of these tests come from */
static detnn_error error;
static detnn_error *err;   /* what the calls under test are given: &error, then null */
static detnn_net *net;     /* the net of the test, or null */

static void make_net(const detnn_net_desc *desc)
{
    detnn_net_desc d = *desc;
    d.allocator = counter_of(&memory);
    net = make(&d);
}

static void end_net(void)
{
    detnn_net_destroy(net);
    net = NULL;
    CHECK(memory.blocks == 0 && memory.bytes == 0 && memory.wrong == 0);
}

/* Evaluates call twice, with err = &error and with err = null; both must give code, the first a
 * sentence with word in it; the net's state and the memory held stay as they were. */
#define REFUSED(expected, word, call)                                                       \
    do {                                                                                    \
        char before[DETNN_DIGEST_TEXT];                                                     \
        size_t blocks = memory.blocks;                                                      \
        detnn_result result;                                                                \
        detnn_state_digest(net, before);                                                    \
        memset(&error, 0x55, sizeof error);                                                 \
        err = &error;                                                                       \
        result = call;                                                                      \
        CHECKF(result == (expected), "code %d (%s)", (int)result, error.text);              \
        CHECK(error.code == result && memchr(error.text, 0, sizeof error.text));            \
        CHECKF(strstr(error.text, word), "no \"%s\" in \"%.219s\"", word, error.text);      \
        CHECK(state_is(net, before) && memory.blocks == blocks);                            \
        err = NULL;                                                                         \
        CHECK(call == (expected));                                                          \
        CHECK(state_is(net, before) && memory.blocks == blocks);                            \
    } while (0)

/* NaN, infinity, -infinity */
static float odd(int i)
{
    return i == 0 ? float_of(0x7fc00000) : i == 1 ? float_of(0x7f800000) : float_of(0xff800000);
}

static detnn_result create(const detnn_net_desc *desc)
{
    detnn_net_desc d = *desc;
    detnn_net *made = (detnn_net *)&memory;
    detnn_result r;
    d.allocator = counter_of(&memory);
    r = detnn_net_create(&made, &d, err);
    CHECK(!made == (r != DETNN_OK));
    detnn_net_destroy(made);
    if (r) { /* size says the same */
        size_t size = 1;
        detnn_error again;
        CHECK(detnn_net_size(&d, &size, &again) == r && size == 0);
        if (err) CHECK(!strcmp(again.text, err->text));
    }
    return r;
}

/* ---- Null pointers ---- */

static void null_pointers(void)
{
    static char block[64];
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data(), empty = data;
    detnn_fit_desc fit = small_fit(1);
    detnn_metrics m;
    detnn_optimizer sgd = detnn_sgd(0.5f);
    detnn_schedule constant = detnn_schedule_default();
    detnn_initializer zeros = { DETNN_ZEROS, 0.0f, 0.0f };
    float y[SMALL_SAMPLES * 3] = { 0 };
    size_t size;
    detnn_net *none;
    make_net(&desc);
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_net_create(NULL, &desc, err));
    REFUSED(DETNN_ERROR_NULL, "desc is null", detnn_net_create(&none, NULL, err));
    CHECK(!none);
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_net_init(NULL, &desc, block, sizeof block, err));
    REFUSED(DETNN_ERROR_NULL, "desc is null",
            detnn_net_init(&none, NULL, block, sizeof block, err));
    REFUSED(DETNN_ERROR_NULL, "block is null", detnn_net_init(&none, &desc, NULL, 1 << 20, err));
    CHECK(!none);
    REFUSED(DETNN_ERROR_NULL, "desc is null", detnn_net_size(NULL, &size, err));
    REFUSED(DETNN_ERROR_NULL, "size is null", detnn_net_size(&desc, NULL, err));
    REFUSED(DETNN_ERROR_NULL, "copy is null", detnn_net_copy(NULL, net, err));
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_net_copy(&none, NULL, err));
    CHECK(!none);
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_fit(NULL, &data, &fit, err));
    REFUSED(DETNN_ERROR_NULL, "data is null", detnn_fit(net, NULL, &fit, err));
    REFUSED(DETNN_ERROR_NULL, "fit is null", detnn_fit(net, &data, NULL, err));
    empty.x = NULL;
    REFUSED(DETNN_ERROR_NULL, "data.x is null", detnn_fit(net, &empty, &fit, err));
    REFUSED(DETNN_ERROR_NULL, "data.x is null", detnn_adapt(net, &empty, err));
    empty = data;
    empty.labels = NULL;
    REFUSED(DETNN_ERROR_NULL, "neither labels nor targets", detnn_fit(net, &empty, &fit, err));
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_adapt(NULL, &data, err));
    REFUSED(DETNN_ERROR_NULL, "data is null", detnn_adapt(net, NULL, err));
    CHECK(!detnn_adapt(net, &data, NULL));
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_train_batch(NULL, &data, y, err));
    REFUSED(DETNN_ERROR_NULL, "data is null", detnn_train_batch(net, NULL, y, err));
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_evaluate(NULL, &data, &m, err));
    REFUSED(DETNN_ERROR_NULL, "data is null", detnn_evaluate(net, NULL, &m, err));
    REFUSED(DETNN_ERROR_NULL, "metrics is null", detnn_evaluate(net, &data, NULL, err));
    REFUSED(DETNN_ERROR_NULL, "neither labels nor targets", detnn_evaluate(net, &empty, &m, err));
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_predict(NULL, data.x, 1, y, err));
    REFUSED(DETNN_ERROR_NULL, "x is null", detnn_predict(net, NULL, 1, y, err));
    REFUSED(DETNN_ERROR_NULL, "y is null", detnn_predict(net, data.x, 1, NULL, err));
    REFUSED(DETNN_ERROR_NULL, "net is null",
            detnn_predict_const(NULL, data.x, 1, y, block, sizeof block, err));
    REFUSED(DETNN_ERROR_NULL, "scratch is null",
            detnn_predict_const(net, data.x, 1, y, NULL, 1 << 20, err));
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_forward(NULL, data.x, 1, y, err));
    REFUSED(DETNN_ERROR_NULL, "x is null", detnn_forward(net, NULL, 1, y, err));
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_backward(NULL, y, NULL, err));
    CHECK(!detnn_forward(net, data.x, 1, NULL, NULL));
    REFUSED(DETNN_ERROR_NULL, "dy is null", detnn_backward(net, NULL, NULL, err));
    detnn_clear_gradients(net);
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_step(NULL, err));
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_weights_set(NULL, 1, DETNN_BIAS, y, 8, err));
    REFUSED(DETNN_ERROR_NULL, "values is null",
            detnn_weights_set(net, 1, DETNN_BIAS, NULL, 8, err));
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_freeze(NULL, 1, 1, err));
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_set_learning_rate(NULL, 0.5f, err));
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_snapshot(NULL, block, 1, err));
    REFUSED(DETNN_ERROR_NULL, "memory is null", detnn_snapshot(net, NULL, 1 << 20, err));
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_restore(NULL, block, 1, err));
    REFUSED(DETNN_ERROR_NULL, "memory is null", detnn_restore(net, NULL, 1 << 20, err));
    REFUSED(DETNN_ERROR_NULL, "net is null", detnn_trace_start(NULL, NULL, err));
    REFUSED(DETNN_ERROR_NULL, "pointer is null",
            detnn_initialize(NULL, 1, 0, DETNN_KERNEL, 2, 2, y, err));
    REFUSED(DETNN_ERROR_NULL, "pointer is null",
            detnn_initialize(&zeros, 1, 0, DETNN_KERNEL, 2, 2, NULL, err));
    REFUSED(DETNN_ERROR_NULL, "null",
            detnn_optimizer_update(NULL, &constant, 0, 0, 1, y, y + 1, NULL, NULL, err));
    REFUSED(DETNN_ERROR_NULL, "null",
            detnn_optimizer_update(&sgd, NULL, 0, 0, 1, y, y + 1, NULL, NULL, err));
    REFUSED(DETNN_ERROR_NULL, "null",
            detnn_optimizer_update(&sgd, &constant, 0, 0, 1, NULL, y, NULL, NULL, err));
    REFUSED(DETNN_ERROR_NULL, "null",
            detnn_optimizer_update(&sgd, &constant, 0, 0, 1, y, NULL, NULL, NULL, err));
    sgd = detnn_adam(0.5f);
    REFUSED(DETNN_ERROR_NULL, "2 moments",
            detnn_optimizer_update(&sgd, &constant, 0, 0, 1, y, y + 1, y + 2, NULL, err));
    end_net();
}

/* Functions without a result take null, too. */
static void null_pointers_without_a_result(void)
{
    char text[DETNN_DIGEST_TEXT] = "x";
    size_t rows = 1, cols = 1;
    detnn_net_destroy(NULL);
    detnn_clear_gradients(NULL);
    CHECK(detnn_predict_size(NULL, 1) == 0 && detnn_snapshot_size(NULL) == 0);
    CHECK(detnn_info(NULL).inputs == 0 && detnn_info(NULL).memory == 0);
    CHECK(detnn_digest(NULL, text) == text && !text[0]);
    CHECK(detnn_state_digest(NULL, text) == text && !text[0]);
    CHECK(detnn_weights(NULL, 0, DETNN_KERNEL, &rows, &cols) == NULL && rows == 0 && cols == 0);
    CHECK(detnn_gradient(NULL, 0, DETNN_KERNEL, NULL, NULL) == NULL);
    CHECK(detnn_summary(NULL, text, sizeof text) > 0 && detnn_summary(NULL, NULL, 0) > 0);
    CHECK(!strcmp(detnn_result_text(DETNN_RESULT_COUNT), "?")
          && !strcmp(detnn_isa_name(DETNN_ISA_COUNT), "?"));
    CHECK(!strcmp(detnn_activation_name(DETNN_ACTIVATION_COUNT), "?"));
}

/* ---- Descriptions ---- */

/* Changes one field of the small description and expects a refusal. */
#define BAD_DESC(expected, word, change)           \
    do {                                           \
        detnn_net_desc desc = small_desc();        \
        detnn_layer layers[5];                     \
        memcpy(layers, small_layers, sizeof layers); \
        desc.layers = layers;                      \
        change;                                    \
        REFUSED(expected, word, create(&desc));    \
    } while (0)

static void sizes_of_descriptions(void)
{
    const size_t huge = (size_t)-1;
    BAD_DESC(DETNN_ERROR_NULL, "layers is null", desc.layers = NULL);
    BAD_DESC(DETNN_ERROR_SIZE, "layer_count is 0", desc.layer_count = 0);
    BAD_DESC(DETNN_ERROR_SIZE, "layer_count", desc.layer_count = huge);
    BAD_DESC(DETNN_ERROR_SIZE, "inputs is 0", desc.inputs = 0);
    BAD_DESC(DETNN_ERROR_SIZE, "batch_max is 0", desc.batch_max = 0);
    BAD_DESC(DETNN_ERROR_SIZE, "parts_max is 0", desc.parts_max = 0);
    BAD_DESC(DETNN_ERROR_SIZE, "layer 1 (dense): units is 0", layers[1].units = 0);
    BAD_DESC(DETNN_ERROR_SIZE, "layer 3 (dense)", layers[3].units = huge);
    BAD_DESC(DETNN_ERROR_SIZE, "layer 3 (dense)", layers[3].units = huge / 8);
    BAD_DESC(DETNN_ERROR_SIZE, "batch_max", desc.batch_max = huge);
    BAD_DESC(DETNN_ERROR_SIZE, "batch_max", desc.batch_max = huge / 4 / 16);
    BAD_DESC(DETNN_ERROR_SIZE, "batch_max", desc.batch_max = huge / 2);
#if SIZE_MAX > 0xffffffff
    BAD_DESC(DETNN_ERROR_SIZE, "inputs", desc.inputs = huge);
    BAD_DESC(DETNN_ERROR_SIZE, "inputs", desc.inputs = (size_t)1 << 32);
    BAD_DESC(DETNN_ERROR_SIZE, "2^34", layers[1].units = (size_t)1 << 32);
    BAD_DESC(DETNN_ERROR_SIZE, "2^34", (layers[1].units = 100000, layers[3].units = 200000));
#endif
}

static void unknown_kinds(void)
{
    BAD_DESC(DETNN_ERROR_VALUE, "layer 0: unknown kind", layers[0].kind = DETNN_LAYER_KIND_COUNT);
    BAD_DESC(DETNN_ERROR_VALUE, "layer 1 (dense): unknown activation",
             layers[1].activation = DETNN_ACTIVATION_COUNT);
    BAD_DESC(DETNN_ERROR_VALUE, "kernel initializer",
             layers[1].kernel.kind = DETNN_INITIALIZER_COUNT);
    BAD_DESC(DETNN_ERROR_VALUE, "bias initializer", layers[1].bias.kind = DETNN_INITIALIZER_COUNT);
    BAD_DESC(DETNN_ERROR_VALUE, "unknown loss", desc.loss = DETNN_LOSS_COUNT);
    BAD_DESC(DETNN_ERROR_VALUE, "optimizer: unknown kind",
             desc.optimizer.kind = DETNN_OPTIMIZER_COUNT);
    BAD_DESC(DETNN_ERROR_VALUE, "schedule: unknown kind",
             desc.schedule.kind = DETNN_SCHEDULE_COUNT);
    BAD_DESC(DETNN_ERROR_VALUE, "isa", desc.isa = DETNN_ISA_COUNT);
#ifndef __cplusplus /* where values outside of an enum are not undefined */
    BAD_DESC(DETNN_ERROR_VALUE, "layer 4: unknown kind", layers[4].kind = (detnn_layer_kind)-1);
    BAD_DESC(DETNN_ERROR_VALUE, "unknown activation", layers[4].activation = (detnn_activation)-1);
    BAD_DESC(DETNN_ERROR_VALUE, "kernel initializer",
             layers[1].kernel.kind = (detnn_initializer_kind)1000000);
    BAD_DESC(DETNN_ERROR_VALUE, "unknown loss", desc.loss = (detnn_loss)-1);
    BAD_DESC(DETNN_ERROR_VALUE, "optimizer: unknown kind",
             desc.optimizer.kind = (detnn_optimizer_kind)-2);
    BAD_DESC(DETNN_ERROR_VALUE, "schedule: unknown kind",
             desc.schedule.kind = (detnn_schedule_kind)77);
    BAD_DESC(DETNN_ERROR_VALUE, "isa", desc.isa = (detnn_isa)-1);
#endif
}

/* A float field outside of [0, 1): below, the bound itself, above, NaN, infinities. */
#define NOT_A_SHARE(word, field)                                              \
    do {                                                                      \
        int odd_i;                                                            \
        BAD_DESC(DETNN_ERROR_VALUE, word, field = -0.001f);                   \
        BAD_DESC(DETNN_ERROR_VALUE, word, field = 1.0f);                      \
        BAD_DESC(DETNN_ERROR_VALUE, word, field = 1.5f);                      \
        for (odd_i = 0; odd_i < 3; odd_i++)                                   \
            BAD_DESC(DETNN_ERROR_VALUE, word, field = odd(odd_i));            \
    } while (0)

/* A float field that must be finite and not negative; zero: 1 where it may not be 0 either. */
#define NOT_A_SIZE(word, field, zero)                                         \
    do {                                                                      \
        int odd_i;                                                            \
        BAD_DESC(DETNN_ERROR_VALUE, word, field = -0.5f);                     \
        if (zero) BAD_DESC(DETNN_ERROR_VALUE, word, field = 0.0f);            \
        for (odd_i = 0; odd_i < 3; odd_i++)                                   \
            BAD_DESC(DETNN_ERROR_VALUE, word, field = odd(odd_i));            \
    } while (0)

static void rates(void)
{
    NOT_A_SHARE("layer 2 (dropout): rate", layers[2].rate);
    NOT_A_SHARE("label_smoothing", desc.label_smoothing);
    NOT_A_SHARE("momentum", desc.optimizer.momentum);
    NOT_A_SHARE("beta1", desc.optimizer.beta1);
    NOT_A_SHARE("beta2", desc.optimizer.beta2);
    NOT_A_SHARE("rho", desc.optimizer.rho);
}

static void optimizers_and_schedules(void)
{
    NOT_A_SIZE("learning_rate", desc.optimizer.learning_rate, 1);
    NOT_A_SIZE("epsilon", desc.optimizer.epsilon, 1);
    NOT_A_SIZE("weight_decay", desc.optimizer.weight_decay, 0);
    NOT_A_SIZE("clip_value", desc.optimizer.clip_value, 0);
    NOT_A_SIZE("clip_norm", desc.optimizer.clip_norm, 0);
    NOT_A_SIZE("huber_delta", desc.huber_delta, 1);
    NOT_A_SIZE("gamma", desc.schedule.gamma, 1);
    BAD_DESC(DETNN_ERROR_VALUE, "gamma", desc.schedule.gamma = 1.5f);
    NOT_A_SIZE("final", desc.schedule.final, 0);
    BAD_DESC(DETNN_ERROR_VALUE, "period", desc.schedule.period = 0);
    BAD_DESC(DETNN_ERROR_VALUE, "nesterov", desc.optimizer.nesterov = 1);
    BAD_DESC(DETNN_ERROR_VALUE, "nesterov", desc.optimizer = detnn_sgd_momentum(0.5f, 0.0f, 1));
}

static void layers_and_losses(void)
{
    int i;
    BAD_DESC(DETNN_ERROR_VALUE, "alpha",
             (layers[1].activation = DETNN_LEAKY_RELU, layers[1].alpha = -1.0f));
    BAD_DESC(DETNN_ERROR_VALUE, "alpha",
             (layers[1].activation = DETNN_ELU, layers[1].alpha = 0.0f));
    for (i = 0; i < 3; i++) {
        BAD_DESC(DETNN_ERROR_VALUE, "alpha",
                 (layers[1].activation = DETNN_ELU, layers[1].alpha = odd(i)));
        BAD_DESC(DETNN_ERROR_VALUE, "kernel initializer", layers[1].kernel.a = odd(i));
        BAD_DESC(DETNN_ERROR_VALUE, "bias initializer", layers[3].bias.b = odd(i));
    }
    BAD_DESC(DETNN_ERROR_VALUE, "uniform from",
             (layers[1].kernel.kind = DETNN_UNIFORM, layers[1].kernel.a = 1.0f));
    BAD_DESC(DETNN_ERROR_VALUE, "deviation",
             (layers[1].kernel.kind = DETNN_NORMAL, layers[1].kernel.b = -1.0f));
    BAD_DESC(DETNN_ERROR_SHAPE, "only the first", layers[1] = layers[0]);
    BAD_DESC(DETNN_ERROR_SHAPE, "softmax or linear", layers[4].activation = DETNN_RELU);
    BAD_DESC(DETNN_ERROR_SHAPE, "cross_entropy needs", desc.layer_count = 3); /* ends in dropout */
    BAD_DESC(DETNN_ERROR_SHAPE, "sigmoid or linear", desc.loss = DETNN_BINARY_CROSS_ENTROPY);
    BAD_DESC(DETNN_ERROR_VALUE, "predict_only", desc.weights = &small_x[0][0]);
    {
        detnn_net_desc desc = small_desc();
        detnn_net *none;
        desc.allocator = counter_of(&memory);
        desc.allocator.release = NULL;
        REFUSED(DETNN_ERROR_NULL, "alloc and release", detnn_net_create(&none, &desc, err));
        desc.allocator = counter_of(&memory);
        desc.allocator.alloc = NULL;
        REFUSED(DETNN_ERROR_NULL, "alloc and release", detnn_net_create(&none, &desc, err));
    }
}

/* ---- Memory ---- */

static void no_memory(void)
{
    static char block[1000];
    detnn_net_desc desc = small_desc();
    detnn_net *none;
    char need[40];
    size_t size = 0;
    CHECK(!detnn_net_size(&desc, &size, NULL));
    sprintf(need, "needs %lu", (unsigned long)size);
    memory.refuse = 1;
    REFUSED(DETNN_ERROR_MEMORY, need,
            detnn_net_create(&none, (desc.allocator = counter_of(&memory), &desc), err));
    CHECK(!none);
    memory.refuse = 0;
    REFUSED(DETNN_ERROR_MEMORY, need, detnn_net_init(&none, &desc, block, sizeof block, err));
    REFUSED(DETNN_ERROR_MEMORY, need, detnn_net_init(&none, &desc, block, 0, err));
    make_net(&desc);
    memory.refuse = 1;
    REFUSED(DETNN_ERROR_MEMORY, need, detnn_net_copy(&none, net, err));
    CHECK(!none);
    memory.refuse = 0;
    end_net();
}

#define NO_BIAS(units)                                                                \
    DETNN_DENSE_EX(units, DETNN_LINEAR, 1.0f, DETNN_INIT(DETNN_ZEROS, 0.0f, 0.0f),    \
                   DETNN_INIT(DETNN_ZEROS, 0.0f, 0.0f), 0, 0)

/* The same number of weights and bytes is not the same net. */
static void snapshots_of_equal_size(void)
{
    static const detnn_layer a[] = { DETNN_DENSE(6, DETNN_RELU), DETNN_DENSE(4, DETNN_LINEAR) };
    static const detnn_layer b[] = { NO_BIAS(8), NO_BIAS(3) };
    static char foreign[5000];
    detnn_net_desc desc = small_desc();
    detnn_net *other;
    desc.layer_count = 2;
    desc.layers = a; /* 5 * 6 + 6 + 6 * 4 + 4 = 64 weights */
    make_net(&desc);
    desc.layers = b; /* 5 * 8 + 8 * 3 = 64 weights */
    other = make(&desc);
    CHECK(detnn_snapshot_size(net) == detnn_snapshot_size(other));
    CHECK(!detnn_snapshot(other, foreign, sizeof foreign, NULL));
    REFUSED(DETNN_ERROR_SHAPE, "other layers", detnn_restore(net, foreign, sizeof foreign, err));
    detnn_net_destroy(other);
    end_net();
}

/* A block smaller than a snapshot or a row of predictions needs; snapshots of others. */
static void snapshots(void)
{
    static char mine[50000], foreign[50000];
    detnn_net_desc desc = small_desc();
    detnn_layer layers[5];
    detnn_net *other;
    size_t size, i;
    char need[40];
    make_net(&desc);
    size = detnn_snapshot_size(net);
    sprintf(need, "%lu needed", (unsigned long)size);
    CHECK(size <= sizeof mine);
    REFUSED(DETNN_ERROR_MEMORY, need, detnn_snapshot(net, mine, size - 1, err));
    for (i = 0; i < sizeof mine; i++) CHECK(!mine[i]);
    CHECK(!detnn_snapshot(net, mine, size, NULL));
    REFUSED(DETNN_ERROR_MEMORY, need, detnn_restore(net, mine, size - 1, err));
    REFUSED(DETNN_ERROR_DATA, "no snapshot", detnn_restore(net, foreign, sizeof foreign, err));
    memcpy(layers, small_layers, sizeof layers);
    layers[3].units = 7; /* other layers */
    desc.layers = layers;
    other = make(&desc);
    CHECK(!detnn_snapshot(other, foreign, sizeof foreign, NULL));
    REFUSED(DETNN_ERROR_SHAPE, "other layers", detnn_restore(net, foreign, sizeof foreign, err));
    detnn_net_destroy(other);
    desc = small_desc();
    desc.optimizer = detnn_adamw(0.5f, 0.5f); /* another optimizer */
    other = make(&desc);
    CHECK(!detnn_snapshot(other, foreign, sizeof foreign, NULL));
    REFUSED(DETNN_ERROR_SHAPE, "optimizer", detnn_restore(net, foreign, sizeof foreign, err));
    detnn_net_destroy(other);
    desc = small_desc();
    desc.keep_best = 1;
    other = make(&desc);
    CHECK(detnn_snapshot_size(other) > size
          && !detnn_snapshot(other, foreign, sizeof foreign, NULL));
    REFUSED(DETNN_ERROR_SHAPE, "keep_best", detnn_restore(net, foreign, sizeof foreign, err));
    detnn_net_destroy(other);
    end_net();
    snapshots_of_equal_size();
}

/* ---- Nets that are none ---- */

static void destroyed_or_never_made(void)
{
    static union { double alignment; char bytes[100000]; } block;
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(1);
    detnn_metrics m;
    detnn_net *gone, *none;
    float y[3];
    char text[DETNN_DIGEST_TEXT] = "x";
    int i;
    for (i = 0; i < 2; i++) { /* zeros; a net in a block of our own that was destroyed */
        gone = (detnn_net *)(void *)block.bytes;
        if (i) {
            CHECK(!detnn_net_init(&gone, &desc, block.bytes, sizeof block.bytes, NULL));
            detnn_net_destroy(gone);
        }
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_fit(gone, &data, &fit, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_adapt(gone, &data, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_train_batch(gone, &data, NULL, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_evaluate(gone, &data, &m, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_predict(gone, data.x, 1, y, err));
        REFUSED(DETNN_ERROR_STATE, "not a net",
                detnn_predict_const(gone, data.x, 1, y, y, sizeof y, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_forward(gone, data.x, 1, y, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_backward(gone, y, NULL, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_step(gone, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_weights_set(gone, 1, DETNN_BIAS, y, 3, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_freeze(gone, 1, 1, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_set_learning_rate(gone, 0.5f, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_snapshot(gone, y, sizeof y, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_restore(gone, y, sizeof y, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_net_copy(&none, gone, err));
        REFUSED(DETNN_ERROR_STATE, "not a net", detnn_trace_start(gone, NULL, err));
        CHECK(!none && !detnn_weights(gone, 1, DETNN_BIAS, NULL, NULL) && !detnn_info(gone).memory);
        CHECK(detnn_snapshot_size(gone) == 0 && detnn_predict_size(gone, 1) == 0);
        CHECK(!*detnn_digest(gone, text) && !*detnn_state_digest(gone, text));
        detnn_clear_gradients(gone);
        detnn_net_destroy(gone);
    }
}

static void a_net_in_a_block_is_not_copied(void)
{
    static union { double alignment; char bytes[100000]; } block;
    detnn_net_desc desc = small_desc();
    detnn_net *none;
    CHECK(!detnn_net_init(&net, &desc, block.bytes, sizeof block.bytes, NULL));
    REFUSED(DETNN_ERROR_STATE, "detnn_net_init", detnn_net_copy(&none, net, err));
    CHECK(!none);
    end_net();
}

static void predict_only_nets_do_not_train(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(1);
    float y[3] = { 0.0f, 0.0f, 0.0f };
    desc.predict_only = 1;
    make_net(&desc);
    REFUSED(DETNN_ERROR_STATE, "predict_only", detnn_fit(net, &data, &fit, err));
    REFUSED(DETNN_ERROR_STATE, "predict_only", detnn_adapt(net, &data, err));
    REFUSED(DETNN_ERROR_STATE, "predict_only", detnn_train_batch(net, &data, NULL, err));
    REFUSED(DETNN_ERROR_STATE, "predict_only", detnn_forward(net, data.x, 1, y, err));
    REFUSED(DETNN_ERROR_STATE, "predict_only", detnn_backward(net, y, NULL, err));
    REFUSED(DETNN_ERROR_STATE, "predict_only", detnn_step(net, err));
    REFUSED(DETNN_ERROR_STATE, "predict_only", detnn_set_learning_rate(net, 0.5f, err));
    CHECK(!detnn_gradient(net, 1, DETNN_KERNEL, NULL, NULL));
    end_net();
}

/* ---- Data ---- */

static float bad_x[SMALL_SAMPLES][SMALL_INPUTS];
static float bad_targets[SMALL_SAMPLES][SMALL_CLASSES], bad_weights[SMALL_SAMPLES];
static uint32_t bad_labels[SMALL_SAMPLES];

/* Good data, in arrays that a test may spoil; soft: targets instead of labels. */
static detnn_data spoilable(int soft)
{
    detnn_data data = small_data();
    size_t i, j;
    memcpy(bad_x, small_x, sizeof bad_x);
    memcpy(bad_labels, small_labels, sizeof bad_labels);
    for (i = 0; i < SMALL_SAMPLES; i++) {
        bad_weights[i] = 1.0f;
        for (j = 0; j < SMALL_CLASSES; j++) bad_targets[i][j] = j == small_labels[i];
    }
    data.x = &bad_x[0][0];
    data.labels = soft ? NULL : bad_labels;
    data.targets = soft ? &bad_targets[0][0] : NULL;
    data.weights = bad_weights;
    return data;
}

/* The same refusal from whatever reads data; the validation's says so. */
static void refused_everywhere(detnn_result code, const char *word, const detnn_data *data)
{
    detnn_data good = small_data();
    detnn_fit_desc fit = small_fit(1);
    detnn_metrics m;
    static const uint32_t zeros[SMALL_SAMPLES] = { 0 };
    float loss = 5.0f;
    good.labels = zeros;
    REFUSED(code, word, detnn_fit(net, data, &fit, err));
    REFUSED(code, word, detnn_train_batch(net, data, &loss, err));
    REFUSED(code, word, detnn_evaluate(net, data, &m, err));
    CHECK(loss == 5.0f);
    fit.validation_split = 0.0f;
    fit.validation = data;
    REFUSED(code, word, detnn_fit(net, &good, &fit, err));
    REFUSED(code, "validation", detnn_fit(net, &good, &fit, err));
}

static void values_of_data(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data;
    int i;
    make_net(&desc);
    for (i = 0; i < 3; i++) {
        data = spoilable(0);
        bad_x[89][4] = odd(i); /* in the share of validation, too */
        refused_everywhere(DETNN_ERROR_DATA, "sample 89: x[4] is", &data);
        REFUSED(DETNN_ERROR_DATA, "sample 89: x[4] is", detnn_adapt(net, &data, err));
        bad_x[0][0] = odd(i);
        refused_everywhere(DETNN_ERROR_DATA, i ? "inf" : "NaN", &data);
        refused_everywhere(DETNN_ERROR_DATA, "sample 0: x[0] is", &data);
        data = spoilable(1);
        bad_targets[17][2] = odd(i);
        refused_everywhere(DETNN_ERROR_DATA, "sample 17: target[2] is", &data);
        data = spoilable(1);
        bad_weights[88] = odd(i);
        refused_everywhere(DETNN_ERROR_DATA, "sample 88: weight", &data);
    }
    data = spoilable(1);
    bad_targets[3][1] = -0.5f;
    refused_everywhere(DETNN_ERROR_DATA, "sample 3: target[1] is -0.5", &data);
    data = spoilable(0);
    bad_weights[5] = -1.0f;
    refused_everywhere(DETNN_ERROR_DATA, "sample 5: weight -1", &data);
    data = spoilable(0);
    bad_labels[66] = SMALL_CLASSES;
    refused_everywhere(DETNN_ERROR_DATA, "sample 66: label 3", &data);
    bad_labels[66] = 0xffffffff;
    refused_everywhere(DETNN_ERROR_DATA, "sample 66: label 4294967295", &data);
    data = spoilable(0);
    data.count = 0;
    refused_everywhere(DETNN_ERROR_SIZE, "count is 0", &data);
    data.count = (size_t)-1;
    refused_everywhere(DETNN_ERROR_SIZE, "do not fit", &data);
    /* fits as x, but not on the way through the net */
    data.count = (size_t)-1 / sizeof(float) / SMALL_INPUTS;
    refused_everywhere(DETNN_ERROR_SIZE, "do not fit", &data);
    data = spoilable(0);
    data.targets = &bad_targets[0][0];
    refused_everywhere(DETNN_ERROR_VALUE, "both labels and targets", &data);
    end_net();
    desc = tiny_desc();
    desc.loss = DETNN_MEAN_SQUARED_ERROR;
    make_net(&desc);
    data = spoilable(0); /* labels mean one-hot targets */
    bad_labels[2] = 3;
    refused_everywhere(DETNN_ERROR_DATA, "sample 2: label 3", &data);
    data = spoilable(1);
    bad_targets[2][1] = -5.0f; /* any number will do */
    CHECK(!detnn_train_batch(net, &data, NULL, NULL));
    end_net();
}

static void values_of_binary_data(void)
{
    static const detnn_layer one[] = { DETNN_DENSE(1, DETNN_SIGMOID) };
    detnn_net_desc desc = small_desc();
    detnn_data data;
    desc.layers = one;
    desc.layer_count = 1;
    desc.loss = DETNN_BINARY_CROSS_ENTROPY;
    make_net(&desc);
    data = spoilable(0);
    memset(bad_labels, 0, sizeof bad_labels);
    bad_labels[2] = 2;
    refused_everywhere(DETNN_ERROR_DATA, "sample 2: label 2", &data);
    data = spoilable(1);
    bad_targets[1][0] = 1.5f; /* with one output, this is sample 3 */
    refused_everywhere(DETNN_ERROR_DATA, "sample 3: target[0] is 1.5", &data);
    end_net();
}

static void ways_to_fit(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data(), fewer;
    detnn_fit_desc fit;
    int i;
    make_net(&desc);
#define BAD_FIT(code, word, change)                            \
    do {                                                       \
        fit = small_fit(1);                                    \
        change;                                                \
        REFUSED(code, word, detnn_fit(net, &data, &fit, err)); \
    } while (0)
    BAD_FIT(DETNN_ERROR_SIZE, "epochs is 0", fit.epochs = 0);
    BAD_FIT(DETNN_ERROR_SIZE, "batch_size is 0", fit.batch_size = 0);
    BAD_FIT(DETNN_ERROR_VALUE, "validation_split", fit.validation_split = 1.0f);
    BAD_FIT(DETNN_ERROR_VALUE, "validation_split", fit.validation_split = -0.1f);
    BAD_FIT(DETNN_ERROR_VALUE, "min_delta", fit.min_delta = -1.0f);
    for (i = 0; i < 3; i++) {
        BAD_FIT(DETNN_ERROR_VALUE, "validation_split", fit.validation_split = odd(i));
        BAD_FIT(DETNN_ERROR_VALUE, "min_delta", fit.min_delta = odd(i));
    }
    BAD_FIT(DETNN_ERROR_VALUE, "both validation", fit.validation = &data);
    BAD_FIT(DETNN_ERROR_STATE, "keep_best", fit.restore_best = 1);
    /* an epoch of other data is under way */
    fit = small_fit(1);
    fewer = data;
    fewer.count = 50;
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    end_net();
    desc.batch_max = 16;
    make_net(&desc);
    BAD_FIT(DETNN_ERROR_SIZE, "batch_max 16", (void)0);
    end_net();
    desc.batch_max = 64;
    make_net(&desc);
    BAD_FIT(DETNN_ERROR_SIZE, "parts_max 2",
            (fit.batch_size = (size_t)-1, fit.validation_split = 0.0f));
    REFUSED(DETNN_ERROR_STATE, "standardize", detnn_train_batch(net, &data, NULL, err));
    CHECK(!detnn_adapt(net, &data, NULL));
    REFUSED(DETNN_ERROR_SIZE, "parts_max 2", detnn_train_batch(net, &data, NULL, err));
    end_net();
    CHECK(fewer.count == 50);
}

/* ---- Training that leaves the finite ---- */

static int stop_after_three(void *user, detnn_net *n, const detnn_progress *progress)
{
    (void)user;
    (void)n;
    return progress->step == 3;
}

static void other_data_in_the_middle_of_an_epoch(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data(), fewer = data;
    detnn_fit_desc fit = small_fit(1);
    make_net(&desc);
    fit.on_step = stop_after_three;
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    CHECK(detnn_info(net).position == 72 && detnn_info(net).samples == 79);
    fewer.count = 50;
    REFUSED(DETNN_ERROR_STATE, "79 samples is under way", detnn_fit(net, &fewer, &fit, err));
    fit.restart = 1;
    fit.on_step = NULL;
    CHECK(!detnn_fit(net, &fewer, &fit, NULL));
    end_net();
}

static const detnn_layer line[] = { DETNN_DENSE(1, DETNN_LINEAR) };

/* One input, one output, squared error: everything about it can be worked out by hand. */
static detnn_net_desc line_desc(detnn_optimizer optimizer)
{
    detnn_net_desc desc = detnn_net_desc_default();
    desc.inputs = 1;
    desc.layers = line;
    desc.layer_count = 1;
    desc.loss = DETNN_MEAN_SQUARED_ERROR;
    desc.optimizer = optimizer;
    return desc;
}

static void set_line(float w, float b)
{
    CHECK(!detnn_weights_set(net, 0, DETNN_KERNEL, &w, 1, NULL));
    CHECK(!detnn_weights_set(net, 0, DETNN_BIAS, &b, 1, NULL));
}

/* Five good samples, then, in sample 5 of 8 in batches of 2, one whose loss overflows: epoch 0,
 * step 2. */
static void loss_overflows_in_the_middle(void)
{
    static const float targets[8] = { 1.0f, 2.0f, 1.0f, 0.0f, 1.0f, 1e30f, 0.0f, 1.0f };
    static const float x[8] = { 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f };
    detnn_net_desc desc = line_desc(detnn_adam(0.5f));
    detnn_data data = detnn_data_default(), good;
    detnn_fit_desc fit = detnn_fit_desc_default();
    detnn_net *other;
    data.x = x;
    data.targets = targets;
    data.count = 8;
    fit.batch_size = 2;
    fit.shuffle = 0;
    make_net(&desc);
    other = make(&desc);
    CHECK(detnn_fit(net, &data, &fit, &error) == DETNN_ERROR_NONFINITE);
    CHECKF(strstr(error.text, "epoch 0, step 2: the loss of sample 5"), "%s", error.text);
    good = data; /* the state is that of the two good steps */
    good.count = 2;
    CHECK(!detnn_train_batch(other, &good, NULL, NULL));
    good.x = x + 2;
    good.targets = targets + 2;
    CHECK(!detnn_train_batch(other, &good, NULL, NULL));
    CHECK(same_weights(net, other) && detnn_info(net).step == 2 && detnn_info(net).position == 4);
    REFUSED(DETNN_ERROR_NONFINITE, "epoch 0, step 2: the loss of sample 5",
            detnn_fit(net, &data, &fit, err));
    data.x = x + 4;
    data.targets = targets + 4;
    data.count = 2;
    REFUSED(DETNN_ERROR_NONFINITE, "loss of sample 1 ", detnn_train_batch(net, &data, NULL, err));
    detnn_net_destroy(other);
    end_net();
}

/* Every sample's loss is finite, their sum is not. */
static void sum_of_losses_overflows(void)
{
    static const float x[2] = { 0.0f, 0.0f }, targets[2] = { 1.5e19f, 1.5e19f };
    detnn_net_desc desc = line_desc(detnn_sgd(0.5f));
    detnn_data data = detnn_data_default();
    make_net(&desc);
    data.x = x;
    data.targets = targets;
    data.count = 2;
    REFUSED(DETNN_ERROR_NONFINITE, "sum of the losses", detnn_train_batch(net, &data, NULL, err));
    end_net();
}

/* One sample at x with this target: a step. */
static detnn_result one_step(float x, float target)
{
    detnn_data data = detnn_data_default();
    data.x = &x;
    data.targets = &target;
    data.count = 1;
    return detnn_train_batch(net, &data, NULL, err);
}

static void gradients_and_updates_overflow(void)
{
    detnn_net_desc desc = line_desc(detnn_sgd(0.5f));
    float dy = 1e30f, x = 1e30f, nan = odd(0);
    make_net(&desc);
    set_line(0.0f, 0.0f);
    REFUSED(DETNN_ERROR_NONFINITE, "gradient of layer 0 (kernel), element 0",
            one_step(1e25f, 1e18f));
    REFUSED(DETNN_ERROR_NONFINITE, "gradient of layer 0 (kernel)",
            (detnn_clear_gradients(net), detnn_forward(net, &x, 1, NULL, err) ? DETNN_OK
             : detnn_backward(net, &dy, NULL, err) ? DETNN_OK : detnn_step(net, err)));
    x = 1.0f;
    REFUSED(DETNN_ERROR_NONFINITE, "NaN",
            (detnn_clear_gradients(net), detnn_forward(net, &x, 1, NULL, err) ? DETNN_OK
             : detnn_backward(net, &nan, NULL, err) ? DETNN_OK : detnn_step(net, err)));
    detnn_clear_gradients(net);
    end_net();
    desc.optimizer = detnn_sgd(1e38f); /* the update overflows: w = 0 + 1e38 * 20 */
    make_net(&desc);
    set_line(0.0f, 0.0f);
    REFUSED(DETNN_ERROR_NONFINITE, "a weight of layer 0 (kernel), element 0",
            one_step(1.0f, 10.0f));
    REFUSED(DETNN_ERROR_NONFINITE, "a weight of layer 0 (bias), element 0", one_step(0.0f, 10.0f));
    end_net();
    desc.optimizer = detnn_adam(0.5f); /* the second moment overflows: g = 4e19 * 2, squared */
    make_net(&desc);
    set_line(0.0f, 0.0f);
    REFUSED(DETNN_ERROR_NONFINITE, "a moment of layer 0 (kernel)", one_step(1e15f, 1e17f));
    CHECK(!one_step(1.0f, 1.0f));
    end_net();
    desc.optimizer = detnn_sgd(0.5f);
    desc.optimizer.clip_norm = 1.0f; /* the norm overflows: g = 2e30, squared */
    make_net(&desc);
    set_line(0.0f, 0.0f);
    REFUSED(DETNN_ERROR_NONFINITE, "norm", one_step(1e15f, 1e15f));
    CHECK(!one_step(1.0f, 1.0f));
    end_net();
}

/* Standardize cannot express this feature's deviation. */
static void standardize_overflows(void)
{
    static float x[SMALL_SAMPLES][SMALL_INPUTS];
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(1);
    x[0][3] = 3e38f;
    x[1][3] = -3e38f;
    data.x = &x[0][0];
    make_net(&desc);
    REFUSED(DETNN_ERROR_NONFINITE, "feature 3", detnn_adapt(net, &data, err));
    REFUSED(DETNN_ERROR_NONFINITE, "feature 3", detnn_fit(net, &data, &fit, err));
    end_net();
}

/* ---- Order of calls ---- */

static void standardize_before_it_has_seen_data(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_metrics m;
    float y[3], scratch[64];
    make_net(&desc);
    REFUSED(DETNN_ERROR_STATE, "standardize", detnn_predict(net, data.x, 1, y, err));
    REFUSED(DETNN_ERROR_STATE, "standardize",
            detnn_predict_const(net, data.x, 1, y, scratch, sizeof scratch, err));
    REFUSED(DETNN_ERROR_STATE, "standardize", detnn_evaluate(net, &data, &m, err));
    REFUSED(DETNN_ERROR_STATE, "standardize", detnn_forward(net, data.x, 1, y, err));
    REFUSED(DETNN_ERROR_STATE, "standardize", detnn_train_batch(net, &data, NULL, err));
    end_net();
    desc = tiny_desc();
    make_net(&desc);
    REFUSED(DETNN_ERROR_STATE, "not standardize", detnn_adapt(net, &data, err));
    end_net();
}

static void forward_backward_step_in_order(void)
{
    detnn_net_desc desc = tiny_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(1);
    detnn_trace_desc trace = detnn_trace_desc_default();
    float dy[200 * 3] = { 0 };
    make_net(&desc);
    REFUSED(DETNN_ERROR_STATE, "no forward", detnn_backward(net, dy, NULL, err));
    REFUSED(DETNN_ERROR_STATE, "no backward", detnn_step(net, err));
    REFUSED(DETNN_ERROR_SIZE, "0 samples", detnn_forward(net, data.x, 0, NULL, err));
    REFUSED(DETNN_ERROR_SIZE, "batch_max is 128", detnn_forward(net, data.x, 129, NULL, err));
    REFUSED(DETNN_ERROR_SIZE, "batch_max is 128",
            detnn_forward(net, data.x, (size_t)-1, NULL, err));
    CHECK(!detnn_forward(net, data.x, 8, NULL, NULL));
    REFUSED(DETNN_ERROR_STATE, "no backward", detnn_step(net, err));
    REFUSED(DETNN_ERROR_STATE, "under way", detnn_fit(net, &data, &fit, err));
    REFUSED(DETNN_ERROR_STATE, "under way", detnn_train_batch(net, &data, NULL, err));
    REFUSED(DETNN_ERROR_STATE, "under way", detnn_freeze(net, 0, 1, err));
    CHECK(!detnn_backward(net, dy, NULL, NULL));
    REFUSED(DETNN_ERROR_STATE, "no forward", detnn_backward(net, dy, NULL, err));
    REFUSED(DETNN_ERROR_STATE, "under way", detnn_fit(net, &data, &fit, err));
    CHECK(!detnn_step(net, NULL));
    REFUSED(DETNN_ERROR_STATE, "no backward", detnn_step(net, err));
    REFUSED(DETNN_ERROR_STATE, "desc.trace", detnn_trace_start(net, &trace, err));
    end_net();
    desc.trace = 1;
    make_net(&desc);
    REFUSED(DETNN_ERROR_NULL, "write is null", detnn_trace_start(net, &trace, err));
    end_net();
}

static void rules_of_parts(void)
{
    static float x[200 * SMALL_INPUTS], dy[200 * 3];
    static const size_t bad_first[] = { 1, 63, 65, 96, 100 };
    detnn_net_desc desc = tiny_desc();
    size_t i;
    desc.parts_max = 3;
    make_net(&desc);
    for (i = 0; i < 5; i++) { /* after such a first part there is no second */
        CHECK(!detnn_forward(net, x, bad_first[i], NULL, NULL)
              && !detnn_backward(net, dy, NULL, NULL));
        REFUSED(DETNN_ERROR_STATE, "64 * 2^k", detnn_forward(net, x, bad_first[i], NULL, err));
        detnn_clear_gradients(net);
    }
    CHECK(!detnn_forward(net, x, 64, NULL, NULL) && !detnn_backward(net, dy, NULL, NULL));
    /* larger than the first */
    REFUSED(DETNN_ERROR_STATE, "64 * 2^k", detnn_forward(net, x, 65, NULL, err));
    REFUSED(DETNN_ERROR_STATE, "64 * 2^k", detnn_forward(net, x, 128, NULL, err));
    CHECK(!detnn_forward(net, x, 30, NULL, NULL) && !detnn_backward(net, dy, NULL, NULL));
    /* after the short last one */
    REFUSED(DETNN_ERROR_STATE, "64 * 2^k", detnn_forward(net, x, 64, NULL, err));
    detnn_clear_gradients(net);
    for (i = 0; i < 3; i++)
        CHECK(!detnn_forward(net, x, 64, NULL, NULL) && !detnn_backward(net, dy, NULL, NULL));
    REFUSED(DETNN_ERROR_STATE, "parts_max is 3", detnn_forward(net, x, 64, NULL, err));
    CHECK(!detnn_step(net, NULL));
    end_net();
}

/* A step that failed keeps the net usable, in whatever order one goes on. */
static void going_on_after_a_failed_step(void)
{
    static float x[64], dy[64];
    detnn_net_desc desc = line_desc(detnn_sgd(0.5f));
    char start[DETNN_DIGEST_TEXT];
    int i;
    desc.batch_max = 64;
    desc.parts_max = 8;
    make_net(&desc);
    detnn_state_digest(net, start);
    x[0] = dy[0] = 1e30f;
    for (i = 0; i < 3; i++) CHECK(!detnn_forward(net, x, 64, NULL, NULL)
                                  && !detnn_backward(net, dy, NULL, NULL));
    CHECK(detnn_step(net, NULL) == DETNN_ERROR_NONFINITE);
    CHECK(detnn_gradient(net, 0, DETNN_KERNEL, NULL, NULL)[0] > 1e38f); /* kept, to be looked at */
    REFUSED(DETNN_ERROR_STATE, "the step failed", detnn_step(net, err));
    REFUSED(DETNN_ERROR_STATE, "the step failed", detnn_forward(net, x, 64, NULL, err));
    REFUSED(DETNN_ERROR_STATE, "no forward", detnn_backward(net, dy, NULL, err));
    CHECK(state_is(net, start));
    detnn_clear_gradients(net);
    x[0] = dy[0] = 1.0f;
    CHECK(!detnn_forward(net, x, 64, NULL, NULL) && !detnn_backward(net, dy, NULL, NULL)
          && !detnn_step(net, NULL));
    end_net();
}

/* ---- Weights ---- */

static void weights_and_layers(void)
{
    detnn_net_desc desc = small_desc();
    float w[40] = { 0 };
    int i;
    make_net(&desc);
    REFUSED(DETNN_ERROR_SHAPE, "5 x 8", detnn_weights_set(net, 1, DETNN_KERNEL, w, 39, err));
    REFUSED(DETNN_ERROR_SHAPE, "got 0", detnn_weights_set(net, 1, DETNN_KERNEL, w, 0, err));
    REFUSED(DETNN_ERROR_VALUE, "layer 2 has no kernel",
            detnn_weights_set(net, 2, DETNN_KERNEL, w, 40, err));
    REFUSED(DETNN_ERROR_VALUE, "layer 1 has no mean",
            detnn_weights_set(net, 1, DETNN_MEAN, w, 8, err));
    REFUSED(DETNN_ERROR_VALUE, "layer 5", detnn_weights_set(net, 5, DETNN_KERNEL, w, 40, err));
    REFUSED(DETNN_ERROR_VALUE, "layer",
            detnn_weights_set(net, (size_t)-1, DETNN_KERNEL, w, 40, err));
    REFUSED(DETNN_ERROR_VALUE, "such tensor",
            detnn_weights_set(net, 1, DETNN_TENSOR_COUNT, w, 40, err));
    for (i = 0; i < 3; i++) {
        w[37] = odd(i);
        REFUSED(DETNN_ERROR_DATA, "value 37", detnn_weights_set(net, 1, DETNN_KERNEL, w, 40, err));
    }
    REFUSED(DETNN_ERROR_DATA, "deviation is 0",
            detnn_weights_set(net, 0, DETNN_DEVIATION, w, 5, err));
    w[0] = -1.0f;
    REFUSED(DETNN_ERROR_DATA, "deviation is -1",
            detnn_weights_set(net, 0, DETNN_DEVIATION, w, 5, err));
    REFUSED(DETNN_ERROR_VALUE, "layer 2 is not a dense", detnn_freeze(net, 2, 1, err));
    REFUSED(DETNN_ERROR_VALUE, "layer 9", detnn_freeze(net, 9, 1, err));
    REFUSED(DETNN_ERROR_VALUE, "learning_rate", detnn_set_learning_rate(net, 0.0f, err));
    REFUSED(DETNN_ERROR_VALUE, "learning_rate", detnn_set_learning_rate(net, -1.0f, err));
    for (i = 0; i < 3; i++) REFUSED(DETNN_ERROR_VALUE, "learning_rate",
                                    detnn_set_learning_rate(net, odd(i), err));
    end_net();
}

static void building_blocks(void)
{
    detnn_initializer bad = { DETNN_INITIALIZER_COUNT, 0.0f, 0.0f },
        zeros = { DETNN_ZEROS, 0.0f, 0.0f };
    detnn_optimizer o = detnn_sgd(0.5f);
    detnn_schedule s = detnn_schedule_default();
    float w[4] = { 1.0f, 2.0f, 3.0f, 4.0f }, g[4] = { 1.0f, 1.0f, 1.0f, 1.0f };
    REFUSED(DETNN_ERROR_VALUE, "initializer",
            detnn_initialize(&bad, 1, 0, DETNN_KERNEL, 2, 2, w, err));
    REFUSED(DETNN_ERROR_VALUE, "kernel or bias",
            detnn_initialize(&zeros, 1, 0, DETNN_MEAN, 2, 2, w, err));
    REFUSED(DETNN_ERROR_SIZE, "0 x 2", detnn_initialize(&zeros, 1, 0, DETNN_KERNEL, 0, 2, w, err));
    REFUSED(DETNN_ERROR_SIZE, "2 x 0", detnn_initialize(&zeros, 1, 0, DETNN_KERNEL, 2, 0, w, err));
    REFUSED(DETNN_ERROR_SIZE, "out of range",
            detnn_initialize(&zeros, 1, 1u << 24, DETNN_KERNEL, 2, 2, w, err));
    REFUSED(DETNN_ERROR_SIZE, "out of range",
            detnn_initialize(&zeros, 1, 0, DETNN_KERNEL, (size_t)-1, (size_t)-1, w, err));
    o.learning_rate = -1.0f;
    REFUSED(DETNN_ERROR_VALUE, "learning_rate",
            detnn_optimizer_update(&o, &s, 0, 0, 4, g, w, NULL, NULL, err));
    o = detnn_sgd(0.5f);
    s.period = 0;
    REFUSED(DETNN_ERROR_VALUE, "period",
            detnn_optimizer_update(&o, &s, 0, 0, 4, g, w, NULL, NULL, err));
    CHECK(w[0] == 1.0f && w[1] == 2.0f && w[2] == 3.0f && w[3] == 4.0f);
}

/* ---- Data from a callback ---- */

/* Gives the small data's samples; the call number fail_at (from 1) fails in the way asked for. */
typedef struct source {
    size_t calls, fail_at;
    int how; /* 0: returns 1; 1: NaN in x[2]; 2: label 9; 3: weight -1 */
} source;

static int source_get(void *user, detnn_sample *sample)
{
    source *s = (source *)user;
    int bad = ++s->calls == s->fail_at;
    memcpy(sample->x, small_x[sample->index], sizeof small_x[0]);
    sample->label = small_labels[sample->index];
    if (bad && s->how == 1) sample->x[2] = odd(0);
    if (bad && s->how == 2) sample->label = 9;
    if (bad && s->how == 3) sample->weight = -1.0f;
    return bad && s->how == 0;
}

static detnn_data source_data(source *s)
{
    detnn_data data = detnn_data_default();
    data.count = SMALL_SAMPLES;
    data.get = source_get;
    data.get_labels = 1;
    data.user = s;
    return data;
}

/* Fails at some call: the net is as after the last whole step, and going on gives the bits of a
 * training that never failed. All calls of three epochs: adapting reads every sample twice, then
 * steps and validation. */
static void a_failing_callback_in_the_middle(void)
{
    static const char *const words[] = { "data.get failed on sample", ": x[2] is NaN", ": label 9",
                                        ": weight -1" };
    detnn_net_desc desc = small_desc();
    detnn_fit_desc fit = small_fit(4);
    source s = { 0, 0, 0 };
    detnn_data data = source_data(&s);
    size_t at, all, failed = 0;
    (void)small_data();
    make_net(&desc);
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    CHECK(state_is(net, SMALL_STATE)); /* as from arrays */
    all = s.calls;
    end_net();
    for (at = 1; at <= all; at += 7) {
        s.calls = 0;
        s.fail_at = at;
        s.how = (int)(at / 7 % 4);
        make_net(&desc);
        fit = small_fit(4);
        CHECK(detnn_fit(net, &data, &fit, &error) == (s.how ? DETNN_ERROR_DATA
                                                      : DETNN_ERROR_CALLBACK));
        CHECKF(strstr(error.text, words[s.how]) && strstr(error.text, "sample "), "%s", error.text);
        CHECK(s.calls == at); /* nothing more was asked */
        failed++;
        fit.epochs = 4 - detnn_info(net).epoch;
        CHECKF(!detnn_fit(net, &data, &fit, &error), "%s", error.text);
        CHECKF(state_is(net, SMALL_STATE), "failed at call %u", (unsigned)at);
        end_net();
    }
    CHECK(failed > 50);
}

static void callbacks_and_arrays(void)
{
    detnn_net_desc desc = small_desc();
    detnn_fit_desc fit = small_fit(1);
    source s = { 0, 0, 0 };
    detnn_data data = source_data(&s);
    detnn_metrics m;
    (void)small_data();
    make_net(&desc);
    data.x = &small_x[0][0];
    refused_everywhere(DETNN_ERROR_VALUE, "both arrays and get", &data);
    s.fail_at = (size_t)-1;
    data = source_data(&s);
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    s.calls = 0;
    s.fail_at = 5;
    REFUSED(DETNN_ERROR_CALLBACK, "sample 4", (s.calls = 0, detnn_evaluate(net, &data, &m, err)));
    REFUSED(DETNN_ERROR_CALLBACK, "sample 4",
            (s.calls = 0, detnn_train_batch(net, &data, NULL, err)));
    REFUSED(DETNN_ERROR_CALLBACK, "sample 4", (s.calls = 0, detnn_adapt(net, &data, err)));
    end_net();
    desc.predict_only = 1;
    make_net(&desc);
    REFUSED(DETNN_ERROR_STATE, "predict_only", detnn_evaluate(net, &data, &m, err));
    end_net();
}

/* Evaluating between forward and backward changes nothing, or is refused. */
static void evaluate_between_forward_and_backward(void)
{
    detnn_net_desc desc = tiny_desc();
    source s = { 0, (size_t)-1, 0 };
    detnn_data data = source_data(&s), arrays = small_data();
    detnn_net *other;
    detnn_metrics m;
    float dy[8 * 3], y[8 * 3];
    size_t i;
    for (i = 0; i < 24; i++) dy[i] = 1.0f;
    make_net(&desc);
    other = make(&desc);
    CHECK(!detnn_forward(net, small_x[20], 8, NULL, NULL)
          && !detnn_forward(other, small_x[20], 8, NULL, NULL));
    CHECK(!detnn_predict(net, small_x[0], 8, y, NULL));
    (void)detnn_evaluate(net, &arrays, &m, NULL);
    (void)detnn_evaluate(net, &data, &m, NULL);
    CHECK(!detnn_backward(net, dy, NULL, NULL) && !detnn_backward(other, dy, NULL, NULL));
    CHECK(!detnn_step(net, NULL) && !detnn_step(other, NULL));
    CHECK(same_state(net, other));
    detnn_net_destroy(other);
    end_net();
}

static void sizes_of_predictions(void)
{
    detnn_net_desc desc = tiny_desc();
    float y[3], scratch[200];
    char need[40];
    make_net(&desc);
    REFUSED(DETNN_ERROR_SIZE, "do not fit", detnn_predict(net, small_x[0], (size_t)-1, y, err));
    REFUSED(DETNN_ERROR_SIZE, "do not fit",
            detnn_predict(net, small_x[0], (size_t)-1 / 16, y, err));
    REFUSED(DETNN_ERROR_SIZE, "do not fit",
            detnn_predict_const(net, small_x[0], (size_t)-1, y, scratch, sizeof scratch, err));
    CHECK(detnn_predict_size(net, (size_t)-1) == 0 && detnn_predict_size(net, (size_t)-1 / 8) == 0);
    sprintf(need, "needs %lu", (unsigned long)detnn_predict_size(net, 1));
    REFUSED(DETNN_ERROR_MEMORY, need, detnn_predict_const(net, small_x[0], 1, y, scratch, 10, err));
    REFUSED(DETNN_ERROR_MEMORY, need, detnn_predict_const(net, small_x[0], 1, y, scratch, 0, err));
    y[0] = 7.0f;
    CHECK(!detnn_predict(net, small_x[0], 0, y, NULL) && y[0] == 7.0f); /* no rows are no error */
    end_net();
}

/* A call that goes well clears what stood in err. */
static void success_clears_the_error(void)
{
    detnn_net_desc desc = tiny_desc();
    detnn_data data = small_data();
    make_net(&desc);
    memset(&error, 0x55, sizeof error);
    CHECK(!detnn_train_batch(net, &data, NULL, &error) && error.code == DETNN_OK && !error.text[0]);
    end_net();
}

int main(void)
{
    TEST(null_pointers);
    TEST(null_pointers_without_a_result);
    TEST(sizes_of_descriptions);
    TEST(unknown_kinds);
    TEST(rates);
    TEST(optimizers_and_schedules);
    TEST(layers_and_losses);
    TEST(no_memory);
    TEST(snapshots);
    TEST(destroyed_or_never_made);
    TEST(a_net_in_a_block_is_not_copied);
    TEST(predict_only_nets_do_not_train);
    TEST(values_of_data);
    TEST(values_of_binary_data);
    TEST(ways_to_fit);
    TEST(other_data_in_the_middle_of_an_epoch);
    TEST(loss_overflows_in_the_middle);
    TEST(sum_of_losses_overflows);
    TEST(gradients_and_updates_overflow);
    TEST(standardize_overflows);
    TEST(standardize_before_it_has_seen_data);
    TEST(forward_backward_step_in_order);
    TEST(rules_of_parts);
    TEST(going_on_after_a_failed_step);
    TEST(weights_and_layers);
    TEST(building_blocks);
    TEST(a_failing_callback_in_the_middle);
    TEST(callbacks_and_arrays);
    TEST(evaluate_between_forward_and_backward);
    TEST(sizes_of_predictions);
    TEST(success_clears_the_error);
    return test_end();
}

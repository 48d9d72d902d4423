/* Reads and runs the golden trainings of tests/cases.txt, without a C library. Include it after detnn.h and define
 *     void *case_memory(size_t size)    memory for a case, null where there is none
 *     void case_forget(void)            gives all of it back */
#ifndef CASES_H
#define CASES_H

#define CASE_NAMED(name, text) text,
static const char *const case_activations[] = { DETNN_ACTIVATIONS(CASE_NAMED) 0 };
static const char *const case_initializers[] = { DETNN_INITIALIZERS(CASE_NAMED) 0 };
static const char *const case_losses[] = { DETNN_LOSSES(CASE_NAMED) 0 };
static const char *const case_optimizers[] = { DETNN_OPTIMIZERS(CASE_NAMED) 0 };
static const char *const case_schedules[] = { DETNN_SCHEDULES(CASE_NAMED) 0 };

enum { CASE_LAYERS = 16, CASE_WORD = 32, CASE_LINE = 200 };

typedef struct {
    char name[CASE_WORD], truth[CASE_WORD];
    detnn_layer layers[CASE_LAYERS];
    detnn_net_desc desc;
    detnn_fit_desc fit;
    size_t samples;
    float a, b, low, high; /* of the truth and of the weights */
    int weighted;
} golden_case;

static void *case_memory(size_t size);
static void case_forget(void);

static int case_same(const char *a, const char *b)
{
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

/* The index of name in names, *bad where it is not there. */
static int case_find(const char *const *names, const char *name, int *bad)
{
    int i;
    for (i = 0; names[i]; i++)
        if (case_same(names[i], name)) return i;
    *bad = 1;
    return 0;
}

static uint64_t case_number(const char *word, unsigned base, int *bad)
{
    uint64_t v = 0;
    *bad |= !*word;
    for (; *word; word++) {
        unsigned d = *word >= 'a' && *word <= 'f' ? (unsigned)(*word - 'a') + 10 : (unsigned)(*word - '0');
        *bad |= d >= base;
        v = v * base + d;
    }
    return v;
}

static float case_float(uint32_t bits)
{
    float x;
    size_t i;
    for (i = 0; i < sizeof x; i++) ((unsigned char *)&x)[i] = ((const unsigned char *)&bits)[i];
    return x;
}

static uint32_t case_bits(float x)
{
    uint32_t bits;
    size_t i;
    for (i = 0; i < sizeof bits; i++) ((unsigned char *)&bits)[i] = ((const unsigned char *)&x)[i];
    return bits;
}

/* Takes in one line. Gives 1 at the end of a case, else 0, or -1 for a line that it cannot read. */
static int case_read(golden_case *c, const char *line)
{
    static char word[12][CASE_WORD];
    const char *key = word[0];
    int words = 0, length, bad = 0;
    detnn_layer *l = &c->layers[c->desc.layer_count < CASE_LAYERS ? c->desc.layer_count : 0];
    detnn_optimizer *o = &c->desc.optimizer;
#define WHOLE(i) case_number(word[i], 10, &bad)
#define REAL(i)  case_float((uint32_t)case_number(word[i], 16, &bad))
#define IS(name, values) (case_same(key, name) && words == 1 + (values))
    while (words < 12) {
        while (*line == ' ') line++;
        if (!*line || *line == '#' || *line == '\n') break;
        for (length = 0; *line && *line != ' ' && *line != '\n' && length < CASE_WORD - 1; length++)
            word[words][length] = *line++;
        word[words++][length] = 0;
    }
    if (words == 0 || case_same(key, "about")) return 0;
    if (c->desc.layer_count == CASE_LAYERS && !IS("case", 1)) return -1;
    if (IS("case", 1)) {
        static golden_case nothing;
        *c = nothing;
        c->desc = detnn_net_desc_default();
        c->fit = detnn_fit_desc_default();
        for (length = 0; length < CASE_WORD; length++) c->name[length] = word[1][length];
    } else if (IS("end", 0)) return 1;
    else if (IS("seed", 1)) c->desc.seed = WHOLE(1);
    else if (IS("inputs", 1)) c->desc.inputs = (size_t)WHOLE(1);
    else if (IS("standardize", 0)) {
        const detnn_layer standardize = DETNN_STANDARDIZE();
        *l = standardize;
        c->desc.layer_count++;
    } else if (IS("dense", 11)) {
        const detnn_layer dense = DETNN_DENSE_EX((size_t)WHOLE(1),
            (detnn_activation)case_find(case_activations, word[2], &bad), REAL(3),
            DETNN_INIT((detnn_initializer_kind)case_find(case_initializers, word[4], &bad), REAL(5), REAL(6)),
            DETNN_INIT((detnn_initializer_kind)case_find(case_initializers, word[7], &bad), REAL(8), REAL(9)),
            (int)WHOLE(10), (int)WHOLE(11));
        *l = dense;
        c->desc.layer_count++;
    } else if (IS("dropout", 1)) {
        const detnn_layer dropout = DETNN_DROPOUT(REAL(1));
        *l = dropout;
        c->desc.layer_count++;
    } else if (IS("activation", 2)) {
        const detnn_layer activation =
            DETNN_ACTIVATE_EX((detnn_activation)case_find(case_activations, word[1], &bad), REAL(2));
        *l = activation;
        c->desc.layer_count++;
    } else if (IS("loss", 1)) c->desc.loss = (detnn_loss)case_find(case_losses, word[1], &bad);
    else if (IS("optimizer", 2)) {
        switch ((detnn_optimizer_kind)case_find(case_optimizers, word[1], &bad)) {
        case DETNN_SGD:     *o = detnn_sgd(REAL(2)); break;
        case DETNN_ADAM:    *o = detnn_adam(REAL(2)); break;
        case DETNN_ADAMW:   *o = detnn_adamw(REAL(2), 0.0f); break;
        case DETNN_RMSPROP: *o = detnn_rmsprop(REAL(2)); break;
        default: return -1;
        }
    } else if (IS("schedule", 5)) {
        c->desc.schedule.kind = (detnn_schedule_kind)case_find(case_schedules, word[1], &bad);
        c->desc.schedule.warmup_steps = WHOLE(2);
        c->desc.schedule.period = WHOLE(3);
        c->desc.schedule.gamma = REAL(4);
        c->desc.schedule.final = REAL(5);
    } else if (IS("truth", 3)) {
        for (length = 0; length < CASE_WORD; length++) c->truth[length] = word[1][length];
        c->a = REAL(2);
        c->b = REAL(3);
    } else if (IS("weights", 2)) {
        c->weighted = 1;
        c->low = REAL(1);
        c->high = REAL(2);
    } else if (IS("samples", 1)) c->samples = (size_t)WHOLE(1);
    else if (IS("batch", 1)) c->fit.batch_size = (size_t)WHOLE(1);
    else if (IS("epochs", 1)) c->fit.epochs = WHOLE(1);
    else if (IS("shuffle", 1)) c->fit.shuffle = (int)WHOLE(1);
    else if (IS("nesterov", 1)) o->nesterov = (int)WHOLE(1);
    else if (IS("smoothing", 1)) c->desc.label_smoothing = REAL(1);
    else if (IS("delta", 1)) c->desc.huber_delta = REAL(1);
    else if (IS("split", 1)) c->fit.validation_split = REAL(1);
    else if (IS("momentum", 1)) o->momentum = REAL(1);
    else if (IS("beta1", 1)) o->beta1 = REAL(1);
    else if (IS("beta2", 1)) o->beta2 = REAL(1);
    else if (IS("rho", 1)) o->rho = REAL(1);
    else if (IS("epsilon", 1)) o->epsilon = REAL(1);
    else if (IS("weight_decay", 1)) o->weight_decay = REAL(1);
    else if (IS("clip_value", 1)) o->clip_value = REAL(1);
    else if (IS("clip_norm", 1)) o->clip_norm = REAL(1);
    else return -1;
#undef WHOLE
#undef REAL
#undef IS
    return bad ? -1 : 0;
}

static int case_keep_loss(void *user, detnn_net *net, const detnn_progress *progress)
{
    (void)net;
    *(float *)user = progress->loss;
    return 0;
}

static void *case_alloc(void *user, size_t size)
{
    (void)user;
    return case_memory(size);
}

static void case_release(void *user, void *memory, size_t size) { (void)user, (void)memory, (void)size; }

static void case_last_to_first(void *user, detnn_task task, void *arg, size_t count)
{
    (void)user;
    while (count) task(arg, --count);
}

/* Draws the case's data, trains with these kernels in parts of batch_max samples, all work cut for so many workers
 * (whose tasks run from the last to the first), and writes "name net-digest state-digest loss-bits" into line. */
static detnn_result case_run(golden_case *c, detnn_isa isa, size_t batch_max, size_t workers, char line[CASE_LINE],
                             detnn_error *err)
{
    detnn_net *net = 0;
    detnn_data data = detnn_data_default();
    char digest[2][DETNN_DIGEST_TEXT];
    float loss = 0.0f, *x, *targets = 0, *weights = 0;
    uint32_t *labels = 0;
    size_t i, outputs;
    detnn_result result;
    char *p = line;
    const char *from;
    c->desc.layers = c->layers;
    c->desc.isa = isa;
    c->desc.workers = workers;
    c->desc.parallel_for = case_last_to_first;
    c->desc.task_work = 0;
    c->desc.batch_max = batch_max;
    c->desc.parts_max = (c->fit.batch_size + batch_max - 1) / batch_max;
    c->desc.allocator.alloc = case_alloc;
    c->desc.allocator.release = case_release;
    result = detnn_net_create(&net, &c->desc, err);
    if (result) { case_forget(); return result; }
    outputs = detnn_info(net).outputs;
    x = (float *)case_memory(c->samples * c->desc.inputs * sizeof *x);
    if (case_same(c->truth, "labels")) labels = (uint32_t *)case_memory(c->samples * sizeof *labels);
    else targets = (float *)case_memory(c->samples * outputs * sizeof *targets);
    if (c->weighted) weights = (float *)case_memory(c->samples * sizeof *weights);
    if (!x || (!labels && !targets) || (c->weighted && !weights)) { case_forget(); return DETNN_ERROR_MEMORY; }
    detnn_random_normal(c->desc.seed, 0, 0, 0, c->samples * c->desc.inputs, 0.0f, 1.0f, x);
    if (labels) {
        detnn_random_words(c->desc.seed, 0, 1, 0, c->samples, labels);
        for (i = 0; i < c->samples; i++) labels[i] %= outputs > 2 ? (uint32_t)outputs : 2;
    } else {
        if (case_same(c->truth, "uniform"))
            detnn_random_uniform(c->desc.seed, 0, 1, 0, c->samples * outputs, c->a, c->b, targets);
        else
            detnn_random_normal(c->desc.seed, 0, 1, 0, c->samples * outputs, c->a, c->b, targets);
        for (i = 0; case_same(c->truth, "softmax") && i < c->samples; i++)
            detnn_softmax(targets + i * outputs, outputs, targets + i * outputs);
    }
    if (weights) detnn_random_uniform(c->desc.seed, 0, 2, 0, c->samples, c->low, c->high, weights);
    data.count = c->samples;
    data.x = x;
    data.labels = labels;
    data.targets = targets;
    data.weights = weights;
    c->fit.on_step = case_keep_loss;
    c->fit.user = &loss;
    result = detnn_fit(net, &data, &c->fit, err);
    for (from = c->name; *from; ) *p++ = *from++;
    for (*p++ = ' ', from = detnn_digest(net, digest[0]); *from; ) *p++ = *from++;
    for (*p++ = ' ', from = detnn_state_digest(net, digest[1]); *from; ) *p++ = *from++;
    for (*p++ = ' ', i = 32; i; ) *p++ = "0123456789abcdef"[case_bits(loss) >> (i -= 4) & 15];
    *p = 0;
    detnn_net_destroy(net);
    case_forget();
    return result;
}

#endif

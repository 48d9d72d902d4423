/* Records of trainings, and the example that says where two of them part. */
#include "test.h"
#include "small.h"
#include "helpers.h"

/* The example itself, printing where the test can read it. */
static FILE *diff_out;
#define main trace_diff_main
#define printf(...) fprintf(diff_out, __VA_ARGS__)
#include "../examples/trace_diff.c"
#undef printf
#undef main

enum { TEXT = 1 << 20 };
static char text_a[TEXT], text_b[TEXT], said[2000];

/* A record in memory. */
typedef struct record {
    char *text;
    size_t length, calls, fail_at; /* fail_at: the write that fails, from 1; 0: none */
} record;

static int record_write(void *user, const char *text, size_t length)
{
    record *r = (record *)user;
    if (++r->calls == r->fail_at || r->length + length >= TEXT) return 1;
    memcpy(r->text + r->length, text, length);
    r->length += length;
    r->text[r->length] = 0;
    return 0;
}

static record record_in(char *text)
{
    record r = { NULL, 0, 0, 0 };
    r.text = text;
    text[0] = 0;
    return r;
}

static void record_start(detnn_net *net, record *r, uint64_t full_from, uint64_t full_to)
{
    detnn_trace_desc trace = detnn_trace_desc_default();
    detnn_error err;
    trace.write = record_write;
    trace.user = r;
    trace.full_from = full_from;
    trace.full_to = full_to;
    CHECKF(!detnn_trace_start(net, &trace, &err), "%s", err.text);
}

static FILE *file_of(const char *text)
{
    FILE *f = tmpfile();
    if (!f) {
        printf("no temporary file\n");
        exit(1);
    }
    fwrite(text, 1, strlen(text), f);
    rewind(f);
    return f;
}

/* Runs the example on two records: its status; what it printed is in said, an error too. */
static int diff(const char *a, const char *b)
{
    reader t[2];
    size_t n;
    int i, status;
    memset(t, 0, sizeof t);
    t[0].name = "A";
    t[1].name = "B";
    t[0].file = file_of(a);
    t[1].file = file_of(b);
    diff_out = tmpfile();
    status = compare(&t[0], &t[1]);
    for (i = 0; i < 2; i++) {
        if (t[i].error) fprintf(diff_out, "%s:%lu: %s\n", t[i].name, t[i].line, t[i].error);
        fclose(t[i].file);
    }
    rewind(diff_out);
    n = fread(said, 1, sizeof said - 1, diff_out);
    said[n] = 0;
    fclose(diff_out);
    return status;
}

#define SAID(part) CHECKF(strstr(said, part), "said: %s", said)

/* ---- Runs ---- */

static const detnn_layer layers[] = {
    DETNN_DENSE(8, DETNN_TANH), DETNN_DROPOUT(0.25f), DETNN_DENSE(3, DETNN_SOFTMAX)
};

static detnn_net_desc trace_desc(void)
{
    detnn_net_desc desc = small_desc();
    desc.layers = layers;
    desc.layer_count = 3;
    desc.trace = 1;
    return desc;
}

/* Adds an ulp to one weight after some step. */
typedef struct nudge {
    uint64_t step;
    size_t layer, element;
} nudge;

static void nudge_weight(detnn_net *net, size_t layer, size_t element)
{
    float w[64];
    uint32_t bits;
    size_t rows, cols;
    const float *now = detnn_weights(net, layer, DETNN_KERNEL, &rows, &cols);
    memcpy(w, now, rows * cols * sizeof(float));
    memcpy(&bits, &w[element], 4);
    bits++;
    memcpy(&w[element], &bits, 4);
    CHECK(!detnn_weights_set(net, layer, DETNN_KERNEL, w, rows * cols, NULL));
}

static int nudge_after(void *user, detnn_net *net, const detnn_progress *progress)
{
    const nudge *n = (const nudge *)user;
    if (progress->step == n->step) nudge_weight(net, n->layer, n->element);
    return 0;
}

/* Three epochs of four steps, recorded into text; n: null or what to nudge. */
static void run(const detnn_net_desc *desc, const detnn_data *data, int shuffle, const nudge *n,
                uint64_t full_from, uint64_t full_to, char *text)
{
    detnn_fit_desc fit = small_fit(3);
    detnn_net *net = make(desc);
    record r = record_in(text);
    nudge copy = { 0, 0, 0 };
    detnn_error err;
    fit.validation_split = 0.0f;
    fit.shuffle = shuffle;
    if (n) {
        copy = *n;
        fit.on_step = nudge_after;
        fit.user = &copy;
    }
    record_start(net, &r, full_from, full_to);
    CHECKF(!detnn_fit(net, data, &fit, &err), "%s", err.text);
    CHECK(r.length > 0);
    detnn_net_destroy(net);
}

/* ---- Where two runs part ---- */

static void equal_runs_are_equal(void)
{
    detnn_net_desc desc = trace_desc();
    detnn_data data = small_data();
    run(&desc, &data, 1, NULL, 0, 0, text_a);
    run(&desc, &data, 1, NULL, 0, 0, text_b);
    CHECK(!strcmp(text_a, text_b));
    CHECK(diff(text_a, text_b) == 0);
    CHECK(!strcmp(said, "equal\n"));
    run(&desc, &data, 1, NULL, 2, 4, text_b); /* elements in one record only do not matter */
    CHECK(strcmp(text_a, text_b));
    CHECK(diff(text_a, text_b) == 0 && diff(text_b, text_a) == 0);
}

static void other_seed_parts_at_the_first_output(void)
{
    detnn_net_desc desc = trace_desc();
    detnn_data data = small_data();
    run(&desc, &data, 0, NULL, 0, 1, text_a);
    desc.seed++;
    run(&desc, &data, 0, NULL, 0, 1, text_b);
    CHECK(diff(text_a, text_b) == 1);
    SAID("step 0, layer 0, output: 24x8 ");
    SAID("\nelement 0: ");
}

static void other_order_parts_at_the_input(void)
{
    detnn_net_desc desc = trace_desc();
    detnn_data data = small_data();
    char expected[100];
    size_t first = (size_t)detnn_epoch_order(7, 0, SMALL_SAMPLES, 0);
    run(&desc, &data, 0, NULL, 0, 1, text_a);
    run(&desc, &data, 1, NULL, 0, 1, text_b);
    CHECK(first != 0);
    CHECK(diff(text_a, text_b) == 1);
    SAID("step 0, layer -, input: 24x5 ");
    sprintf(expected, "element 0: %08x (%.9g) and %08x (%.9g)\n", bits_of(small_x[0][0]),
            (double)small_x[0][0], bits_of(small_x[first][0]), (double)small_x[first][0]);
    SAID(expected);
}

/* One value of one sample, one label: found in the step that meets the sample. */
static void other_data_part_where_they_are_met(void)
{
    static float x[SMALL_SAMPLES * SMALL_INPUTS];
    static uint32_t labels[SMALL_SAMPLES];
    detnn_net_desc desc = trace_desc();
    detnn_data data = small_data(), other = data;
    char expected[100];
    run(&desc, &data, 0, NULL, 2, 3, text_a);
    memcpy(x, small_x, sizeof x);
    x[60 * SMALL_INPUTS + 3] += 1.0f;
    other.x = x;
    run(&desc, &other, 0, NULL, 2, 3, text_b);
    CHECK(diff(text_a, text_b) == 1);
    SAID("step 2, layer -, input: 24x5 ");
    sprintf(expected, "\nelement %d: ", (60 - 48) * SMALL_INPUTS + 3);
    SAID(expected);
    memcpy(labels, small_labels, sizeof labels);
    labels[60] = (labels[60] + 1) % 3;
    other = data;
    other.labels = labels;
    run(&desc, &other, 0, NULL, 2, 3, text_b);
    CHECK(diff(text_a, text_b) == 1);
    SAID("step 2, layer -, loss: 1 ");
    CHECK(!strstr(said, "element"));
}

static void one_ulp_is_found(void)
{
    detnn_net_desc desc = trace_desc();
    detnn_data data = small_data();
    uint64_t step;
    for (step = 1; step < 12; step += 2) {
        nudge n = { 0, 0, 0 };
        char expected[100];
        n.step = step;
        n.layer = step % 4 == 1 ? 0 : 2;
        n.element = 7;
        run(&desc, &data, 1, NULL, 0, 0, text_a);
        run(&desc, &data, 1, &n, 0, 0, text_b);
        CHECK(diff(text_a, text_b) == 1);
        sprintf(expected, "step %u, layer %u, output: ", (unsigned)step, (unsigned)n.layer);
        SAID(expected);
        SAID("record this step in full");
    }
}

/* The element and its two values are those that forward gives. */
static void one_ulp_is_found_to_the_element(void)
{
    static const detnn_layer linear[] = {
        DETNN_DENSE(8, DETNN_TANH), DETNN_DROPOUT(0.25f), DETNN_DENSE(3, DETNN_LINEAR)
    };
    static float targets[SMALL_SAMPLES * 3];
    float y[2][SMALL_SAMPLES * 3];
    detnn_net_desc desc = trace_desc();
    detnn_data data = small_data();
    detnn_net *net[2];
    record r[2];
    char expected[200];
    size_t i, step;
    r[0] = record_in(text_a);
    r[1] = record_in(text_b);
    desc.layers = linear;
    desc.loss = DETNN_MEAN_SQUARED_ERROR;
    detnn_random_normal(9, 0, 0, 0, SMALL_SAMPLES * 3, 0.0f, 1.0f, targets);
    data.labels = NULL;
    data.targets = targets;
    for (i = 0; i < 2; i++) {
        net[i] = make(&desc);
        record_start(net[i], &r[i], 3, 4);
    }
    for (step = 0; step < 5; step++) {
        if (step == 3) nudge_weight(net[1], 2, 10); /* [3][1] */
        for (i = 0; i < 2; i++) {
            if (step == 3) {
                CHECK(!detnn_trace_start(net[i], NULL, NULL));
                CHECK(!detnn_forward(net[i], data.x, SMALL_SAMPLES, y[i], NULL));
                detnn_clear_gradients(net[i]);
                record_start(net[i], &r[i], 3, 4);
            }
            CHECK(!detnn_train_batch(net[i], &data, NULL, NULL));
        }
    }
    for (i = 0; i < SMALL_SAMPLES * 3 && y[0][i] == y[1][i]; i++) continue;
    CHECK(i < SMALL_SAMPLES * 3 && i % 3 == 1);
    CHECK(diff(text_a, text_b) == 1);
    SAID("step 3, layer 2, output: 90x3 ");
    sprintf(expected, "\nelement %u: %08x (%.9g) and %08x (%.9g)\n", (unsigned)i,
            bits_of(y[0][i]), (double)y[0][i], bits_of(y[1][i]), (double)y[1][i]);
    SAID(expected);
    detnn_net_destroy(net[0]);
    detnn_net_destroy(net[1]);
}

/* ---- What a record holds ---- */

/* Every line of a step, in order; the last one is the bias as it is after the step. */
static void lines_of_a_step(void)
{
    static const char *const lines[] = {
        "0 - input 24x5 ", "0 0 output 24x8 ", "0 1 output 24x8 ", "0 2 output 24x3 ",
        "0 - loss 1 ", "0 2 output.gradient 24x3 ", "0 2 input.gradient 24x8 ",
        "0 1 input.gradient 24x8 ", "0 0 kernel.gradient 5x8 ", "0 0 bias.gradient 8 ",
        "0 2 kernel.gradient 8x3 ", "0 2 bias.gradient 3 ", "0 0 kernel 5x8 ", "0 0 bias 8 ",
        "0 2 kernel 8x3 ", "0 2 bias 3 "
    };
    detnn_net_desc desc = trace_desc();
    detnn_data data = small_data();
    detnn_net *net = make(&desc);
    record r = record_in(text_a);
    char line[200], digest[DETNN_DIGEST_TEXT];
    const char *at = text_a;
    size_t i;
    data.count = 24;
    record_start(net, &r, 0, 0);
    CHECK(!detnn_train_batch(net, &data, NULL, NULL));
    for (i = 0; i < sizeof lines / sizeof *lines; i++) {
        CHECKF(!strncmp(at, lines[i], strlen(lines[i])), "%.40s, not %s", at, lines[i]);
        at = strchr(at, '\n');
        if (!at) break;
        at++;
    }
    CHECK(at && !*at);
    sprintf(line, "0 - input 24x5 %s\n", detnn_tensor_digest(data.x, 24 * 5, digest));
    CHECK(strstr(text_a, line));
    sprintf(line, "0 2 kernel 8x3 %s\n",
            detnn_tensor_digest(detnn_weights(net, 2, DETNN_KERNEL, NULL, NULL), 24, digest));
    CHECK(strstr(text_a, line));
    sprintf(line, "0 2 kernel.gradient 8x3 %s\n",
            detnn_tensor_digest(detnn_gradient(net, 2, DETNN_KERNEL, NULL, NULL), 24, digest));
    CHECK(strstr(text_a, line));
    detnn_net_destroy(net);
}

static void only_the_steps_asked_for(void)
{
    detnn_net_desc desc = trace_desc();
    detnn_data data = small_data();
    detnn_trace_desc trace = detnn_trace_desc_default();
    detnn_net *net = make(&desc);
    record r = record_in(text_a);
    size_t length;
    int i;
    trace.write = record_write;
    trace.user = &r;
    trace.from = 2;
    trace.to = 4;
    trace.full_from = 3;
    trace.full_to = 9;
    CHECK(!detnn_trace_start(net, &trace, NULL));
    for (i = 0; i < 6; i++) CHECK(!detnn_train_batch(net, &data, NULL, NULL));
    CHECK(!strncmp(text_a, "2 - input 90x5 ", 15));
    CHECK(strstr(text_a, "\n3 - input @0 ") && !strstr(text_a, "\n2 - input @0 "));
    CHECK(!strstr(text_a, "\n1 ") && !strstr(text_a, "\n4 ") && !strstr(text_a, "\n5 "));
    trace = detnn_trace_desc_default();
    trace.write = record_write;
    trace.user = &r;
    length = r.length;
    CHECK(!detnn_trace_start(net, &trace, NULL));
    CHECK(!detnn_trace_start(net, NULL, NULL)); /* null stops */
    CHECK(!detnn_train_batch(net, &data, NULL, NULL));
    CHECK(r.length == length);
    detnn_net_destroy(net);
}

/* Two steps on a batch of 300; full: the second in full; element: of layer 0, nudged before it, or
 * 0. */
static void two_steps(size_t batch_max, detnn_isa isa, int full, size_t element, char *text)
{
    static float x[300 * SMALL_INPUTS];
    static uint32_t labels[300];
    detnn_net_desc desc = trace_desc();
    detnn_data data = detnn_data_default();
    record r = record_in(text);
    detnn_net *net;
    size_t i;
    detnn_random_normal(5, 0, 0, 0, 300 * SMALL_INPUTS, 0.0f, 1.0f, x);
    for (i = 0; i < 300; i++) labels[i] = (uint32_t)i % 3;
    data.x = x;
    data.labels = labels;
    data.count = 300;
    desc.batch_max = batch_max;
    desc.parts_max = 5;
    desc.isa = isa;
    net = make(&desc);
    record_start(net, &r, 1, full ? 2 : 0);
    CHECK(!detnn_train_batch(net, &data, NULL, NULL));
    if (element) nudge_weight(net, 0, element);
    CHECK(!detnn_train_batch(net, &data, NULL, NULL));
    detnn_net_destroy(net);
}

static const size_t part_sizes[] = { 64, 100, 128, 256 };

/* A batch computed in parts gives the same record. */
static void records_equal_for_every_part_size(void)
{
    size_t i;
    two_steps(300, DETNN_ISA_AUTO, 0, 0, text_a);
    for (i = 0; i < 4; i++) {
        two_steps(part_sizes[i], DETNN_ISA_AUTO, 0, 0, text_b);
        CHECKF(!strcmp(text_a, text_b), "parts of %u", (unsigned)part_sizes[i]);
    }
}

/* In full, parts come in another order: the same element is found all the same. */
static void elements_found_in_parts(void)
{
    char whole[sizeof said];
    size_t i;
    two_steps(300, DETNN_ISA_AUTO, 1, 0, text_a);
    two_steps(300, DETNN_ISA_AUTO, 1, 13, text_b);
    CHECK(diff(text_a, text_b) == 1);
    SAID("step 1, layer 0, output: 300x8 ");
    SAID("\nelement 13: "); /* weight 13 is [1][5]: seen in column 5, first in row 1 */
    strcpy(whole, said);
    for (i = 0; i < 4; i++) {
        two_steps(part_sizes[i], DETNN_ISA_AUTO, 1, 0, text_b);
        CHECK(strcmp(text_a, text_b));
        CHECK(diff(text_a, text_b) == 0);
        two_steps(part_sizes[i], DETNN_ISA_AUTO, 1, 13, text_b);
        CHECK(diff(text_a, text_b) == 1);
        CHECKF(!strcmp(said, whole), "%s", said);
    }
}

static void records_equal_for_every_isa(void)
{
    int isa;
    two_steps(300, DETNN_ISA_PLAIN, 1, 0, text_a);
    for (isa = DETNN_ISA_AUTO; isa < (int)DETNN_ISA_COUNT; isa++) {
        detnn_net_desc desc = trace_desc();
        size_t size;
        desc.isa = (detnn_isa)isa;
        if (detnn_net_size(&desc, &size, NULL)) continue; /* not on this machine */
        two_steps(300, (detnn_isa)isa, 1, 0, text_b);
        CHECKF(!strcmp(text_a, text_b), "%s", detnn_isa_name((detnn_isa)isa));
    }
}

/* Recording changes nothing. */
static void recorded_training_is_the_same(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(4);
    record r = record_in(text_a);
    detnn_net *net;
    desc.trace = 1;
    net = make(&desc);
    record_start(net, &r, 0, 100);
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    CHECK(state_is(net, SMALL_STATE));
    detnn_net_destroy(net);
}

/* ---- What goes wrong ---- */

/* The step is made, the failure reported, and training goes on to the same bits. */
static void a_failing_write_is_reported(void)
{
    size_t at;
    for (at = 1; at < 60; at += 7) {
        detnn_net_desc desc = small_desc();
        detnn_data data = small_data();
        detnn_fit_desc fit = small_fit(4);
        record r = record_in(text_a);
        detnn_net *net;
        detnn_error err;
        uint64_t step;
        desc.trace = 1;
        net = make(&desc);
        r.fail_at = at;
        record_start(net, &r, 0, 0);
        CHECK(detnn_fit(net, &data, &fit, &err) == DETNN_ERROR_CALLBACK);
        CHECKF(strstr(err.text, "trace.write") && err.code == DETNN_ERROR_CALLBACK, "%s", err.text);
        step = detnn_info(net).step;
        CHECK(step > 0 && step < 16);
        fit.epochs = 4 - detnn_info(net).epoch;
        CHECKF(!detnn_fit(net, &data, &fit, &err), "%s", err.text);
        CHECK(state_is(net, SMALL_STATE));
        CHECK(strstr(text_a, "\n3 0 output ") || step > 3); /* later steps are recorded again */
        detnn_net_destroy(net);
    }
}

static void damaged_records(void)
{
    static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    static char a[400], b[400];
    sprintf(a, "0 - input 2x2 %s\n", digest);
    CHECK(diff("", "") == 0);
    CHECK(diff(a, "") == 1);
    SAID("only A goes on: step 0, layer -, input");
    CHECK(diff("", a) == 1);
    SAID("only B goes on");
    sprintf(b, "0 - input 2x2 %s", digest); /* the end is missing */
    CHECK(diff(a, b) == 2);
    SAID("B:1: the line is cut off");
    sprintf(b, "0 - input 2x2 %.63s\n", digest);
    CHECK(diff(b, a) == 2);
    SAID("A:1: neither a shape and a digest");
    CHECK(diff(a, "hello\n") == 2);
    SAID("B:1: not a line of a trace");
    sprintf(b, "%s%s%s%s%s%s\n", digest, digest, digest, digest, digest, digest);
    CHECK(diff(a, b) == 2);
    SAID("too long");
    sprintf(b, "1 - input 2x2 %s\n", digest);
    CHECK(diff(a, b) == 1);
    SAID("step 0, layer -, input and step 1, layer -, input");
    sprintf(b, "0 - input 4x1 %s\n", digest);
    CHECK(diff(a, b) == 1);
    SAID("step 0, layer -, input: 2x2 ");
    sprintf(a, "0 - input @0 00000000 3f800000\n0 - input @3 00000000\n0 - input 2x2 %s\n", digest);
    sprintf(b, "0 - input @0 00000000 3f800000\n0 - input @2 00000000\n0 - input 2x2 f%s\n",
            digest + 1);
    CHECK(diff(a, b) == 2);
    SAID("A:2: elements are missing");
    sprintf(a, "0 - input @0 00000000 3f8zz000\n0 - input 2x2 %s\n", digest);
    CHECK(diff(a, b) == 2);
    SAID("A:1: not a word");
    sprintf(a, "0 - input @0 00000000 3f800001 7fc00000\n0 - input 2x2 %s\n", digest);
    CHECK(diff(a, b) == 1);
    SAID("element 1: 3f800001 (1.00000012) and 3f800000 (1)");
}

int main(void)
{
    TEST(equal_runs_are_equal);
    TEST(other_seed_parts_at_the_first_output);
    TEST(other_order_parts_at_the_input);
    TEST(other_data_part_where_they_are_met);
    TEST(one_ulp_is_found);
    TEST(one_ulp_is_found_to_the_element);
    TEST(lines_of_a_step);
    TEST(only_the_steps_asked_for);
    TEST(records_equal_for_every_part_size);
    TEST(elements_found_in_parts);
    TEST(records_equal_for_every_isa);
    TEST(recorded_training_is_the_same);
    TEST(a_failing_write_is_reported);
    TEST(damaged_records);
    return test_end();
}

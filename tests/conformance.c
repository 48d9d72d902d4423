/* The conformance program: prints a line for each part of the contract, "name hash", and one for each golden training.
 * On every platform they are those of tests/conformance.txt and tests/golden.txt; tests/platforms.sh compares them.
 *
 *     conformance [NAME]      NAME forces a set of kernels
 *
 * With CONFORMANCE_LOAD, the name of a shared object, it loads that first.
 *
 * It needs no C library (DETNN_FREESTANDING: bare_print and main's caller are tests/bare's), and does no floating-point
 * arithmetic of its own. What does not fit into memory says "left out NAME". conformance_data.h, which the script
 * writes, has tests/cases.txt (case_lines) and the inputs of tests/hard.txt (hard_exp, ...). */
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "small.h"
#include "modes.h"
#include "cases.h"
#include "conformance_data.h"

#ifndef CONFORMANCE_FLOATS
#define CONFORMANCE_FLOATS 10000 /* of each array below */
#endif
#ifndef CONFORMANCE_MEMORY
#define CONFORMANCE_MEMORY 1000000 /* bytes for a training, or for four such arrays */
#endif
#ifndef CONFORMANCE_SAMPLE
#define CONFORMANCE_SAMPLE 4096 /* inputs of each exact function */
#endif

static uint64_t memory[CONFORMANCE_MEMORY / 8];
static float *const a = (float *)memory, *const b = (float *)memory + CONFORMANCE_FLOATS; /* not while a net lives */
static float *const c = (float *)memory + 2 * CONFORMANCE_FLOATS, *const d = (float *)memory + 3 * CONFORMANCE_FLOATS;
static uint32_t words[128];
static size_t memory_used;
static const detnni_kernels *k; /* the set under test */

#ifdef CONFORMANCE_LOAD
#include <dlfcn.h>
#endif

#if DETNN_FREESTANDING
void bare_print(const char *line);
#else
static void bare_print(const char *line) { puts(line); fflush(stdout); }
#endif

static void *case_memory(size_t size)
{
    void *p = (unsigned char *)memory + memory_used;
    size = (size + 15) / 16 * 16;
    if (size > sizeof memory - memory_used) return 0;
    memory_used += size;
    return p;
}
static void case_forget(void) { memory_used = 0; }

/* ---- Hashes: FNV-1a, 64 bits, over words in little-endian order; a NaN is a NaN ---- */

static uint64_t hash;
static void hash_word(uint32_t w)
{
    int i;
    for (i = 0; i < 4; i++, w >>= 8) hash = (hash ^ (w & 255)) * 0x100000001b3u;
}
static void hash_words(const uint32_t *w, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++) hash_word(w[i]);
}
static void hash_long(uint64_t v)
{
    hash_word((uint32_t)v);
    hash_word((uint32_t)(v >> 32));
}
static void hash_float(float x)
{
    uint32_t bits = case_bits(x);
    hash_word((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : bits);
}
static void hash_floats(const float *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++) hash_float(x[i]);
}

static void print2(const char *first, const char *second)
{
    static char line[300];
    size_t n = 0;
    while (*first && n < sizeof line - 1) line[n++] = *first++;
    while (*second && n < sizeof line - 1) line[n++] = *second++;
    line[n] = 0;
    bare_print(line);
}

/* Prints the hash since the last line. */
static void line_of(const char *name)
{
    char text[18];
    int i;
    text[0] = ' ';
    for (i = 0; i < 16; i++) text[1 + i] = "0123456789abcdef"[hash >> (60 - 4 * i) & 15];
    text[17] = 0;
    print2(name, text);
    hash = 0xcbf29ce484222325u;
}

/* ---- Data by bits ---- */

enum { ORDINARY, ANY, TINY, SPECIAL, KINDS };
static uint32_t shaped(uint32_t w, int kind, size_t i)
{
    static const uint32_t special[] = { 0x80000000, 0x00000001, 0x7f800000, 0x7fc00000, 0xff800000, 0x007fffff,
                                        0x7f7fffff, 0x80000001, 0x3f800000, 0x00800000, 0xff7fffff };
    if (kind == ANY) return w;
    if (kind == TINY) return w & 0x80ffffff;
    if (kind == SPECIAL && i % 13 == 5) return special[i / 13 % (sizeof special / sizeof *special)];
    return (w & 0x807fffff) | (121 + (w >> 23 & 7)) << 23;
}

/* n floats, the same for the same arguments. */
static void draw(uint32_t stream, int kind, float *x, size_t n)
{
    size_t i, j, part;
    for (i = 0; i < n; i += part) {
        part = n - i < 128 ? n - i : 128;
        detnn_random_words(2026, 0, stream, i, part, words);
        for (j = 0; j < part; j++) x[i + j] = case_float(shaped(words[j], kind, i + j));
    }
}

/* ---- Generators ---- */

static void generators(void)
{
    static const uint64_t counts[] = { 1, 2, 3, 7, 63, 64, 65, 66, 127, 128, 129, 1000, 65537, 4294967297u };
    detnn_rng rng;
    uint64_t state = 7, i;
    uint32_t counter[4], out[4];
    size_t n, j;
    for (i = 0; i < 20; i++) {
        for (j = 0; j < 4; j++) counter[j] = (uint32_t)(i * 0x9e3779b97f4a7c15u >> (8 * j));
        detnn_philox(i * i * i * 0x123456789abcdefu, counter, out);
        hash_words(out, 4);
    }
    for (n = 0; n < 20; n++) {
        detnn_random_words((uint64_t)n << 40, (uint64_t)n << 33, (uint32_t)n, n * 5 + (n == 19 ? (uint64_t)1 << 33 : 0), n, words);
        hash_words(words, n);
    }
    line_of("philox");
    for (n = 0; n < 300; n += 43) {
        detnn_random_uniform(n, 1, 2, n, n, case_float(0xbf000001), case_float(0x40490fdb), a);
        hash_floats(a, n);
        detnn_random_normal(n, 1, 2, n, n, case_float(0x3dcccccd), case_float(0x3fa66666), a);
        hash_floats(a, n);
    }
    line_of("uniform-normal");
    for (i = 0; i < 20; i++) hash_long(detnn_splitmix64(&state));
    detnn_rng_seed(&rng, 2026);
    for (i = 0; i < 60; i++) {
        hash_long(detnn_rng_next(&rng));
        hash_long(detnn_rng_below(&rng, i * i * i * i * 0x123456789u));
        hash_float(detnn_rng_uniform(&rng));
        if (i % 20 == 7) detnn_rng_jump(&rng);
        if (i % 20 == 17) detnn_rng_long_jump(&rng);
    }
    detnn_rng_normal(&rng, 255, case_float(0x3f800000), case_float(0x40000000), a);
    hash_floats(a, 255);
    for (n = 0; n < 127; n++) words[n] = (uint32_t)n;
    detnn_shuffle(&rng, words, 127, 4);
    hash_words(words, 127);
    line_of("xoshiro");
    for (j = 0; j < sizeof counts / sizeof *counts; j++)
        for (i = 0; i < counts[j] && i < 70; i++) hash_long(detnn_epoch_order(j, j + 3, counts[j], i));
    line_of("order");
}

static void initializers(void)
{
    static const size_t shapes[][2] = { { 1, 1 }, { 3, 5 }, { 9, 4 }, { 20, 13 } };
    detnn_initializer how;
    size_t i, j;
    for (i = 0; i < DETNN_INITIALIZER_COUNT; i++)
        for (j = 0; j < sizeof shapes / sizeof *shapes; j++) {
            detnn_error err;
            how.kind = (detnn_initializer_kind)i;
            how.a = case_float(how.kind == DETNN_TRUNCATED_NORMAL ? 0x3dcccccd : 0xbe99999a);
            how.b = case_float(0x3f333333);
            if (how.kind == DETNN_ORTHOGONAL) how.a = case_float(0x3fc00000);
            if (detnn_initialize(&how, 5, 3, DETNN_KERNEL, shapes[j][0], shapes[j][1], a, &err)) {
                print2("FAILED initializer: ", err.text);
                continue;
            }
            hash_floats(a, shapes[j][0] * shapes[j][1]);
        }
    line_of("initializers");
}

/* ---- Exact functions: a sample and the hard inputs; arrays of odd sizes, and one value at a time ---- */

#define NAME_OF(f) #f,
#define SCALAR_OF(f) detnn_##f,
#define HARD_OF(f) hard_##f,
#define HARD_COUNT_OF(f) sizeof hard_##f / sizeof *hard_##f,
static const char *const function_name[] = { DETNN_FUNCTIONS(NAME_OF) };
static float (*const function_scalar[])(float) = { DETNN_FUNCTIONS(SCALAR_OF) };
static const uint32_t *const function_hard[] = { DETNN_FUNCTIONS(HARD_OF) };
static const size_t function_hard_count[] = { DETNN_FUNCTIONS(HARD_COUNT_OF) };

static uint32_t function_input(size_t f, size_t i)
{
    uint32_t w = (uint32_t)(i / 2) * 0x9e3779b1u;
    if (i < function_hard_count[f]) return function_hard[f][i];
    return i & 1 ? w : (w & 0x807fffff) | (100 + (w >> 23 & 31)) << 23; /* any float; the middle exponents */
}

static void functions(void)
{
    size_t f, i, j, n, total, odd = 1;
    for (f = 0; f < sizeof function_name / sizeof *function_name; f++) {
        total = function_hard_count[f] + CONFORMANCE_SAMPLE;
        for (i = 0; i < total; i += n) {
            n = total - i < odd ? total - i : odd;
            odd = odd % 61 + 1;
            for (j = 0; j < n; j++) a[j] = case_float(function_input(f, i + j));
            k->exact[f](a, n, b);
            hash_floats(b, n);
            for (j = 0; i % 16 == 0 && j < n; j++) hash_float(function_scalar[f](a[j]));
        }
        line_of(function_name[f]);
    }
}

/* ---- Sums, products and the other kernels at odd sizes, on ordinary and special values ---- */

static void sums(const char *name, size_t from, size_t to)
{
    static const size_t sizes[] = { 0, 1, 2, 3, 63, 64, 65, 127, 128, 129, 200, 448, 500, 4095, 4096, 4097, 8191, 8192, 9999 };
    size_t i, n;
    int kind;
    if (to > CONFORMANCE_FLOATS) { print2("left out ", name); return; }
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (kind = 0; kind < KINDS; kind++) {
            float max, sum;
            n = sizes[i];
            if (n < from || n > to) continue;
            draw(1, kind, a, n);
            draw(2, kind == TINY ? ORDINARY : kind, b, n);
            hash_float(k->sum(a, n));
            hash_float(k->dot(a, b, n));
            hash_float(detnn_batch_sum(a, n));
            hash_float(k->max(a, n));
            hash_long(detnn_argmax(a, n));
            hash_word(n ? k->magnitude(a, n) : 0);
            if (!n) continue;
            k->softmax(a, 1, n, c, &max, &sum);
            hash_floats(c, n);
            hash_float(max);
            hash_float(sum);
            k->add(a, n, b);
            hash_floats(b, n);
        }
    line_of(name);
}

static void products(const char *name, size_t from, size_t to)
{
    static const size_t shapes[][3] = { /* rows, in, out */
        { 1, 1, 1 }, { 1, 3, 2 }, { 2, 5, 7 }, { 3, 8, 9 }, { 5, 16, 15 }, { 7, 17, 16 }, { 4, 12, 33 }, { 6, 6, 65 },
        { 65, 3, 5 }, { 129, 2, 3 }, { 8, 31, 32 }, { 67, 40, 70 }, { 13, 129, 17 }, { 200, 33, 17 }, { 150, 9, 66 }
    };
    size_t i;
    int kind;
    if (to > CONFORMANCE_FLOATS) { print2("left out ", name); return; }
    for (i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (kind = 0; kind < KINDS; kind++) {
            size_t rows = shapes[i][0], in = shapes[i][1], out = shapes[i][2], most = rows * in;
            float *db = a + CONFORMANCE_FLOATS - out; /* the end of a is free: 9900 of 10000 at most */
            float *scratch = d + CONFORMANCE_FLOATS;
            detnni_dense forward, backward;
            if (most < rows * out) most = rows * out;
            if (most < in * out) most = in * out;
            if (most < from || most > to) continue;
            if (detnni_room(rows, in, out, 1) > CONFORMANCE_MEMORY / 4 - 4 * CONFORMANCE_FLOATS) {
                print2("FAILED scratch: ", name);
                continue;
            }
            forward = detnni_dense_of(rows, in, out, out, scratch, detnni_room(rows, in, out, 0));
            backward = detnni_dense_of(rows, in, out, in, scratch, detnni_room(rows, in, out, 1));
            draw(3, kind, a, rows * in);
            draw(4, kind == TINY ? ORDINARY : kind, b, in * out);
            draw(5, kind, d, out);
            k->forward(&forward, a, b, kind & 1 ? d : 0, c);
            hash_floats(c, rows * out);
            draw(6, kind == TINY ? ORDINARY : kind, c, rows * out);
            k->input_gradient(&backward, c, b, d);
            hash_floats(d, rows * in);
            k->weight_gradient(&backward, a, c, b, db);
            hash_floats(b, in * out);
            hash_floats(db, out);
        }
    line_of(name);
}

static void elements(void)
{
    enum { N = 133 };
    static const uint32_t rates[] = { 0x00000000, 0x3e800000, 0x3e99999a, 0x3f7fffff };
    detnn_schedule schedule = detnn_schedule_default();
    size_t f, i;
    int kind;
    for (f = 0; f < DETNN_SOFTMAX; f++)
        for (kind = 0; kind < KINDS; kind++) {
            draw(7, kind, a, N);
            draw(8, ORDINARY, c, N);
            k->activate((detnn_activation)f, case_float(0x3e99999a), a, N, b);
            hash_floats(b, N);
            k->activate_back((detnn_activation)f, case_float(0x3e99999a), a, b, N, c);
            hash_floats(c, N);
        }
    line_of("activate");
    for (f = 0; f < sizeof rates / sizeof *rates; f++)
        for (i = 0; i < 9; i++) {
            draw(9, i & 1 ? SPECIAL : ORDINARY, a, N);
            k->dropout(case_float(rates[f]), 3, 4 + i, (uint32_t)f, i * 7, a, N - i, b);
            hash_floats(b, N - i);
        }
    line_of("dropout");
    for (f = 0; f < 2 * DETNN_OPTIMIZER_COUNT; f++)
        for (kind = 0; kind < 2; kind++) {
            detnn_optimizer o = f / 2 == DETNN_SGD ? detnn_sgd(case_float(0x3dcccccd))
                : f / 2 == DETNN_ADAM ? detnn_adam(case_float(0x3c23d70a))
                : f / 2 == DETNN_ADAMW ? detnn_adamw(case_float(0x3c23d70a), case_float(0x3dcccccd))
                : detnn_rmsprop(case_float(0x3c23d70a));
            if (f & 1) {
                if (f / 2 == DETNN_SGD || f / 2 == DETNN_RMSPROP) o.momentum = case_float(0x3f666666);
                o.nesterov = f / 2 == DETNN_SGD;
                o.weight_decay = case_float(0x3c23d70a);
            }
            draw(10, ORDINARY, b, N);
            for (i = 0; i < N; i++) c[i] = d[i] = 0.0f;
            for (i = 0; i < 4; i++) {
                detnni_update u = detnni_update_of(&o, &schedule, i);
                draw(11 + (uint32_t)i, kind ? TINY : ORDINARY, a, N);
                hash_word(k->update(&u, f & 1, N, a, b, c, d));
            }
            hash_floats(b, N);
            hash_floats(c, N);
            hash_floats(d, N);
        }
    line_of("updates");
}

/* ---- Hostile hosts: the mode of the caller, or that a callback leaves behind, changes no bit; the caller's is as it was
 * afterwards ---- */

static int leave_mode(void *user, detnn_net *net, const detnn_progress *progress)
{
    (void)net, (void)progress;
    if (user) mode_set(*(const unsigned *)user);
    return DETNN_GO_ON;
}

/* The digest of the small training, or what failed. */
static const char *train(const unsigned *callback_mode, char digest[DETNN_DIGEST_TEXT])
{
    detnn_net_desc desc = small_desc();
    detnn_data data = detnn_data_default();
    detnn_fit_desc fit = small_fit(4);
    detnn_net *net;
    float y[8 * SMALL_CLASSES];
    desc.batch_max = 64;
    desc.isa = k->isa;
    desc.allocator.alloc = case_alloc;
    desc.allocator.release = case_release;
    data.x = &small_x[0][0];
    data.labels = small_labels;
    data.count = SMALL_SAMPLES;
    fit.on_step = fit.on_epoch = leave_mode;
    fit.user = (void *)callback_mode;
    case_forget();
    if (detnn_net_create(&net, &desc, 0)) return "create";
    if (detnn_fit(net, &data, &fit, 0)) return "fit";
    if (detnn_predict(net, data.x, 8, y, 0)) return "predict";
    return detnn_state_digest(net, digest);
}

static void hosts(void)
{
    char digest[DETNN_DIGEST_TEXT], text[3];
    unsigned before, after;
    const char *result;
    int i, bad = 0;
    if (MODE_COUNT == 0) { bare_print("left out hosts"); return; }
    (void)small_data();
    for (i = 0; i < 2 * MODE_COUNT; i++) {
        static unsigned mode; /* first the caller's, then the callbacks' */
        mode = mode_list[i / 2];
        if (i % 2 == 0) mode_set(mode);
        before = mode_now();
        result = train(i % 2 ? &mode : 0, digest);
        after = mode_now();
        mode_set(MODE_DEFAULT);
        if (small_equal(result, SMALL_STATE) && after == before) continue;
        bad = 1;
        text[0] = (char)('0' + i / 2);
        text[1] = i % 2 ? 'c' : ' ';
        text[2] = 0;
        print2(after == before ? "FAILED hosts, bits in mode " : "FAILED hosts, the caller's mode after mode ", text);
        print2("  ", result);
    }
    if (!bad) bare_print("hosts ok");
}

/* ---- The golden trainings: each batch at once, in parts of 64 samples, and cut for three workers ---- */

static void trainings(void)
{
    static golden_case one;
    static char line[2][CASE_LINE];
    static detnn_error err;
    size_t i;
    int how, ran;
    for (i = 0; i < sizeof case_lines / sizeof *case_lines; i++) {
        int end = case_read(&one, case_lines[i]);
        if (end < 0) print2("FAILED to read: ", case_lines[i]);
        if (end <= 0) continue;
        for (how = ran = 0; how < 3; how++) {
            detnn_result result =
                case_run(&one, k->isa, how == 1 ? 64 : one.fit.batch_size, how == 2 ? 3 : 1, line[ran != 0], &err);
            if (result && result != DETNN_ERROR_MEMORY) print2("FAILED training: ", err.text);
            if (!result && ran++ && !small_equal(line[0], line[1]))
                print2(how == 1 ? "FAILED in parts: " : "FAILED with workers: ", line[1]);
        }
        if (!ran) print2("left out ", one.name);
        else bare_print(line[0]);
    }
}

static int conformance(const char *isa)
{
    static detnn_error err;
    unsigned begin;
    uint64_t mode;
    int i;
#ifdef CONFORMANCE_LOAD
    if (!dlopen(CONFORMANCE_LOAD, RTLD_NOW)) { print2("FAILED to load: ", dlerror()); return 2; }
    if (mode_now() == MODE_DEFAULT) { bare_print("FAILED " CONFORMANCE_LOAD " leaves the mode alone"); return 2; }
#endif
    begin = mode_now();
    for (i = 0; i < DETNN_ISA_COUNT; i++)
        if (small_equal(detnn_isa_name((detnn_isa)i), isa)) k = detnni_kernels_of((detnn_isa)i);
    if (!k) {
        print2("this machine has no kernels for ", isa);
        return 2;
    }
    hash = 0xcbf29ce484222325u;
#ifndef CONFORMANCE_NO_SELFTEST /* it takes 16 KB of stack */
    print2("selftest ", detnn_selftest(&err) ? err.text : "ok");
#else
    bare_print("left out selftest");
    (void)err;
#endif
    trainings(); /* in the mode that the process began in */
    if (mode_now() != begin) bare_print("FAILED the caller's mode after the trainings");
    mode = detnni_fp_enter(); /* the rest calls what has no guard */
    generators();
    initializers();
    functions();
    sums("sums", 0, 450);
    sums("sums-large", 451, 9999);
    products("products", 0, 450);
    products("products-large", 451, 9900);
    elements();
    hosts();
    detnni_fp_leave(mode);
    return 0;
}

#if DETNN_FREESTANDING
int main(void) { return conformance("auto"); }
#else
int main(int argc, char **argv) { return conformance(argc > 1 ? argv[1] : "auto"); }
#endif

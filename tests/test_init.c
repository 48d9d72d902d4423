/* Initializers (C7): every value against the rule, bounds, moments, fans, orthonormal vectors,
 * and the net's own start against detnn_initialize. */
#include "test.h"
#include "reference.h"

static detnn_initializer init_of(detnn_initializer_kind kind, float a, float b)
{
    detnn_initializer i;
    i.kind = kind;
    i.a = a;
    i.b = b;
    return i;
}

static void fill(detnn_initializer_kind kind, float a, float b, uint64_t seed, uint32_t layer,
                 detnn_tensor tensor, size_t in, size_t out, float *w)
{
    detnn_initializer init = init_of(kind, a, b);
    detnn_error err;
    CHECKF(detnn_initialize(&init, seed, layer, tensor, in, out, w, &err) == DETNN_OK, "%s",
           err.text);
}

static double absolute(double x) { return x < 0.0 ? -x : x; }
static float root(double x) { return (float)detnni_sqrt64(x); }

/* Element e by the letter of C7, orthogonal apart. */
static float element(detnn_initializer_kind kind, float a, float b, uint64_t seed, uint32_t layer,
                     int bias, size_t in, size_t out, uint64_t e)
{
    uint32_t purpose = bias ? REF_BIAS : REF_KERNEL;
    float u = ref_unit(ref_word(seed, 0, purpose, layer, e)),
          z = ref_normal(seed, 0, purpose, layer, e), l;
    double fan_in = (double)in, both = (double)(in + out);
    uint64_t attempt = 0;
    switch (kind) {
    case DETNN_ZEROS: return 0.0f;
    case DETNN_CONSTANT: return a;
    case DETNN_UNIFORM: return ref_fma(b - a, u, a);
    case DETNN_NORMAL: return ref_fma(b, z, a);
    case DETNN_TRUNCATED_NORMAL:
        while (!(z >= -2.0f && z <= 2.0f)) z = ref_normal(seed, ++attempt, purpose, layer, e);
        return ref_fma(b, z, a);
    case DETNN_GLOROT_UNIFORM: l = root(6.0 / both); return ref_fma(l + l, u, -l);
    case DETNN_HE_UNIFORM: l = root(6.0 / fan_in); return ref_fma(l + l, u, -l);
    case DETNN_LECUN_UNIFORM: l = root(3.0 / fan_in); return ref_fma(l + l, u, -l);
    case DETNN_GLOROT_NORMAL: return ref_fma(root(2.0 / both), z, 0.0f);
    case DETNN_HE_NORMAL: return ref_fma(root(2.0 / fan_in), z, 0.0f);
    case DETNN_LECUN_NORMAL: return ref_fma(root(1.0 / fan_in), z, 0.0f);
    default: return 0.0f;
    }
}

static void every_value_follows_the_rule(void)
{
    static const size_t shape[][2] = { { 1, 1 }, { 1, 5 },   { 5, 1 },
                                       { 3, 7 }, { 64, 33 }, { 100, 10 } };
    static const uint64_t seeds[] = { 0, 42, UINT64_MAX };
    static const uint32_t layers[] = { 0, 3, 0xffffff };
    static float w[64 * 33 + 1000];
    int kind, bias;
    size_t s, k, e;
    for (kind = DETNN_ZEROS; kind < DETNN_ORTHOGONAL; kind++)
        for (bias = 0; bias < 2; bias++)
            for (s = 0; s < 6; s++)
                for (k = 0; k < 3; k++) {
                    size_t in = shape[s][0], out = shape[s][1], n = bias ? out : in * out, bad = 0;
                    detnn_initializer_kind which = (detnn_initializer_kind)kind;
                    w[n] = 77.0f;
                    fill(which, 0.25f, 1.5f, seeds[k], layers[k], bias ? DETNN_BIAS : DETNN_KERNEL,
                         in, out, w);
                    for (e = 0; e < n; e++)
                        bad += !ref_same(w[e], element(which, 0.25f, 1.5f, seeds[k], layers[k],
                                                       bias, in, out, e));
                    CHECKF(!bad && ref_same(w[n], 77.0f), "initializer %d, bias %d, %d x %d", kind,
                           bias, (int)in, (int)out);
                }
}

/* Bounds and deviations worked out by hand: fan in 150, fan out 50 (both: 200). A uniform from
 * -l to l deviates by l / sqrt(3). */
static void fans_and_moments(void)
{
    static const struct {
        detnn_initializer_kind kind;
        double bound, deviation; /* bound 0: none */
    } expected[] = {
        { DETNN_GLOROT_UNIFORM, 0.17320508, 0.1 },        /* sqrt(6 / 200) */
        { DETNN_GLOROT_NORMAL, 0.0, 0.1 },                /* sqrt(2 / 200) */
        { DETNN_HE_UNIFORM, 0.2, 0.11547005 },            /* sqrt(6 / 150) */
        { DETNN_HE_NORMAL, 0.0, 0.11547005 },             /* sqrt(2 / 150) */
        { DETNN_LECUN_UNIFORM, 0.14142136, 0.081649658 }, /* sqrt(3 / 150) */
        { DETNN_LECUN_NORMAL, 0.0, 0.081649658 },         /* sqrt(1 / 150) */
    };
    enum { IN = 150, OUT = 50, N = IN * OUT };
    static float w[N];
    const double n = (double)N;
    size_t k, e;
    for (k = 0; k < 6; k++) {
        double sum = 0.0, squares = 0.0, largest = 0.0, least, d = expected[k].deviation, fourth;
        fill(expected[k].kind, 0.0f, 0.0f, 1, 0, DETNN_KERNEL, IN, OUT, w);
        for (e = 0; e < N; e++) {
            double x = (double)w[e];
            sum += x;
            squares += x * x;
            if (absolute(x) > largest) largest = absolute(x);
        }
        least = expected[k].bound * (1.0 - 8.0 / n); /* P(none comes nearer) = e^-8 for each */
        fourth = expected[k].bound > 0.0 ? 0.8 : 2.0; /* kurtosis - 1 */
        CHECKF(absolute(sum / n) < 4.5 * d / detnni_sqrt64(n), "kind %d: mean %g",
               (int)expected[k].kind, sum / n);
        CHECKF(absolute(squares / n / (d * d) - 1.0) < 4.5 * detnni_sqrt64(fourth / n),
               "kind %d: deviation %g", (int)expected[k].kind, detnni_sqrt64(squares / n));
        if (expected[k].bound > 0.0)
            CHECKF(largest <= expected[k].bound * 1.000001 && largest >= least,
                   "kind %d: largest %g", (int)expected[k].kind, largest);
        else
            CHECKF(largest > 3.0 * d && largest < 6.0 * d, "kind %d: largest %g",
                   (int)expected[k].kind, largest);
    }
}

static void uniform_and_normal(void)
{
    enum { N = 20000 };
    static float w[N];
    const double n = (double)N;
    double sum = 0.0, squares = 0.0;
    size_t e, out = 0;
    fill(DETNN_UNIFORM, -0.5f, 2.5f, 2, 1, DETNN_KERNEL, N, 1, w);
    for (e = 0; e < N; e++) {
        out += !(w[e] >= -0.5f && w[e] <= 2.5f);
        sum += (double)w[e];
    }
    CHECK(out == 0);
    CHECK(absolute(sum / n - 1.0) < 4.5 * 0.8660254 / detnni_sqrt64(n));
    fill(DETNN_NORMAL, 3.0f, 0.25f, 2, 1, DETNN_BIAS, 9, N, w);
    for (sum = 0.0, e = 0; e < N; e++) {
        sum += (double)w[e];
        squares += ((double)w[e] - 3.0) * ((double)w[e] - 3.0);
    }
    CHECK(absolute(sum / n - 3.0) < 4.5 * 0.25 / detnni_sqrt64(n));
    CHECK(absolute(squares / n - 0.0625) < 4.5 * 0.0625 * 1.4142 / detnni_sqrt64(n));
}

/* Within 2 deviations, with the variance that cutting leaves (0.7737413 of the normal's), and
 * nothing that heaps up at the ends. */
static void truncated_within_two_deviations(void)
{
    enum { N = 50000 };
    static float w[N];
    const double n = (double)N;
    double sum = 0.0, squares = 0.0, z;
    size_t e, out = 0, near_end = 0;
    fill(DETNN_TRUNCATED_NORMAL, 1.0f, 0.5f, 4, 2, DETNN_KERNEL, 50, N / 50, w);
    for (e = 0; e < N; e++) {
        z = ((double)w[e] - 1.0) / 0.5;
        out += absolute(z) > 2.0;
        near_end += absolute(z) > 1.9;
        sum += z;
        squares += z * z;
    }
    CHECK(out == 0);
    CHECK(absolute(sum / n) < 4.5 * 0.8796 / detnni_sqrt64(n));
    CHECK(absolute(squares / n - 0.7737413) < 4.5 * 0.79 / detnni_sqrt64(n));
    CHECK(near_end > 500 && near_end < 750); /* 0.0124868 of them: 624 */
}

/* ---- Orthogonal ---- */

/* The largest departure of the m vectors of w from orthogonal vectors of length gain. */
static double departure(const float *w, size_t in, size_t out, double gain)
{
    size_t m = in < out ? in : out, n = in < out ? out : in, i, j, e;
    size_t element_step = in < out ? 1 : out, vector_step = in < out ? out : 1;
    double worst = 0.0;
    for (i = 0; i < m; i++)
        for (j = 0; j <= i; j++) {
            double dot = 0.0;
            for (e = 0; e < n; e++)
                dot += (double)w[i * vector_step + e * element_step]
                       * (double)w[j * vector_step + e * element_step];
            dot = absolute(dot - (i == j ? gain * gain : 0.0));
            if (dot > worst) worst = dot;
        }
    return worst;
}

static void orthogonal_vectors(void)
{
    static const size_t shape[][2] = { { 1, 1 },    { 1, 7 },   { 7, 1 },    { 2, 2 },
                                       { 5, 5 },    { 20, 8 },  { 8, 20 },   { 64, 64 },
                                       { 65, 64 },  { 64, 65 }, { 100, 30 }, { 30, 100 },
                                       { 128, 128 } };
    static float w[128 * 128];
    size_t s;
    for (s = 0; s < sizeof shape / sizeof shape[0]; s++) {
        size_t in = shape[s][0], out = shape[s][1];
        fill(DETNN_ORTHOGONAL, 1.0f, 0.0f, 6, 1, DETNN_KERNEL, in, out, w);
        CHECKF(departure(w, in, out, 1.0) < 1e-6, "%d x %d: %g", (int)in, (int)out,
               departure(w, in, out, 1.0));
        fill(DETNN_ORTHOGONAL, 1.5f, 0.0f, 6, 1, DETNN_KERNEL, in, out, w);
        CHECKF(departure(w, in, out, 1.5) < 3e-6, "gain, %d x %d: %g", (int)in, (int)out,
               departure(w, in, out, 1.5));
    }
}

/* Every bit: Gram and Schmidt on vectors of their own, in the order of C7. */
static void orthogonal_follows_the_rule(void)
{
    static const size_t shape[][2] = { { 1, 1 },  { 3, 3 },  { 9, 4 },   { 4, 9 },
                                       { 70, 5 }, { 5, 70 }, { 2, 5000 } };
    static float w[10000], v[10000];
    size_t s, i, j, e;
    int pass, bias;
    for (s = 0; s < sizeof shape / sizeof shape[0]; s++)
        for (bias = 0; bias < 2; bias++) {
            size_t in = bias ? 1 : shape[s][0], out = shape[s][1], m = in < out ? in : out,
                   n = in < out ? out : in;
            size_t bad = 0;
            fill(DETNN_ORTHOGONAL, 0.7f, 0.0f, 31, 2, bias ? DETNN_BIAS : DETNN_KERNEL, shape[s][0],
                 out, w);
            for (j = 0; j < m; j++) {
                float *vj = v + j * n, scale;
                for (e = 0; e < n; e++)
                    vj[e] = ref_normal(31, 0, bias ? REF_BIAS : REF_KERNEL, 2, j * n + e);
                for (pass = 0; pass < 2; pass++)
                    for (i = 0; i < j; i++) {
                        float c = ref_dot(v + i * n, vj, n);
                        for (e = 0; e < n; e++) vj[e] = ref_fma(-c, v[i * n + e], vj[e]);
                    }
                scale = root((double)ref_dot(vj, vj, n));
                for (e = 0; e < n; e++) vj[e] = vj[e] / scale;
                for (e = 0; e < n; e++)
                    bad += !ref_same(in < out ? w[j * out + e] : w[e * out + j], 0.7f * vj[e]);
            }
            CHECKF(!bad, "%d x %d, bias %d", (int)in, (int)out, bias);
        }
}

/* ---- The net starts with these ---- */

static void net_starts_with_them(void)
{
    detnn_layer layers[14];
    detnn_net_desc desc = detnn_net_desc_default();
    static float w[40 * 40];
    int kind;
    size_t seeds[2], k, i, in;
    seeds[0] = 42;
    seeds[1] = 43;
    for (k = 0; k < 2; k++) {
        detnn_net *net;
        detnn_error err;
        for (kind = 0; kind < DETNN_INITIALIZER_COUNT;
             kind++) { /* layer 1 is a dropout: layers count */
            detnn_layer l = DETNN_DENSE(0, DETNN_TANH);
            l.units = 9 + (size_t)kind * 2 % 7;
            l.kernel = init_of((detnn_initializer_kind)kind, 0.25f, 0.5f);
            l.bias = init_of((detnn_initializer_kind)((kind + 3) % DETNN_INITIALIZER_COUNT), 0.125f,
                             0.75f);
            layers[kind + (kind > 0)] = l;
        }
        {
            detnn_layer drop = DETNN_DROPOUT(0.5f);
            layers[1] = drop;
        }
        desc.seed = seeds[k];
        desc.inputs = 11;
        desc.layers = layers;
        desc.layer_count = DETNN_INITIALIZER_COUNT + 1;
        desc.loss = DETNN_MEAN_SQUARED_ERROR;
        if (detnn_net_create(&net, &desc, &err)) {
            CHECKF(0, "%s", err.text);
            return;
        }
        in = 11;
        for (i = 0; i < desc.layer_count; i++) {
            size_t rows = 0, cols = 0, out = layers[i].units;
            const float *kernel = detnn_weights(net, i, DETNN_KERNEL, &rows, &cols), *bias;
            if (i == 1) {
                CHECK(kernel == NULL);
                continue;
            }
            CHECK(kernel != NULL && rows == in && cols == out);
            CHECK(detnn_initialize(&layers[i].kernel, seeds[k], (uint32_t)i, DETNN_KERNEL, in, out,
                                   w, &err)
                  == DETNN_OK);
            CHECKF(ref_differ(kernel, w, in * out) == in * out, "seed %d, kernel of layer %d",
                   (int)seeds[k], (int)i);
            bias = detnn_weights(net, i, DETNN_BIAS, &rows, &cols);
            CHECK(bias != NULL && rows == 1 && cols == out);
            CHECK(detnn_initialize(&layers[i].bias, seeds[k], (uint32_t)i, DETNN_BIAS, in, out, w,
                                   &err)
                  == DETNN_OK);
            CHECKF(ref_differ(bias, w, out) == out, "seed %d, bias of layer %d", (int)seeds[k],
                   (int)i);
            in = out;
        }
        detnn_net_destroy(net);
    }
}

/* Seeds, layers and tensors differ; the step of the counter and the share of elements are their
 * own. */
static void starts_differ(void)
{
    enum { N = 400 };
    static float a[N], b[N];
    int kind;
    for (kind = DETNN_UNIFORM; kind < DETNN_INITIALIZER_COUNT; kind++) {
        detnn_initializer_kind which = (detnn_initializer_kind)kind;
        size_t e, other[4] = { 0, 0, 0, 0 };
        int k;
        fill(which, 0.5f, 1.5f, 1, 0, DETNN_KERNEL, 20, 20, a);
        for (k = 0; k < 4; k++) {
            fill(which, 0.5f, 1.5f,
                 k == 0   ? 2
                 : k == 1 ? (uint64_t)1 << 32 | 1
                          : 1,
                 k == 2, k == 3 ? DETNN_BIAS : DETNN_KERNEL, 20, 20, b);
            for (e = 0; e < (size_t)(k == 3 ? 20 : (int)N); e++) other[k] += !ref_same(a[e], b[e]);
        }
        CHECKF(other[0] > 390 && other[1] > 390 && other[2] > 390 && other[3] > 15,
               "initializer %d: %d %d %d %d", kind, (int)other[0], (int)other[1], (int)other[2],
               (int)other[3]);
        fill(which, 0.5f, 1.5f, 1, 0, DETNN_KERNEL, 20, 20, b);
        CHECK(ref_differ(a, b, N) == N);
    }
}

int main(void)
{
    TEST(every_value_follows_the_rule);
    TEST(fans_and_moments);
    TEST(uniform_and_normal);
    TEST(truncated_within_two_deviations);
    TEST(orthogonal_vectors);
    TEST(orthogonal_follows_the_rule);
    TEST(net_starts_with_them);
    TEST(starts_differ);
    return test_end();
}

/* Optimizers and schedules: bit by bit against C10 written down once more, to rounding against
 * the published rules in binary64, and against values worked out by hand. */
#include "test.h"
#include "reference.h"

static double d_abs(double x) { return x < 0.0 ? -x : x; }
static float f_sqrt(float x) { return (float)detnni_sqrt64((double)x); }

/* ---- C10 by the letter ---- */

static double power(double b, uint64_t t)
{
    double r = 1.0;
    while (t > 0) {
        if (t % 2 == 1) r = r * b;
        b = b * b;
        t = t / 2;
    }
    return r;
}

/* floor(t * 2^23 / period), t < period: a long division, a bit at a time. */
static uint32_t phase(uint64_t t, uint64_t period)
{
    uint64_t rest = t;
    uint32_t k = 0;
    int i;
    for (i = 0; i < 23; i++) { /* doubling: rest < period, so 2 rest - period is below 2^64 */
        int over = rest >= period - rest;
        rest = over ? rest - (period - rest) : rest + rest;
        k = 2 * k + (uint32_t)over;
    }
    return k;
}

static double rate_of(const detnn_optimizer *o, const detnn_schedule *s, uint64_t t)
{
    double rate = (double)o->learning_rate, last = (double)s->final, cosine;
    uint32_t k;
    if (t < s->warmup_steps) return rate * (double)(t + 1) / (double)s->warmup_steps;
    t -= s->warmup_steps;
    switch (s->kind) {
    case DETNN_SCHEDULE_STEP: return rate * power((double)s->gamma, t / s->period);
    case DETNN_SCHEDULE_EXPONENTIAL: return rate * power((double)s->gamma, t);
    case DETNN_SCHEDULE_COSINE:
        k = t >= s->period ? 8388608u : phase(t, s->period);
        cosine = (double)detnn_cos2pi((float)k / 16777216.0f);
        return last + (rate - last) * (0.5 * (1.0 + cosine));
    default: return rate;
    }
}

static void update_by_letter(const detnn_optimizer *o, const detnn_schedule *s, uint64_t t,
                             int decay, size_t n, const float *gs, float *w, float *first,
                             float *second)
{
    double rate = rate_of(o, s, t);
    float lr = (float)rate, u = o->momentum, a = 0.0f, r = 0.0f,
          keep = (float)(1.0 - rate * (double)o->weight_decay), h, x;
    size_t i;
    if (o->kind == DETNN_ADAM || o->kind == DETNN_ADAMW) {
        a = (float)(rate / (1.0 - power((double)o->beta1, t + 1)));
        r = (float)(1.0 / detnni_sqrt64(1.0 - power((double)o->beta2, t + 1)));
    }
    for (i = 0; i < n; i++) {
        float g = gs[i];
        if (decay && o->weight_decay > 0.0f && o->kind != DETNN_ADAMW)
            g = ref_fma(o->weight_decay, w[i], g);
        switch (o->kind) {
        case DETNN_SGD:
            h = g;
            if (u > 0.0f) {
                first[i] = ref_fma(u, first[i], g);
                h = o->nesterov ? ref_fma(u, first[i], g) : first[i];
            }
            w[i] = ref_fma(-lr, h, w[i]);
            break;
        case DETNN_ADAM:
        case DETNN_ADAMW:
            if (decay && o->kind == DETNN_ADAMW) w[i] = keep * w[i];
            x = 1.0f - o->beta1;
            x = x * g;
            first[i] = ref_fma(o->beta1, first[i], x);
            x = 1.0f - o->beta2;
            x = x * g;
            x = x * g;
            second[i] = ref_fma(o->beta2, second[i], x);
            x = ref_fma(f_sqrt(second[i]), r, o->epsilon);
            w[i] = ref_fma(-a, first[i] / x, w[i]);
            break;
        case DETNN_RMSPROP:
            x = 1.0f - o->rho;
            x = x * g;
            x = x * g;
            first[i] = ref_fma(o->rho, first[i], x);
            x = f_sqrt(first[i]) + o->epsilon;
            h = g / x;
            if (u > 0.0f) h = second[i] = ref_fma(u, second[i], h);
            w[i] = ref_fma(-lr, h, w[i]);
            break;
        default: break;
        }
    }
}

/* ---- The published rules, in binary64 ---- */

/* w, m and v of one number; decay: an L2 term, or AdamW's own. Sources: PyTorch's SGD (Sutskever
 * et al. 2013); Kingma, Ba 2015, algorithm 1; Loshchilov, Hutter 2019, algorithm 2; Hinton,
 * lecture 6e. */
static void update_published(const detnn_optimizer *o, double lr, uint64_t t, int decay, double g,
                             double *w, double *m, double *v)
{
    double u = (double)o->momentum, b1 = (double)o->beta1, b2 = (double)o->beta2,
           rho = (double)o->rho;
    double eps = (double)o->epsilon, d = decay ? (double)o->weight_decay : 0.0, p1 = 1.0, p2 = 1.0,
           old = *w;
    uint64_t i;
    if (o->kind != DETNN_ADAMW) g += d * *w;
    for (i = 0; i < t + 1; i++) p1 *= b1, p2 *= b2;
    switch (o->kind) {
    case DETNN_SGD:
        *m = u * *m + g;
        *w -= lr * (o->nesterov ? g + u * *m : *m);
        break;
    case DETNN_ADAM:
    case DETNN_ADAMW:
        *m = b1 * *m + (1.0 - b1) * g;
        *v = b2 * *v + (1.0 - b2) * g * g;
        *w -= lr * (*m / (1.0 - p1)) / (detnni_sqrt64(*v / (1.0 - p2)) + eps);
        if (o->kind == DETNN_ADAMW) *w -= lr * d * old;
        break;
    case DETNN_RMSPROP:
        *m = rho * *m + (1.0 - rho) * g * g;
        *v = u * *v + g / (detnni_sqrt64(*m) + eps);
        *w -= lr * *v;
        break;
    default: break;
    }
}

/* ---- Many optimizers ---- */

enum { OPTIMIZERS = 19 };

static detnn_optimizer optimizer_number(int i)
{
    detnn_optimizer o = detnn_sgd(0.05f);
    switch (i) {
    case 1: o.weight_decay = 0.1f; break;
    case 2: o = detnn_sgd_momentum(0.02f, 0.9f, 0); break;
    case 3: o = detnn_sgd_momentum(0.02f, 0.9f, 1); break;
    case 4: o = detnn_sgd_momentum(0.02f, 0.5f, 0); o.weight_decay = 0.05f; break;
    case 5: o = detnn_sgd_momentum(0.02f, 0.5f, 1); o.weight_decay = 0.05f; break;
    case 6: o = detnn_adam(0.01f); break;
    case 7: o = detnn_adam(0.01f); o.weight_decay = 0.1f; break;
    case 8: o = detnn_adam(0.01f); o.beta1 = 0.0f; break;
    case 9: o = detnn_adam(0.01f); o.beta2 = 0.0f; o.epsilon = 0.125f; break;
    case 10: o = detnn_adam(0.03f); o.beta1 = 0.5f; o.beta2 = 0.9f; o.epsilon = 1e-3f; break;
    case 11: o = detnn_adamw(0.01f, 0.1f); break;
    case 12: o = detnn_adamw(0.01f, 0.0f); break;
    case 13: o = detnn_adamw(0.03f, 1.0f); o.beta1 = 0.5f; break;
    case 14: o = detnn_rmsprop(0.01f); break;
    case 15: o = detnn_rmsprop(0.01f); o.momentum = 0.9f; break;
    case 16: o = detnn_rmsprop(0.01f); o.weight_decay = 0.1f; break;
    case 17: o = detnn_rmsprop(0.01f); o.rho = 0.0f; o.epsilon = 0.25f; break;
    case 18:
        o = detnn_rmsprop(0.01f);
        o.rho = 0.5f;
        o.momentum = 0.3f;
        o.weight_decay = 0.2f;
        break;
    default: break;
    }
    return o;
}

enum { SCHEDULES = 6 };

static detnn_schedule schedule_number(int i)
{
    detnn_schedule s = detnn_schedule_default();
    if (i == 1) s.warmup_steps = 7;
    if (i == 2) s.kind = DETNN_SCHEDULE_STEP, s.period = 5, s.gamma = 0.7f;
    if (i == 3) s.kind = DETNN_SCHEDULE_EXPONENTIAL, s.gamma = 0.95f, s.warmup_steps = 3;
    if (i == 4) s.kind = DETNN_SCHEDULE_COSINE, s.period = 23, s.final = 0.001f;
    if (i == 5) s.kind = DETNN_SCHEDULE_COSINE, s.period = 16, s.warmup_steps = 9;
    return s;
}

static void follow_the_letter(void)
{
    enum { N = 75 };
    float g[N], w[N], m[N], v[N], w0[N], m0[N], v0[N];
    int o, s, decay;
    size_t i;
    uint64_t state = 1, t;
    for (o = 0; o < OPTIMIZERS; o++)
        for (s = 0; s < SCHEDULES; s++)
            for (decay = 0; decay < 2; decay++) {
                detnn_optimizer optimizer = optimizer_number(o);
                detnn_schedule schedule = schedule_number(s);
                ref_fill(&state, w, N);
                for (i = 0; i < N; i++) m[i] = v[i] = m0[i] = v0[i] = 0.0f;
                memcpy(w0, w, sizeof w);
                for (t = 0; t < 40; t++) {
                    ref_fill(&state, g, N);
                    if (t % 5 == 4) for (i = 0; i < N; i++) g[i] *= i % 3 ? 1e-30f : 1e15f;
                    g[t % N] = t % 2 ? 0.0f : -0.0f;
                    CHECK(
                        detnn_optimizer_update(&optimizer, &schedule, t, decay, N, g, w, m, v, NULL)
                        == DETNN_OK);
                    update_by_letter(&optimizer, &schedule, t, decay, N, g, w0, m0, v0);
                    CHECKF(ref_differ(w, w0, N) == N && ref_differ(m, m0, N) == N
                               && ref_differ(v, v0, N) == N,
                           "optimizer %d, schedule %d, decay %d, step %d", o, s, decay, (int)t);
                    if (test_bad) return;
                }
                t = ((uint64_t)1 << 40) + 12345; /* late */
                CHECK(detnn_optimizer_update(&optimizer, &schedule, t, decay, N, g, w, m, v, NULL)
                      == DETNN_OK);
                update_by_letter(&optimizer, &schedule, t, decay, N, g, w0, m0, v0);
                CHECKF(ref_differ(w, w0, N) == N, "optimizer %d, schedule %d, decay %d, late", o, s,
                       decay);
            }
}

static void follow_the_publications(void)
{
    enum { N = 40 };
    float g[N], w[N], m[N], v[N];
    double w1[N], m1[N], v1[N];
    int o, s, decay;
    size_t i;
    uint64_t state = 2, t;
    for (o = 0; o < OPTIMIZERS; o++)
        for (s = 0; s < SCHEDULES; s++)
            for (decay = 0; decay < 2; decay++) {
                detnn_optimizer optimizer = optimizer_number(o);
                detnn_schedule schedule = schedule_number(s);
                double worst = 0.0, moved = 0.0;
                ref_fill(&state, w, N);
                for (i = 0; i < N; i++) {
                    w1[i] = (double)w[i];
                    m[i] = v[i] = 0.0f;
                    m1[i] = v1[i] = 0.0;
                }
                for (t = 0; t < 40; t++) {
                    double rate = rate_of(&optimizer, &schedule, t);
                    ref_fill(&state, g,
                             N); /* not too near to 0, where Adam's ratio is all rounding */
                    for (i = 0; i < N; i++) g[i] = g[i] < 0.0f ? g[i] - 0.1f : g[i] + 0.2f;
                    CHECK(
                        detnn_optimizer_update(&optimizer, &schedule, t, decay, N, g, w, m, v, NULL)
                        == DETNN_OK);
                    for (i = 0; i < N; i++)
                        update_published(&optimizer, rate, t, decay, (double)g[i], &w1[i], &m1[i],
                                         &v1[i]);
                }
                for (i = 0; i < N; i++) {
                    double off = d_abs(w1[i] - (double)w[i]);
                    if (!(off <= worst)) worst = off;
                    if (d_abs(w1[i]) > moved) moved = d_abs(w1[i]);
                }
                CHECKF(worst < 5e-6, "optimizer %d, schedule %d, decay %d: off by %g of %g", o, s,
                       decay, worst, moved);
            }
}

/* Numbers that come out even. */
static void by_hand(void)
{
    detnn_schedule constant = detnn_schedule_default();
    detnn_optimizer o = detnn_sgd(0.25f);
    float g = 2.0f, w = 1.0f, m = 0.0f, v = 0.0f;
#define STEP(t, decay)                                                                             \
    CHECK(detnn_optimizer_update(&o, &constant, t, decay, 1, &g, &w, &m, &v, NULL) == DETNN_OK)
    STEP(0, 1);
    CHECK(ref_same(w, 0.5f)); /* 1 - 0.25 * 2 */
    w = 1.0f; o.weight_decay = 0.5f;
    STEP(0, 1);
    CHECK(ref_same(w, 0.375f)); /* g = 2 + 0.5 * 1 */
    w = 1.0f;
    STEP(0, 0);
    CHECK(ref_same(w, 0.5f)); /* a bias does not decay */
    o = detnn_sgd_momentum(0.25f, 0.5f, 0); w = 1.0f; g = 1.0f; m = 0.0f;
    STEP(0, 1);
    CHECK(ref_same(m, 1.0f) && ref_same(w, 0.75f));
    STEP(1, 1);
    CHECK(ref_same(m, 1.5f) && ref_same(w, 0.375f));
    o.nesterov = 1; w = 1.0f; m = 0.0f;
    STEP(0, 1);
    CHECK(ref_same(m, 1.0f) && ref_same(w, 0.625f)); /* h = 1 + 0.5 * 1 */
    STEP(1, 1);
    CHECK(ref_same(m, 1.5f) && ref_same(w, 0.1875f)); /* h = 1 + 0.5 * 1.5 */
    o = detnn_rmsprop(0.5f); o.rho = 0.75f; o.epsilon = 1.0f; w = 1.0f; g = 2.0f; m = 0.0f;
    STEP(0, 1);
    CHECK(ref_same(m, 1.0f) && ref_same(w, 0.5f)); /* h = 2 / (sqrt(0.25 * 4) + 1) */
    o.momentum = 0.5f; w = 1.0f; m = 0.0f; v = 2.0f;
    STEP(0, 1);
    CHECK(ref_same(v, 2.0f) && ref_same(w, 0.0f)); /* m = 0.5 * 2 + 1 */
    o = detnn_adam(0.125f); o.beta1 = 0.5f; o.beta2 = 0.75f; w = 1.0f; g = 2.0f; m = v = 0.0f;
    STEP(0, 1);
    CHECK(ref_same(m, 1.0f) && ref_same(v, 1.0f)
          && d_abs((double)w - 0.875) < 1e-7); /* the first step is lr */
    o = detnn_adam(0.125f); w = 1.0f; g = -1e-3f; m = v = 0.0f;
    STEP(0, 1);
    CHECK(d_abs((double)w - 1.125)
          < 2e-6); /* whatever the gradient's size (epsilon takes 1e-5 of 0.125) */
    o = detnn_adamw(0.5f, 0.25f); w = 1.0f; g = 0.0f; m = v = 0.0f;
    STEP(0, 1);
    CHECK(ref_same(w, 0.875f)
          && ref_same(m, 0.0f)); /* 1 - 0.5 * 0.25, and the moments know nothing of it */
    w = 1.0f;
    STEP(0, 0);
    CHECK(ref_same(w, 1.0f));
    o.kind = DETNN_ADAM; w = 1.0f; /* Adam's decay goes through the moments */
    STEP(0, 1);
    CHECK(m > 0.0f && d_abs((double)w - 0.5) < 1e-6);
#undef STEP
}

static void defaults_are_the_manuals(void)
{
    detnn_optimizer a = detnn_adam(0.5f), aw = detnn_adamw(0.5f, 0.25f), r = detnn_rmsprop(0.5f),
                    s = detnn_sgd(0.5f);
    CHECK(ref_bits(a.beta1) == 0x3f666666 && ref_bits(a.beta2) == 0x3f7fbe77
          && ref_bits(a.epsilon) == 0x322bcc77);
    CHECK(ref_bits(aw.beta1) == 0x3f666666 && ref_bits(aw.beta2) == 0x3f7fbe77
          && ref_bits(aw.epsilon) == 0x322bcc77);
    CHECK(ref_same(aw.weight_decay, 0.25f) && ref_same(a.weight_decay, 0.0f));
    CHECK(ref_bits(r.rho) == 0x3f666666 && ref_bits(r.epsilon) == 0x33d6bf95
          && ref_same(r.momentum, 0.0f));
    CHECK(ref_same(s.momentum, 0.0f) && !s.nesterov && ref_same(s.weight_decay, 0.0f));
    CHECK(ref_same(s.clip_value, 0.0f) && ref_same(s.clip_norm, 0.0f)
          && ref_same(a.learning_rate, 0.5f));
    CHECK(a.kind == DETNN_ADAM && aw.kind == DETNN_ADAMW && r.kind == DETNN_RMSPROP
          && s.kind == DETNN_SGD);
}

/* ---- Schedules ---- */

static void check_rate(const detnn_schedule *s, float rate, uint64_t t, double expected)
{
    detnn_optimizer o = detnn_sgd(rate);
    double got = (double)detnn_learning_rate(&o, s, t);
    CHECKF(d_abs(got - expected) <= 1e-7 * expected, "schedule %d, step %.0f: %.9g, should be %.9g",
           (int)s->kind, (double)t, got, expected);
    CHECK(ref_same((float)got, (float)rate_of(&o, s, t)));
}

static void learning_rates_by_hand(void)
{
    detnn_schedule s = detnn_schedule_default();
    check_rate(&s, 0.3f, 0, 0.3);
    check_rate(&s, 0.3f, UINT64_MAX, 0.3);
    s.warmup_steps = 4;
    check_rate(&s, 1.0f, 0, 0.25);
    check_rate(&s, 1.0f, 1, 0.5);
    check_rate(&s, 1.0f, 3, 1.0);
    check_rate(&s, 1.0f, 4, 1.0);
    s.kind = DETNN_SCHEDULE_STEP; s.period = 10; s.gamma = 0.5f;
    check_rate(&s, 1.0f, 2, 0.75);
    check_rate(&s, 1.0f, 4, 1.0);
    check_rate(&s, 1.0f, 13, 1.0);
    check_rate(&s, 1.0f, 14, 0.5);
    check_rate(&s, 1.0f, 33, 0.25);
    check_rate(&s, 1.0f, 34, 0.125);
    s.kind = DETNN_SCHEDULE_EXPONENTIAL;
    check_rate(&s, 1.0f, 3, 1.0);
    check_rate(&s, 1.0f, 7, 0.125);
    s.warmup_steps = 0; s.gamma = 0.9f;
    check_rate(&s, 1.0f, 10, 0.3486783477); /* 0.9^10 of the float 0.9 = 0.89999997616 */
    s.kind = DETNN_SCHEDULE_COSINE; s.period = 100; s.final = 0.25f;
    check_rate(&s, 1.0f, 0, 1.0);
    check_rate(&s, 1.0f, 25, 0.890165043); /* 0.25 + 0.75 * (1 + cos 45) / 2 */
    check_rate(&s, 1.0f, 50, 0.625);
    check_rate(&s, 1.0f, 75, 0.359834957);
    check_rate(&s, 1.0f, 100, 0.25);
    check_rate(&s, 1.0f, 1000000, 0.25);
    s.warmup_steps = 8;
    check_rate(&s, 1.0f, 7, 1.0);
    check_rate(&s, 1.0f, 8, 1.0);
    check_rate(&s, 1.0f, 58, 0.625);
    check_rate(&s, 1.0f, 108, 0.25);
    s.warmup_steps = 0; s.final = 0.0f; s.period = UINT64_MAX; /* nothing overflows */
    check_rate(&s, 1.0f, (uint64_t)1 << 63, 0.5);
    check_rate(&s, 1.0f, UINT64_MAX / 3, 0.750000108); /* the phase is rounded down */
}

static void cosine_phase_is_exact(void)
{
    uint64_t t, period, state = 3;
    size_t i;
    for (period = 1; period < 60; period++)
        for (t = 0; t < period; t++) CHECK(detnni_cosine_phase(t, period) == t * 8388608 / period);
    for (i = 0; i < 2000; i++) {
        period = (detnn_splitmix64(&state) >> (i % 64)) | 1;
        t = detnn_splitmix64(&state) % period;
        CHECK(detnni_cosine_phase(t, period) == phase(t, period));
        if (period >> 40 == 0) CHECK(phase(t, period) == t * 8388608 / period);
    }
}

/* ---- Steps of a net: clipping, decay of kernels alone, frozen layers, schedules ---- */

enum { TENSORS = 10, MOST = 64 };

typedef struct mirror { /* of the net's trainable tensors */
    size_t count, size[TENSORS], layer[TENSORS];
    int kernel[TENSORS];
    float g[TENSORS][MOST], w[TENSORS][MOST], m[TENSORS][MOST], v[TENSORS][MOST];
} mirror;

static void look(mirror *t, const detnn_net *net, size_t layer, detnn_tensor tensor)
{
    size_t rows, cols;
    const float *w = detnn_weights(net, layer, tensor, &rows, &cols);
    if (!w) return;
    t->size[t->count] = rows * cols;
    t->layer[t->count] = layer;
    t->kernel[t->count] = tensor == DETNN_KERNEL;
    memcpy(t->w[t->count], w, rows * cols * sizeof(float));
    t->count++;
}

static float clip_by_letter(const detnn_optimizer *o, mirror *t) /* gives the norm */
{
    float square[TENSORS], norm, scale;
    size_t k, i;
    for (k = 0; k < t->count; k++)
        for (i = 0; i < t->size[k] && o->clip_value > 0.0f; i++) {
            float g = t->g[k][i], c = o->clip_value;
            t->g[k][i] = g < -c ? -c : g > c ? c : g;
        }
    for (k = 0; k < t->count; k++) square[k] = ref_dot(t->g[k], t->g[k], t->size[k]);
    norm = f_sqrt(ref_tree(square, t->count));
    scale = o->clip_norm / norm;
    for (k = 0; k < t->count; k++)
        for (i = 0; i < t->size[k] && o->clip_norm > 0.0f && norm > o->clip_norm; i++)
            t->g[k][i] = t->g[k][i] * scale;
    return norm;
}

/* A net of four dense layers, one frozen, one without a bias; its steps must be those of the
 * mirror. */
static void check_net(const detnn_optimizer *o, const detnn_schedule *s, int number, int *clipped)
{
    static mirror t;
    detnn_layer layers[4] = { DETNN_DENSE(6, DETNN_TANH), DETNN_DENSE(7, DETNN_TANH),
                              DETNN_DENSE(5, DETNN_TANH), DETNN_DENSE(3, DETNN_LINEAR) };
    detnn_net_desc desc = detnn_net_desc_default();
    detnn_net *net;
    detnn_error err;
    float x[9 * 4], dy[9 * 3];
    uint64_t state = 70, step;
    size_t i, k;
    layers[1].frozen = 1;
    layers[2].use_bias = 0;
    layers[0].bias.kind = layers[3].bias.kind = DETNN_UNIFORM;
    layers[0].bias.b = layers[3].bias.b = 1.0f;
    desc.seed = 8;
    desc.inputs = 4;
    desc.layers = layers;
    desc.layer_count = 4;
    desc.loss = DETNN_MEAN_SQUARED_ERROR;
    desc.optimizer = *o;
    desc.schedule = *s;
    if (detnn_net_create(&net, &desc, &err)) {
        CHECKF(0, "%s", err.text);
        return;
    }
    memset(&t, 0, sizeof t);
    for (i = 0; i < 4; i++)
        if (i != 1) look(&t, net, i, DETNN_KERNEL), look(&t, net, i, DETNN_BIAS);
    CHECK(t.count == 5); /* 0 kernel, bias, 2 kernel, 3 kernel, bias */
    for (step = 0; step < 12; step++) {
        detnn_optimizer now = *o;
        float norm;
        if (step == 9) {
            now.learning_rate = o->learning_rate * 0.5f;
            CHECK(detnn_set_learning_rate(net, now.learning_rate, &err) == DETNN_OK);
        } else if (step > 9) now.learning_rate = o->learning_rate * 0.5f;
        ref_fill(&state, x, 36);
        ref_fill(&state, dy, 27);
        for (i = 0; i < 27 && step % 3 == 0; i++) dy[i] *= 0.001f; /* small ones are not clipped */
        CHECK(detnn_forward(net, x, 9, NULL, &err) == DETNN_OK
              && detnn_backward(net, dy, NULL, &err) == DETNN_OK);
        for (k = 0; k < t.count; k++)
            memcpy(t.g[k],
                   detnn_gradient(net, t.layer[k], t.kernel[k] ? DETNN_KERNEL : DETNN_BIAS, NULL,
                                  NULL),
                   t.size[k] * sizeof(float));
        CHECKF(detnn_step(net, &err) == DETNN_OK, "%s", err.text);
        norm = clip_by_letter(o, &t);
        if (o->clip_norm > 0.0f) clipped[norm > o->clip_norm]++;
        for (k = 0; k < t.count; k++) {
            update_by_letter(&now, s, step, t.kernel[k], t.size[k], t.g[k], t.w[k], t.m[k], t.v[k]);
            CHECKF(ref_differ(detnn_weights(net, t.layer[k],
                                            t.kernel[k] ? DETNN_KERNEL : DETNN_BIAS, NULL, NULL),
                              t.w[k], t.size[k])
                       == t.size[k],
                   "optimizer %d, schedule %d, step %d, tensor %d", number, (int)s->kind, (int)step,
                   (int)k);
        }
    }
    CHECK(detnn_info(net).step == 12);
    detnn_net_destroy(net);
}

static void steps_of_a_net(void)
{
    int o, s, clip, clipped[2] = { 0, 0 };
    for (o = 0; o < OPTIMIZERS; o++)
        for (s = 0; s < SCHEDULES; s++)
            for (clip = 0; clip < 4; clip++) {
                detnn_optimizer optimizer = optimizer_number(o);
                detnn_schedule schedule = schedule_number(s);
                if (clip & 1) optimizer.clip_value = 0.5f;
                if (clip & 2) optimizer.clip_norm = 1.25f;
                check_net(&optimizer, &schedule, o, clipped);
            }
    CHECKF(clipped[0] > 100 && clipped[1] > 100, "%d steps under the norm, %d over it", clipped[0],
           clipped[1]);
}

/* One weight and one bias whose gradients are known: x = 3, dy = 1 give 3 and 1; with clipping
 * to 2 they are 2 and 1. */
static void clipping_by_hand(void)
{
    static const float xs[2] = { 3.0f, 4.0f }, one = 1.0f;
    detnn_layer layers[1] = { DETNN_DENSE(1, DETNN_LINEAR) };
    detnn_net_desc desc = detnn_net_desc_default();
    int which;
    layers[0].kernel.kind = DETNN_CONSTANT;
    layers[0].kernel.a = 1.0f;
    desc.layers = layers;
    desc.layer_count = 1;
    desc.loss = DETNN_MEAN_SQUARED_ERROR;
    for (which = 0; which < 5; which++) {
        detnn_net *net;
        detnn_error err;
        const float *w, *b;
        layers[0].use_bias = which < 2;
        desc.inputs = which < 2 ? 1 : 2;
        desc.optimizer = detnn_sgd(1.0f);
        if (which == 0) desc.optimizer.clip_value = 2.0f;
        if (which == 1) desc.optimizer.clip_value = 3.0f; /* at the bound nothing happens */
        if (which == 2) desc.optimizer.clip_norm = 2.5f;  /* (3, 4) has norm 5 */
        if (which == 3) desc.optimizer.clip_norm = 5.0f;
        if (which == 4)
            desc.optimizer.clip_value = 3.0f,
            desc.optimizer.clip_norm = ref_float(0x4087c3b6) * 0.5f;
        if (detnn_net_create(&net, &desc, &err)) {
            CHECKF(0, "%s", err.text);
            return;
        }
        CHECK(detnn_forward(net, xs, 1, NULL, &err) == DETNN_OK
              && detnn_backward(net, &one, NULL, &err) == DETNN_OK);
        CHECK(detnn_step(net, &err) == DETNN_OK);
        w = detnn_weights(net, 0, DETNN_KERNEL, NULL, NULL);
        b = detnn_weights(net, 0, DETNN_BIAS, NULL, NULL);
        if (which == 0) CHECK(ref_same(w[0], -1.0f) && ref_same(b[0], -1.0f)); /* 1 - 2, 0 - 1 */
        if (which == 1) CHECK(ref_same(w[0], -2.0f) && ref_same(b[0], -1.0f));
        if (which == 2) CHECK(ref_same(w[0], -0.5f) && ref_same(w[1], -1.0f)); /* half of (3, 4) */
        if (which == 3) CHECK(ref_same(w[0], -2.0f) && ref_same(w[1], -3.0f));
        if (which == 4) /* values first: (3, 3) of norm sqrt(18), then half of it */
            CHECK(d_abs((double)w[0] + 0.5) < 1e-6 && d_abs((double)w[1] + 0.5) < 1e-6);
        detnn_net_destroy(net);
    }
}

int main(void)
{
    TEST(follow_the_letter);
    TEST(follow_the_publications);
    TEST(by_hand);
    TEST(defaults_are_the_manuals);
    TEST(learning_rates_by_hand);
    TEST(cosine_phase_is_exact);
    TEST(steps_of_a_net);
    TEST(clipping_by_hand);
    return test_end();
}

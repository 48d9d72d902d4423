/* What the tests compare with: slow and straightforward forms of the manual's rules. Include it
 * after test.h. */
#ifndef REFERENCE_H
#define REFERENCE_H

/* The header ends its own such pragmas: nothing below may be contracted or re-ordered either. */
#if defined(__clang__) && defined(__FAST_MATH__)
#pragma float_control(precise, on)
#pragma clang fp contract(off) reassociate(off)
#pragma clang fp exceptions(maytrap)
#elif defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("no-fast-math", "fp-contract=off", "no-unsafe-math-optimizations", \
                     "no-associative-math", "no-reciprocal-math", "no-finite-math-only", \
                     "signed-zeros", "trapping-math")
#endif

static inline uint32_t ref_bits(float x) { uint32_t b; memcpy(&b, &x, 4); return b; }
static inline float ref_float(uint32_t b) { float x; memcpy(&x, &b, 4); return x; }
static inline int ref_nan(float x) { return (ref_bits(x) & 0x7fffffff) > 0x7f800000; }
static inline int ref_infinite(float x) { return (ref_bits(x) & 0x7fffffff) == 0x7f800000; }
/* The same bits, or both NaN. */
static inline int ref_same(float a, float b)
{
    return ref_bits(a) == ref_bits(b) || (ref_nan(a) && ref_nan(b));
}
/* The first index where a and b differ, n where they do not. */
static inline size_t ref_differ(const float *a, const float *b, size_t n)
{
    size_t i = 0;
    while (i < n && ref_same(a[i], b[i])) i++;
    return i;
}

static inline void *ref_memory(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p) exit(2);
    return p;
}
static inline float *ref_floats(size_t n) { return (float *)ref_memory(n * sizeof(float)); }

/* ---- fma in integers: the exact a * b + c as a number of 2^-298, then one rounding ---- */

enum { REF_LIMBS = 18 };
typedef struct ref_big { uint32_t limb[REF_LIMBS]; } ref_big;

static inline ref_big ref_big_of(uint64_t m, int shift)
{
    ref_big b;
    int k;
    memset(&b, 0, sizeof b);
    for (k = 0; k < 64; k++)
        if (m >> k & 1) b.limb[(shift + k) / 32] |= (uint32_t)1 << ((shift + k) % 32);
    return b;
}
static inline int ref_big_bit(const ref_big *b, int i)
{
    return i >= 0 && (b->limb[i / 32] >> (i % 32) & 1);
}
static inline int ref_big_top(const ref_big *b) /* the highest bit, -1 for 0 */
{
    int i = 32 * REF_LIMBS - 1;
    while (i >= 0 && !ref_big_bit(b, i)) i--;
    return i;
}
static inline int ref_big_below(const ref_big *a, const ref_big *b)
{
    int i;
    for (i = REF_LIMBS; i-- > 0;)
        if (a->limb[i] != b->limb[i]) return a->limb[i] < b->limb[i];
    return 0;
}
static inline ref_big ref_big_sum(const ref_big *a, const ref_big *b,
                                  int negative) /* a + b or a - b */
{
    ref_big r;
    uint64_t carry = (uint64_t)negative;
    int i;
    for (i = 0; i < REF_LIMBS; i++) {
        carry += (uint64_t)a->limb[i] + (negative ? (uint32_t)~b->limb[i] : b->limb[i]);
        r.limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return r;
}
static inline float ref_big_round(const ref_big *b, uint32_t sign)
{
    int top = ref_big_top(b), last = top - 23 > 149 ? top - 23 : 149, i, sticky = 0;
    uint32_t m = 0;
    for (i = top; i >= last; i--) m = m << 1 | (uint32_t)ref_big_bit(b, i);
    for (i = 0; i < last - 1; i++) sticky |= ref_big_bit(b, i);
    if (ref_big_bit(b, last - 1) && (sticky || (m & 1))) m++;
    m += (uint32_t)(last - 149) << 23;
    return ref_float(sign | (m > 0x7f800000 ? 0x7f800000 : m));
}

/* |x| = m * 2^e. */
static inline uint32_t ref_split(float x, int *e)
{
    uint32_t b = ref_bits(x), field = b >> 23 & 255;
    *e = (field ? (int)field : 1) - 150;
    return (b & 0x7fffff) | (field ? 0x800000u : 0);
}

static inline float ref_fma_exact(float a, float b, float c)
{
    uint32_t sp = (ref_bits(a) ^ ref_bits(b)) & 0x80000000, sc = ref_bits(c) & 0x80000000, ma, mb,
             mc;
    int ea, eb, ec;
    ref_big p, q, r;
    if (ref_nan(a) || ref_nan(b) || ref_nan(c)) return ref_float(0x7fc00000);
    ma = ref_split(a, &ea);
    mb = ref_split(b, &eb);
    mc = ref_split(c, &ec);
    if (ref_infinite(a) || ref_infinite(b)) {
        if (!ma || !mb || (ref_infinite(c) && sp != sc)) return ref_float(0x7fc00000);
        return ref_float(sp | 0x7f800000);
    }
    if (ref_infinite(c)) return c;
    p = ref_big_of((uint64_t)ma * mb, ea + eb + 298);
    q = ref_big_of(mc, ec + 298);
    if (sp == sc) {
        r = ref_big_sum(&p, &q, 0);
        return ref_big_round(&r, sp);
    }
    if (ref_big_below(&p, &q)) {
        r = ref_big_sum(&q, &p, 1);
        return ref_big_round(&r, sc);
    }
    r = ref_big_sum(&p, &q, 1);
    return ref_big_round(&r, ref_big_top(&r) < 0 ? 0 : sp);
}

/* The same, faster: the product is exact in binary64, and the rounded sum rounds once more like
 * the exact one unless it is halfway between two floats; there, and near subnormals, the
 * integers answer. */
static inline float ref_fma(float a, float b, float c)
{
    double s = (double)a * (double)b + (double)c, size = s < 0.0 ? -s : s;
    uint64_t bits;
    memcpy(&bits, &s, 8);
    if (size > 1e-37 && size < 1e38 && (bits & 0x1fffffff) != 0x10000000) return (float)s;
    return ref_fma_exact(a, b, c);
}

/* ---- Sums (C3, C4) ---- */

static inline float ref_tree(const float *leaf, size_t n)
{
    size_t left = 1;
    if (n < 2) return n ? leaf[0] : 0.0f;
    while (left * 2 < n) left *= 2;
    return ref_tree(leaf, left) + ref_tree(leaf + left, n - left);
}

/* C4: the dot product, or with y null the sum. */
static inline float ref_dot(const float *x, const float *y, size_t n)
{
    size_t chunks = (n + 4095) / 4096, c, i, h;
    float *sum = ref_floats(chunks), r;
    for (c = 0; c < chunks; c++) {
        float lane[64];
        for (i = 0; i < 64; i++) lane[i] = 0.0f;
        for (i = c * 4096; i < n && i < (c + 1) * 4096; i++)
            lane[i % 64] = y ? ref_fma(x[i], y[i], lane[i % 64]) : lane[i % 64] + x[i];
        for (h = 32; h >= 1; h /= 2)
            for (i = 0; i < h; i++) lane[i] = lane[i] + lane[i + h];
        sum[c] = lane[0];
    }
    r = ref_tree(sum, chunks);
    free(sum);
    return r;
}

/* C3: the sum over rows of x[m * xs] * y[m * ys], or with x null of y alone. */
static inline float ref_batch(const float *x, size_t xs, const float *y, size_t ys, size_t rows)
{
    size_t leaves = (rows + 63) / 64, m;
    float *leaf = ref_floats(leaves), r;
    for (m = 0; m < leaves; m++) leaf[m] = 0.0f;
    for (m = 0; m < rows; m++)
        leaf[m / 64] = x ? ref_fma(x[m * xs], y[m * ys], leaf[m / 64]) : leaf[m / 64] + y[m * ys];
    r = ref_tree(leaf, leaves);
    free(leaf);
    return r;
}

/* C1: IEEE 754-2019 maximum. */
static inline float ref_max(const float *x, size_t n)
{
    float m = ref_float(0xff800000);
    size_t i;
    for (i = 0; i < n; i++) {
        if (ref_nan(x[i])) return x[i];
        if (x[i] > m || (x[i] == m && !(ref_bits(x[i]) >> 31))) m = x[i];
    }
    return m;
}

/* ---- Random numbers (C6) ---- */

enum { REF_KERNEL = 1, REF_BIAS, REF_DROPOUT, REF_ORDER, REF_USER };

static inline uint32_t ref_word(uint64_t seed, uint64_t step, uint32_t purpose, uint32_t layer,
                                uint64_t e)
{
    uint32_t counter[4], out[4];
    counter[0] = (uint32_t)(e / 4);
    counter[1] = (uint32_t)step;
    counter[2] = (uint32_t)(step >> 32);
    counter[3] = purpose * 16777216u + layer;
    detnn_philox(seed, counter, out);
    return out[e % 4];
}
static inline float ref_unit(uint32_t w) { return (float)(w >> 8) / 16777216.0f; }
static inline float ref_normal_of(uint32_t a, uint32_t b, int second)
{
    float u1 = (float)((a >> 8) + 1) / 16777216.0f, u2 = ref_unit(b), s = -2.0f * detnn_log(u1);
    float r = (float)detnni_sqrt64((double)s);
    return r * (second ? detnn_sin2pi(u2) : detnn_cos2pi(u2));
}
static inline float ref_normal(uint64_t seed, uint64_t step, uint32_t purpose, uint32_t layer,
                               uint64_t e)
{
    uint64_t even = e / 2 * 2;
    return ref_normal_of(ref_word(seed, step, purpose, layer, even),
                         ref_word(seed, step, purpose, layer, even + 1), (int)(e % 2));
}

/* Test data: numbers from [-1, 1), and with special values among them. */
static inline float ref_random(uint64_t *state)
{
    return (float)(detnn_splitmix64(state) >> 40) / 8388608.0f - 1.0f;
}
static inline void ref_fill(uint64_t *state, float *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++) x[i] = ref_random(state);
}
/* Any finite float: all exponents alike. */
static inline float ref_any(uint64_t *state)
{
    uint64_t w = detnn_splitmix64(state);
    return ref_float((uint32_t)(w % 255) << 23 | (uint32_t)(w >> 32 & 0x807fffff));
}

/* ---- Statistics ---- */

/* Does chi-square of counts against what is expected lie within 4.5 deviations of a normal
 * variable, to either side (Wilson, Hilferty 1931)? expected null: total / cells each. */
static inline int ref_fits(const uint32_t *count, const double *expected, size_t cells,
                           double total)
{
    double chi = 0.0, df = (double)cells - 1.0, v = 2.0 / (9.0 * df);
    double wide = 4.5 * detnni_sqrt64(v), least = 1.0 - v - wide, most = 1.0 - v + wide;
    size_t i;
    for (i = 0; i < cells; i++) {
        double e = expected ? expected[i] : total / (double)cells, off = (double)count[i] - e;
        chi += off * off / e;
    }
    if (chi > df * most * most * most || chi < df * least * least * least) {
        printf("  chi-square %g of %g degrees of freedom\n", chi, df);
        return 0;
    }
    return 1;
}
static inline int ref_even(const uint32_t *count, size_t cells, double total)
{
    return ref_fits(count, NULL, cells, total);
}

#endif

/* The generators: known answers of others, the streams of C6, ranges, moments, shuffles, the
 * order of an epoch. */
#include "test.h"
#include "reference.h"

/* ---- Known answers ---- */

/* Random123's kat_vectors, the three of philox4x32 with 10 rounds. */
static void philox_known_answers(void)
{
    static const uint32_t counter[3][4] = { { 0, 0, 0, 0 },
                                            { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
                                            { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 } };
    static const uint64_t key[3] = { 0, UINT64_MAX, (uint64_t)0x299f31d0 << 32 | 0xa4093822 };
    static const uint32_t answer[3][4] = { { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 },
                                           { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd },
                                           { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } };
    int i;
    for (i = 0; i < 3; i++) {
        uint32_t out[4];
        detnn_philox(key[i], counter[i], out);
        CHECKF(!memcmp(out, answer[i], sizeof out), "vector %d", i);
    }
}

static void splitmix_known_answers(void)
{
    static const uint64_t answer[5] = {
        UINT64_C(6457827717110365317), UINT64_C(3203168211198807973), UINT64_C(9817491932198370423),
        UINT64_C(4593380528125082431), UINT64_C(16408922859458223821)
    };
    uint64_t state = 1234567;
    int i;
    for (i = 0; i < 5; i++) CHECKF(detnn_splitmix64(&state) == answer[i], "output %d", i);
}

static void xoshiro_known_answers(void)
{
    static const uint64_t answer[10] = { UINT64_C(41943041),
                                         UINT64_C(58720359),
                                         UINT64_C(3588806011781223),
                                         UINT64_C(3591011842654386),
                                         UINT64_C(9228616714210784205),
                                         UINT64_C(9973669472204895162),
                                         UINT64_C(14011001112246962877),
                                         UINT64_C(12406186145184390807),
                                         UINT64_C(15849039046786891736),
                                         UINT64_C(10450023813501588000) };
    detnn_rng rng = { { 1, 2, 3, 4 } };
    uint64_t state = 1234567;
    int i;
    for (i = 0; i < 10; i++) CHECKF(detnn_rng_next(&rng) == answer[i], "output %d", i);
    detnn_rng_seed(&rng, 1234567);
    for (i = 0; i < 4; i++) CHECKF(rng.s[i] == detnn_splitmix64(&state), "state %d", i);
}

/* The authors' program from the state {0, 0, 0, 1}: the state after a jump and the first outputs
 * from there. */
static void jump_known_answers(void)
{
    static const uint64_t state[2][4] = {
        { 0x934D05E8B2076310u, 0xEABDD0BF76A1BE51u, 0x75DD6A992ACCB1E8u, 0xC660C602A7330187u },
        { 0x4AA11F0B3241CDBFu, 0xB6A17239B35B197Fu, 0x504952572E3F844Bu, 0x2628DF68616FD3A0u } };
    static const uint64_t output[2][3] = {
        { 0x88F9A31AFDB439F5u, 0x38134A20DFA1A232u, 0x21D6A25A297797C7u },
        { 0x846AF7DBE1FA32BEu, 0x1033C1FBB3AEC9B2u, 0xD7A4D3AEFA68B7BFu }
    };
    int k, i;
    for (k = 0; k < 2; k++) {
        detnn_rng rng = { { 0, 0, 0, 1 } };
        if (k) detnn_rng_long_jump(&rng);
        else detnn_rng_jump(&rng);
        for (i = 0; i < 4; i++) CHECKF(rng.s[i] == state[k][i], "jump %d, state %d", k, i);
        for (i = 0; i < 3; i++)
            CHECKF(detnn_rng_next(&rng) == output[k][i], "jump %d, output %d", k, i);
    }
}

/* A step of xoshiro256 is linear over the bits: a matrix of 256 x 256, column i the step of bit
 * i. */
typedef struct matrix { uint64_t column[256][4]; } matrix;

static void apply(const matrix *m, const uint64_t in[4], uint64_t out[4])
{
    uint64_t r[4] = { 0, 0, 0, 0 };
    int i, j;
    for (i = 0; i < 256; i++)
        if (in[i / 64] >> (i % 64) & 1)
            for (j = 0; j < 4; j++) r[j] ^= m->column[i][j];
    memcpy(out, r, sizeof r);
}

static void square(matrix *m)
{
    static matrix r;
    int i;
    for (i = 0; i < 256; i++) apply(m, m->column[i], r.column[i]);
    *m = r;
}

/* Squared 128 times the matrix is 2^128 steps, squared 64 times more 2^192: what the jumps
 * promise. */
static void jumps_are_powers_of_the_step(void)
{
    static matrix m;
    detnn_rng start, a;
    uint64_t b[4];
    int i;
    detnn_rng_seed(&start, 99);
    for (i = 0; i < 256; i++) {
        detnn_rng unit = { { 0, 0, 0, 0 } };
        unit.s[i / 64] = (uint64_t)1 << (i % 64);
        detnn_rng_next(&unit);
        memcpy(m.column[i], unit.s, sizeof unit.s);
    }
    for (i = 0; i < 10; i++) square(&m); /* 2^10 steps, which can be made one by one */
    apply(&m, start.s, b);
    a = start;
    for (i = 0; i < 1024; i++) detnn_rng_next(&a);
    CHECK(!memcmp(a.s, b, sizeof b));
    for (; i < 1024 + 118; i++) square(&m);
    apply(&m, start.s, b);
    a = start;
    detnn_rng_jump(&a);
    CHECK(!memcmp(a.s, b, sizeof b));
    for (i = 0; i < 64; i++) square(&m);
    apply(&m, start.s, b);
    a = start;
    detnn_rng_long_jump(&a);
    CHECK(!memcmp(a.s, b, sizeof b));
}

static void jumps_commute_with_steps(void)
{
    detnn_rng a, b;
    detnn_rng_seed(&a, 5);
    b = a;
    detnn_rng_next(&a);
    detnn_rng_jump(&a);
    detnn_rng_long_jump(&a);
    detnn_rng_long_jump(&b);
    detnn_rng_jump(&b);
    detnn_rng_next(&b);
    CHECK(!memcmp(&a, &b, sizeof a));
}

/* ---- Streams of words ---- */

static void words_are_philox_of_the_counter(void)
{
    static const uint64_t seeds[] = { 0, 1, 0xffffffff, (uint64_t)1 << 32, UINT64_MAX };
    static const uint64_t steps[] = { 0, 1, 0xffffffff, (uint64_t)1 << 32, UINT64_MAX };
    static const uint32_t layers[] = { 0, 1, 255, 256, 65536, 0xffffff };
    static const uint64_t firsts[] = { 0, 1, 2, 3, 4, 0xfffffffd, ((uint64_t)1 << 34) - 7 };
    size_t a, b, c, d, i;
    for (a = 0; a < 5; a++)
        for (b = 0; b < 5; b++)
            for (c = 0; c < 6; c++)
                for (d = 0; d < 7; d++) {
                    uint32_t w[7];
                    int bad = 0;
                    detnn_random_words(seeds[a], steps[b], layers[c], firsts[d], 7, w);
                    for (i = 0; i < 7; i++)
                        bad += w[i]
                               != ref_word(seeds[a], steps[b], REF_USER, layers[c], firsts[d] + i);
                    CHECKF(!bad, "seed %d, step %d, layer %d, first %d", (int)a, (int)b, (int)c,
                           (int)d);
                }
}

static int compare_blocks(const void *a, const void *b) { return memcmp(a, b, 16); }

/* No two uses share a counter: over edge values of purpose, layer, step and element every block
 * of four words differs. (Two equal blocks by chance: less than 2^-100.) */
static void streams_do_not_overlap(void)
{
    static const uint64_t steps[] = { 0, 1, 2, 0xffffffff, (uint64_t)1 << 32, UINT64_MAX };
    static const uint32_t layers[] = { 0, 1, 2, 255, 256, 65536, 0xffffff };
    static const uint64_t elements[] = {
        0, 4, 8, 0xfffffffc, (uint64_t)1 << 32, ((uint64_t)1 << 34) - 4
    };
    static uint32_t block[5 * 7 * 6 * 6][4];
    size_t n = 0, s, l, e, i, same = 0;
    int purpose;
    for (purpose = DETNNI_KERNEL; purpose <= DETNNI_USER; purpose++)
        for (l = 0; l < 7; l++)
            for (s = 0; s < 6; s++)
                for (e = 0; e < 6; e++, n++) {
                    detnni_stream stream = detnni_stream_of(7, steps[s], purpose, layers[l]);
                    for (i = 0; i < 4; i++) block[n][i] = detnni_word(&stream, elements[e] + i);
                }
    qsort(block, n, sizeof block[0], compare_blocks);
    for (i = 1; i < n; i++) same += !memcmp(block[i - 1], block[i], 16);
    CHECK(n == 5 * 7 * 6 * 6);
    CHECK(same == 0);
    CHECK(DETNNI_KERNEL == 1 && DETNNI_BIAS == 2 && DETNNI_DROPOUT == 3 && DETNNI_ORDER == 4
          && DETNNI_USER == 5);
}

/* Each user of the streams takes its words where C6 says: dropout and the order of an epoch
 * here, the initializers in test_init. */
static void dropout_takes_its_own_words(void)
{
    enum { N = 1000 };
    static float x[N], y[N];
    static const float rates[] = { 0.0f, 1e-9f, 0.1f, 0.3f, 0.5f, 0.75f, 0.99999994f };
    const uint64_t seed = 11, step = ((uint64_t)3 << 32) + 5, first = 12345;
    size_t r, i;
    for (i = 0; i < N; i++) x[i] = 1.0f + (float)i;
    for (r = 0; r < 7; r++) {
        double t = (double)rates[r] * 4294967296.0;
        float scale = 1.0f / (1.0f - rates[r]);
        size_t bad = 0;
        detnni_kernels_of(DETNN_ISA_AUTO)->dropout(rates[r], seed, step, 6, first, x, N, y);
        for (i = 0; i < N; i++) {
            int keep = (double)ref_word(seed, step, REF_DROPOUT, 6, first + i) >= t;
            bad += !ref_same(y[i], keep ? x[i] * scale : 0.0f);
        }
        CHECKF(!bad, "rate %g", (double)rates[r]);
    }
}

/* T = ceil(rate * 2^32): a word w is kept at the rate w / 2^32 and dropped at (w + 1/2) / 2^32,
 * which are floats where w is small. */
static void dropout_threshold_is_exact(void)
{
    const detnni_kernels *k = detnni_kernels_of(DETNN_ISA_AUTO);
    const float one = 1.0f, whole = 4294967296.0f;
    uint64_t e, found = 0;
    float y;
    for (e = 0; found < 5 && e < 1000000; e++) {
        uint32_t w = ref_word(1, 2, REF_DROPOUT, 3, e);
        if (w >> 22) continue;
        found++;
        k->dropout((float)w / whole, 1, 2, 3, e, &one, 1, &y);
        CHECK(y >= 1.0f);
        k->dropout(((float)w + 0.5f) / whole, 1, 2, 3, e, &one, 1, &y);
        CHECK(ref_same(y, 0.0f));
    }
    CHECK(found == 5);
}

static void dropout_keeps_its_share(void)
{
    enum { N = 1 << 18 };
    static float x[N], y[N];
    static const float rates[] = { 0.0f, 0.01f, 0.1f, 0.3f, 0.5f, 0.9f };
    const double n = (double)N;
    size_t r, i;
    for (i = 0; i < N; i++) x[i] = 1.0f;
    for (r = 0; r < 6; r++) {
        double rate = (double)rates[r], deviation = detnni_sqrt64(rate * (1.0 - rate) / n);
        double kept = 0.0, sum = 0.0;
        detnni_kernels_of(DETNN_ISA_AUTO)->dropout(rates[r], 3, 0, 1, 0, x, N, y);
        for (i = 0; i < N; i++) {
            kept += y[i] != 0.0f ? 1.0 : 0.0;
            sum += (double)y[i];
        }
        kept = kept / n - (1.0 - rate);
        CHECKF(kept <= 4.5 * deviation && kept >= -4.5 * deviation, "rate %g, off by %g", rate,
               kept);
        sum = sum / n - 1.0; /* the mean stays */
        CHECKF(sum * (1.0 - rate) <= 4.5 * deviation + 1e-6
                   && sum * (1.0 - rate) >= -4.5 * deviation - 1e-6,
               "rate %g, mean off by %g", rate, sum);
    }
}

/* ---- Uniform numbers ---- */

static void uniform_is_exact_and_in_range(void)
{
    enum { N = 1 << 16 };
    static float u[N], v[N];
    static uint32_t count[256];
    uint64_t first = 7;
    size_t i, bad = 0, out = 0;
    detnn_random_uniform(21, 4, 2, first, N, 0.0f, 1.0f, u);
    detnn_random_uniform(21, 4, 2, first, N, -3.0f, 0.1f, v);
    for (i = 0; i < N; i++) {
        float unit = ref_unit(ref_word(21, 4, REF_USER, 2, first + i));
        bad += !ref_same(u[i], unit) || !ref_same(v[i], ref_fma(0.1f - -3.0f, unit, -3.0f));
        out += !(u[i] >= 0.0f && u[i] < 1.0f) || !(v[i] >= -3.0f && v[i] <= 0.1f);
        count[(int)(u[i] * 256.0f)]++;
    }
    CHECK(bad == 0);
    CHECK(out == 0);
    CHECK(ref_even(count, 256, N));
    CHECK(ref_same(detnni_unit(0xffffffff), 16777215.0f / 16777216.0f)
          && ref_same(detnni_unit(0xff), 0.0f));
}

static void rng_uniform_is_the_high_bits(void)
{
    static uint32_t count[128];
    detnn_rng a, b;
    size_t i, bad = 0;
    detnn_rng_seed(&a, 8);
    b = a;
    for (i = 0; i < 1 << 16; i++) {
        float u = detnn_rng_uniform(&a);
        bad += !ref_same(u, (float)(detnn_rng_next(&b) >> 40) / 16777216.0f)
               || !(u >= 0.0f && u < 1.0f);
        count[(int)(u * 128.0f)]++;
    }
    CHECK(bad == 0);
    CHECK(ref_even(count, 128, 1 << 16));
}

/* ---- Bounded integers ---- */

/* a * b in 16-bit digits, as a pupil does it. */
static void multiply(uint64_t a, uint64_t b, uint64_t *high, uint64_t *low)
{
    uint64_t digit[8] = { 0, 0, 0, 0, 0, 0, 0, 0 }, carry = 0;
    int i, j;
    for (i = 0; i < 4; i++)
        for (j = 0; j < 4; j++) {
            uint64_t p = (a >> (16 * i) & 0xffff) * (b >> (16 * j) & 0xffff);
            digit[i + j] += p & 0xffff;
            digit[i + j + 1] += p >> 16;
        }
    for (i = 0; i < 8; i++) {
        carry += digit[i];
        digit[i] = carry & 0xffff;
        carry >>= 16;
    }
    *low = digit[3] << 48 | digit[2] << 32 | digit[1] << 16 | digit[0];
    *high = digit[7] << 48 | digit[6] << 32 | digit[5] << 16 | digit[4];
}

/* Lemire's method by the letter: of the 2^64 words, those with low < 2^64 mod bound are
 * rejected. */
static uint64_t below(detnn_rng *rng, uint64_t bound)
{
    uint64_t least = bound ? (UINT64_MAX % bound + 1) % bound : 0, high, low;
    do multiply(detnn_rng_next(rng), bound, &high, &low);
    while (low < least);
    return high;
}

static void below_follows_the_rule(void)
{
    static const uint64_t bounds[] = { 0,
                                       1,
                                       2,
                                       3,
                                       5,
                                       6,
                                       7,
                                       10,
                                       255,
                                       256,
                                       257,
                                       0xffffffff,
                                       (uint64_t)1 << 32,
                                       ((uint64_t)1 << 32) + 1,
                                       (uint64_t)1 << 63,
                                       ((uint64_t)1 << 63) + 1,
                                       ((uint64_t)3 << 62) - 1,
                                       UINT64_MAX - 1,
                                       UINT64_MAX };
    size_t k, i;
    for (k = 0; k < sizeof bounds / sizeof bounds[0]; k++) {
        detnn_rng a, b;
        size_t bad = 0;
        detnn_rng_seed(&a, 1000 + k);
        b = a;
        for (i = 0; i < 2000; i++) {
            uint64_t r = detnn_rng_below(&a, bounds[k]);
            bad += r != below(&b, bounds[k]) || (bounds[k] ? r >= bounds[k] : r != 0);
        }
        CHECKF(!bad && !memcmp(&a, &b, sizeof a), "bound number %d",
               (int)k); /* the same words were used */
    }
}

/* A generator whose next output is w: rotl(s0 + s3, 23) + s0 with s3 = -s0. */
static detnn_rng rng_with(uint64_t w)
{
    detnn_rng rng = { { 0, 0x123456789, 42, 0 } };
    rng.s[0] = w;
    rng.s[3] = 0 - w;
    return rng;
}

/* With the bound 2^63 + 1 nearly half of the words must be rejected: those whose low half of the
 * product is below 2^64 mod bound = 2^63 - 1. (2^63 + 1) w has the low half w, plus 2^63 where w
 * is odd. */
static void below_rejects_at_the_edge(void)
{
    const uint64_t half = (uint64_t)1 << 63, bound = half + 1;
    static const uint64_t kept[] = { 1, 3, UINT64_MAX, ((uint64_t)1 << 63) + 2 };
    static const uint64_t rejected[] = { 0, 2, ((uint64_t)1 << 63) - 2, UINT64_MAX - 2 };
    uint64_t many = 0, even = 0;
    size_t i, n = 20000;
    detnn_rng rng;
    for (i = 0; i < 4; i++) {
        detnn_rng a = rng_with(kept[i]), b = a;
        uint64_t high, low;
        multiply(kept[i], bound, &high, &low);
        CHECK(low >= half - 1 && (i != 2 || low == half - 1)); /* number 2 is the very edge */
        CHECK(detnn_rng_next(&b) == kept[i]);
        CHECKF(detnn_rng_below(&a, bound) == high && !memcmp(&a, &b, sizeof a), "kept %d", (int)i);
        a = rng_with(rejected[i]);
        b = a;
        CHECK(detnn_rng_next(&b) == rejected[i]);
        CHECKF(detnn_rng_below(&a, bound) == below(&b, bound) && !memcmp(&a, &b, sizeof a),
               "rejected %d", (int)i);
    }
    detnn_rng_seed(&rng, 77);
    for (i = 0; i < n; i++) {
        detnn_rng before = rng;
        even += detnn_rng_below(&rng, bound) % 2 == 0;
        detnn_rng_next(&before);
        many += memcmp(&before, &rng, sizeof rng) != 0;
    }
    CHECKF(even > n / 2 - 320 && even < n / 2 + 320, "%d even of %d", (int)even, (int)n);
    CHECKF(many > n / 2 - 320 && many < n / 2 + 320, "%d rejected of %d", (int)many, (int)n);
}

static void below_is_uniform(void)
{
    static const uint64_t bounds[] = { 2, 3, 5, 6, 7, 10, 52, 100, 257, 1000 };
    static uint32_t count[1000];
    size_t k, i;
    for (k = 0; k < 10; k++) {
        detnn_rng rng;
        uint64_t n = 200 * bounds[k] + 20000;
        detnn_rng_seed(&rng, k);
        memset(count, 0, sizeof count);
        for (i = 0; i < n; i++) count[detnn_rng_below(&rng, bounds[k])]++;
        CHECKF(ref_even(count, (size_t)bounds[k], (double)n), "bound %d", (int)bounds[k]);
    }
}

/* ---- Normal numbers ---- */

static void normal_follows_the_formula(void)
{
    enum { N = 3001 };
    static float z[N], part[N];
    uint64_t first;
    size_t i, bad = 0;
    detnn_random_normal(5, 9, 3, 0, N, 0.25f, 1.5f, z);
    for (i = 0; i < N; i++)
        bad += !ref_same(z[i], ref_fma(1.5f, ref_normal(5, 9, REF_USER, 3, i), 0.25f));
    CHECK(bad == 0);
    for (first = 0; first < 6;
         first++) { /* a part of the stream is that part, odd beginnings too */
        detnn_random_normal(5, 9, 3, first, 100, 0.25f, 1.5f, part);
        CHECKF(ref_differ(part, z + first, 100) == 100, "first %d", (int)first);
    }
    /* the largest and the smallest word, by the letter: log(1) = +0, -2 * +0 = -0, sqrt(-0) = -0 */
    CHECK(ref_same(detnni_normal(0xffffffff, 0, 0), -0.0f));
    CHECK(ref_same(detnni_normal(0xffffffff, 0x80000000, 0), 0.0f));
    CHECK(detnni_normal(0, 0, 0) > 5.767f && detnni_normal(0, 0, 0) < 5.769f); /* sqrt(48 log 2) */
    CHECK(ref_same(detnni_normal(0, 0x80000000, 0), -detnni_normal(0, 0, 0)));
    CHECK(ref_same(detnni_normal(0, 0x40000000, 1), detnni_normal(0, 0, 0)));
}

static void rng_normal_takes_pairs(void)
{
    enum { N = 501 };
    static float z[N], one, expected;
    detnn_rng a, b;
    size_t i, bad = 0;
    uint64_t w = 0;
    detnn_rng_seed(&a, 6);
    b = a;
    detnn_rng_normal(&a, N, -2.0f, 0.5f, z);
    for (i = 0; i < N; i++) {
        if (i % 2 == 0) w = detnn_rng_next(&b);
        expected = ref_normal_of((uint32_t)(w >> 32), (uint32_t)w, (int)(i % 2));
        bad += !ref_same(z[i], ref_fma(0.5f, expected, -2.0f));
    }
    CHECK(bad == 0);
    CHECK(!memcmp(&a, &b, sizeof a)); /* an odd count uses its last pair up */
    detnn_rng_normal(&a, 0, 0.0f, 1.0f, &one);
    CHECK(!memcmp(&a, &b, sizeof a));
}

/* Moments, tails, bins of equal chance and independence within and between pairs. */
static void normal_is_normal(void)
{
    enum { N = 1 << 19 };
    static uint32_t bin[64];
    float *z = ref_floats(N);
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, beyond3 = 0, beyond4 = 0;
    double pair = 0, squares = 0, next = 0, root;
    const double n = (double)N;
    size_t i;
    detnn_random_normal(2024, 0, 0, 0, N, 0.0f, 1.0f, z);
    for (i = 0; i < N; i++) {
        double x = (double)z[i], other = (double)z[i ^ 1], a = x < 0 ? -x : x;
        m1 += x;
        m2 += x * x;
        m3 += x * x * x;
        m4 += x * x * x * x;
        beyond3 += a > 3.0 ? 1.0 : 0.0;
        beyond4 += a > 4.0 ? 1.0 : 0.0;
        if (i & 1) pair += x * other, squares += (x * x - 1.0) * (other * other - 1.0);
        if (i + 2 < N) next += x * (double)z[i + 2];
        bin[(int)((0.5 + 0.5 * (double)detnn_erf((float)(x * 0.70710678118654752))) * 63.999999)]++;
    }
    root = detnni_sqrt64(n);
#define NEAR(value, exact, deviation)                                                              \
    CHECKF((value) - (exact) < 4.5 * (deviation) && (exact) - (value) < 4.5 * (deviation), "%g",   \
           value)
    NEAR(m1 / n, 0.0, 1.0 / root);
    NEAR(m2 / n, 1.0, 1.4142 / root);
    NEAR(m3 / n, 0.0, 3.8730 / root);
    NEAR(m4 / n, 3.0, 9.7980 / root);
    NEAR(beyond3 / n, 0.0026998, 0.0519 / root);
    NEAR(beyond4 / n, 6.334e-5, 0.00796 / root);
    NEAR(pair / (n / 2), 0.0, 1.4142 / root);
    NEAR(squares / (n / 2), 0.0, 2.0 * 1.4142 / root);
    NEAR(next / n, 0.0, 1.0 / root);
#undef NEAR
    CHECK(ref_even(bin, 64, N));
    free(z);
}

/* ---- Shuffle ---- */

/* The number of a permutation of n elements among the n! (Lehmer's code). */
static size_t rank_of(const uint64_t *p, size_t n)
{
    size_t rank = 0, i, j;
    for (i = 0; i < n; i++) {
        size_t smaller = 0;
        for (j = i + 1; j < n; j++) smaller += p[j] < p[i];
        rank = rank * (n - i) + smaller;
    }
    return rank;
}

static void shuffle_gives_all_orders(void)
{
    static const size_t orders[6] = { 1, 1, 2, 6, 24, 120 };
    uint32_t count[120];
    size_t n, i, k;
    for (n = 2; n <= 5; n++) {
        detnn_rng rng;
        detnn_rng_seed(&rng, 40 + n);
        memset(count, 0, sizeof count);
        for (k = 0; k < 500 * orders[n]; k++) {
            uint64_t a[5];
            for (i = 0; i < n; i++) a[i] = i;
            detnn_shuffle(&rng, a, n, sizeof a[0]);
            count[rank_of(a, n)]++;
        }
        CHECKF(ref_even(count, orders[n], 500.0 * (double)orders[n]), "%d elements", (int)n);
    }
}

/* Elements of any size go as a whole, in the order that the rule gives. */
static void shuffle_moves_whole_elements(void)
{
    static const size_t sizes[] = { 1, 2, 3, 7, 8, 13, 24 };
    unsigned char a[100 * 24 + 2];
    size_t s, i, b, order[100];
    for (s = 0; s < 7; s++) {
        size_t size = sizes[s], bad = 0;
        detnn_rng rng, same;
        detnn_rng_seed(&rng, s);
        same = rng;
        memset(a, 0xee, sizeof a);
        for (i = 0; i < 100; i++) {
            order[i] = i;
            for (b = 0; b < size; b++) a[1 + i * size + b] = (unsigned char)(i + 5 * b);
        }
        detnn_shuffle(&rng, a + 1, 100, size);
        for (i = 99; i > 0; i--) {
            size_t j = (size_t)below(&same, i + 1), t = order[i];
            order[i] = order[j];
            order[j] = t;
        }
        for (i = 0; i < 100; i++)
            for (b = 0; b < size; b++)
                bad += a[1 + i * size + b] != (unsigned char)(order[i] + 5 * b);
        CHECKF(!bad, "elements of %d bytes", (int)size);
        CHECK(a[0] == 0xee && a[1 + 100 * size] == 0xee);
        CHECK(!memcmp(&rng, &same, sizeof rng));
    }
}

static void shuffle_of_none_and_one(void)
{
    detnn_rng rng, before;
    int a[2] = { 1, 2 }, swaps = 0, i;
    detnn_rng_seed(&rng, 3);
    before = rng;
    detnn_shuffle(&rng, NULL, 0, 4);
    detnn_shuffle(&rng, a, 0, sizeof a[0]);
    detnn_shuffle(&rng, a, 1, sizeof a[0]);
    CHECK(!memcmp(&rng, &before, sizeof rng) && a[0] == 1 && a[1] == 2);
    for (i = 0; i < 1000; i++) {
        int first = a[0];
        detnn_shuffle(&rng, a, 2, sizeof a[0]);
        CHECK(a[0] + a[1] == 3 && a[0] != a[1]);
        swaps += first != a[0];
    }
    CHECKF(swaps > 428 && swaps < 572, "%d swaps of 1000", swaps);
}

/* ---- The order of an epoch ---- */

static uint32_t mix(uint64_t x, uint32_t k)
{
    uint32_t h = (uint32_t)x ^ k;
    h ^= h >> 16;
    h *= 0x7FEB352Du;
    h ^= h >> 15;
    h *= 0x846CA68Bu;
    h ^= h >> 16;
    return h;
}

/* perm(i) of C6, by the letter. */
static uint64_t order(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t i)
{
    int bits = 0, low, high, r;
    uint64_t v = i;
    if (n <= 64) {
        uint64_t a[64], e = 0, k;
        for (k = 0; k < n; k++) a[k] = k;
        for (k = n - 1; k >= 1; k--) {
            uint64_t t = a[k], p;
            do p = ref_word(seed, epoch, REF_ORDER, 0, e++) * (k + 1);
            while ((p & 0xffffffff) < (((uint64_t)1 << 32) - (k + 1)) % (k + 1));
            a[k] = a[p >> 32];
            a[p >> 32] = t;
        }
        return a[i];
    }
    while (bits < 64 && (n - 1) >> bits) bits++;
    low = bits / 2;
    high = bits - low;
    do {
        uint64_t left = v >> low, right = v & (((uint64_t)1 << low) - 1);
        for (r = 0; r < 12; r++) {
            uint32_t k = ref_word(seed, epoch, REF_ORDER, 0, (uint64_t)r);
            if (r % 2 == 0) left ^= mix(right, k) & (((uint64_t)1 << high) - 1);
            else right ^= mix(left, k) & (((uint64_t)1 << low) - 1);
        }
        v = left << low | right;
    } while (v >= n);
    return v;
}

static void order_follows_the_rule(void)
{
    static const uint64_t counts[] = { 1,
                                       2,
                                       3,
                                       5,
                                       31,
                                       63,
                                       64,
                                       65,
                                       66,
                                       100,
                                       127,
                                       128,
                                       129,
                                       1000,
                                       1024,
                                       1025,
                                       4096,
                                       65537,
                                       ((uint64_t)1 << 32) - 1,
                                       (uint64_t)1 << 32,
                                       ((uint64_t)1 << 32) + 1,
                                       ((uint64_t)1 << 40) + 3,
                                       ((uint64_t)1 << 63) + 1,
                                       UINT64_MAX };
    size_t k, i;
    for (k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        uint64_t n = counts[k], seed = 17 + k, epoch = k % 2 ? k : ((uint64_t)k << 32);
        size_t bad = 0;
        for (i = 0; i < 64; i++) {
            uint64_t at = i < n ? (i % 2 ? n - 1 - i / 2 : i / 2) : 0;
            bad += detnn_epoch_order(seed, epoch, n, at) != order(seed, epoch, n, at);
        }
        CHECKF(!bad, "of %.0f samples", (double)n);
    }
}

static int is_permutation(uint64_t seed, uint64_t epoch, uint64_t n)
{
    unsigned char *seen = (unsigned char *)ref_memory((size_t)n);
    detnni_order o = detnni_order_of(seed, epoch, n);
    size_t i, bad = 0;
    memset(seen, 0, (size_t)n);
    for (i = 0; i < n; i++) {
        uint64_t v = detnni_order_at(&o, i);
        if (v >= n || seen[v]) bad++;
        else seen[v] = 1;
    }
    free(seen);
    return !bad;
}

static void order_is_a_permutation(void)
{
    static const uint64_t counts[] = { 1000, 1023,  1024,  1025,  4096,
                                       4097, 65535, 65536, 65537, 100000 };
    uint64_t n, seed;
    size_t k;
    for (n = 1; n <= 200; n++)
        for (seed = 0; seed < 5; seed++) CHECKF(is_permutation(seed, 3 * seed, n), "of %d", (int)n);
    for (k = 0; k < 10; k++) CHECKF(is_permutation(k, 1, counts[k]), "of %d", (int)counts[k]);
}

static int compare_words(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void order_of_huge_counts(void)
{
    static const uint64_t counts[] = { ((uint64_t)1 << 40) + 3, ((uint64_t)1 << 63) + 5,
                                       UINT64_MAX };
    enum { N = 5000 };
    static uint64_t v[N];
    size_t k, i, same, out, upper;
    for (k = 0; k < 3; k++) {
        uint64_t n = counts[k];
        same = out = upper = 0;
        for (i = 0; i < N; i++) {
            v[i] = detnn_epoch_order(1, 2, n, i % 2 ? n - 1 - i : i);
            out += v[i] >= n;
            upper += v[i] >= n / 2;
        }
        qsort(v, N, sizeof v[0], compare_words);
        for (i = 1; i < N; i++) same += v[i] == v[i - 1];
        CHECKF(!same && !out, "%d equal, %d out of range", (int)same, (int)out);
        CHECKF(upper > N / 2 - 160 && upper < N / 2 + 160, "%d of %d in the upper half", (int)upper,
               (int)N);
    }
    CHECK(detnn_epoch_order(1, 2, 0, 0) == 0);
}

static void order_gives_all_orders_of_few(void)
{
    static const size_t orders[6] = { 1, 1, 2, 6, 24, 120 };
    uint32_t count[120], steps[120];
    uint64_t n, epoch;
    size_t i;
    for (n = 2; n <= 5; n++) {
        size_t total = 400 * orders[n], last = 0;
        memset(count, 0, sizeof count);
        memset(steps, 0, sizeof steps);
        for (epoch = 0; epoch < total; epoch++) {
            uint64_t p[5];
            size_t rank;
            for (i = 0; i < n; i++) p[i] = detnn_epoch_order(9, epoch, n, i);
            rank = rank_of(p, (size_t)n);
            count[rank]++;
            if (epoch) steps[(rank + orders[n] - last) % orders[n]]++;
            last = rank;
        }
        CHECKF(ref_even(count, orders[n], (double)total), "orders of %d", (int)n);
        CHECKF(ref_even(steps, orders[n], (double)total - 1.0), "an order and the next of %d",
               (int)n);
        memset(count, 0, sizeof count);
        for (epoch = 0; epoch < total; epoch++) { /* over seeds, in one epoch */
            uint64_t p[5];
            for (i = 0; i < n; i++) p[i] = detnn_epoch_order(epoch, 0, n, i);
            count[rank_of(p, (size_t)n)]++;
        }
        CHECKF(ref_even(count, orders[n], (double)total), "orders of %d over seeds", (int)n);
    }
}

/* Over many epochs (or seeds) an element comes to every place alike, and two elements to every
 * pair of places and to every distance alike: in 8 x 8 regions of places, and 16 regions of
 * distances. */
static void order_is_uniform(uint64_t n, uint32_t epochs, int by_seed)
{
    enum { REGIONS = 8, DISTANCES = 16 };
    uint32_t *place = (uint32_t *)ref_memory((size_t)n * sizeof *place), pair[REGIONS * REGIONS],
             distance[DISTANCES], e;
    double size[REGIONS] = { 0 }, expected[REGIONS * REGIONS], far_size[DISTANCES] = { 0 },
           total = (double)epochs;
    uint64_t at[5], i;
    int k, r;
    at[0] = 0;
    at[1] = 1;
    at[2] = n / 2;
    at[3] = n - 1;
    at[4] = 0;
    for (i = 0; i < n; i++) size[i * REGIONS / n] += 1.0;
    for (i = 1; i < n; i++) far_size[(i - 1) * DISTANCES / (n - 1)] += total / (double)(n - 1);
    for (r = 0; r < REGIONS * REGIONS; r++) {
        double a = size[r / REGIONS],
               b = size[r % REGIONS] - (r / REGIONS == r % REGIONS ? 1.0 : 0.0);
        expected[r] = total * a * b / ((double)n * (double)(n - 1));
    }
    for (k = 0; k < 4; k++) {
        memset(place, 0, (size_t)n * sizeof *place);
        memset(pair, 0, sizeof pair);
        memset(distance, 0, sizeof distance);
        for (e = 0; e < epochs; e++) {
            detnni_order o = by_seed ? detnni_order_of(e, 5, n) : detnni_order_of(5, e, n);
            uint64_t a = detnni_order_at(&o, at[k]), b = detnni_order_at(&o, at[k + 1]);
            place[a]++;
            pair[a * REGIONS / n * REGIONS + b * REGIONS / n]++;
            distance[((b + n - a) % n - 1) * DISTANCES / (n - 1)]++;
        }
        CHECKF(ref_even(place, (size_t)n, total), "places, of %d, element %d", (int)n, (int)at[k]);
        CHECKF(ref_fits(pair, expected, REGIONS * REGIONS, total), "pairs, of %d, element %d",
               (int)n, (int)at[k]);
        CHECKF(ref_fits(distance, far_size, DISTANCES, total), "distances, of %d, element %d",
               (int)n, (int)at[k]);
    }
    free(place);
}

static void order_is_uniform_over_epochs(void)
{
    order_is_uniform(64, 6000, 0);
    order_is_uniform(65, 20000, 0);
    order_is_uniform(66, 20000, 0);
    order_is_uniform(100, 20000, 0);
    order_is_uniform(128, 20000, 0);
    order_is_uniform(129, 20000, 0);
    order_is_uniform(1000, 20000, 0);
}

static void order_is_uniform_over_seeds(void)
{
    order_is_uniform(65, 20000, 1);
    order_is_uniform(100, 20000, 1);
    order_is_uniform(1000, 20000, 1);
}

/* An epoch's order says nothing of the next one's, nor of that of the next seed: where the
 * element of place i goes is spread alike, and as many elements keep their place as of two
 * random orders. */
static void orders_are_independent(void)
{
    static const uint64_t counts[] = { 10, 64, 65, 100, 1000 };
    static uint32_t moved[1000];
    int k, by_seed;
    for (k = 0; k < 5; k++)
        for (by_seed = 0; by_seed < 2; by_seed++) {
            uint64_t n = counts[k], e, i, pairs = 200000 / n, kept = 0;
            double mean = (double)pairs, off;
            memset(moved, 0, sizeof moved);
            for (e = 0; e < pairs; e++) {
                detnni_order a = detnni_order_of(e, 3, n),
                             b = detnni_order_of(by_seed ? e + 1 : e, by_seed ? 3 : 4, n);
                uint64_t all = 0;
                for (i = 0; i < n; i++) {
                    uint64_t d = (detnni_order_at(&b, i) + n - detnni_order_at(&a, i)) % n;
                    kept += d == 0;
                    all += d == 0;
                    if (i == e % n) moved[d]++;
                }
                CHECKF(all < n, "the orders of two epochs of %d are equal", (int)n);
            }
            off = (double)kept - mean; /* one fixed point each, on average, and as much variance */
            CHECKF(off * off < 4.5 * 4.5 * mean, "%d kept their place, of %d", (int)kept,
                   (int)pairs);
            if (n <= 100) CHECKF(ref_even(moved, (size_t)n, mean), "moves of %d", (int)n);
        }
}

int main(void)
{
    TEST(philox_known_answers);
    TEST(splitmix_known_answers);
    TEST(xoshiro_known_answers);
    TEST(jump_known_answers);
    TEST(jumps_are_powers_of_the_step);
    TEST(jumps_commute_with_steps);
    TEST(words_are_philox_of_the_counter);
    TEST(streams_do_not_overlap);
    TEST(dropout_takes_its_own_words);
    TEST(dropout_threshold_is_exact);
    TEST(dropout_keeps_its_share);
    TEST(uniform_is_exact_and_in_range);
    TEST(rng_uniform_is_the_high_bits);
    TEST(below_follows_the_rule);
    TEST(below_rejects_at_the_edge);
    TEST(below_is_uniform);
    TEST(normal_follows_the_formula);
    TEST(rng_normal_takes_pairs);
    TEST(normal_is_normal);
    TEST(shuffle_gives_all_orders);
    TEST(shuffle_moves_whole_elements);
    TEST(shuffle_of_none_and_one);
    TEST(order_follows_the_rule);
    TEST(order_is_a_permutation);
    TEST(order_of_huge_counts);
    TEST(order_gives_all_orders_of_few);
    TEST(order_is_uniform_over_epochs);
    TEST(order_is_uniform_over_seeds);
    TEST(orders_are_independent);
    return test_end();
}

/* Every kernel of every set that this machine has, bit by bit against the manual's rules (C2,
 * C3, C4, C8, C10) done slowly, and the order of additions seen from outside. */
#include "test.h"
#include "reference.h"

/* ---- fma: the emulated one against integers ---- */

static const uint32_t special[] = { 0x00000000, 0x00000001, 0x00000002, 0x00000003, 0x00400000,
                                    0x007fffff, 0x00800000, 0x00800001, 0x00ffffff, 0x01000000,
                                    0x0c000000, 0x19800000, 0x1a000000, 0x33800000, 0x34000000,
                                    0x3f000000, 0x3f7fffff, 0x3f800000, 0x3f800001, 0x40000000,
                                    0x4b7fffff, 0x4b800000, 0x58800000, 0x5f000000, 0x72fedcba,
                                    0x7effffff, 0x7f000000, 0x7f7fffff, 0x7f800000, 0x7fc00000 };
enum { SPECIALS = sizeof special / sizeof special[0] };

static float special_of(size_t i)
{
    return ref_float(special[i / 2 % SPECIALS] | (uint32_t)(i % 2) << 31);
}

static int fma_agrees(float a, float b, float c)
{
    float r = ref_fma_exact(a, b, c);
    return ref_same(detnni_fma_emulated(a, b, c), r) && ref_same(ref_fma(a, b, c), r);
}

/* What is known of itself: the integers are tested before they judge. */
static void exact_fma_by_hand(void)
{
    float tiny = ref_float(1), big = ref_float(0x7f7fffff), infinity = ref_float(0x7f800000);
    float up = ref_float(0x3f800001), down = ref_float(0x3f7fffff); /* 1 + 2^-23, 1 - 2^-24 */
    CHECK(ref_same(ref_fma_exact(2.0f, 3.0f, 4.0f), 10.0f));
    CHECK(ref_same(ref_fma_exact(-2.0f, 3.0f, 6.0f), 0.0f));
    CHECK(ref_same(ref_fma_exact(-0.0f, 3.0f, -0.0f), -0.0f));
    CHECK(ref_same(ref_fma_exact(-0.0f, 3.0f, 0.0f), 0.0f));
    CHECK(ref_same(ref_fma_exact(up, up, -ref_float(0x3f800002)),
                   ref_float(0x28800000)));                                  /* 2^-46 is left */
    CHECK(ref_same(ref_fma_exact(up, down, 0.0f), 1.0f));                    /* 1 + 2^-24 - 2^-47 */
    CHECK(ref_same(ref_fma_exact(up, down, ref_float(0x28000000)),
                   1.0f)); /* + 2^-47: halfway, to even */
    CHECK(ref_same(ref_fma_exact(up, down, ref_float(0x28000001)), up));     /* and a bit more */
    CHECK(ref_same(ref_fma_exact(tiny, 0.5f, 0.0f), 0.0f));                  /* halfway to 0 */
    CHECK(ref_same(ref_fma_exact(tiny, -0.5f, 0.0f), -0.0f));
    CHECK(ref_same(ref_fma_exact(tiny, 0.75f, 0.0f), tiny));
    CHECK(ref_same(ref_fma_exact(tiny, 1.5f, 0.0f), ref_float(2)));
    CHECK(ref_same(ref_fma_exact(tiny, tiny, 1.0f), 1.0f));
    CHECK(ref_same(ref_fma_exact(-tiny, tiny, tiny), tiny));
    CHECK(ref_same(ref_fma_exact(big, 2.0f, -big), big));
    CHECK(ref_same(ref_fma_exact(big, 1.0f, ref_float(0x73000000)),
                   infinity)); /* 2^103: halfway to 2^128 */
    CHECK(ref_same(ref_fma_exact(big, 1.0f, ref_float(0x72ffffff)), big));
    CHECK(ref_same(ref_fma_exact(big, -big, infinity), infinity));
    CHECK(ref_nan(ref_fma_exact(infinity, 0.0f, 1.0f))
          && ref_nan(ref_fma_exact(infinity, 1.0f, -infinity)));
    CHECK(ref_same(ref_fma_exact(-infinity, 2.0f, 5.0f), -infinity));
}

static void fma_of_special_values(void)
{
    size_t i, j, k, bad = 0;
    for (i = 0; i < 2 * SPECIALS; i++)
        for (j = 0; j < 2 * SPECIALS; j += 1 + i % 2)
            for (k = 0; k < 2 * SPECIALS; k++)
                if (!fma_agrees(special_of(i), special_of(j), special_of(k)) && !bad++)
                    CHECKF(0, "%a %a %a", (double)special_of(i), (double)special_of(j),
                           (double)special_of(k));
    CHECK(bad == 0);
}

/* Products a hair from the middle of two floats: c is chosen so that a * b + c nearly cancels,
 * is subnormal, or leaves only the lowest bits to decide. */
static void fma_of_hard_values(void)
{
    uint64_t state = 1;
    size_t i, bad = 0;
    for (i = 0; i < 200000 && !bad; i++) {
        float a = ref_any(&state), b = ref_any(&state), c = ref_any(&state);
        uint32_t w = (uint32_t)detnn_splitmix64(&state);
        int kind = (int)(i % 8);
        if (kind >= 2) { /* middle exponents, so that the product is finite */
            a = ref_float((ref_bits(a) & 0x807fffff) | (0x60 + w % 64) << 23);
            b = ref_float((ref_bits(b) & 0x807fffff) | (0x60 + w / 64 % 64) << 23);
            c = ref_float((ref_bits(c) & 0x807fffff) | (ref_bits(a * b) & 0x7f800000));
        }
        if (kind == 2) { /* (1 + x) (1 - x): half the last place of c, less a little */
            uint32_t x = 1 + w % 64;
            a = ref_float(0x3f800000 + x);
            b = ref_float(0x3f800000 - 2 * x);
            c = ref_float((ref_bits(c) & 0x807fffff) | (127 + 20 + w / 64 % 8) << 23);
        }
        if (kind == 3) c = -(a * b);
        if (kind == 4) c = ref_float(ref_bits(-(a * b)) + w % 7 - 3);
        if (kind == 5) { /* the product is halfway: c, however small, decides */
            a = ref_float((ref_bits(a) & 0xfffff000) | 0x1000);
            b = ref_float((ref_bits(b) & 0xfffff800) | 0x800);
            c = c * ref_float((127 - 10 - w % 70) << 23);
        }
        if (kind == 6) { /* around the least float */
            a = ref_float((ref_bits(a) & 0x807fffff) | (20 + w % 40) << 23);
            b = ref_float((ref_bits(b) & 0x807fffff) | (20 + w / 64 % 60) << 23);
            c = ref_float(w & 0x80ffffff);
            if (w & 0x100) c = ref_float(w & 0x80000007);
        }
        if (kind == 7) { /* around the largest */
            a = ref_float((ref_bits(a) & 0x807fffff) | (0x7f + 64 + w % 3) << 23);
            b = ref_float((ref_bits(b) & 0x807fffff) | (0x7f + 63) << 23);
            c = ref_float((ref_bits(c) & 0x807fffff) | (0xfe - w / 64 % 30) << 23);
        }
        if (!fma_agrees(a, b, c)) {
            bad++;
            CHECKF(0, "%a %a %a", (double)a, (double)b, (double)c);
        }
    }
}

/* Small floats through and through: every a, b of 4 bits and every c around the halfway points
 * of their product. */
static void fma_halfway(void)
{
    uint32_t a, b, shift, k, bad = 0;
    for (a = 8; a < 16; a++)
        for (b = 8; b < 16; b++)
            for (shift = 0; shift < 60; shift++)
                for (k = 0; k < 8; k++) {
                    float x = (float)a, y = (float)b * ref_float((127 - shift) << 23),
                          c = 1.0f + (float)k * ref_float(0x34000000);
                    if (!fma_agrees(x, y, c) || !fma_agrees(-x, y, c)
                        || !fma_agrees(x, y * ref_float(0x0c000000), c * ref_float(0x00800000)))
                        bad++;
                }
    CHECK(bad == 0);
}

/* ---- All sets of kernels ---- */

static const detnni_kernels *sets[DETNN_ISA_COUNT];
static int set_count;

static void find_sets(void)
{
    int isa;
    for (isa = DETNN_ISA_PLAIN; isa < DETNN_ISA_COUNT; isa++) {
        const detnni_kernels *k = detnni_kernels_of((detnn_isa)isa);
        if (k) sets[set_count++] = k;
    }
}

/* Kinds of data: ordinary; of all magnitudes; with subnormals and zeros; with infinities; with
 * NaN too. */
enum { ORDINARY, WIDE, TINY, INFINITE, STRANGE, DATA_KINDS };

static void data_of(int kind, uint64_t *state, float *x, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++) {
        uint64_t w = detnn_splitmix64(state);
        x[i] = ref_random(state);
        if (kind == WIDE) x[i] = ref_any(state);
        if (kind == TINY && w % 2) { /* the least subnormals; zeros; any subnormals */
            uint32_t mask = w & 2 ? 0x80000003 : w & 4 ? 0x80000000 : 0x80ffffff;
            x[i] = ref_float((uint32_t)(w >> 32) & mask);
        }
        if (kind >= INFINITE && w % 31 == 0)
            x[i] = ref_float((w >> 32 & 1 ? 0x80000000 : 0) | 0x7f800000);
        if (kind == STRANGE && w % 37 == 0)
            x[i] = ref_float(0x7fc00000 | (uint32_t)(w >> 32 & 0x803fffff));
    }
}

#define FOR_SETS(k) for (k = 0; k < set_count; k++)
#define NAME(k) detnn_isa_name(sets[k]->isa)

/* An answer's memory has room for one more that must stay. */
static const float guard = -123.25f;

static void check_dense(int kind, size_t rows, size_t in, size_t out)
{
    uint64_t state = rows * 1000003 + in * 1009 + out * 7 + (uint64_t)kind;
    float *x = ref_floats(rows * in), *w = ref_floats(in * out), *b = ref_floats(out),
          *dz = ref_floats(rows * out);
    float *z = ref_floats(rows * out), *z0 = ref_floats(rows * out), *dx = ref_floats(rows * in),
          *dw = ref_floats(in * out);
    float *db = ref_floats(out), *got = ref_floats(rows * (in + out) + in * out + out + 1),
          *got_db = ref_floats(out + 1);
    float *scratch = ref_floats(detnn_dense_scratch(rows, in, out) + 1);
    const size_t room = detnni_room(rows, in, out, 1);
    const detnni_dense p = detnni_dense_of(rows, in, out, out, scratch, room),
                       q = detnni_dense_of(rows, in, out, in, scratch, room);
    size_t m, i, n, most;
    int k;
    data_of(kind, &state, x, rows * in);
    data_of(kind, &state, w, in * out);
    data_of(kind, &state, b, out);
    data_of(kind, &state, dz, rows * out);
    for (m = 0; m < rows; m++) {
        for (n = 0; n < out; n++) {
            float acc = b[n], acc0 = 0.0f;
            for (i = 0; i < in; i++) {
                acc = ref_fma(x[m * in + i], w[i * out + n], acc);
                acc0 = ref_fma(x[m * in + i], w[i * out + n], acc0);
            }
            z[m * out + n] = acc;
            z0[m * out + n] = acc0;
        }
        for (i = 0; i < in; i++) {
            float acc = 0.0f;
            for (n = 0; n < out; n++) acc = ref_fma(dz[m * out + n], w[i * out + n], acc);
            dx[m * in + i] = acc;
        }
    }
    for (n = 0; n < out; n++) {
        for (i = 0; i < in; i++) dw[i * out + n] = ref_batch(x + i, in, dz + n, out, rows);
        db[n] = ref_batch(NULL, 0, dz + n, out, rows);
    }
#define SAME(what, expected, count)                                                                \
    do {                                                                                           \
        most = ref_differ(got, expected, count);                                                   \
        CHECKF(most == (count), "%s %s, data %d, rows %d, in %d, out %d: element %d", NAME(k),     \
               what, kind, (int)rows, (int)in, (int)out, (int)most);                               \
        CHECKF(ref_same(got[count], guard), "%s %s writes past its end, rows %d, in %d, out %d",   \
               NAME(k), what, (int)rows, (int)in, (int)out);                                       \
    } while (0)
    FOR_SETS(k) {
        got[rows * out] = guard;
        sets[k]->forward(&p, x, w, b, got);
        SAME("forward", z, rows * out);
        got[rows * out] = guard;
        sets[k]->forward(&p, x, w, NULL, got);
        SAME("forward without bias", z0, rows * out);
        got[rows * in] = guard;
        sets[k]->input_gradient(&q, dz, w, got);
        SAME("input gradient", dx, rows * in);
        got[in * out] = guard;
        got_db[out] = guard;
        sets[k]->weight_gradient(&q, x, dz, got, got_db);
        SAME("kernel gradient", dw, in * out);
        CHECKF(ref_differ(got_db, db, out) == out && ref_same(got_db[out], guard),
               "%s bias gradient, data %d, rows %d, in %d, out %d", NAME(k), kind, (int)rows,
               (int)in, (int)out);
        sets[k]->weight_gradient(&q, x, dz, got, NULL);
        SAME("kernel gradient without bias", dw, in * out);
    }
    detnn_dense_forward(x, w, b, rows, in, out, got, scratch); /* the public forms take one of the sets */
    CHECK(ref_differ(got, z, rows * out) == rows * out);
    detnn_dense_input_gradient(dz, w, rows, in, out, got, scratch);
    CHECK(ref_differ(got, dx, rows * in) == rows * in);
    detnn_dense_weight_gradient(x, dz, rows, in, out, got, got_db, scratch);
    CHECK(ref_differ(got, dw, in * out) == in * out && ref_differ(got_db, db, out) == out);
#undef SAME
    free(x);
    free(w);
    free(b);
    free(dz);
    free(z);
    free(z0);
    free(dx);
    free(dw);
    free(db);
    free(got);
    free(got_db);
    free(scratch);
}

static void dense_small(void)
{
    size_t rows, in, out;
    int kind;
    for (kind = 0; kind < DATA_KINDS; kind++)
        for (rows = 1; rows <= 3; rows++)
            for (in = 0; in <= 10; in++)
                for (out = 0; out <= 10; out++) check_dense(kind, rows, in, out);
    check_dense(ORDINARY, 0, 3, 4);
}

static void dense_around_tiles(void)
{
    static const size_t sizes[] = { 7,  8,  9,  15, 16, 17, 31,  32,  33,
                                    47, 48, 49, 63, 64, 65, 127, 128, 129 };
    size_t i, o;
    for (i = 0; i < 18; i++)
        for (o = 0; o < 18; o++)
            check_dense((int)(i + o) % DATA_KINDS, 1 + (i + o / 2) % 6, sizes[i], sizes[o]);
    for (o = 0; o < 18; o++) /* every width of a row's chains */
        for (i = 0; i < DATA_KINDS; i++) check_dense((int)i, 1, sizes[(5 * o + i) % 18], sizes[o]);
}

static void dense_batches(void)
{
    static const size_t rows[] = { 4,  5,  6,   7,   8,   12,  13,  16,  17,  31,  32,  33,  63,
                                   64, 65, 127, 128, 129, 191, 192, 193, 256, 257, 320, 321, 449 };
    static const size_t shape[][2] = { { 1, 1 }, { 3, 17 }, { 16, 16 }, { 7, 33 }, { 33, 10 } };
    size_t r, s;
    for (r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (s = 0; s < 5; s++)
            check_dense((int)(r + s) % DATA_KINDS, rows[r], shape[s][0], shape[s][1]);
    check_dense(ORDINARY, 257, 40, 65);
    check_dense(WIDE, 130, 65, 40);
    check_dense(ORDINARY, 750, 20, 40); /* more rows than a block of the product has */
    check_dense(ORDINARY, 1, 661, 401); /* more weights than are read column by column */
}

/* Larger products, whole and in parts [from, to) as threads take them, against plain C; nothing beside a part is
 * written. form: 'f', 'i' or 'w' alone, whole; 'F': forward, in parts too; 0: all. */
static void check_parts(int kind, char form, size_t rows, size_t in, size_t out)
{
    uint64_t state = rows * 31 + in * 17 + out;
    const int forward = !form || form == 'f' || form == 'F';
    const size_t room = detnni_room(rows, in, out, 1);
    float *x = ref_floats(rows * in), *w = ref_floats(in * out), *b = ref_floats(out), *dz = ref_floats(rows * out);
    float *z = ref_floats(rows * out), *dx = ref_floats(rows * in), *dw = ref_floats(in * out), *db = ref_floats(out);
    float *got = ref_floats(rows * (in + out) + in * out), *got_db = ref_floats(out), *scratch = ref_floats(room);
    detnni_dense p = detnni_dense_of(rows, in, out, out, scratch, room), q = detnni_dense_of(rows, in, out, in, scratch, room);
    size_t i, beside;
    int k, part;
    data_of(kind, &state, x, rows * in);
    data_of(kind, &state, w, in * out);
    data_of(kind, &state, b, out);
    data_of(kind, &state, dz, rows * out);
    if (forward) sets[0]->forward(&p, x, w, b, z);
    if (!form || form == 'i') sets[0]->input_gradient(&q, dz, w, dx);
    if (!form || form == 'w') sets[0]->weight_gradient(&q, x, dz, dw, db);
    for (k = 1; k < set_count; k++)
        for (part = 0; part < (form && form != 'F' ? 1 : 4); part++) {
            const int whole = part == 0;
            p.from = whole ? 0 : detnn_splitmix64(&state) % out;
            p.to = whole ? out : p.from + 1 + detnn_splitmix64(&state) % (out - p.from);
            q.from = whole ? 0 : detnn_splitmix64(&state) % in;
            q.to = whole ? in : q.from + 1 + detnn_splitmix64(&state) % (in - q.from);
            p.scratch = part == 3 ? NULL : scratch; /* forward needs none */
#define PARTS(what, expected, count, place, range)                                                 \
    do {                                                                                           \
        for (i = 0, beside = 0; i < (count); i++) {                                                \
            int inside = (place) >= range.from && (place) < range.to;                              \
            beside += !ref_same(got[i], inside ? expected[i] : guard);                             \
        }                                                                                          \
        CHECKF(beside == 0, "%s %s, data %d, rows %d, in %d, out %d, from %d to %d: %d wrong",     \
               NAME(k), what, kind, (int)rows, (int)in, (int)out, (int)range.from, (int)range.to,  \
               (int)beside);                                                                       \
    } while (0)
            if (forward) {
                for (i = 0; i < rows * (in + out) + in * out; i++) got[i] = guard;
                sets[k]->forward(&p, x, w, b, got);
                PARTS("forward", z, rows * out, i % out, p);
            }
            if (!form || form == 'i') {
                for (i = 0; i < rows * (in + out) + in * out; i++) got[i] = guard;
                sets[k]->input_gradient(&q, dz, w, got);
                PARTS("input gradient", dx, rows * in, i % in, q);
            }
            if (!form || form == 'w') {
                for (i = 0; i < rows * (in + out) + in * out; i++) got[i] = guard;
                sets[k]->weight_gradient(&q, x, dz, got, got_db);
                PARTS("kernel gradient", dw, in * out, i / out, q);
                CHECK(ref_differ(got_db, db, out) == out);
            }
#undef PARTS
        }
    free(x), free(w), free(b), free(dz), free(z), free(dx), free(dw), free(db), free(got), free(got_db), free(scratch);
}

static void dense_in_parts(void)
{
    static const size_t shape[][3] = { { 64, 100, 130 }, { 28, 41, 33 },  { 29, 113, 70 },  { 130, 48, 49 }, { 3, 90, 300 },
                                       { 16, 60, 90 },   { 14, 15, 100 }, { 81, 120, 270 }, { 1, 70, 200 },  { 8, 130, 65 },
                                       { 40, 1024, 40 }, { 9, 20, 1024 }, { 12, 7, 5 },     { 200, 9, 17 },  { 1, 30, 3 },     { 1, 9, 70 },
                                       { 7, 45, 1024 },  { 5, 37, 67 },  { 2, 33, 130 } };
    size_t i;
    for (i = 0; i < sizeof shape / sizeof *shape; i++)
        check_parts((int)i % DATA_KINDS, 0, shape[i][0], shape[i][1], shape[i][2]);
    check_parts(ORDINARY, 0, 64, 257, 80);
}

/* More rows, columns and longer chains than blocks, panels and groups of leaves have. */
static void dense_in_blocks(void)
{
    static const size_t shape[][3] = { { 370, 516, 17 }, { 20, 520, 386 }, { 369, 11, 385 },
                                       { 161, 40, 70 },  { 1090, 17, 40 }, { 1030, 3, 1030 }, { 1700, 200, 20 } };
    size_t i;
    for (i = 0; i < sizeof shape / sizeof *shape; i++)
        check_parts((int)i % DATA_KINDS, 0, shape[i][0], shape[i][1], shape[i][2]);
    /* a last strip of one vector: panels of an odd height, with chains cut and whole; chains cut without panels; a tree */
    check_parts(ORDINARY, 'f', 155, 513, 385);
    check_parts(ORDINARY, 'f', 85, 130, 385);
    check_parts(ORDINARY, 'f', 25, 2049, 385);
    check_parts(ORDINARY, 'w', 1100, 155, 129);
    /* sheets of weights that lie far away: few rows, a last strip of two vectors or one, and with panels */
    check_parts(ORDINARY, 'f', 3, 515, 3103);
    check_parts(ORDINARY, 'F', 17, 519, 1603);
    check_parts(ORDINARY, 'f', 81, 1501, 525);
}

/* A batch that is smaller than the one that scratch is for: its blocks are less wide and longer. */
static void dense_of_few_rows(void)
{
    enum { IN = 16, OUT = 33000, MOST = 1000 };
    const size_t room = detnni_room(MOST, IN, OUT, 1);
    float *w = ref_floats(IN * OUT), *dz = ref_floats(4 * OUT), *dx = ref_floats(4 * IN), *got = ref_floats(4 * IN);
    float *scratch = ref_floats(room + 1);
    uint64_t state = 1;
    size_t rows;
    int k;
    data_of(ORDINARY, &state, w, IN * OUT);
    data_of(ORDINARY, &state, dz, 4 * OUT);
    for (rows = 1; rows <= 4; rows += 3)
        FOR_SETS(k) {
            const detnni_dense q = detnni_dense_of(rows, IN, OUT, IN, scratch, room);
            scratch[room] = guard;
            sets[k]->input_gradient(&q, dz, w, k ? got : dx);
            CHECKF(k == 0 || ref_differ(got, dx, rows * IN) == rows * IN, "%s input gradient, rows %d", NAME(k), (int)rows);
            CHECKF(ref_same(scratch[room], guard), "%s writes past its scratch, rows %d", NAME(k), (int)rows);
        }
    free(w), free(dz), free(dx), free(got), free(scratch);
}

static void dense_long(void)
{
    check_dense(ORDINARY, 1, 4097, 3);
    check_dense(WIDE, 2, 3, 4097);
    check_dense(TINY, 3, 1025, 17);
    check_dense(ORDINARY, 3, 17, 1025);
    check_dense(ORDINARY, 2500, 2, 3);
}

static const size_t lengths[] = { 0,    1,    2,    3,    4,    5,     6,    7,    8,    9,
                                  10,   15,   16,   17,   31,   32,    33,   47,   63,   64,
                                  65,   127,  128,  129,  191,  192,   193,  1000, 4095, 4096,
                                  4097, 4160, 8191, 8192, 8193, 12289, 20481 };
enum { LENGTHS = sizeof lengths / sizeof lengths[0], LONGEST = 20481 };

static void sums_and_dots(void)
{
    static float x[LONGEST + 3], y[LONGEST + 3];
    uint64_t state = 3;
    size_t i, shift;
    int kind, k;
    for (kind = 0; kind < DATA_KINDS; kind++)
        for (i = 0; i < LENGTHS; i++)
            for (shift = 0; shift < 2; shift++) { /* off the alignment too */
                size_t n = lengths[i];
                float sum, dot, norm, batch;
                data_of(kind, &state, x + shift, n);
                data_of(kind, &state, y + shift, n);
                sum = ref_dot(x + shift, NULL, n);
                dot = ref_dot(x + shift, y + shift, n);
                norm = ref_dot(x + shift, x + shift, n);
                batch = ref_batch(NULL, 0, x + shift, 1, n);
                FOR_SETS(k) {
                    CHECKF(ref_same(sets[k]->sum(x + shift, n), sum), "%s sum of %d, data %d",
                           NAME(k), (int)n, kind);
                    CHECKF(ref_same(sets[k]->dot(x + shift, y + shift, n), dot),
                           "%s dot of %d, data %d", NAME(k), (int)n, kind);
                    CHECKF(ref_same(sets[k]->dot(x + shift, x + shift, n), norm),
                           "%s squares of %d, data %d", NAME(k), (int)n, kind);
                }
                CHECKF(ref_same(detnn_sum(x + shift, n), sum)
                           && ref_same(detnn_dot(x + shift, y + shift, n), dot),
                       "public sum or dot of %d, data %d", (int)n, kind);
                CHECKF(ref_same(detnn_batch_sum(x + shift, n), batch), "batch sum of %d, data %d",
                       (int)n, kind);
            }
    /* the signs of zeros: empty lanes hold +0; a chain of -0 from +0 is +0 */
    for (i = 0; i < 200; i++) x[i] = -0.0f;
    FOR_SETS(k)
    for (i = 0; i < 200; i++)
        CHECK(ref_same(sets[k]->sum(x, i), 0.0f)
              && ref_same(sets[k]->dot(x, y, i), ref_dot(x, y, i)));
    for (i = 0; i < 200; i++) x[i] = ref_float(0x80000001), y[i] = 0.25f;
    FOR_SETS(k)
        for (i = 0; i < 200; i++) CHECK(ref_same(sets[k]->dot(x, y, i), ref_dot(x, y, i)));
}

/* C8. */
static void softmax_of(const float *z, size_t n, float *p, float *max, float *sum)
{
    size_t j;
    *max = ref_max(z, n);
    for (j = 0; j < n; j++) p[j] = detnn_exp(z[j] - *max);
    *sum = ref_dot(p, NULL, n);
    for (j = 0; j < n; j++) p[j] = p[j] / *sum;
}

static void softmaxes(void)
{
    static float z[LONGEST], p[LONGEST], got[LONGEST + 1];
    uint64_t state = 4;
    size_t i, j;
    int kind, k;
    for (kind = 0; kind < DATA_KINDS; kind++)
        for (i = 1; i < LENGTHS; i++) {
            size_t n = lengths[i];
            float max, sum, m, s;
            data_of(kind, &state, z, n);
            if (kind == ORDINARY) for (j = 0; j < n; j++) z[j] *= 30.0f;
            if (kind == INFINITE && i % 2)
                for (j = 0; j < n; j++)
                    if (z[j] > 9.0f) z[j] = 2.0f; /* -infinity alone */
            if (kind == STRANGE && i % 2) for (j = 0; j < n; j++) if (ref_nan(z[j])) z[j] = -3.0f;
            softmax_of(z, n, p, &max, &sum);
            FOR_SETS(k) {
                got[n] = guard;
                sets[k]->softmax(z, 1, n, got, &m, &s);
                CHECKF(ref_differ(got, p, n) == n && ref_same(m, max) && ref_same(s, sum)
                           && ref_same(got[n], guard),
                       "%s softmax of %d, data %d", NAME(k), (int)n, kind);
                memcpy(got, z, n * sizeof(float));
                sets[k]->softmax(got, 1, n, got, &m, &s);
                CHECKF(ref_differ(got, p, n) == n, "%s softmax of %d in its place, data %d",
                       NAME(k), (int)n, kind);
            }
            detnn_softmax(z, n, got);
            CHECKF(ref_differ(got, p, n) == n, "public softmax of %d, data %d", (int)n, kind);
        }
}

/* Many rows at once are as row by row. */
static void softmaxes_of_rows(void)
{
    enum { MOST = 35 };
    static float z[MOST * MOST], p[MOST * MOST], got[MOST * MOST + 1], max[MOST], sum[MOST], m[MOST + 1], s[MOST + 1];
    uint64_t state = 14;
    size_t rows, n, i;
    int k;
    for (rows = 0; rows <= MOST; rows++)
        for (n = 0; n <= MOST; n += 1 + n / 12) {
            const int kind = (int)((rows + n) % DATA_KINDS);
            data_of(kind, &state, z, rows * n);
            if (kind == ORDINARY) for (i = 0; i < rows * n; i++) z[i] *= 30.0f;
            for (i = 0; n && i < rows; i++) softmax_of(z + i * n, n, p + i * n, &max[i], &sum[i]);
            FOR_SETS(k) {
                got[rows * n] = m[rows] = s[rows] = guard;
                memcpy(got, z, rows * n * sizeof(float));
                sets[k]->softmax(rows % 2 ? got : z, rows, n, got, m, s);
                CHECKF(ref_differ(got, p, rows * n) == rows * n && ref_same(got[rows * n], guard)
                           && ref_same(m[rows], guard) && ref_same(s[rows], guard)
                           && (!n || (ref_differ(m, max, rows) == rows && ref_differ(s, sum, rows) == rows)),
                       "%s softmax of %d rows of %d, data %d", NAME(k), (int)rows, (int)n, kind);
            }
        }
}

static float activation_of(int activation, float alpha, float z)
{
    switch (activation) {
    case DETNN_RELU: { /* clang 14 would make WebAssembly's max of it, which turns -0 to +0 */
        volatile int below = z < 0.0f;
        return below ? 0.0f : z;
    }
    case DETNN_LEAKY_RELU: return z > 0.0f ? z : alpha * z;
    case DETNN_ELU: return z > 0.0f ? z : alpha * detnn_expm1(z);
    case DETNN_SELU:
        return z > 0.0f ? ref_float(0x3f867d5f) * z : ref_float(0x3fe10966) * detnn_expm1(z);
    case DETNN_SIGMOID: return detnn_sigmoid(z);
    case DETNN_TANH: return detnn_tanh(z);
    case DETNN_SOFTPLUS: return detnn_softplus(z);
    case DETNN_SILU: return detnn_silu(z);
    case DETNN_GELU: return detnn_gelu(z);
    default: return z;
    }
}

static float gradient_of(int activation, float alpha, float z, float y, float dy)
{
    float a, b;
    switch (activation) {
    case DETNN_RELU: return y > 0.0f ? dy : 0.0f;
    case DETNN_LEAKY_RELU: return y > 0.0f ? dy : alpha * dy;
    case DETNN_ELU: return y > 0.0f ? dy : dy * (y + alpha);
    case DETNN_SELU:
        return y > 0.0f ? ref_float(0x3f867d5f) * dy : dy * (y + ref_float(0x3fe10966));
    case DETNN_SIGMOID: a = 1.0f - y; return dy * (y * a);
    case DETNN_TANH: a = 1.0f - y; b = 1.0f + y; return dy * (a * b);
    case DETNN_SOFTPLUS: return dy * detnn_sigmoid(z);
    case DETNN_SILU: return dy * detnn_silu_grad(z);
    case DETNN_GELU: return dy * detnn_gelu_grad(z);
    default: return dy;
    }
}

static void activations(void)
{
    enum { N = 200 };
    static float z[N + 1], y[N + 1], d[N + 1], dz[N + 1], got[N + 2];
    uint64_t state = 5;
    size_t n, j;
    int kind, a, k;
    for (kind = 0; kind < DATA_KINDS; kind++)
        for (a = DETNN_LINEAR; a < DETNN_SOFTMAX; a++)
            for (n = 0; n <= N; n += n < 70 ? 1 : 13) {
                float alpha = n % 2 ? 0.01f : 1.0f;
                detnn_activation activation = (detnn_activation)a;
                data_of(kind, &state, z, n);
                data_of(kind, &state, d, n);
                if (kind == ORDINARY) for (j = 0; j < n; j++) z[j] *= 20.0f;
                for (j = 0; j < n; j++) {
                    y[j] = activation_of(a, alpha, z[j]);
                    dz[j] = gradient_of(a, alpha, z[j], y[j], d[j]);
                }
                FOR_SETS(k) {
                    got[n] = guard;
                    sets[k]->activate(activation, alpha, z, n, got);
                    CHECKF(ref_differ(got, y, n) == n && ref_same(got[n], guard),
                           "%s %s of %d, data %d", NAME(k), detnn_activation_name(activation),
                           (int)n, kind);
                    memcpy(got, z, n * sizeof(float));
                    sets[k]->activate(activation, alpha, got, n, got);
                    CHECKF(ref_differ(got, y, n) == n, "%s %s of %d in its place, data %d", NAME(k),
                           detnn_activation_name(activation), (int)n, kind);
                    memcpy(got, d, n * sizeof(float));
                    sets[k]->activate_back(activation, alpha, z, y, n, got);
                    CHECKF(ref_differ(got, dz, n) == n && ref_same(got[n], guard),
                           "%s gradient of %s of %d, data %d", NAME(k),
                           detnn_activation_name(activation), (int)n, kind);
                }
                detnn_activate(activation, alpha, z, n, got);
                CHECK(ref_differ(got, y, n) == n);
            }
}

/* Arrays against single values: which are themselves proved elsewhere. */
static void exact_functions(void)
{
    static void (*const array[])(const float *, size_t, float *) = {
        detnn_exp_n,       detnn_log_n,       detnn_expm1_n,  detnn_log1p_n, detnn_tanh_n,
        detnn_sigmoid_n,   detnn_softplus_n,  detnn_erf_n,    detnn_gelu_n,  detnn_silu_n,
        detnn_gelu_grad_n, detnn_silu_grad_n, detnn_sin2pi_n, detnn_cos2pi_n
    };
    static float (*const single[])(float) = {
        detnn_exp,       detnn_log,       detnn_expm1,  detnn_log1p, detnn_tanh,
        detnn_sigmoid,   detnn_softplus,  detnn_erf,    detnn_gelu,  detnn_silu,
        detnn_gelu_grad, detnn_silu_grad, detnn_sin2pi, detnn_cos2pi
    };
    enum { N = 4000 };
    static float x[N], y[N], got[N + 1];
    uint64_t state = 6;
    size_t f, i, n, e;
    int k, matched;
    for (i = 0; i < N; i++) x[i] = i % 2 ? ref_any(&state) : 20.0f * ref_random(&state);
    for (i = 0; i < 2 * SPECIALS; i++) x[i] = special_of(i);
    for (f = 0; f < 14; f++) {
        for (i = 0; i < N; i++) y[i] = single[f](x[i]);
        array[f](x, N, got);
        CHECKF(ref_differ(got, y, N) == N, "function %d, %a", (int)f,
               (double)x[ref_differ(got, y, N) % N]);
        FOR_SETS(k) {
            /* the table's own order of functions is private: this one must be in it */
            for (matched = 0, e = 0; e < DETNNI_EXACT_COUNT; e++) {
                sets[k]->exact[e](x, N, got);
                matched += ref_differ(got, y, N) == N;
                if (ref_differ(got, y, N) == N)
                    for (n = 0; n <= 70; n++) { /* short arrays, from every place */
                        got[n] = guard;
                        sets[k]->exact[e](x + n % 5, n, got);
                        CHECKF(ref_differ(got, y + n % 5, n) == n && ref_same(got[n], guard),
                               "%s function %d of %d", NAME(k), (int)f, (int)n);
                        memcpy(got, x + n % 5, n * sizeof got[0]);
                        sets[k]->exact[e](got, n, got);
                        CHECKF(ref_differ(got, y + n % 5, n) == n && ref_same(got[n], guard),
                               "%s function %d of %d in place", NAME(k), (int)f, (int)n);
                    }
            }
            CHECKF(matched == 1, "%s function %d", NAME(k), (int)f);
        }
    }
}

static void dropouts(void)
{
    static float x[300], y[300], got[301];
    static const float rates[] = { 0.0f, 0.1f, 0.5f, 0.9f };
    uint64_t state = 7, first;
    size_t n, j, r;
    int k, kind;
    for (kind = 0; kind < DATA_KINDS; kind++)
        for (r = 0; r < 4; r++)
            for (n = 0; n <= 300; n += n < 70 ? 1 : 23)
                for (first = n % 7; first < 40000; first = first * 11 + 35000 - n % 5) {
                    float scale = 1.0f / (1.0f - rates[r]);
                    data_of(kind, &state, x, n);
                    for (j = 0; j < n; j++) {
                        double w = (double)ref_word(9, 77, REF_DROPOUT, 3, first + j);
                        y[j] = w >= (double)rates[r] * 4294967296.0 ? x[j] * scale : 0.0f;
                    }
                    FOR_SETS(k) {
                        got[n] = guard;
                        sets[k]->dropout(rates[r], 9, 77, 3, first, x, n, got);
                        CHECKF(ref_differ(got, y, n) == n && ref_same(got[n], guard),
                               "%s dropout of %d, data %d", NAME(k), (int)n, kind);
                        memcpy(got, x, n * sizeof(float));
                        sets[k]->dropout(rates[r], 9, 77, 3, first, got, n, got);
                        CHECKF(ref_differ(got, y, n) == n, "%s dropout of %d in its place, data %d",
                               NAME(k), (int)n, kind);
                    }
                }
}

/* The words of a stream, and uniform numbers (C6). */
static void words_agree(void)
{
    enum { N = 1200 };
    static const uint64_t firsts[] = { 0, 1, 2, 3, 5, 63, 0x3fffffffcu, 0x3ffffffffu, 0x400000000u };
    static const float scales[][2] = { { 2, -1 }, { -0.75f, 0.1f }, { 1e-43f, -1e-44f }, { 3e38f, -2e38f }, { 0, -0.0f } };
    static uint32_t plain[N + 1], got[N + 1];
    static float u[N + 1], v[N + 1];
    size_t f, n, i;
    int k;
    for (f = 0; f < sizeof firsts / sizeof *firsts; f++) {
        const detnni_stream s = detnni_stream_of(42 + f, (uint64_t)f << 30, DETNNI_USER, 9);
        for (n = 0; n <= N; n += 1 + n / 16) {
            const float *by = scales[n % 5];
            sets[0]->words(&s, firsts[f], n, plain);
            for (i = 0; i < n; i++) u[i] = ref_fma(by[0], (float)(plain[i] >> 8) / 16777216.0f, by[1]);
            u[n] = 12345;
            FOR_SETS(k) {
                got[n] = 12345;
                sets[k]->words(&s, firsts[f], n, got);
                CHECKF(!memcmp(got, plain, n * sizeof *got) && got[n] == 12345, "%s, %d words from %d on", NAME(k),
                       (int)n, (int)f);
                v[n] = 12345;
                sets[k]->uniform(&s, firsts[f], n, by[0], by[1], v);
                CHECKF(ref_differ(u, v, n + 1) == n + 1, "%s, %d uniform numbers from %d on", NAME(k), (int)n, (int)f);
            }
        }
    }
}

/* All sets update alike; what they do is compared with C10 in test_optimizers, here the plain
 * one serves. */
static void updates_agree(void)
{
    enum { N = 150 };
    static float g[N], w[N], m1[N], m2[N], w0[N + 1], a0[N + 1], b0[N + 1], w1[N + 1], a1[N + 1],
        b1[N + 1];
    uint64_t state = 8;
    size_t n, j;
    int which, k, kind, decay;
    for (which = 0; which < 8; which++)
        for (kind = 0; kind < DATA_KINDS; kind++)
            for (n = 0; n <= N; n += n < 70 ? 1 : 11) {
                detnn_schedule schedule = detnn_schedule_default();
                detnn_optimizer o = which < 3
                                        ? detnn_sgd_momentum(0.1f, which ? 0.9f : 0.0f, which == 2)
                                    : which == 3 ? detnn_adam(0.01f)
                                    : which == 4 ? detnn_adamw(0.01f, 0.02f)
                                                 : detnn_rmsprop(0.01f);
                detnni_update u;
                uint32_t largest, mine;
                float *first, *second;
                if (which == 6) o.momentum = 0.5f;
                if (which == 7) o = detnn_adam(0.5f);
                if (which != 4) o.weight_decay = 0.01f;
                decay = n % 3 != 0;
                first = which == 0 ? NULL : a0;
                second = which < 3 || which == 5 ? NULL : b0;
                u = detnni_update_of(&o, &schedule, n);
                data_of(kind, &state, g, n);
                data_of(kind, &state, w, n);
                data_of(kind, &state, m1, n);
                data_of(kind, &state, m2, n);
                for (j = 0; j < n && which >= 3; j++) { /* second moments are not negative */
                    m1[j] = which == 5 || which == 6 ? (m1[j] < 0.0f ? -m1[j] : m1[j]) : m1[j];
                    m2[j] = m2[j] < 0.0f ? -m2[j] : m2[j];
                }
                memcpy(w0, w, sizeof w); memcpy(a0, m1, sizeof m1); memcpy(b0, m2, sizeof m2);
                largest =
                    detnni_kernels_of(DETNN_ISA_PLAIN)->update(&u, decay, n, g, w0, first, second);
                memcpy(w1, w0, sizeof w0); memcpy(a1, a0, sizeof a0); memcpy(b1, b0, sizeof b0);
                for (mine = 0, j = 0; j < n; j++) {
                    uint32_t b[3];
                    int i;
                    b[0] = ref_bits(w1[j]);
                    b[1] = first ? ref_bits(a1[j]) : 0;
                    b[2] = second ? ref_bits(b1[j]) : 0;
                    for (i = 0; i < 3; i++)
                        if ((b[i] & 0x7fffffff) > mine) mine = b[i] & 0x7fffffff;
                }
                CHECKF(largest == mine || (largest > 0x7f800000 && mine > 0x7f800000),
                       "optimizer %d: largest bits", which);
                FOR_SETS(k) {
                    uint32_t l;
                    memcpy(w0, w, sizeof w); memcpy(a0, m1, sizeof m1); memcpy(b0, m2, sizeof m2);
                    w0[n] = a0[n] = b0[n] = guard;
                    l = sets[k]->update(&u, decay, n, g, w0, first, second);
                    CHECKF(ref_differ(w0, w1, n) == n && ref_differ(a0, a1, n) == n
                               && ref_differ(b0, b1, n) == n && ref_same(w0[n], guard)
                               && ref_same(a0[n], guard) && ref_same(b0[n], guard)
                               && (l == largest || (l > 0x7f800000 && largest > 0x7f800000)),
                           "%s optimizer %d of %d, data %d", NAME(k), which, (int)n, kind);
                }
            }
}

/* Moments on their way into subnormal numbers, of weights that mostly stay: whole vectors of such, and with a lane that
 * is none; the least weight that a subnormal moment does not move. */
static void moments_fade(void)
{
    enum { N = 48 };
    static const uint32_t weights[] = { 0x3f000000, 0xbe123456, 0x26800000, 0x267fffff, 0x00000000, 0x80000000 };
    static const uint32_t moments[] = { 0x00000001, 0x007fffff, 0x00400000, 0x00000004, 0x00000000, 0x00800000 };
    uint64_t state = 15;
    int round, which, k, j;
    for (round = 0; round < 500; round++)
        for (which = 0; which < 7; which++) {
            detnn_schedule schedule = detnn_schedule_default();
            detnn_optimizer o = which < 2   ? detnn_sgd_momentum(0.1f, 0.9f, which)
                                : which < 5 ? detnn_adam(which == 4 ? 1e-3f : 0.5f)
                                            : detnn_rmsprop(0.01f);
            float g[N], w[N], m1[N], m2[N], w1[N], a1[N], b1[N], w0[N], a0[N], b0[N];
            const uint64_t odd = round % 3 ? 40 : 3; /* one element in so many is of another kind */
            detnni_update u;
            if (which == 3) o.beta1 = o.beta2 = 0.0f;
            if (which == 4) o = detnn_adamw(1e-3f, 0.01f);
            if (which == 6) o.momentum = 0.99f;
            u = detnni_update_of(&o, &schedule, (uint64_t)round);
            for (j = 0; j < N; j++) {
                uint64_t x = detnn_splitmix64(&state);
                const uint32_t sign = (uint32_t)x & 1u << 31;
                const int other = x % odd == 0;
                g[j] = ref_float(sign);
                w[j] = ref_float(weights[other ? x / 64 % 6 : x / 64 % 3]);
                m1[j] = ref_float((x >> 12 & 1 ? moments[x / 512 % 6] : (uint32_t)(x >> 16) & 0x7fffff) | sign);
                m2[j] = ref_float(x >> 13 & 1 ? moments[x / 256 % 6] : (uint32_t)(x >> 40) & 0x7fffff);
                if (which >= 5) m1[j] = m2[j], m2[j] = -m1[j];
                if (other && x >> 14 & 1) g[j] = ref_random(&state);
                if (other && x >> 15 & 1) m1[j] = ref_random(&state);
                if (other && x >> 16 & 1) m2[j] = x >> 17 & 1 ? -m2[j] : ref_any(&state);
            }
            memcpy(w1, w, sizeof w); memcpy(a1, m1, sizeof m1); memcpy(b1, m2, sizeof m2);
            sets[0]->update(&u, 1, N, g, w1, a1, which < 2 || which == 5 ? NULL : b1);
            for (k = 1; k < set_count; k++) {
                memcpy(w0, w, sizeof w); memcpy(a0, m1, sizeof m1); memcpy(b0, m2, sizeof m2);
                sets[k]->update(&u, 1, N, g, w0, a0, which < 2 || which == 5 ? NULL : b0);
                CHECKF(ref_differ(w0, w1, N) == N && ref_differ(a0, a1, N) == N && ref_differ(b0, b1, N) == N,
                       "%s optimizer %d, round %d", NAME(k), which, round);
            }
        }
}

static void adds_and_magnitudes(void)
{
    static float x[300], y[300], s[300], got[301];
    uint64_t state = 9;
    size_t n, j;
    int kind, k;
    for (kind = 0; kind < DATA_KINDS; kind++)
        for (n = 0; n <= 300; n += n < 140 ? 1 : 32) {
            uint32_t largest = 0;
            data_of(kind, &state, x, n);
            data_of(kind, &state, y, n);
            for (j = 0; j < n; j++) {
                s[j] = y[j] + x[j];
                if ((ref_bits(x[j]) & 0x7fffffff) > largest) largest = ref_bits(x[j]) & 0x7fffffff;
            }
            FOR_SETS(k) {
                memcpy(got, y, n * sizeof(float));
                got[n] = guard;
                sets[k]->add(x, n, got);
                CHECKF(ref_differ(got, s, n) == n && ref_same(got[n], guard),
                       "%s add of %d, data %d", NAME(k), (int)n, kind);
                CHECKF(sets[k]->magnitude(x, n) == largest, "%s magnitude of %d, data %d", NAME(k),
                       (int)n, kind);
            }
        }
    for (n = 1; n <= 140; n++) /* the largest at every place */
        for (j = 0; j < n; j++) {
            size_t i;
            for (i = 0; i < n; i++) x[i] = 1.0f;
            x[j] = j % 2 ? -ref_float(0x7fc00001) : -1.5f;
            FOR_SETS(k) CHECK(sets[k]->magnitude(x, n) == (ref_bits(x[j]) & 0x7fffffff));
        }
}

/* C1: any NaN is the maximum; +0 is above -0; argmax is the lowest index of a NaN, else of the
 * largest. */
static void maximum_and_argmax(void)
{
    float nan = ref_float(0x7fc00000), infinity = ref_float(0x7f800000), x[80];
    static const float zeros[] = { -0.0f, 0.0f, -0.0f };
    size_t n, i, j;
    float a[4];
    CHECK(ref_same(detnn_max(NULL, 0), -infinity) && detnn_argmax(NULL, 0) == 0);
    CHECK(ref_same(detnn_max(zeros, 3), 0.0f) && ref_same(detnn_max(zeros, 1), -0.0f)
          && ref_same(detnn_max(zeros + 1, 2), 0.0f));
    CHECK(detnn_argmax(zeros, 3) == 0); /* equal: the lowest index */
    a[0] = infinity; a[1] = nan; a[2] = infinity; a[3] = nan;
    CHECK(ref_nan(detnn_max(a, 4)) && detnn_argmax(a, 4) == 1);
    a[1] = infinity; a[3] = 5.0f;
    CHECK(ref_same(detnn_max(a, 4), infinity) && detnn_argmax(a, 4) == 0);
    a[0] = a[1] = a[2] = a[3] = -infinity;
    CHECK(ref_same(detnn_max(a, 4), -infinity) && detnn_argmax(a, 4) == 0);
    for (n = 1; n <= 70; n++)
        for (i = 0; i < n; i++) {
            for (j = 0; j < n; j++) x[j] = -2.0f - (float)(j % 3);
            x[i] = -1.0f;
            x[n - 1] = -1.0f; /* its equal comes later */
            CHECK(ref_same(detnn_max(x, n), -1.0f) && detnn_argmax(x, n) == i);
            x[i] = nan;
            if (i) x[0] = infinity;
            CHECK(ref_nan(detnn_max(x, n)) && detnn_argmax(x, n) == i);
        }
}

/* ---- The order of additions, seen from outside (after FPRev: Xie and others 2025) ----
 * Of n terms that are 1, let term i be huge and term j be its negative. What is added to a sum that
 * holds one of the two is swallowed, until they meet and cancel; so the result is n less all leaves
 * under the node where i and j meet. These numbers for all pairs are the tree. */

enum { PROBED = 9000 };
typedef struct tree { int parent[2 * PROBED], leaves[2 * PROBED], used; } tree;

/* Node a + b; -1 is a sum of nothing. */
static int join(tree *t, int a, int b)
{
    if (a < 0 || b < 0) return a < 0 ? b : a;
    t->parent[a] = t->parent[b] = t->used;
    t->leaves[t->used] = t->leaves[a] + t->leaves[b];
    t->parent[t->used] = -1;
    return t->used++;
}

static void leaves_of(tree *t, int n)
{
    for (t->used = 0; t->used < n; t->used++) t->parent[t->used] = -1, t->leaves[t->used] = 1;
}

static int join_all(tree *t, const int *node, int n) /* C3's shape */
{
    int left = 1;
    if (n == 1) return node[0];
    while (2 * left < n) left *= 2;
    return join(t, join_all(t, node, left), join_all(t, node + left, n - left));
}

static void tree_of_chain(tree *t, int n) /* C2 */
{
    int i, acc = -1;
    for (leaves_of(t, n), i = 0; i < n; i++) acc = join(t, acc, i);
}

static void tree_of_batch(tree *t, int n) /* C3 */
{
    int node[PROBED / 64 + 1], i, l;
    for (leaves_of(t, n), l = 0; 64 * l < n; l++)
        for (node[l] = -1, i = 64 * l; i < n && i < 64 * l + 64; i++) node[l] = join(t, node[l], i);
    join_all(t, node, l);
}

static void tree_of_vector(tree *t, int n) /* C4 */
{
    int node[PROBED / 4096 + 1], lane[64], i, c, h;
    for (leaves_of(t, n), c = 0; 4096 * c < n; c++) {
        for (i = 0; i < 64; i++) lane[i] = -1;
        for (i = 4096 * c; i < n && i < 4096 * c + 4096; i++)
            lane[i % 64] = join(t, lane[i % 64], i);
        for (h = 32; h; h /= 2)
            for (i = 0; i < h; i++) lane[i] = join(t, lane[i], lane[i + h]);
        node[c] = lane[0];
    }
    join_all(t, node, c);
}

/* Leaves under the node where i and j meet: nodes are numbered upwards. */
static int meet(const tree *t, int i, int j)
{
    while (i != j)
        if (i < j) i = t->parent[i];
        else j = t->parent[j];
    return t->leaves[i];
}

static const float huge = 1125899906842624.0f; /* 2^50 */

/* Which pairs: all of few, of many those of neighbours, ends and random ones. */
static int next_pair(int n, int *i, int *j, int *count, uint64_t *state)
{
    if (n <= 130) {
        if (++*j >= n) *j = ++*i + 1;
        return *j < n;
    }
    if (++*count > 400) return 0;
    *i = (int)(detnn_splitmix64(state) % (uint64_t)n);
    *j = (int)(detnn_splitmix64(state) % (uint64_t)n);
    if (*count % 4 == 0) *j = *i + 1;
    if (*count % 4 == 1) *j = *i + 64;
    if (*count % 4 == 2) *j = n - 1;
    if (*j >= n || *j == *i) *j = *i ? 0 : n - 1;
    return 1;
}

static const int probed[] = { 2,    3,    5,    16,   63,   64,   65,  66,  100,
                              127,  128,  129,  130,  193,  257,  320, 449, 1000,
                              4095, 4096, 4097, 4200, 8192, 8193, 8999 };
enum { PROBES = sizeof probed / sizeof probed[0] };

static void order_of_sums(void)
{
    static tree vector, batch;
    static float x[PROBED], y[PROBED], squared[PROBED];
    uint64_t state = 10;
    int p, i, j, k, count;
    for (p = 0; p < PROBES; p++) {
        int n = probed[p];
        tree_of_vector(&vector, n);
        tree_of_batch(&batch, n);
        for (i = 0; i < n; i++) x[i] = y[i] = squared[i] = 1.0f;
        for (i = 0, j = 0, count = 0; next_pair(n, &i, &j, &count, &state);) {
            float expected = (float)(n - meet(&vector, i, j));
            x[i] = huge * huge;
            x[j] = -huge * huge;
            y[i] = y[j] = squared[i] = huge;
            squared[j] = -huge;
            FOR_SETS(k) {
                CHECKF(ref_same(sets[k]->sum(x, (size_t)n), expected),
                       "%s sum of %d, %d and %d meet elsewhere", NAME(k), n, i, j);
                CHECKF(ref_same(sets[k]->dot(squared, y, (size_t)n), expected),
                       "%s dot of %d, %d and %d meet elsewhere", NAME(k), n, i, j);
            }
            CHECKF(ref_same(detnn_batch_sum(x, (size_t)n), (float)(n - meet(&batch, i, j))),
                   "batch sum of %d, %d and %d meet elsewhere", n, i, j);
            x[i] = x[j] = y[i] = y[j] = squared[i] = squared[j] = 1.0f;
        }
    }
}

/* All of forward's and the gradients' sums at once: every one must show the same tree. */
static void order_of_products(void)
{
    enum { WIDE_SIDE = 37, SHORT_SIDE = 3, SCRATCH = 1 << 18 };
    static tree chain, batch;
    static float x[PROBED * WIDE_SIDE], w[PROBED * WIDE_SIDE], z[WIDE_SIDE * WIDE_SIDE],
        db[WIDE_SIDE], scratch[SCRATCH];
    static const float bias[WIDE_SIDE] = { 0 };
    uint64_t state = 11;
    int p, i, j, k, m, e, count;
    for (p = 0; p < PROBES - 4; p++) {
        int n = probed[p], wide = n > 200 ? 5 : WIDE_SIDE;
        const size_t side = SHORT_SIDE, k_size = (size_t)n, w_size = (size_t)wide;
        const detnni_dense forward = detnni_dense_of(side, k_size, w_size, w_size, scratch, SCRATCH);
        const detnni_dense input = detnni_dense_of(side, w_size, k_size, w_size, scratch, SCRATCH);
        const detnni_dense weights = detnni_dense_of(k_size, side, w_size, side, scratch, SCRATCH);
        tree_of_chain(&chain, n);
        tree_of_batch(&batch, n);
        for (e = 0; e < n * wide; e++) x[e] = w[e] = 1.0f;
        for (i = 0, j = 0, count = 0; next_pair(n, &i, &j, &count, &state);) {
            float expected = (float)(n - meet(&chain, i, j)),
                  of_batch = (float)(n - meet(&batch, i, j));
            size_t bad[4] = { 0, 0, 0, 0 };
            if (detnn_splitmix64(&state) % (n > 70 ? 40 : n > 20 ? 10 : 1))
                continue; /* they take longer */
            FOR_SETS(k) {
                for (m = 0; m < SHORT_SIDE; m++)
                    x[m * n + i] = huge, x[m * n + j] = -huge; /* x [rows][n], w [n][wide] */
                for (e = 0; e < wide; e++) w[i * wide + e] = w[j * wide + e] = huge;
                sets[k]->forward(&forward, x, w, bias, z);
                for (e = 0; e < SHORT_SIDE * wide; e++) bad[0] += !ref_same(z[e], expected);
                for (e = 0; e < wide; e++) w[i * wide + e] = w[j * wide + e] = 1.0f;
                for (e = 0; e < wide; e++)
                    w[e * n + i] = w[e * n + j] = huge; /* dz [rows][n], w [wide][n] */
                sets[k]->input_gradient(&input, x, w, z);
                for (e = 0; e < SHORT_SIDE * wide; e++) bad[1] += !ref_same(z[e], expected);
                for (e = 0; e < wide; e++) w[e * n + i] = w[e * n + j] = 1.0f;
                for (m = 0; m < SHORT_SIDE; m++) x[m * n + i] = x[m * n + j] = 1.0f;
                for (m = 0; m < SHORT_SIDE; m++)
                    x[i * SHORT_SIDE + m] = huge, x[j * SHORT_SIDE + m] = huge; /* x [n][in] */
                for (e = 0; e < wide; e++)
                    w[i * wide + e] = huge, w[j * wide + e] = -huge; /* dz [n][wide] */
                sets[k]->weight_gradient(&weights, x, w, z, db);
                for (e = 0; e < SHORT_SIDE * wide; e++) bad[2] += !ref_same(z[e], of_batch);
                for (e = 0; e < wide; e++) bad[3] += !ref_same(db[e], of_batch);
                for (m = 0; m < SHORT_SIDE; m++)
                    x[i * SHORT_SIDE + m] = x[j * SHORT_SIDE + m] = 1.0f;
                for (e = 0; e < wide; e++) w[i * wide + e] = w[j * wide + e] = 1.0f;
                CHECKF(!bad[0] && !bad[1] && !bad[2] && !bad[3],
                       "%s, %d terms, %d and %d meet elsewhere: forward %d, input %d, kernel %d, "
                       "bias %d",
                       NAME(k), n, i, j, (int)bad[0], (int)bad[1], (int)bad[2], (int)bad[3]);
            }
        }
    }
}

/* The bias comes first: beside it a huge pair that cancels leaves nothing of it. */
static void bias_comes_first(void)
{
    const detnni_dense p = detnni_dense_of(1, 2, 1, 1, NULL, 0);
    float x[2], w[2] = { 1.0f, 1.0f }, b = 1.0f, z;
    int k;
    x[0] = huge;
    x[1] = -huge;
    FOR_SETS(k) {
        sets[k]->forward(&p, x, w, &b, &z);
        CHECK(ref_same(z, 0.0f));
    }
}

int main(void)
{
    detnni_fp_enter(); /* kernels have no guard, and -ffast-math starts with subnormals off */
    find_sets();
    TEST(exact_fma_by_hand);
    TEST(fma_of_special_values);
    TEST(fma_of_hard_values);
    TEST(fma_halfway);
    TEST(dense_small);
    TEST(dense_around_tiles);
    TEST(dense_batches);
    TEST(dense_in_parts);
    TEST(dense_in_blocks);
    TEST(dense_of_few_rows);
    TEST(dense_long);
    TEST(sums_and_dots);
    TEST(softmaxes);
    TEST(softmaxes_of_rows);
    TEST(activations);
    TEST(exact_functions);
    TEST(dropouts);
    TEST(words_agree);
    TEST(updates_agree);
    TEST(moments_fade);
    TEST(adds_and_magnitudes);
    TEST(maximum_and_argmax);
    TEST(order_of_sums);
    TEST(order_of_products);
    TEST(bias_comes_first);
    return test_end();
}

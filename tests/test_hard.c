/* The hard and special inputs of tests/hard.txt: every function, one value at a time and as arrays for every set
 * of kernels, whole arrays and odd lengths, in place and not. */
#include "test.h"

#define MOST 1024
enum {
#define NUMBER(f) HARD_##f,
    DETNN_FUNCTIONS(NUMBER) FUNCTIONS
};
static const struct {
    const char *name;
    float (*one)(float);
} functions[] = {
#define ENTRY(f) { #f, detnn_##f },
    DETNN_FUNCTIONS(ENTRY)
};
static uint32_t x[FUNCTIONS][MOST], want[FUNCTIONS][MOST];
static size_t count[FUNCTIONS];

static void read_inputs(void)
{
    char line[128], name[32];
    unsigned a, b;
    int f;
    FILE *file = fopen("tests/hard.txt", "r");
    CHECK(file != NULL);
    while (file && fgets(line, (int)sizeof line, file)) {
        if (line[0] == '#') continue;
        CHECKF(sscanf(line, "%31s %x %x", name, &a, &b) == 3, "%s", line);
        for (f = 0; f < FUNCTIONS && strcmp(name, functions[f].name) != 0; f++) { }
        CHECKF(f < FUNCTIONS && count[f] < MOST, "%s", line);
        if (f == FUNCTIONS || count[f] == MOST) continue;
        x[f][count[f]] = a;
        want[f][count[f]++] = b;
    }
    if (file) fclose(file);
    for (f = 0; f < FUNCTIONS; f++) CHECKF(count[f] > 20, "%s", functions[f].name);
}

static int right(float got, uint32_t bits)
{
    uint32_t b;
    memcpy(&b, &got, 4);
    return (b & 0x7fffffff) > 0x7f800000 ? bits == 0x7fc00000 : b == bits; /* by bits: -ffast-math */
}

static float value(uint32_t bits)
{
    float y;
    memcpy(&y, &bits, 4);
    return y;
}

static void one_by_one(void)
{
    size_t i;
    int f;
    for (f = 0; f < FUNCTIONS; f++)
        for (i = 0; i < count[f]; i++)
            CHECKF(right(functions[f].one(value(x[f][i])), want[f][i]), "%s %08x", functions[f].name, (unsigned)x[f][i]);
}

static void arrays(void)
{
    static float in[MOST], out[MOST];
    size_t i, n;
    int f, isa;
    for (isa = DETNN_ISA_PLAIN; isa < (int)DETNN_ISA_COUNT; isa++) {
        const detnni_kernels *k = detnni_kernels_of((detnn_isa)isa);
        for (f = 0; k && f < FUNCTIONS; f++) {
            for (i = 0; i < count[f]; i++) in[i] = value(x[f][i]);
            for (n = count[f]; n + 37 > count[f] && n > 0; n--) {
                k->exact[f](in, n, out);
                for (i = 0; i < n; i++)
                    CHECKF(right(out[i], want[f][i]), "%s %s %08x", detnn_isa_name((detnn_isa)isa), functions[f].name,
                           (unsigned)x[f][i]);
            }
            for (n = 0; n < 36; n++) { /* in place, and nothing beyond the end */
                for (i = 0; i < 40; i++) out[i] = i < n ? in[i] : 1234.0f;
                k->exact[f](out, n, out);
                for (i = 0; i < 40; i++)
                    CHECKF(right(out[i], i < n ? want[f][i] : 0x449a4000), "%s %s, %u in place", detnn_isa_name((detnn_isa)isa),
                           functions[f].name, (unsigned)n);
            }
        }
    }
}

/* Each alone, in a whole vector of its like: beside an input for which a vector is done with more care, less careful
 * code would pass. After those of the file, subnormal results that AVX2's first, quick values would round wrongly. */
static void alone(void)
{
    static const uint32_t subnormal[][3] = {
        { HARD_exp, 0xc2b43fb7, 0x0007e0e3 },
        { HARD_sigmoid, 0xc2b2e798, 0x000f6dce },
        { HARD_softplus, 0xc2b43fb7, 0x0007e0e3 },
    };
    float in[32], out[32];
    size_t i, j;
    int f, isa;
    for (i = 0; i < sizeof subnormal / sizeof *subnormal; i++) {
        f = (int)subnormal[i][0];
        x[f][count[f]] = subnormal[i][1];
        want[f][count[f]++] = subnormal[i][2];
    }
    for (isa = DETNN_ISA_PLAIN; isa < (int)DETNN_ISA_COUNT; isa++) {
        const detnni_kernels *k = detnni_kernels_of((detnn_isa)isa);
        for (f = 0; k && f < FUNCTIONS; f++)
            for (i = 0; i < count[f]; i++) {
                for (j = 0; j < 32; j++) in[j] = value(x[f][i]);
                k->exact[f](in, 32, out);
                for (j = 0; j < 32; j++)
                    CHECKF(right(out[j], want[f][i]), "%s %s %08x", detnn_isa_name((detnn_isa)isa), functions[f].name,
                           (unsigned)x[f][i]);
            }
    }
}

int main(void)
{
    (void)detnni_fp_enter(); /* these functions are not guarded, and a program linked with -ffast-math flushes subnormals */
    TEST(read_inputs);
    TEST(one_by_one);
    TEST(arrays);
    TEST(alone);
    return test_end();
}

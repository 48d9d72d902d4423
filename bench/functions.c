/* Time of the exact functions for an element, each instruction set, beside glibc's scalar functions, libmvec and SLEEF,
   measured in turn in one run: every round times every implementation once, and the median of the rounds is printed.
   A table, then CSV lines: group,case,implementation,median,unit. Optional arguments: function names.
   Build: cc -O2 -I. bench/functions.c -o bench-functions [-DHAVE_SLEEF -lsleef] [-DHAVE_LIBMVEC -lmvec] -lm */
#define _GNU_SOURCE
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COUNT 1024 /* input and output within half of the smallest first-level cache */
#define ROUNDS 41

static float input[COUNT], output[COUNT];
typedef void array_fn(const float *, size_t, float *);

#define SCALAR(name, expression) \
    static void name(const float *x, size_t n, float *y) { size_t i; for (i = 0; i < n; i++) { float v = x[i]; y[i] = (expression); } }
#define E(f) SCALAR(one_##f, detnn_##f(v))
DETNN_FUNCTIONS(E)
#undef E

SCALAR(libm_exp, expf(v)) SCALAR(libm_log, logf(v)) SCALAR(libm_expm1, expm1f(v)) SCALAR(libm_log1p, log1pf(v))
SCALAR(libm_tanh, tanhf(v)) SCALAR(libm_erf, erff(v)) SCALAR(libm_sigmoid, 1.0f / (1.0f + expf(-v)))
SCALAR(libm_softplus, log1pf(expf(v))) SCALAR(libm_gelu, 0.5f * v * (1.0f + erff(v * 0.70710678f)))
SCALAR(libm_silu, v / (1.0f + expf(-v))) SCALAR(libm_sin2pi, sinf(6.2831853f * v)) SCALAR(libm_cos2pi, cosf(6.2831853f * v))

#if defined(__x86_64__) && (defined(HAVE_SLEEF) || defined(HAVE_LIBMVEC))
#define A2 __attribute__((target("avx2,fma")))
#define A5 __attribute__((target("avx512f")))
#define VEC8(name, call) A2 static void name(const float *x, size_t n, float *y) \
    { size_t i; for (i = 0; i < n; i += 8) _mm256_storeu_ps(y + i, call(_mm256_loadu_ps(x + i))); }
#define VEC16(name, call) A5 static void name(const float *x, size_t n, float *y) \
    { size_t i; for (i = 0; i < n; i += 16) _mm512_storeu_ps(y + i, call(_mm512_loadu_ps(x + i))); }
#endif
#ifdef HAVE_SLEEF
/* sleef.h declares these only where the whole program is compiled for AVX-512 */
#define SLEEF(name, g, u) A2 __m256 Sleef_##g##f8_##u##avx2(__m256); A5 __m512 Sleef_##g##f16_##u##avx512f(__m512); \
    VEC8(sleef8_##name##_##u, Sleef_##g##f8_##u##avx2) VEC16(sleef16_##name##_##u, Sleef_##g##f16_##u##avx512f)
SLEEF(exp, exp, u10) SLEEF(log, log, u10) SLEEF(log, log, u35) SLEEF(expm1, expm1, u10) SLEEF(log1p, log1p, u10)
SLEEF(tanh, tanh, u10) SLEEF(tanh, tanh, u35) SLEEF(erf, erf, u10) SLEEF(sin2pi, sinpi, u05) SLEEF(cos2pi, cospi, u05)
#endif
#ifdef HAVE_LIBMVEC
#define MVEC(name, g) A2 __m256 _ZGVdN8v_##g(__m256); A5 __m512 _ZGVeN16v_##g(__m512); \
    VEC8(mvec8_##name, _ZGVdN8v_##g) VEC16(mvec16_##name, _ZGVeN16v_##g)
MVEC(exp, expf) MVEC(log, logf) MVEC(expm1, expm1f) MVEC(log1p, log1pf) MVEC(tanh, tanhf) MVEC(erf, erff) MVEC(sin2pi, sinf) MVEC(cos2pi, cosf)
#endif

static const struct { const char *function, *implementation; array_fn *run; int isa; } list[] = {
#if defined(__x86_64__)
#define E(f) { #f, "detnn scalar", one_##f, 0 }, { #f, "detnn sse2", detnni_##f##_n_sse2, 0 }, \
    { #f, "detnn avx2", detnni_##f##_n_avx2, 2 }, { #f, "detnn avx512", detnni_##f##_n_avx512, 3 },
#else
#define E(f) { #f, "detnn scalar", one_##f, 0 },
#endif
    DETNN_FUNCTIONS(E)
#undef E
#define L(f) { #f, "libm scalar", libm_##f, 0 },
    L(exp) L(log) L(expm1) L(log1p) L(tanh) L(erf) L(sigmoid) L(softplus) L(gelu) L(silu) L(sin2pi) L(cos2pi)
#ifdef HAVE_SLEEF
#define S(f, u) { #f, "sleef " #u " avx2", sleef8_##f##_##u, 2 }, { #f, "sleef " #u " avx512", sleef16_##f##_##u, 3 },
    S(exp, u10) S(log, u10) S(log, u35) S(expm1, u10) S(log1p, u10) S(tanh, u10) S(tanh, u35) S(erf, u10) S(sin2pi, u05) S(cos2pi, u05)
#endif
#ifdef HAVE_LIBMVEC
#define M(f) { #f, "libmvec avx2", mvec8_##f, 2 }, { #f, "libmvec avx512", mvec16_##f, 3 },
    M(exp) M(log) M(expm1) M(log1p) M(tanh) M(erf) M(sin2pi) M(cos2pi)
#endif
};
#define LIST (sizeof list / sizeof list[0])

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}
static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}
/* ns of one clock cycle, from a chain of dependent integer adds: the best of some tries of 20 us. Cores run slower
   for some 600 us after wide instructions. */
static double cycle(int tries)
{
    double best = 1e9;
    int r;
    for (r = 0; r < tries; r++) {
        uint64_t a = 1, i;
        double t = now();
        for (i = 0; i < 6000; i++) {
#if defined(__GNUC__)
#define ADD __asm__ volatile("" : "+r"(a)); a += i;
            ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD
#endif
        }
        t = (now() - t) / 6e4;
        if (t < best) best = t;
    }
    return best;
}
int main(int argc, char **argv)
{
    static double time[LIST][ROUNDS], clock[LIST][ROUNDS], ns[LIST];
    size_t k, g, i;
    int isa = detnni_kernels_of(DETNN_ISA_AVX512) ? 3 : detnni_kernels_of(DETNN_ISA_AVX2) ? 2 : 0, r, a;
    const char *names[] = {
#define E(f) #f,
        DETNN_FUNCTIONS(E)
#undef E
    };
    printf("%d elements, uniform in -8..8 (log: 0..16, log1p: -1..15, sin2pi, cos2pi: 0..1), median of %d rounds,\n"
        "cycles of the clock as it ran beside each\n", COUNT, ROUNDS);
    for (g = 0; g < sizeof names / sizeof names[0]; g++) {
        uint64_t s = 1;
        int wanted = argc < 2;
        for (a = 1; a < argc; a++) wanted |= strcmp(argv[a], names[g]) == 0;
        if (!wanted) continue;
        for (i = 0; i < COUNT; i++) {
            double u;
            s = s * 6364136223846793005u + 1442695040888963407u;
            u = (double)(s >> 40) / 16777216.0;
            u = strcmp(names[g], "log") == 0 ? u * 16 + 1e-6 : strcmp(names[g], "log1p") == 0 ? u * 16 - 0.999
                : names[g][3] == '2' ? u : u * 16 - 8;
            input[i] = (float)u;
        }
        for (r = -2; r < ROUNDS; r++)
            for (k = 0; k < LIST; k++) {
                double t;
                int m, reps = 16;
                if (strcmp(list[k].function, names[g]) || list[k].isa > isa) continue;
                t = now(); /* cores run slower for some 20 us after the first wide instructions: warm up past that */
                do list[k].run(input, COUNT, output); while (now() - t < 1e5);
                t = now();
                for (m = 0; m < reps; m++) list[k].run(input, COUNT, output);
                t = (now() - t) / (COUNT * reps);
                if (r >= 0) { time[k][r] = t; clock[k][r] = cycle(3); }
            }
        for (k = 0; k < LIST; k++) {
            if (strcmp(list[k].function, names[g]) || list[k].isa > isa) continue;
            qsort(time[k], ROUNDS, sizeof(double), ascending);
            qsort(clock[k], ROUNDS, sizeof(double), ascending);
            ns[k] = time[k][ROUNDS / 2];
            printf("%-10s %-18s %7.3f ns %7.2f cycles\n", names[g], list[k].implementation, ns[k], ns[k] / clock[k][ROUNDS / 2]);
        }
    }
    for (k = 0; k < LIST; k++)
        if (ns[k] > 0) printf("functions,%s,%s,%.4f,ns/element\n", list[k].function, list[k].implementation, ns[k]);
    return 0;
}

/* What the programs of the bench share. run.py starts each once and asks them in turn, so that what is compared is timed
   side by side: a line read names a case; the program times each of its implementations of it once, prints
   "implementation,value,unit" for each and an empty line at the end. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define UNUSED __attribute__((unused))

UNUSED static int asked(char name[80])
{
    if (!fgets(name, 80, stdin)) return 0;
    name[strcspn(name, "\n")] = 0;
    return 1;
}
UNUSED static void tell(const char *implementation, double value, const char *unit)
{
    printf("%s,%.6g,%s\n", implementation, value, unit);
}
UNUSED static void told(void)
{
    puts("");
    fflush(stdout);
}
UNUSED static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* Seconds: of processor time of this process (a loaded machine disturbs it least), and of the world. */
UNUSED static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
UNUSED static double wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
/* Seconds of one call of f, over as many as fill 2 ms; one more before warms caches and core. */
static double (*seconds_clock)(void) UNUSED = cpu;
UNUSED static double seconds(void (*f)(void *), void *of)
{
    double start, t;
    long calls = 0, more = 1, i;
    f(of);
    start = seconds_clock();
    do {
        for (i = 0; i < more; i++) f(of);
        calls += more;
        more = calls;
        t = seconds_clock() - start;
    } while (t < 2e-3);
    return t / (double)calls;
}
UNUSED static float *array(size_t n) /* on a cache line, -1/2 .. 1/2 */
{
    float *p = (float *)aligned_alloc(64, (n * sizeof(float) + 127) / 64 * 64);
    size_t i;
    if (!p) fail("bench", "no memory");
    for (i = 0; i < n; i++) p[i] = (float)((uint32_t)(i * 2654435761u) >> 8) / 16777216.0f - 0.5f;
    return p;
}
/* A function of a library that need not be there when this is compiled. */
UNUSED static void *peer(const char *library, const char *symbol)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL), *f = handle ? dlsym(handle, symbol) : 0;
    if (!f) fail(library, dlerror());
    return f;
}

/* The machine's limits on one core, in its widest registers: fused multiply-adds, their latency, reading. */
typedef float vector16 __attribute__((vector_size(64))), vector8 __attribute__((vector_size(32))),
    vector4 __attribute__((vector_size(16)));
#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define DECLARE(i) v##i = x * i,
#define MULTIPLY_ADD(i) v##i = v##i * x + y;
#define ADD_UP(i) sum += v##i;
#define ADD_LOADED(i) v##i += at[i];
#define LIMITS(T, LANES, TARGET)                                                                        \
    TARGET UNUSED static double peak_##T(void) /* GFLOP/s */                                            \
    {                                                                                                   \
        volatile float a = 0.999f, b = 1e-3f;                                                           \
        T x = (T){ 0 } + a, y = (T){ 0 } + b, TWELVE(DECLARE) sum = x;                                  \
        const int times = 20000;                                                                        \
        double t = cpu();                                                                               \
        int i;                                                                                          \
        for (i = 0; i < times; i++) { TWELVE(MULTIPLY_ADD) TWELVE(MULTIPLY_ADD) }                       \
        t = cpu() - t;                                                                                  \
        TWELVE(ADD_UP)                                                                                  \
        b = sum[0];                                                                                     \
        return 1e-9 * 24 * 2 * LANES * times / t;                                                       \
    }                                                                                                   \
    TARGET UNUSED static double latency_##T(void) /* seconds of one of a chain */                       \
    {                                                                                                   \
        volatile float a = 0.999f, b = 1e-3f;                                                           \
        T x = (T){ 0 } + a, y = (T){ 0 } + b, v0 = x;                                                   \
        const int times = 20000;                                                                        \
        double t = cpu();                                                                               \
        int i;                                                                                          \
        for (i = 0; i < times; i++) { MULTIPLY_ADD(0) MULTIPLY_ADD(0) MULTIPLY_ADD(0) MULTIPLY_ADD(0) } \
        t = cpu() - t;                                                                                  \
        b = v0[0];                                                                                      \
        return t / (4 * times);                                                                         \
    }                                                                                                   \
    TARGET UNUSED static float read_##T(const float *p, size_t bytes)                                   \
    {                                                                                                   \
        const T *at = (const T *)p, *end = at + bytes / sizeof(T) / 12 * 12;                            \
        volatile float a = 1.0f;                                                                        \
        T x = (T){ 0 } + a, TWELVE(DECLARE) sum = x;                                                    \
        for (; at != end; at += 12) { TWELVE(ADD_LOADED) }                                              \
        TWELVE(ADD_UP)                                                                                  \
        return sum[0];                                                                                  \
    }
#if defined(__x86_64__)
LIMITS(vector16, 16, __attribute__((target("avx512f"))))
LIMITS(vector8, 8, __attribute__((target("avx2,fma"))))
#endif
LIMITS(vector4, 4, )

UNUSED static int lanes(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") ? 16 : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 8 : 4;
#else
    return 4;
#endif
}
#if defined(__x86_64__)
#define WIDEST(f) (lanes() == 16 ? f##_vector16 : lanes() == 8 ? f##_vector8 : f##_vector4)
#else
#define WIDEST(f) f##_vector4
#endif
UNUSED static double best_of_5(double (*f)(void), int least)
{
    double best = f();
    int i;
    for (i = 0; i < 4; i++) {
        double v = f();
        if (least ? v < best : v > best) best = v;
    }
    return best;
}
UNUSED static double peak(void) { return best_of_5(WIDEST(peak), 0); }
UNUSED static double fma_latency(void) { return best_of_5(WIDEST(latency), 1); }

typedef struct reading { const float *p; size_t bytes; volatile float sink; } reading;
UNUSED static void read_once(void *of)
{
    reading *r = (reading *)of;
    r->sink = WIDEST(read)(r->p, r->bytes);
}
UNUSED static double read_bandwidth(const float *p, size_t bytes) /* bytes a second, once p is in its cache */
{
    reading r = { p, bytes, 0 };
    return (double)bytes / seconds(read_once, &r);
}

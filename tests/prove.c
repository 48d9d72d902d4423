/* Proof of the exact functions: every binary32 input of every function, on every instruction set of this processor,
   against a reference that shares nothing with the code under test but MPFR's correct rounding.

   The reference. The inputs of one binade are cut into runs of at most 2^16 neighbours. On a run the function is
   interpolated at NODES points that MPFR evaluates; the interpolation error is at most
       max |prod (t - t_k)| * (h / R)^NODES * M,    M >= |f(z)| for every complex z within R + h of the run's centre
   (h: half the run's width; Cauchy's estimate of the derivative), with the M of each function in bound() below. A run
   whose error is not far below the last place of binary64 is halved; a run of 16 is left to MPFR alone. With e, the sum of
   that error, of rounding and of 2^-49 of the value, an input is decided where value - e and value + e round to the same
   float, and is left to MPFR (400 bits) where not: about one in 10^7. Arguments beyond 128 are decided by inequalities,
   sin2pi and cos2pi beyond 1/2 by their period.

   usage: prove [-f functions] [-v variants] [-s N [-r seed]] [-j processes] [-o state file] [-h hard file]
   functions, variants: lists, as exp,log or scalar,sse2,avx2,avx512. -s N tries a sample: 2^20/N neighbours of each 2^20
   inputs, at places that the seed chooses.
   The state file keeps finished units: an interrupted proof goes on where it was. */
#define _GNU_SOURCE
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include <fcntl.h>
#include <math.h>
#include <mpfr.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NODES 8 /* run() below writes the polynomial out */
#define BLOCK 1024
#define UNIT_BITS 20
#if DETNN_CUDA /* with tests/cuda_shim.h: what kernels call */
#define BUILD "cuda"
#elif DETNN_INTEGER_FUNCTIONS
#define BUILD "integers"
#elif defined(__FMA__)
#define BUILD "fma"
#else
#define BUILD "plain"
#endif
#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)
#define CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define CLONES
#endif

enum { F_none
#define E(f) , F_##f
    DETNN_FUNCTIONS(E)
#undef E
};
typedef void array_fn(const float *, size_t, float *);
#if DETNN_CUDA
#define ONE(f) detnni_##f##_1_cuda
#else
#define ONE(f) detnn_##f
#endif
#define E(f) static void scalar_##f(const float *x, size_t n, float *y) { size_t i; for (i = 0; i < n; i++) y[i] = ONE(f)(x[i]); }
DETNN_FUNCTIONS(E)
#undef E
static struct function { const char *name; int id; array_fn *variant[5]; } functions[] = {
#define E(f) { #f, F_##f, { scalar_##f, 0, 0, 0, 0 } },
    DETNN_FUNCTIONS(E)
#undef E
};
#define FUNCTIONS ((int)(sizeof functions / sizeof functions[0]))
static const char *variant_name[5] = { "scalar", "scalar_n", "sse2", "avx2", "avx512" };

/* The array functions of every set of kernels that this processor has. */
static void find_variants(void)
{
    detnn_isa isa[5] = { DETNN_ISA_PLAIN, DETNN_ISA_PLAIN, DETNN_ISA_SSE2, DETNN_ISA_AVX2, DETNN_ISA_AVX512 };
    int f, v;
    if (detnni_kernels_of(DETNN_ISA_NEON)) { isa[2] = DETNN_ISA_NEON; variant_name[2] = "neon"; }
    for (v = 1; v < 5; v++)
        for (f = 0; f < FUNCTIONS; f++) {
            const detnni_kernels *k = detnni_kernels_of(isa[v]);
            functions[f].variant[v] = k ? k->exact[f] : 0;
        }
}

static float as_float(uint32_t b) { float f; memcpy(&f, &b, 4); return f; }
static uint32_t as_bits(float f) { uint32_t b; memcpy(&b, &f, 4); return b; }

/* ---- MPFR ---- */
static mpfr_t mx, mr, ma, mb, mc;
static void precision(mpfr_prec_t p)
{
    mpfr_set_prec(mr, p); mpfr_set_prec(ma, p); mpfr_set_prec(mb, p); mpfr_set_prec(mc, p);
}
static void tail(void) /* ma = Phi(mx) */
{
    mpfr_set_ui(ma, 2, MPFR_RNDN); mpfr_sqrt(ma, ma, MPFR_RNDN); mpfr_div(ma, mx, ma, MPFR_RNDN);
    mpfr_neg(ma, ma, MPFR_RNDN); mpfr_erfc(ma, ma, MPFR_RNDN); mpfr_div_2ui(ma, ma, 1, MPFR_RNDN);
}
static void evaluate(int id) /* mr = f(mx) */
{
    switch (id) {
    case F_exp: mpfr_exp(mr, mx, MPFR_RNDN); break;
    case F_log: mpfr_log(mr, mx, MPFR_RNDN); break;
    case F_expm1: mpfr_expm1(mr, mx, MPFR_RNDN); break;
    case F_log1p: mpfr_log1p(mr, mx, MPFR_RNDN); break;
    case F_tanh: mpfr_tanh(mr, mx, MPFR_RNDN); break;
    case F_erf: mpfr_erf(mr, mx, MPFR_RNDN); break;
    case F_sigmoid: case F_silu: case F_silu_grad:
        mpfr_neg(ma, mx, MPFR_RNDN); mpfr_exp(ma, ma, MPFR_RNDN); mpfr_add_ui(mb, ma, 1, MPFR_RNDN);
        if (id == F_sigmoid) mpfr_ui_div(mr, 1, mb, MPFR_RNDN);
        else if (id == F_silu) mpfr_div(mr, mx, mb, MPFR_RNDN);
        else { /* s (1 + x (1 - s)), 1 - s = e^-x / (1 + e^-x) */
            mpfr_mul(ma, ma, mx, MPFR_RNDN); mpfr_div(ma, ma, mb, MPFR_RNDN); mpfr_add_ui(ma, ma, 1, MPFR_RNDN);
            mpfr_div(mr, ma, mb, MPFR_RNDN);
        }
        break;
    case F_softplus: mpfr_exp(ma, mx, MPFR_RNDN); mpfr_log1p(mr, ma, MPFR_RNDN); break;
    case F_gelu: tail(); mpfr_mul(mr, mx, ma, MPFR_RNDN); break;
    case F_gelu_grad:
        tail();
        mpfr_sqr(mb, mx, MPFR_RNDN); mpfr_div_2ui(mb, mb, 1, MPFR_RNDN); mpfr_neg(mb, mb, MPFR_RNDN);
        mpfr_exp(mb, mb, MPFR_RNDN); mpfr_mul(mb, mb, mx, MPFR_RNDN);
        mpfr_const_pi(mc, MPFR_RNDN); mpfr_mul_2ui(mc, mc, 1, MPFR_RNDN); mpfr_sqrt(mc, mc, MPFR_RNDN);
        mpfr_div(mb, mb, mc, MPFR_RNDN); mpfr_add(mr, ma, mb, MPFR_RNDN);
        break;
    default: /* sin, cos of 2 pi x for |x| <= 1/2, the zeros exact */
        if (mpfr_zero_p(mx) || mpfr_cmp_d(mx, 0.5) == 0 || mpfr_cmp_d(mx, -0.5) == 0)
            mpfr_set_si(mr, id == F_sin2pi ? 0 : mpfr_zero_p(mx) ? 1 : -1, MPFR_RNDN);
        else if (id == F_cos2pi && (mpfr_cmp_d(mx, 0.25) == 0 || mpfr_cmp_d(mx, -0.25) == 0)) mpfr_set_ui(mr, 0, MPFR_RNDN);
        else {
            mpfr_const_pi(ma, MPFR_RNDN); mpfr_mul_2ui(ma, ma, 1, MPFR_RNDN); mpfr_mul(ma, ma, mx, MPFR_RNDN);
            if (id == F_sin2pi) mpfr_sin(mr, ma, MPFR_RNDN); else mpfr_cos(mr, ma, MPFR_RNDN);
        }
    }
}
/* The right result for x, and how far the exact value is from a rounding boundary, in ulps of binary64. */
static float by_mpfr(int id, float x, double *distance)
{
    float y, z;
    double mid;
    mpfr_set_flt(mx, x, MPFR_RNDN);
    precision(400);
    evaluate(id);
    *distance = 1e9;
    y = mpfr_get_flt(mr, MPFR_RNDN);
    if (mpfr_zero_p(mr)) return id == F_sin2pi || id == F_cos2pi ? 0.0f : y;
    if (fabsf(y) < 3.4e38f) {
        mpfr_set_flt(ma, y, MPFR_RNDN);
        mpfr_sub(ma, mr, ma, MPFR_RNDN);
        if (mpfr_zero_p(ma)) return y;
        z = nextafterf(y, mpfr_sgn(ma) > 0 ? INFINITY : -INFINITY);
        mid = ((double)y + (double)z) / 2;
        mpfr_sub_d(ma, mr, mid, MPFR_RNDN);
        *distance = ldexp(mpfr_get_d(ma, MPFR_RNDN), 53 - (int)mpfr_get_exp(mr));
    }
    return y;
}

/* ---- interpolation ---- */
static double node[NODES], node_product;
static __float128 inverse[NODES][NODES]; /* of the Vandermonde matrix: coefficient j = sum of inverse[j][k] * f(node k) */
static void prepare(void)
{
    int i, j, k;
    double t;
    for (k = 0; k < NODES; k++) node[k] = floor(cos(3.14159265358979 * (2 * k + 1) / (2 * NODES)) * 256) / 256;
    for (k = 0; k < NODES; k++) { /* Lagrange polynomial k in monomials */
        __float128 p[NODES + 1] = { 1 }, d = 1;
        int n = 0;
        for (i = 0; i < NODES; i++) {
            if (i == k) continue;
            for (j = ++n; j > 0; j--) p[j] = p[j - 1] - p[j] * node[i];
            p[0] = -p[0] * node[i];
            d *= (__float128)node[k] - node[i];
        }
        for (j = 0; j < NODES; j++) inverse[j][k] = p[j] / d;
    }
    node_product = 0; /* steps of 2^-12: the product of 8 factors below 2 moves by less than 8 * 2^7 * 2^-12 more */
    for (t = -1; t <= 1; t += 1.0 / 4096) {
        double q = 1;
        for (k = 0; k < NODES; k++) q *= fabs(t - node[k]);
        if (q > node_product) node_product = q;
    }
    node_product += 0.25;
}
/* *m >= |f(z)| for all complex z with |z - c| <= *r. */
static void bound(int id, double c, double *r, double *m)
{
    double a = fabs(c), g;
    *r = 1;
    switch (id) {
    case F_exp: *r = 2; *m = exp(c + 2); break;
    case F_expm1: *r = 2; *m = exp(c + 2) + 1; break;
    case F_log: *r = a / 2; *m = fabs(log(a)) + 1.4; break;
    case F_log1p: *r = (1 + c) / 2; *m = fabs(log1p(c)) + 1.4; break;
    case F_tanh: *m = 1.6; break; /* tan(1) */
    case F_sigmoid: *m = c < -1 ? exp(c + 1) : 1; break; /* |1 + e^z| >= 1 for |Im z| <= 1 */
    case F_softplus: *m = c < 0 ? exp(c + 1) : a + 1 + exp(1 - c); break; /* |log(1 + w)| <= |w| for Re w >= 0 */
    case F_silu: *m = (a + 1) * (c < -1 ? exp(c + 1) : 1); break;
    case F_silu_grad: *m = (a + 2) * (c < -1 ? exp(c + 1) : 1); break;
    case F_erf: *m = 4.1; break; /* 1 + 2 e / sqrt(pi) for |Im z| <= 1 */
    case F_gelu: case F_gelu_grad: /* |Phi(z)| <= |exp(-z^2/2)| / 2 for Re z <= 0, 1.7 for |Im z| <= 1 */
        if (a > 4) *r = 4 / a;
        g = exp(-(a * a - 2 * a * *r - *r * *r) / 2);
        *m = c < -*r ? g / 2 : 1.7;
        if (id == F_gelu) *m *= a + *r;
        else *m += 0.4 * (a + *r) * g;
        break;
    default: *r = 0.25; *m = 4.9; /* e^(2 pi / 4) */
    }
}

/* ---- one unit of work ---- */
struct result { uint64_t tried, wrong[5], mpfr; double hardest; uint32_t hardest_at; };
static const struct function *F;
static int variant_on[5];
static FILE *hard_file;
static char build_name[64];

static void report(uint32_t b, int v, float got, float want)
{
    fprintf(stderr, "WRONG %s %s %08x: %08x, right is %08x\n", F->name, variant_name[v], b, as_bits(got), as_bits(want));
}
static void check(uint32_t b, const float *x, size_t n, const float *want, struct result *r)
{
    static float y[BLOCK];
    int v;
    size_t i;
    for (v = 0; v < 5; v++) {
        if (!variant_on[v] || !F->variant[v]) continue;
        F->variant[v](x, n, y);
        if (memcmp(y, want, n * sizeof(float)) == 0) continue;
        for (i = 0; i < n; i++) {
            if (as_bits(y[i]) == as_bits(want[i]) || (y[i] != y[i] && want[i] != want[i])) continue;
            if (r->wrong[v]++ < 20) report(b + (uint32_t)i, v, y[i], want[i]);
        }
    }
}
static float decide(uint32_t b, struct result *r)
{
    double d;
    float y = by_mpfr(F->id, as_float(b), &d);
    r->mpfr++;
    if (fabs(d) < fabs(r->hardest)) { r->hardest = d; r->hardest_at = b; }
    if (hard_file && fabs(d) < 32) fprintf(hard_file, "%s %08x %08x %.6g\n", F->name, b, as_bits(y), d);
    return y;
}
/* The float that all of value - e .. value + e round to, or *open where there are two. */
static CLONES int64_t reference(const double *c, double first, double step, double e0, int n, float *want, int64_t *open)
{
    int64_t any = 0;
    int i;
    for (i = 0; i < n; i++) {
        double t = first + step * i;
        double v = c[0] + (((((((c[8] * t + c[7]) * t + c[6]) * t + c[5]) * t + c[4]) * t + c[3]) * t + c[2]) * t + c[1]);
        double a = fabs(v), e = e0 + a * (1.0 / 562949953421312.0);
        double low = (double)(float)(a - e), high = (double)(float)(a + e);
        int64_t o = (low != high) | (a <= e);
        want[i] = (float)copysign(low, v);
        open[i] = o;
        any += o;
    }
    return any;
}
static void run(uint32_t b, uint32_t n, struct result *r)
{
    static float x[BLOCK], want[BLOCK];
    static int64_t open[BLOCK];
    double x0 = (double)as_float(b), ulp = (double)as_float(b + 1) - x0, h = fabs(ulp) * n / 2, c = x0 + ulp * n / 2;
    double radius, m, err, co[NODES + 1];
    __float128 f[NODES], s;
    uint32_t i, j;
    int k, l;
    if (n > 16) {
        bound(F->id, c, &radius, &m);
        if (radius <= 2 * h) goto halve;
        err = node_product * pow(h / (radius - h), NODES) * m;
        precision(220);
        mpfr_set_d(mx, c, MPFR_RNDN);
        evaluate(F->id);
        if (!(err <= ldexp(fabs(mpfr_get_d(mr, MPFR_RNDN)), -52))) goto halve;
        for (k = 0; k < NODES; k++) {
            double hi;
            mpfr_set_d(mx, c, MPFR_RNDN);
            mpfr_add_d(mx, mx, node[k] * ulp * n / 2, MPFR_RNDN);
            evaluate(F->id);
            hi = mpfr_get_d(mr, MPFR_RNDN);
            mpfr_sub_d(mr, mr, hi, MPFR_RNDN);
            f[k] = (__float128)hi + mpfr_get_d(mr, MPFR_RNDN);
        }
        for (l = 0; l < NODES; l++) {
            s = 0;
            for (k = 0; k < NODES; k++) s += inverse[l][k] * f[k];
            if (l == 0) { co[0] = (double)s; co[1] = (double)(s - co[0]); }
            else co[l + 1] = (double)s;
        }
        for (l = 1; l < NODES; l++) err += ldexp(fabs(co[l + 1]), -49);
        for (i = 0; i < n; i += BLOCK) {
            uint32_t w = n - i < BLOCK ? n - i : BLOCK;
            int64_t any;
            for (j = 0; j < w; j++) x[j] = as_float(b + i + j);
            any = reference(co, (2.0 * i - n) / n, 2.0 / n, err, (int)w, want, open);
            for (j = 0; any && j < w; j++)
                if (open[j]) { want[j] = decide(b + i + j, r); any--; }
            check(b + i, x, w, want, r);
        }
        r->tried += n;
        return;
    halve:
        run(b, n / 2, r);
        run(b + n / 2, n - n / 2, r);
        return;
    }
    for (j = 0; j < n; j++) { x[j] = as_float(b + j); want[j] = decide(b + j, r); }
    check(b, x, n, want, r);
    r->tried += n;
}
/* The exact result where no analysis is needed; 0 if it is. Every input from b to b + n is of one kind. */
static int simple(uint32_t b, float *y)
{
    float x = as_float(b), a = fabsf(x), inf = INFINITY;
    int id = F->id, trig = id == F_sin2pi || id == F_cos2pi;
    *y = NAN;
    if (x != x) return 1;
    if (id == F_log && a == 0) { *y = -inf; return 1; }
    if (id == F_log && x < 0) return 1;
    if (id == F_log1p && x == -1) { *y = -inf; return 1; }
    if (id == F_log1p && x < -1) return 1;
    if (a == 0) {
        *y = id == F_exp || id == F_cos2pi ? 1.0f : id == F_sigmoid || id == F_gelu_grad || id == F_silu_grad ? 0.5f
            : id == F_softplus ? as_float(0x3f317218) : id == F_sin2pi ? 0.0f : x;
        return 1;
    }
    if (trig && a == inf) return 1;
    if (trig && a > 0.5f) { /* f(x) = f(x - nearest integer), which the proof covers elsewhere: compare with the code itself */
        float u = (float)((double)x - nearbyint((double)x)); /* exact */
        if (id == F_sin2pi) *y = detnn_sin2pi(u); else *y = detnn_cos2pi(u);
        return 1;
    }
    if (id == F_log || id == F_log1p) { *y = x; return a == inf; }
    if ((id == F_gelu || id == F_silu) && a < 0x1p-60) { /* f lies between x/2 and x/2 + x^2/2, so just above x/2 */
        *y = (float)((double)x * (x > 0 ? 0.5 + 0x1p-52 : 0.5 - 0x1p-52));
        return 1;
    }
    if ((id == F_gelu || id == F_gelu_grad) && x <= -16) { *y = -0.0f; return 1; } /* 0 > f > -2^-160 */
    if (a < 128) return 0;
    switch (id) { /* at 128 all have reached their limits */
    case F_exp: case F_softplus: *y = x < 0 ? 0.0f : x > 0 && id == F_softplus ? x : inf; break;
    case F_expm1: *y = x < 0 ? -1.0f : inf; break;
    case F_tanh: case F_erf: *y = x < 0 ? -1.0f : 1.0f; break;
    case F_sigmoid: *y = x < 0 ? 0.0f : 1.0f; break;
    case F_gelu_grad: case F_silu_grad: *y = x < 0 ? -0.0f : 1.0f; break;
    default: *y = x < 0 ? -0.0f : x; break;
    }
    return 1;
}
static void all(uint32_t b, uint32_t n, struct result *r)
{
    static float x[BLOCK], want[BLOCK];
    uint32_t i, j;
    float y;
    for (i = 0; i < n;) {
        uint32_t w = n - i < BLOCK ? n - i : BLOCK;
        if (!simple(b + i, &y) && !simple(b + i + w - 1, &y)) { /* grow to a run of one kind */
            uint32_t m = n - i < 65536 ? n - i : 65536;
            while (m > w && (simple(b + i + m - 1, &y) || ((b + i) >> 23) != ((b + i + m - 1) >> 23))) m /= 2;
            if (((b + i) >> 23) == ((b + i + m - 1) >> 23)) { run(b + i, m, r); i += m; continue; }
        }
        for (j = 0; j < w; j++) {
            x[j] = as_float(b + i + j);
            if (!simple(b + i + j, &want[j])) want[j] = decide(b + i + j, r);
        }
        check(b + i, x, w, want, r);
        r->tried += w;
        i += w;
    }
}

/* ---- the state file: a line for each finished unit ---- */
struct total { uint64_t tried, wrong, mpfr; double hardest, seconds; uint32_t hardest_at; int units; };
static struct total read_state(FILE *in, unsigned char *done)
{
    struct total t = { 0, 0, 0, 1e9, 0, 0, 0 };
    char line[300], name[32], build[64];
    unsigned unit, at;
    unsigned long long tried, wrong, mpfr;
    double d, seconds;
    memset(done, 0, 4096);
    while (in && fgets(line, sizeof line, in)) {
        if (sscanf(line, "%31s %63s %u %llu %llu %llu %lf %x %lf", name, build, &unit, &tried, &wrong, &mpfr, &d, &at, &seconds) != 9
            || strcmp(name, F->name) || strcmp(build, build_name) || unit >= 4096 || done[unit]) continue;
        done[unit] = 1;
        t.units++; t.tried += tried; t.wrong += wrong; t.mpfr += mpfr; t.seconds += seconds;
        if (fabs(d) < fabs(t.hardest)) { t.hardest = d; t.hardest_at = at; }
    }
    return t;
}
static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
static int wanted(const char *list, const char *name) /* is it in the list, a,b,c? */
{
    size_t n = strlen(name);
    for (; list; list = strchr(list, ',') ? strchr(list, ',') + 1 : 0)
        if (strncmp(list, name, n) == 0 && (list[n] == ',' || list[n] == 0)) return 1;
    return 0;
}
static uint32_t place(uint64_t seed, uint32_t unit, uint32_t n) /* of a sample of n inputs in a unit */
{
    uint64_t z = (seed * 4096 + unit + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u; z = (z ^ (z >> 27)) * 0x94d049bb133111ebu; z ^= z >> 31;
    return (uint32_t)(z % ((1u << UNIT_BITS) / n)) * n;
}
static void work(uint32_t *next, const unsigned char *done, int out, uint32_t sample, uint64_t seed)
{
    uint32_t u, n = (1u << UNIT_BITS) / sample < 64 ? 64 : (1u << UNIT_BITS) / sample;
    char line[300];
    while ((u = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED)) < 4096) {
        struct result r = { 0, { 0 }, 0, 1e9, 0 };
        double t = cpu_seconds();
        uint64_t wrong = 0;
        int v, length;
        if (done[u]) continue;
        if (sample == 1) all(u << UNIT_BITS, 1u << UNIT_BITS, &r);
        else all((u << UNIT_BITS) + place(seed, u, n), n, &r);
        for (v = 0; v < 5; v++) wrong += r.wrong[v];
        length = snprintf(line, sizeof line, "%s %s %u %llu %llu %llu %.6g %08x %.6f\n", F->name, build_name, u, (unsigned long long)r.tried,
            (unsigned long long)wrong, (unsigned long long)r.mpfr, r.hardest, r.hardest_at, cpu_seconds() - t);
        if (write(out, line, (size_t)length) != length) _exit(3);
    }
}

int main(int argc, char **argv)
{
    const char *only = 0, *variants = 0, *state = 0, *hard = 0;
    long sample = 1, processes = sysconf(_SC_NPROCESSORS_ONLN), p;
    uint64_t seed = 1;
    int o, f, v, failed = 0;
    static unsigned char done[4096];
    uint32_t *next;
    while ((o = getopt(argc, argv, "f:v:s:r:j:o:h:")) != -1) switch (o) {
        case 'f': only = optarg; break;
        case 'v': variants = optarg; break;
        case 's': sample = atol(optarg); break;
        case 'r': seed = strtoull(optarg, 0, 10); break;
        case 'j': processes = atol(optarg); break;
        case 'o': state = optarg; break;
        case 'h': hard = optarg; break;
        default: fprintf(stderr, "usage: prove [-f functions] [-v variants] [-s N [-r seed]] [-j processes] [-o state] [-h hard]\n"); return 2;
    }
    if (sample < 1 || processes < 1) return 2;
    for (v = 0; v < 5; v++) variant_on[v] = variants ? wanted(variants, variant_name[v]) : v != 1; /* 1 is the code of 0 */
    find_variants();
    snprintf(build_name, sizeof build_name, "%s/%s", BUILD, variants ? variants : "all");
    mpfr_inits2(400, mr, ma, mb, mc, (mpfr_ptr)0);
    mpfr_init2(mx, 128);
    prepare();
    next = (uint32_t *)mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    printf("build %s, variants", BUILD);
    for (v = 0; v < 5; v++) if (variant_on[v] && functions[0].variant[v]) printf(" %s", variant_name[v]);
    printf("\n%-10s %11s %6s %9s %10s %9s %8s\n", "function", "inputs", "wrong", "hardest", "ulps", "by MPFR", "minutes of CPU");
    for (f = 0; f < FUNCTIONS; f++) {
        char temporary[] = "/tmp/prove-XXXXXX";
        struct total t;
        FILE *in;
        int out;
        F = &functions[f];
        if (only && !wanted(only, F->name)) continue;
        out = state ? open(state, O_RDWR | O_APPEND | O_CREAT, 0666) : mkstemp(temporary);
        if (out < 0 || (in = fdopen(out, "r")) == 0) { perror("state file"); return 2; }
        read_state(in, done);
        *next = 0;
        fflush(stdout);
        for (p = 0; p < processes; p++)
            if (fork() == 0) {
                if (hard && (hard_file = fopen(hard, "a")) != 0) setvbuf(hard_file, 0, _IOLBF, 0);
                work(next, done, out, (uint32_t)sample, seed);
                _exit(0);
            }
        for (p = 0; p < processes; p++) { int s; wait(&s); if (s) failed = 1; }
        rewind(in);
        t = read_state(in, done);
        fclose(in);
        if (!state) unlink(temporary);
        printf("%-10s %11llu %6llu  %08x %10.3g %9llu %8.2f\n", F->name, (unsigned long long)t.tried, (unsigned long long)t.wrong,
            t.hardest_at, t.hardest, (unsigned long long)t.mpfr, t.seconds / 60);
        fflush(stdout);
        if (t.wrong || t.units != 4096) failed = 1;
    }
    printf("%s\n", failed ? "FAILED" : "all right");
    return failed;
}

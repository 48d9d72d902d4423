/* Kernels over arrays. Reductions, cases "sum L1", "dropout memory" ...: GB/s of what is read and written, beside memcpy over
   as many bytes. Promise, cases without a place: ns an element beside the same work freed of the contract (bench/freed.c). */
#define DETNN_IMPLEMENTATION
#include "bench.h"
#include "detnn.h"
#include "freed.h"
#if defined(__x86_64__)
#define FLUSH(on) _mm_setcsr(on ? _mm_getcsr() | 0x8040 : _mm_getcsr() & ~0x8040u)
#else
#define FLUSH(on) ((void)0)
#endif

static const detnni_kernels *kernels;
static detnni_update sgd, adam;
static size_t n;
static float *x, *y, *z, *m, *v, *scratch;
static volatile float sink;
enum { IN = 1024, ROWS = 256, OUT = 1024 };

#define RUN(name, call) static void name(void *of) { (void)of; call; }
RUN(copy, memcpy(y, x, n / 2 * sizeof *x)) /* as many bytes as n floats */
RUN(sum, sink = detnn_sum(x, n))
RUN(dot, sink = detnn_dot(x, y, n))
RUN(largest, sink = kernels->max(x, n))
RUN(magnitude, sink = (float)kernels->magnitude(x, n))
RUN(add, kernels->add(x, n, y))
RUN(relu, kernels->activate(DETNN_RELU, 0, x, n, y))
RUN(philox, detnn_random_words(1, 2, 3, 0, n, (uint32_t *)y))
RUN(uniform, detnn_random_uniform(1, 2, 3, 0, n, -1, 1, y))
RUN(dropout, kernels->dropout(0.5f, 1, 2, 3, 0, x, n, y))
RUN(update_sgd, kernels->update(&sgd, 0, n, x, z, 0, 0))
RUN(update_adam, kernels->update(&adam, 0, n, x, z, m, v))
RUN(softmax_10, { size_t i; for (i = 0; i + 10 <= n; i += 10) detnn_softmax(x + i, 10, y + i); })
RUN(softmax_1000, { size_t i; for (i = 0; i + 1000 <= n; i += 1000) detnn_softmax(x + i, 1000, y + i); })
RUN(exps, detnn_exp_n(x, n, y))
RUN(tanhs, detnn_tanh_n(x, n, y))
RUN(gelus, detnn_gelu_n(x, n, y))
RUN(leaves, detnn_dense_weight_gradient(x, y, ROWS, IN, OUT, z, 0, scratch))
RUN(f_sum, sink = freed_sum(x, n))
RUN(f_dot, sink = freed_dot(x, y, n))
RUN(f_dropout, freed_dropout(0.5f, 1, x, n, y))
RUN(f_sgd, freed_sgd(sgd.rate, n, x, z))
RUN(f_adam, freed_adam(adam.rate, adam.correction, n, x, z, m, v))
RUN(f_softmax_10, { size_t i; for (i = 0; i + 10 <= n; i += 10) freed_softmax(x + i, 10, y + i); })
RUN(f_softmax_1000, { size_t i; for (i = 0; i + 1000 <= n; i += 1000) freed_softmax(x + i, 1000, y + i); })
RUN(f_exp, freed_exp(x, n, y))
RUN(f_tanh, freed_tanh(x, n, y))
RUN(f_gelu, freed_gelu(x, n, y))
RUN(f_leaves, detnn_dense_forward(x, y, 0, IN, ROWS, OUT, z, scratch)) /* x turned already, no leaves */

static const struct { const char *name; void (*run)(void *), (*freed)(void *); int arrays; } list[] = {
    { "sum", sum, f_sum, 1 }, { "dot", dot, f_dot, 2 }, { "max", largest, 0, 1 }, { "magnitude", magnitude, 0, 1 },
    { "add", add, 0, 3 }, { "relu", relu, 0, 2 }, { "philox", philox, 0, 1 }, { "uniform", uniform, 0, 1 },
    { "dropout", dropout, f_dropout, 2 }, { "SGD", update_sgd, f_sgd, 3 }, { "Adam", update_adam, f_adam, 7 },
    { "Adam of subnormal moments", update_adam, f_adam, 7 }, { "softmax of 10", softmax_10, f_softmax_10, 2 },
    { "softmax of 1000", softmax_1000, f_softmax_1000, 2 }, { "exp", exps, f_exp, 2 }, { "tanh", tanhs, f_tanh, 2 },
    { "GELU", gelus, f_gelu, 2 }, { "weight gradient 1024x256x1024", leaves, f_leaves, 0 },
};
#define LIST (sizeof list / sizeof list[0])

int main(void)
{
    char name[80], last[80] = "";
    kernels = detnni_kernels_of(DETNN_ISA_AUTO);
    sgd.o = detnn_sgd(1e-3f), adam.o = detnn_adam(1e-3f);
    sgd.rate = adam.rate = 1e-3f, sgd.correction = adam.correction = 1;
    while (asked(name)) {
        const char *places[] = { " L1", " L2", " memory" };
        const size_t bytes[] = { 24 << 10, 512 << 10, 192 << 20 }; /* of all arrays of a case together */
        size_t i, place = 3, length = strlen(name), k = 0, p;
        for (p = 0; p < 3; p++) {
            size_t l = strlen(places[p]);
            if (length > l && strcmp(name + length - l, places[p]) == 0) place = p, length -= l;
        }
        while (k < LIST && (strncmp(list[k].name, name, length) || list[k].name[length])) k++;
        if (k == LIST) fail(name, "is no kernel");
        if (strcmp(name, last)) {
            const size_t arrays = (size_t)(list[k].arrays > 4 ? 4 : list[k].arrays);
            strcpy(last, name);
            n = !arrays ? IN * OUT : place < 3 ? bytes[place] / arrays / sizeof *x / 64 * 64 : 4000;
            free(x), free(y), free(z), free(m), free(v), free(scratch);
            x = array(n), y = array(n), z = array(n), m = array(n), v = array(n);
            scratch = array(detnn_dense_scratch(IN, IN, OUT));
            for (i = 0; i < n; i++) v[i] *= v[i];
        }
        if (place < 3) {
            double size = list[k].arrays * (double)n * sizeof *x;
            tell("detnn", 1e-9 * size / seconds(list[k].run, 0), "GB/s");
            tell("memcpy", 1e-9 * (double)(n / 2 * 2) * sizeof *x / seconds(copy, 0), "GB/s");
        } else {
            for (i = 0; strstr(name, "subnormal") && i < n; i++) /* flushing spoils them: every round anew */
                x[i] = 0, m[i] = 1e-39f * (float)(i % 8 + 1), v[i] = 1e-40f * (float)(i % 8 + 1);
            double each = list[k].arrays ? 1e9 / (double)n : 1e9 / IN / OUT;
            tell("detnn", each * seconds(list[k].run, 0), "ns/element");
            if (strstr(name, "subnormal")) FLUSH(1);
            if (list[k].freed) tell("freed", each * seconds(list[k].freed, 0), "ns/element");
            if (strstr(name, "subnormal")) FLUSH(0);
        }
        told();
    }
    return 0;
}

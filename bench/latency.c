/* Latency of one prediction, ns: median and 99.9th percentile of single calls, detnn, FANN and Eigen. The floor is the
   largest of: the bytes of the weights over the bandwidth of the cache that holds them; operations over the peak; the sum
   over the layers of inputs times the latency of a fused multiply-add. Arguments: FANN's library and Eigen's (or -). */
#include "bench.h"
#include "detnn.h"
#if defined(__x86_64__)
#include <x86intrin.h>
#define TICKS() (_mm_lfence(), (double)__rdtsc()) /* once all before it is done */
#else
#define TICKS() (1e9 * wall())
#endif

#define CALLS 4001
#define ROWS  16
typedef void *fann_new(unsigned, const unsigned *);
typedef void fann_choose(void *, int);
typedef float *fann_run(void *, const float *);
typedef void *eigen_new(int, int, int);
typedef void eigen_run(void *, const float *, float *);

static detnn_net *net;
static void *ann, *other;
static fann_run *run_fann;
static eigen_run *run_eigen;
static float *x, y[10];
static void use_detnn(const float *in)
{
    detnn_error err;
    if (detnn_predict(net, in, 1, y, &err)) fail("detnn", err.text);
}
static void use_fann(const float *in) { y[0] = run_fann(ann, in)[0]; }
static void use_eigen(const float *in) { run_eigen(other, in, y); }
static void use_nothing(const float *in) { y[0] = in[0]; }

static int ascending(const void *a, const void *b)
{
    double p = *(const double *)a, q = *(const double *)b;
    return p < q ? -1 : p > q;
}
static void measure(const char *name, void (*volatile run)(const float *), int inputs, double tick)
{
    static double t[2][CALLS];
    int i;
    for (i = -200; i < CALLS; i++) {
        double a, b, c;
        a = TICKS();
        use_nothing(x);
        b = TICKS();
        run(x + (i & (ROWS - 1)) * inputs);
        c = TICKS();
        if (i >= 0) t[0][i] = b - a, t[1][i] = c - b;
    }
    for (i = 0; i < 2; i++) qsort(t[i], CALLS, sizeof(double), ascending);
    tell(name, (t[1][CALLS / 2] - t[0][CALLS / 2]) * tick, "ns");
    tell(name, (t[1][CALLS * 999 / 1000] - t[0][CALLS / 2]) * tick, "ns at 99.9 %");
}

int main(int argc, char **argv)
{
    char name[80], last[80] = "";
    const char *fann = argc > 1 && strcmp(argv[1], "-") ? argv[1] : 0, *eigen = argc > 2 && strcmp(argv[2], "-") ? argv[2] : 0;
    double tick = wall(), ticks = TICKS();
    float *weights = array(1 << 20);
    x = array(ROWS * 784);
    while (wall() - tick < 0.1) ;
    tick = 1e9 * (wall() - tick) / (TICKS() - ticks); /* ns */
    while (asked(name)) {
        unsigned size[3];
        double bytes, chain, most;
        if (sscanf(name, "%u-%u-%u", &size[0], &size[1], &size[2]) != 3) fail(name, "is no net");
        if (strcmp(name, last)) {
            detnn_layer layers[] = { DETNN_DENSE(size[1], DETNN_RELU), DETNN_DENSE(size[2], DETNN_SOFTMAX) };
            detnn_net_desc desc = detnn_net_desc_default();
            detnn_error err;
            strcpy(last, name);
            if (size[2] == 1) layers[1].activation = DETNN_SIGMOID, desc.loss = DETNN_BINARY_CROSS_ENTROPY;
            desc.inputs = size[0], desc.layers = layers, desc.layer_count = 2;
            desc.batch_max = 1, desc.predict_only = 1;
            detnn_net_destroy(net);
            if (detnn_net_create(&net, &desc, &err)) fail("detnn", err.text);
            if (fann) {
                ann = ((fann_new *)peer(fann, "fann_create_standard_array"))(3, size);
                ((fann_choose *)peer(fann, "fann_set_activation_function_hidden"))(ann, 12); /* LINEAR_PIECE */
                ((fann_choose *)peer(fann, "fann_set_activation_function_output"))(ann, 12);
                run_fann = (fann_run *)peer(fann, "fann_run");
            }
            if (eigen) {
                other = ((eigen_new *)peer(eigen, "eigen_net"))((int)size[0], (int)size[1], (int)size[2]);
                run_eigen = (eigen_run *)peer(eigen, "eigen_predict");
            }
        }
        bytes = 4.0 * ((size[0] + 1) * size[1] + (size[1] + 1) * size[2]);
        chain = 1e9 * (size[0] + size[1]) * fma_latency();
        most = 1e9 * bytes / read_bandwidth(weights, (size_t)bytes);
        if (chain > most) most = chain;
        if (bytes / 2 / peak() > most) most = bytes / 2 / peak();
        tell("floor", most, "ns");
        measure("detnn", use_detnn, (int)size[0], tick);
        if (fann) measure("FANN", use_fann, (int)size[0], tick);
        if (eigen) measure("Eigen", use_eigen, (int)size[0], tick);
        told();
    }
    return 0;
}

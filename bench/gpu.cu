/* Times on a GPU: products beside cuBLAS FP32 (no TF32), in turn in one run, and training steps. Prints CSV lines
 * gpu,case,implementation,median,unit; bench/gpu.sh adds PyTorch's and prints ratios.
 *
 *     gpu [products|steps]               nvcc -x cu -arch=native -O3 bench/gpu.cu -lcublas
 *
 * What bounds each kernel, and what is expected of it (written before any of it ran on a GPU; P is the measured peak of
 * fma, B the memory's bandwidth, 4 cycles the latency of an fma):
 *
 *   product, tile 128   2 rows in out / P. A thread's 64 fma (forward, input gradient) need 4 loads of 16 bytes from
 *                       shared memory, 6 of 16 cycles of its bandwidth; expected 0.85 to 0.9 of P; to try: __launch_bounds__(256,
 *                       2), 128 registers instead of 160 with 20 to 70 bytes spilled. Weight gradient: 32
 *                       fma for 3 loads, 3 of 8 cycles; 255 registers, so 8 warps on a multiprocessor; expected 0.8.
 *                       To try: 2 waiting nodes instead of 3 (fewer registers, groups of 8 leaves), stores of 16 bytes.
 *   product, tile 64    the same work, 16 fma for 2 loads; expected 0.6 to 0.7 of P where it fills the device. With one
 *                       row of tiles (batch 64) blocks are few: out / 64; the floor is then terms * 32 cycles for a
 *                       block, and the kernel matrix from memory, 4 in out / B. To try: 64 x 32.
 *   product, tile 32    4 fma for 2 loads: bound by shared memory at 0.25 to 0.35 of P; it is for shapes that have
 *                       fewer than 96 tiles of 64.
 *   product, tile 16    one output for a thread: the chain itself, terms * 4 cycles, is the floor (784: 1.8 us at 1.75
 *                       GHz); expected terms * 6 cycles.
 *   join of groups      (groups + 1) * 4 in out / B
 *   update (Adam)       28 bytes for a weight / B; expected 0.85 of B
 *   gather, elements    8 to 12 bytes for an element / B; small nets: the launch, 1.5 us in a graph
 *   losses              a warp for a row; small nets: its launch and 3 passes over a row, 3 to 4 us
 *   norm                one block: 4096 elements for each of its sums; a large net's 10^4 sums, some 10 us
 *   a small net's step  784-128-10: 8 launches in a graph, 20 to 30 us at any batch up to 256; to try: one fused kernel
 *                       for losses and the last layer's products, and no kernel of its own at the step's end */
#define DETNN_CUDA 1
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include <cublas_v2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 9
static cudaStream_t stream;
static cublasHandle_t blas;
static detnn_net *net; /* for its run, its stream and its partial sums */
static float *x, *y, *z;

static void die(const char *what) { fprintf(stderr, "gpu: %s: %s\n", what, cudaGetErrorString(cudaGetLastError())); exit(1); }
static int compare(const void *a, const void *b) { return *(const double *)a < *(const double *)b ? -1 : 1; }
static double median(double *t, int n)
{
    qsort(t, (size_t)n, sizeof *t, compare);
    return t[n / 2];
}
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Independent chains of fma in registers: the device's FP32 peak, as measured. */
typedef struct { float *to; float a, b; int n; } peak_job;
static __global__ void peak_kernel(peak_job p)
{
    float v[16];
    int i, k;
    for (i = 0; i < 16; i++) v[i] = p.a + (float)(threadIdx.x + i);
    for (k = 0; k < p.n; k++)
#pragma unroll
        for (i = 0; i < 16; i++) v[i] = detnni_g_fma(v[i], p.a, p.b);
    for (i = 1; i < 16; i++) v[0] += v[i];
    if (v[0] == 12345.0f) *p.to = v[0];
}

typedef struct { size_t rows, in, out; int form; } shape;

static void ours(const shape *s)
{
    detnni_gpu *g = net->gpu;
    detnni_gpu_dense p;
    memset(&p, 0, sizeof p);
    p.c = z;
    p.a = x;
    p.b = y;
    p.rows = s->form == DETNNI_WEIGHT_GRADIENT ? s->in : s->rows;
    p.cols = s->form == DETNNI_INPUT_GRADIENT ? s->in : s->out;
    p.terms = s->form == DETNNI_FORWARD ? s->in : s->form == DETNNI_INPUT_GRADIENT ? s->out : s->rows;
    p.lda = s->form == DETNNI_INPUT_GRADIENT ? s->out : s->in;
    p.ldb = s->out;
    p.a_rows = s->in;
    p.run = s->form == DETNNI_WEIGHT_GRADIENT ? g->run : 0;
    detnni_gpu_product(g, s->form, p);
}

/* Row-major C = A B is column-major C^T = B^T A^T. */
static void theirs(const shape *s)
{
    const float one = 1.0f, zero = 0.0f;
    const int rows = (int)s->rows, in = (int)s->in, out = (int)s->out;
    cublasStatus_t e;
    if (s->form == DETNNI_FORWARD)
        e = cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, out, rows, in, &one, y, out, x, in, &zero, z, out);
    else if (s->form == DETNNI_INPUT_GRADIENT)
        e = cublasSgemm(blas, CUBLAS_OP_T, CUBLAS_OP_N, in, rows, out, &one, y, out, x, out, &zero, z, in);
    else
        e = cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_T, out, in, rows, &one, y, out, x, in, &zero, z, out);
    if (e != CUBLAS_STATUS_SUCCESS) die("cublasSgemm");
}

/* The time of one, in seconds, over enough of them. */
static double timed(void (*f)(const shape *), const shape *s, int n)
{
    cudaEvent_t a, b;
    float ms = 0.0f;
    int i;
    cudaEventCreate(&a);
    cudaEventCreate(&b);
    cudaEventRecord(a, stream);
    for (i = 0; i < n; i++) f(s);
    cudaEventRecord(b, stream);
    if (cudaEventSynchronize(b) != cudaSuccess || net->gpu->error != cudaSuccess) die("a product");
    cudaEventElapsedTime(&ms, a, b);
    cudaEventDestroy(a);
    cudaEventDestroy(b);
    return 1e-3 * (double)ms / n;
}

static void product(const shape *s, const char *group)
{
    static const char *const forms[] = { "forward", "input gradient", "weight gradient" };
    const double work = 2.0 * (double)s->rows * (double)s->in * (double)s->out;
    double a[ROUNDS], b[ROUNDS];
    int i, n;
    timed(ours, s, 2);
    timed(theirs, s, 2);
    n = (int)(0.004 / (timed(theirs, s, 3) + 1e-6)) + 1;
    for (i = 0; i < ROUNDS; i++) {
        a[i] = timed(ours, s, n);
        b[i] = timed(theirs, s, n);
    }
    printf("gpu,%s %zux%zux%zu %s,detnn,%.4g,TFLOP/s\n", group, s->rows, s->in, s->out, forms[s->form], 1e-12 * work / median(a, ROUNDS));
    printf("gpu,%s %zux%zux%zu %s,cuBLAS,%.4g,TFLOP/s\n", group, s->rows, s->in, s->out, forms[s->form], 1e-12 * work / median(b, ROUNDS));
    fflush(stdout);
}

static void products(void)
{
    static const size_t sizes[] = { 1024, 2048, 4096, 8192 }, batches[] = { 64, 256, 1024 };
    static const size_t layers[][2] = { { 784, 128 }, { 128, 10 }, { 784, 512 }, { 512, 512 }, { 512, 10 }, { 4096, 4096 }, { 4096, 1000 } };
    const size_t most = (size_t)8192 * 8192;
    static detnn_layer one[] = { DETNN_DENSE(8192, DETNN_LINEAR) };
    detnn_net_desc d = detnn_net_desc_default();
    detnn_error err;
    detnni_gpu_run run;
    cudaDeviceProp device;
    peak_job peak;
    double t[ROUNDS];
    size_t i, j;
    int form, k;
    d.inputs = 8192;
    d.layers = one;
    d.layer_count = 1;
    d.batch_max = 64;
    d.loss = DETNN_MEAN_SQUARED_ERROR;
    d.device = DETNN_GPU;
    if (detnn_net_create(&net, &d, &err)) { fprintf(stderr, "%s\n", err.text); exit(1); }
    if (cudaMalloc((void **)&x, most * 4) || cudaMalloc((void **)&y, most * 4) || cudaMalloc((void **)&z, most * 4)
        || cudaMalloc((void **)&net->gpu->partial, 8 * most * 4)) die("cudaMalloc"); /* 8192 rows: 8 groups of leaves */
    stream = net->gpu->stream;
    memset(&run, 0, sizeof run);
    detnni_gpu_up(net->gpu, net->gpu->run, &run, sizeof run);
    if (cublasCreate(&blas) != CUBLAS_STATUS_SUCCESS) die("cublasCreate");
    cublasSetStream(blas, stream);
    cublasSetMathMode(blas, CUBLAS_DEFAULT_MATH); /* FP32 */
    { /* normal numbers: power, and so clocks, depend on the data */
        float *host = (float *)malloc((most / 16) * 4);
        detnn_random_normal(1, 0, 0, 0, most / 16, 0.0f, 1.0f, host);
        for (i = 0; i < 16; i++) {
            cudaMemcpy(x + i * (most / 16), host, most / 4, cudaMemcpyHostToDevice);
            cudaMemcpy(y + i * (most / 16), host, most / 4, cudaMemcpyHostToDevice);
        }
        free(host);
        cudaDeviceSynchronize(); /* the stream does not wait for the default one */
    }
    cudaGetDeviceProperties(&device, 0);
    peak.to = z;
    peak.a = 0.999f;
    peak.b = 0.001f;
    peak.n = 20000;
    for (k = 0; k < ROUNDS; k++) {
        const double from = now();
        peak_kernel<<<device.multiProcessorCount * 4, 512, 0, stream>>>(peak);
        if (cudaStreamSynchronize(stream) != cudaSuccess) die("the peak");
        t[k] = now() - from;
    }
    printf("gpu,peak,%s,%.4g,TFLOP/s\n", device.name, 1e-12 * 2.0 * 16 * 20000 * 512 * 4 * device.multiProcessorCount / median(t, ROUNDS));
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (form = 0; form < 3; form++) {
            shape s = { sizes[i], sizes[i], sizes[i], form };
            product(&s, "square");
        }
    for (i = 0; i < sizeof layers / sizeof *layers; i++)
        for (j = 0; j < sizeof batches / sizeof *batches; j++)
            for (form = 0; form < 3; form++) {
                shape s = { batches[j], layers[i][0], layers[i][1], form };
                product(&s, "net");
            }
}

/* Seconds of a fit (the data go up, the weights come back), the best of three. */
static double fit(detnn_net *n, const detnn_data *data, size_t epochs, size_t batch)
{
    detnn_fit_desc f = detnn_fit_desc_default();
    detnn_error err;
    double best = 1e9, t;
    int i;
    f.epochs = epochs;
    f.batch_size = batch;
    for (i = 0; i < 3; i++) {
        t = now();
        if (detnn_fit(n, data, &f, &err)) { fprintf(stderr, "%s\n", err.text); exit(1); }
        t = now() - t;
        if (t < best) best = t;
    }
    return best;
}

static void steps(void)
{
    static detnn_layer small[] = { DETNN_DENSE(128, DETNN_RELU), DETNN_DENSE(10, DETNN_SOFTMAX) };
    static detnn_layer middle[] = { DETNN_DENSE(512, DETNN_RELU), DETNN_DENSE(512, DETNN_RELU), DETNN_DENSE(10, DETNN_SOFTMAX) };
    static detnn_layer large[] = { DETNN_DENSE(4096, DETNN_RELU), DETNN_DENSE(4096, DETNN_RELU), DETNN_DENSE(1000, DETNN_SOFTMAX) };
    static const struct { const char *name; size_t inputs, outputs; detnn_layer *layers; size_t count, steps; } nets[] = {
        { "784-128-10", 784, 10, small, 2, 450 },
        { "784-512-512-10", 784, 10, middle, 3, 450 },
        { "4096-4096-4096-1000", 4096, 1000, large, 3, 60 } };
    static const size_t batches[] = { 64, 256, 1024 };
    size_t i, j, e;
    for (i = 0; i < 3; i++)
        for (j = 0; j < 3; j++) {
            const size_t batch = batches[j], most = nets[i].steps * batch;
            detnn_net_desc d = detnn_net_desc_default();
            detnn_data data = detnn_data_default();
            detnn_error err;
            detnn_net *n;
            float *rows = (float *)malloc(most * nets[i].inputs * 4);
            uint32_t *labels = (uint32_t *)malloc(most * 4);
            double one, three;
            for (e = 0; e < most * nets[i].inputs; e++) rows[e] = (float)((e * 2654435761u >> 8) & 0xffff) / 65536.0f - 0.5f;
            detnn_random_words(1, 0, 0, 0, most, labels);
            for (e = 0; e < most; e++) labels[e] %= (uint32_t)nets[i].outputs;
            d.inputs = nets[i].inputs;
            d.layers = nets[i].layers;
            d.layer_count = nets[i].count;
            d.batch_max = batch;
            d.device = DETNN_GPU;
            if (detnn_net_create(&n, &d, &err)) { fprintf(stderr, "%s\n", err.text); exit(1); }
            data.count = most;
            data.x = rows;
            data.labels = labels;
            one = fit(n, &data, 1, batch);
            three = fit(n, &data, 3, batch); /* with the data on the GPU, as in gpu_torch.py */
            printf("gpu,step %s batch %zu,detnn,%.4g,us\n", nets[i].name, batch, 1e6 * (three - one) / (double)(2 * nets[i].steps));
            printf("gpu,fit %s batch %zu with %zu steps,detnn,%.4g,us\n", nets[i].name, batch, nets[i].steps, 1e6 * one / (double)nets[i].steps);
            fflush(stdout);
            detnn_net_destroy(n);
            free(rows);
            free(labels);
        }
}

int main(int argc, char **argv)
{
    if (argc < 2 || !strcmp(argv[1], "products")) products();
    if (argc < 2 || !strcmp(argv[1], "steps")) steps();
    return 0;
}

/* The elementary functions on the GPU against the CPU's (which tests/prove.c holds to MPFR): all 2^32 inputs of each, or
 * every nth part of 2^20. Ends with "N passed, N failed" (functions).
 *
 *     gpu_functions [n]                  nvcc -x cu -Xcompiler -fopenmp */
#define DETNN_CUDA 1
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include <stdio.h>
#include <stdlib.h>

#define PART ((size_t)1 << 20)
#define PARTS 32 /* at a time */

typedef struct { uint64_t first; float *y; int function; } job;
static __global__ void compute(job j)
{
    const size_t i = detnni_g_index();
    const float x = detnni_float((uint32_t)(j.first + i));
#define F(f) case DETNNI_EXACT_##f: j.y[i] = detnni_##f##_1_cuda(x); break;
    switch (j.function) { DETNN_FUNCTIONS(F) default: break; }
#undef F
}

int main(int argc, char **argv)
{
#define NAME(f) #f,
    static const char *const names[] = { DETNN_FUNCTIONS(NAME) };
    const uint64_t every = argc > 1 ? (uint64_t)atoi(argv[1]) : 1;
    const detnni_kernels *k = detnni_kernels_of(DETNN_ISA_AUTO);
    const uint64_t parts = ((uint64_t)1 << 32) / PART;
    float *device = 0, *host = 0;
    int f, passed = 0, failed = 0;
    if (cudaMalloc((void **)&device, PARTS * PART * 4) != cudaSuccess) { printf("no memory on the GPU\n"); return 1; }
    if (cudaMallocHost((void **)&host, PARTS * PART * 4) != cudaSuccess) { printf("no memory\n"); return 1; }
    for (f = 0; f < DETNNI_EXACT_COUNT; f++) {
        uint64_t wrong = 0, tried = 0, part = 0;
        while (part < parts) {
            uint64_t at[PARTS];
            int n = 0, i;
            cudaError_t error;
            for (; n < PARTS && part < parts; part += every) {
                job j;
                j.first = at[n] = part * PART;
                j.y = device + (size_t)n++ * PART;
                j.function = f;
                compute<<<(unsigned)(PART / 256), 256>>>(j);
            }
            error = cudaGetLastError();
            if (error == cudaSuccess) error = cudaMemcpy(host, device, (size_t)n * PART * 4, cudaMemcpyDeviceToHost);
            if (error != cudaSuccess) {
                printf("the GPU failed: %s\n", cudaGetErrorString(error));
                return 1;
            }
            tried += (uint64_t)n * PART;
#pragma omp parallel for reduction(+ : wrong) schedule(dynamic)
            for (i = 0; i < n * 256; i++) { /* in pieces of 4096 */
                const uint64_t mode = detnni_fp_enter();
                float x[4096], y[4096], *got = host + (size_t)i * 4096;
                int e;
                for (e = 0; e < 4096; e++) x[e] = detnni_float((uint32_t)(at[i / 256] + (uint64_t)(i % 256) * 4096 + (uint64_t)e));
                k->exact[f](x, 4096, y);
                if (memcmp(y, got, sizeof y))
                    for (e = 0; e < 4096; e++)
                        wrong += detnni_float_bits(y[e]) != detnni_float_bits(got[e]) && !(detnni_nan(y[e]) && detnni_nan(got[e]));
                detnni_fp_leave(mode);
            }
        }
        printf("%s %s: %llu of %llu inputs differ\n", wrong ? "FAILED" : "ok", names[f], (unsigned long long)wrong,
               (unsigned long long)tried);
        if (wrong) failed++;
        else passed++;
        fflush(stdout);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

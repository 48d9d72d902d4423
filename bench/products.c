/* Products of a dense layer, one thread, against sgemm of other libraries: MxKxN is [M][K] times [K][N]. Arguments: name,
   library, VARIABLE=value of its environment (or -), for each peer; a library that exports dnnl_sgemm's signature as
   row_major_sgemm (bench/eigen.cpp) is taken too. detnn adds bias and bias gradient, peers do not. */
#ifdef AVX2_ALONE /* as on a processor without AVX-512 */
#include <string.h>
#define __builtin_cpu_supports(set) (strcmp(set, "avx512f") != 0 && __builtin_cpu_supports(set))
#define DETNN_IMPLEMENTATION
#endif
#include "bench.h"
#include "detnn.h"

typedef void fortran_sgemm(const char *, const char *, const int *, const int *, const int *, const float *, const float *,
                           const int *, const float *, const int *, const float *, float *, const int *);
typedef int row_sgemm(char, char, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t, float,
                      float *, int64_t);
typedef struct job {
    const char *name;
    fortran_sgemm *fortran;
    row_sgemm *row;
    int form; /* f: z = x w; i: dx = dz w^T; w: dw = x^T dz */
    size_t m, k, n;
    const float *a, *b, *bias;
    float *c, *db, *scratch;
} job;

static void run(void *of)
{
    const job *j = (const job *)of;
    const int at = j->form == 'w', bt = j->form == 'i', m = (int)j->m, k = (int)j->k, n = (int)j->n;
    const int lda = at ? m : k, ldb = bt ? k : n;
    const float one = 1, zero = 0;
    if (j->row) j->row(at ? 'T' : 'N', bt ? 'T' : 'N', m, n, k, 1, j->a, lda, j->b, ldb, 0, j->c, n);
    else if (j->fortran) /* columns there are rows here: c^T = b^T a^T */
        j->fortran(bt ? "T" : "N", at ? "T" : "N", &n, &m, &k, &one, j->b, &ldb, j->a, &lda, &zero, j->c, &n);
    else if (j->form == 'f') detnn_dense_forward(j->a, j->b, j->bias, j->m, j->k, j->n, j->c, j->scratch);
    else if (j->form == 'i') detnn_dense_input_gradient(j->a, j->b, j->m, j->n, j->k, j->c, j->scratch);
    else detnn_dense_weight_gradient(j->a, j->b, j->k, j->m, j->n, j->c, j->db, j->scratch);
}

int main(int argc, char **argv)
{
    static job jobs[32];
    char name[80], last[80] = "";
    size_t m = 0, k = 0, n = 0, i;
    float *a = 0, *b = 0, *c = 0, *right = 0, *bias = 0, *scratch = 0;
    int count = 1, p, form = 0;
#ifdef AVX2_ALONE
    setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1);
#endif
    jobs[0].name = "detnn";
    for (p = 1; p + 2 < argc && count < 32; p += 3, count++) {
        void *library;
        char *equals = strchr(argv[p + 2], '=');
        if (equals) {
            *equals = 0;
            setenv(argv[p + 2], equals + 1, 1);
        }
        library = dlopen(argv[p + 1], RTLD_NOW | RTLD_LOCAL);
        if (equals) unsetenv(argv[p + 2]);
        if (!library) fail(argv[p], dlerror());
        jobs[count].name = argv[p];
        jobs[count].row = (row_sgemm *)dlsym(library, "row_major_sgemm");
        if (!jobs[count].row) jobs[count].row = (row_sgemm *)dlsym(library, "dnnl_sgemm");
        if (!jobs[count].row) jobs[count].fortran = (fortran_sgemm *)dlsym(library, "sgemm_");
        if (!jobs[count].row && !jobs[count].fortran) fail(argv[p], "no sgemm");
    }
    while (asked(name)) {
        int fresh = strcmp(name, last) != 0;
        if (fresh) {
            const char *size = strrchr(name, ' ');
            form = name[0];
            if (!size || sscanf(size, "%zux%zux%zu", &m, &k, &n) != 3) fail(name, "is no product");
            strcpy(last, name);
            free(a), free(b), free(c), free(right), free(bias), free(scratch);
            a = array(m * k), b = array(k * n), c = array(m * n), right = array(m * n), bias = array(n);
            memset(bias, 0, n * sizeof *bias);
            scratch = array(form == 'f' ? detnn_dense_scratch(m, k, n) : form == 'i' ? detnn_dense_scratch(m, n, k)
                                                                                     : detnn_dense_scratch(k, m, n));
        }
        tell("peak", peak(), "GFLOP/s");
        for (p = 0; p < count; p++) {
            job *j = &jobs[p];
            j->form = form, j->m = m, j->k = k, j->n = n;
            j->a = a, j->b = b, j->c = c, j->bias = j->db = bias, j->scratch = scratch;
            if (form == 'f') j->db = 0;
            tell(j->name, 2e-9 * (double)m * (double)k * (double)n / seconds(run, j), "GFLOP/s");
            if (fresh && !p) memcpy(right, c, m * n * sizeof *c);
            for (i = 0; fresh && i < m * n; i++)
                if (!(fabsf(c[i] - right[i]) <= 1e-3f * (1 + fabsf(right[i])))) fail(j->name, "a wrong product");
        }
        told();
    }
    return 0;
}

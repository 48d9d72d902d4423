/* A trainer written straight on cblas_sgemm, as one does who wants speed and promises nothing: dense layers with ReLU and
   dropout, softmax with cross-entropy, SGD or Adam; built with -O3 -march=native -ffast-math. */
#include "bench.h"
#include "trainer.h"

enum { ROW_MAJOR = 101, PLAIN = 111, TURNED = 112 };
typedef void cblas(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);

struct trainer {
    cblas *gemm;
    int layers, batch, adam;
    const int *size; /* [layers + 1] */
    float drop, rate, power1, power2;
    uint64_t random;
    float *x, *w[8], *g[8], *m[8], *v[8]; /* a layer's kernel, then its bias */
    float *y[9], *d[9], *mask[9];         /* y[0] the batch, y[l + 1] and d[l + 1] of layer l's output */
};

trainer *trainer_new(const char *library, int layers, const int *size, int batch, float drop, int adam)
{
    trainer *t = (trainer *)calloc(1, sizeof *t);
    int l;
    t->gemm = (cblas *)peer(library, "cblas_sgemm");
    t->layers = layers, t->size = size, t->batch = batch, t->drop = drop, t->adam = adam;
    t->rate = adam ? 1e-3f : 1e-2f, t->power1 = t->power2 = 1, t->random = 1;
    for (l = 0; l <= layers; l++) t->y[l] = array(batch * size[l]), t->d[l] = array(batch * size[l]), t->mask[l] = array(batch * size[l]);
    for (l = 0; l < layers; l++) {
        size_t n = (size_t)(size[l] + 1) * size[l + 1], i;
        t->w[l] = array(n), t->g[l] = array(n), t->m[l] = array(n), t->v[l] = array(n);
        for (i = 0; i < n; i++) t->w[l][i] *= 2 * sqrtf(6.0f / (float)(size[l] + size[l + 1])), t->m[l][i] = t->v[l][i] = 0;
    }
    return t;
}

static void update(trainer *t, size_t n, float *restrict w, const float *restrict g, float *restrict m, float *restrict v)
{
    const float a = t->rate / (1 - t->power1), r = 1 / sqrtf(1 - t->power2), rate = t->rate;
    size_t i;
    if (!t->adam) for (i = 0; i < n; i++) w[i] -= rate * g[i];
    else for (i = 0; i < n; i++) {
        m[i] = 0.9f * m[i] + 0.1f * g[i];
        v[i] = 0.999f * v[i] + 0.001f * g[i] * g[i];
        w[i] -= a * m[i] / (sqrtf(v[i]) * r + 1e-8f);
    }
}

/* One step on the samples order[0 .. batch - 1]. */
void trainer_step(trainer *t, const float *x, const uint32_t *labels, const uint32_t *order)
{
    const int b = t->batch, last = t->layers - 1, classes = t->size[last + 1];
    const float scale = 1 / (1 - t->drop);
    int l, i, j;
    for (i = 0; i < b; i++) memcpy(t->y[0] + i * t->size[0], x + (size_t)order[i] * t->size[0], t->size[0] * sizeof *x);
    for (l = 0; l <= last; l++) {
        const int in = t->size[l], out = t->size[l + 1];
        const float *restrict bias = t->w[l] + in * out;
        float *restrict y = t->y[l + 1], *restrict mask = t->mask[l + 1];
        for (i = 0; i < b; i++) memcpy(y + i * out, bias, out * sizeof *y);
        t->gemm(ROW_MAJOR, PLAIN, PLAIN, b, out, in, 1, t->y[l], in, t->w[l], out, 1, y, out);
        if (l < last) for (i = 0; i < b * out; i++) y[i] = y[i] > 0 ? y[i] : 0;
        if (l < last && t->drop > 0) {
            uint32_t key = (uint32_t)(t->random += 0x9e3779b97f4a7c15u), least = (uint32_t)(t->drop * 4294967296.0f);
            for (i = 0; i < b * out; i++) { /* a hash of the place: vectorises */
                uint32_t h = (uint32_t)i * 0x9e3779b9u ^ key;
                h = (h ^ h >> 16) * 0x7feb352du;
                h = (h ^ h >> 15) * 0x846ca68bu;
                mask[i] = (h ^ h >> 16) >= least ? scale : 0;
                y[i] *= mask[i];
            }
        }
    }
    for (i = 0; i < b; i++) {
        const float *z = t->y[last + 1] + i * classes;
        float *d = t->d[last + 1] + i * classes, max = z[0], sum = 0;
        for (j = 1; j < classes; j++) max = z[j] > max ? z[j] : max;
        for (j = 0; j < classes; j++) sum += d[j] = expf(z[j] - max);
        for (j = 0; j < classes; j++) d[j] *= 1 / (sum * (float)b);
        d[labels[order[i]]] -= 1 / (float)b;
    }
    t->power1 *= 0.9f, t->power2 *= 0.999f;
    for (l = last; l >= 0; l--) {
        const int in = t->size[l], out = t->size[l + 1];
        const float *restrict dy = t->d[l + 1], *restrict y = t->y[l], *restrict mask = t->mask[l];
        float *restrict db = t->g[l] + in * out, *restrict dx = t->d[l];
        t->gemm(ROW_MAJOR, TURNED, PLAIN, in, out, b, 1, t->y[l], in, dy, out, 0, t->g[l], out);
        memset(db, 0, out * sizeof *db);
        for (i = 0; i < b; i++) for (j = 0; j < out; j++) db[j] += dy[i * out + j];
        if (l > 0) {
            t->gemm(ROW_MAJOR, PLAIN, TURNED, b, in, out, 1, dy, out, t->w[l], out, 0, dx, in);
            if (t->drop > 0) for (i = 0; i < b * in; i++) dx[i] = y[i] > 0 ? dx[i] * mask[i] : 0;
            else for (i = 0; i < b * in; i++) dx[i] = y[i] > 0 ? dx[i] : 0;
        }
        update(t, (size_t)(in + 1) * out, t->w[l], t->g[l], t->m[l], t->v[l]);
    }
}

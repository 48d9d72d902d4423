/* What detnn's kernels compute, freed of the contract: plain loops for -Ofast -march=native, which takes sums in any order,
   exp, tanh and erf from libmvec within 4 ulps, approximate roots; and a hash for dropout instead of Philox. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include "freed.h"

float freed_sum(const float *x, size_t n)
{
    float s = 0;
    size_t i;
    for (i = 0; i < n; i++) s += x[i];
    return s;
}
float freed_dot(const float *x, const float *y, size_t n)
{
    float s = 0;
    size_t i;
    for (i = 0; i < n; i++) s += x[i] * y[i];
    return s;
}
void freed_softmax(const float *x, size_t n, float *restrict y)
{
    float max = x[0], sum = 0;
    size_t i;
    for (i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    for (i = 0; i < n; i++) sum += y[i] = expf(x[i] - max);
    sum = 1 / sum;
    for (i = 0; i < n; i++) y[i] *= sum;
}
void freed_exp(const float *restrict x, size_t n, float *restrict y)
{
    size_t i;
    for (i = 0; i < n; i++) y[i] = expf(x[i]);
}
void freed_tanh(const float *restrict x, size_t n, float *restrict y)
{
    size_t i;
    for (i = 0; i < n; i++) y[i] = tanhf(x[i]);
}
void freed_gelu(const float *restrict x, size_t n, float *restrict y)
{
    size_t i;
    for (i = 0; i < n; i++) y[i] = 0.5f * x[i] * (1 + erff(x[i] * 0.70710678f));
}
void freed_sgd(float rate, size_t n, const float *restrict g, float *restrict w)
{
    size_t i;
    for (i = 0; i < n; i++) w[i] -= rate * g[i];
}
void freed_adam(float a, float r, size_t n, const float *restrict g, float *restrict w, float *restrict m, float *restrict v)
{
    size_t i;
    for (i = 0; i < n; i++) {
        m[i] = 0.9f * m[i] + 0.1f * g[i];
        v[i] = 0.999f * v[i] + 0.001f * g[i] * g[i];
        w[i] -= a * m[i] / (sqrtf(v[i]) * r + 1e-8f);
    }
}
void freed_dropout(float rate, uint32_t key, const float *restrict x, size_t n, float *restrict y)
{
    const uint32_t least = (uint32_t)(rate * 4294967296.0f);
    const float scale = 1 / (1 - rate);
    size_t i;
    for (i = 0; i < n; i++) {
        uint32_t h = (uint32_t)i * 0x9e3779b9u ^ key;
        h = (h ^ h >> 16) * 0x7feb352du;
        h = (h ^ h >> 15) * 0x846ca68bu;
        y[i] = (h ^ h >> 16) >= least ? x[i] * scale : 0;
    }
}

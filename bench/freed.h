float freed_sum(const float *x, size_t n);
float freed_dot(const float *x, const float *y, size_t n);
void freed_softmax(const float *x, size_t n, float *y);
void freed_exp(const float *x, size_t n, float *y);
void freed_tanh(const float *x, size_t n, float *y);
void freed_gelu(const float *x, size_t n, float *y);
void freed_sgd(float rate, size_t n, const float *g, float *w);
void freed_adam(float a, float r, size_t n, const float *g, float *w, float *m, float *v);
void freed_dropout(float rate, uint32_t key, const float *x, size_t n, float *y);

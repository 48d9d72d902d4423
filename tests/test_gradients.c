/* Gradients against finite differences of a second forward pass, written here in binary64: every
 * kind of layer, activation and loss. Values of the forward pass and of the losses are compared
 * on the way. Losses, their gradients and metrics are compared to the bit, too, with C9 written
 * down once more. */
#include "test.h"
#include "reference.h"

/* ---- Functions in binary64, to about 1e-15 ---- */

static double d_abs(double x) { return x < 0.0 ? -x : x; }

static double d_exp(double x)
{
    double k = x * 1.4426950408889634, r, term = 1.0, sum = 1.0, scale = 1.0;
    int n = (int)(k < 0.0 ? k - 0.5 : k + 0.5), i;
    r = x - (double)n * 0.6931471803691238 - (double)n * 1.9082149292705877e-10;
    for (i = 1; i < 20; i++) {
        term = term * r / (double)i;
        sum += term;
    }
    for (i = n < 0 ? -n : n; i > 0; i--) scale *= n < 0 ? 0.5 : 2.0;
    return sum * scale;
}

static double d_log(double x) /* 2 atanh((m - 1) / (m + 1)) + k log 2 */
{
    double k = 0.0, s, square, term, sum = 0.0;
    int i;
    while (x > 1.4142) x *= 0.5, k += 1.0;
    while (x < 0.7072) x *= 2.0, k -= 1.0;
    s = (x - 1.0) / (x + 1.0);
    square = s * s;
    for (term = 2.0 * s, i = 1; i < 50; i += 2, term *= square) sum += term / (double)i;
    return sum + k * 0.6931471805599453;
}

static double d_sigmoid(double x)
{
    return x > 0.0 ? 1.0 / (1.0 + d_exp(-x)) : d_exp(x) / (1.0 + d_exp(x));
}
static double d_softplus(double x) { return (x > 0.0 ? x : 0.0) + d_log(1.0 + d_exp(-d_abs(x))); }
static double d_tanh(double x) { return 2.0 * d_sigmoid(2.0 * x) - 1.0; }

/* Phi(x) = 1/2 + phi(x) (x + x^3 / 3 + x^5 / 15 + ...), Marsaglia 2004 */
static double d_normal(double x)
{
    double term = x, sum = 0.0;
    int i;
    for (i = 1; i < 250; i += 2) {
        sum += term;
        term = term * x * x / (double)(i + 2);
    }
    return 0.5 + sum * 0.3989422804014327 * d_exp(-0.5 * x * x);
}

/* ---- The net in binary64 ---- */

enum { ROWS = 70, WIDTH = 8, LAYERS = 6 };

typedef struct model {
    size_t rows, inputs, outputs, layer_count;
    const detnn_layer *layers;
    double x[ROWS * WIDTH];
    double first[LAYERS][WIDTH * WIDTH], second[LAYERS][WIDTH]; /* kernel, bias; mean, deviation */
    double mask[LAYERS][ROWS * WIDTH];
    double z[ROWS * WIDTH], y[ROWS * WIDTH]; /* of the last layer: into and out of its activation */
    /* what is differentiated: the sum of dy * y where desc is null, else the loss */
    const float *dy;
    const detnn_net_desc *desc;
    const detnn_data *data;
} model;

static double d_activation(const detnn_layer *l, double z)
{
    const double scale = 1.0507009873554805, alpha = 1.6732632423543772;
    switch (l->activation) {
    case DETNN_RELU: return z > 0.0 ? z : 0.0;
    case DETNN_LEAKY_RELU: return z > 0.0 ? z : (double)l->alpha * z;
    case DETNN_ELU: return z > 0.0 ? z : (double)l->alpha * (d_exp(z) - 1.0);
    case DETNN_SELU: return scale * (z > 0.0 ? z : alpha * (d_exp(z) - 1.0));
    case DETNN_SIGMOID: return d_sigmoid(z);
    case DETNN_TANH: return d_tanh(z);
    case DETNN_SOFTPLUS: return d_softplus(z);
    case DETNN_SILU: return z * d_sigmoid(z);
    case DETNN_GELU: return z * d_normal(z);
    default: return z;
    }
}

static void d_activate(const detnn_layer *l, const double *z, size_t n, double *y)
{
    double sum = 0.0, max = z[0];
    size_t j;
    if (l->activation != DETNN_SOFTMAX) {
        for (j = 0; j < n; j++) y[j] = d_activation(l, z[j]);
        return;
    }
    for (j = 1; j < n; j++) if (z[j] > max) max = z[j];
    for (j = 0; j < n; j++) sum += y[j] = d_exp(z[j] - max);
    for (j = 0; j < n; j++) y[j] /= sum;
}

static void forward(model *m)
{
    size_t width = m->inputs, i, r, j, k;
    memcpy(m->y, m->x, sizeof m->y);
    for (i = 0; i < m->layer_count; i++) {
        const detnn_layer *l = &m->layers[i];
        size_t out = l->kind == DETNN_LAYER_DENSE ? l->units : width;
        static double in[ROWS * WIDTH];
        memcpy(in, m->y, sizeof in);
        for (r = 0; r < m->rows; r++) {
            double *z = m->z + r * out, *y = m->y + r * out;
            const double *x = in + r * width;
            for (j = 0; j < out; j++) {
                z[j] = l->kind == DETNN_LAYER_DENSE ? m->second[i][j] : x[j];
                for (k = 0; l->kind == DETNN_LAYER_DENSE && k < width; k++)
                    z[j] += x[k] * m->first[i][k * out + j];
                if (l->kind == DETNN_LAYER_STANDARDIZE)
                    z[j] = (x[j] - m->first[i][j]) / m->second[i][j];
                if (l->kind == DETNN_LAYER_DROPOUT) z[j] = x[j] * m->mask[i][r * out + j];
                y[j] = z[j];
            }
            if (l->kind == DETNN_LAYER_DENSE || l->kind == DETNN_LAYER_ACTIVATION)
                d_activate(l, z, out, y);
        }
        width = out;
    }
    m->outputs = width;
}

/* The loss of row r (C9, in plain mathematics). */
static double d_loss(const model *m, size_t r)
{
    size_t n = m->outputs, j;
    const double *y = m->y + r * n, *z = m->z + r * n;
    double loss = 0.0, log_sum = 0.0, eps = (double)m->desc->label_smoothing,
           delta = (double)m->desc->huber_delta;
    for (j = 0; j < n; j++) log_sum += d_exp(z[j]);
    log_sum = d_log(log_sum);
    for (j = 0; j < n; j++) {
        double t = m->data->targets ? (double)m->data->targets[r * n + j]
                 : n == 1 ? (double)m->data->labels[r] : m->data->labels[r] == j ? 1.0 : 0.0;
        double d = y[j] - t, a = d_abs(d);
        switch (m->desc->loss) {
        case DETNN_CROSS_ENTROPY:
            t = (1.0 - eps) * t + eps / (double)n;
            loss += t * (log_sum - z[j]);
            break;
        case DETNN_BINARY_CROSS_ENTROPY:
            loss += (t * d_softplus(-z[j]) + (1.0 - t) * d_softplus(z[j])) / (double)n;
            break;
        case DETNN_MEAN_SQUARED_ERROR: loss += d * d / (double)n; break;
        case DETNN_MEAN_ABSOLUTE_ERROR: loss += a / (double)n; break;
        case DETNN_HUBER:
            loss += (a <= delta ? 0.5 * d * d : delta * (a - 0.5 * delta)) / (double)n;
            break;
        default: break;
        }
    }
    return loss * (m->data->weights ? (double)m->data->weights[r] : 1.0) / (double)m->rows;
}

static double objective(model *m)
{
    double sum = 0.0;
    size_t i;
    forward(m);
    if (m->desc) for (i = 0; i < m->rows; i++) sum += d_loss(m, i);
    else for (i = 0; i < m->rows * m->outputs; i++) sum += (double)m->dy[i] * m->y[i];
    return sum;
}

/* Takes over what the net holds; the masks are those that its kernels draw at its step. */
static void take(model *m, const detnn_net *net, const detnn_layer *layers, size_t count,
                 uint64_t seed, const float *x, size_t rows)
{
    size_t i, j, r, c, width;
    memset(m, 0, sizeof *m);
    m->rows = rows;
    m->inputs = width = detnn_info(net).inputs;
    m->layers = layers;
    m->layer_count = count;
    for (i = 0; i < rows * width; i++) m->x[i] = (double)x[i];
    for (i = 0; i < count; i++) {
        int dense = layers[i].kind == DETNN_LAYER_DENSE;
        const float *first = detnn_weights(net, i, dense ? DETNN_KERNEL : DETNN_MEAN, &r, &c);
        const float *second = detnn_weights(net, i, dense ? DETNN_BIAS : DETNN_DEVIATION, NULL,
                                            NULL);
        for (j = 0; first && j < r * c; j++) m->first[i][j] = (double)first[j];
        if (dense) width = layers[i].units;
        for (j = 0; second && j < width; j++) m->second[i][j] = (double)second[j];
        if (layers[i].kind == DETNN_LAYER_DROPOUT) {
            float ones[ROWS * WIDTH], mask[ROWS * WIDTH];
            for (j = 0; j < rows * width; j++) ones[j] = 1.0f;
            detnni_kernels_of(DETNN_ISA_PLAIN)
                ->dropout(layers[i].rate, seed, detnn_info(net).step, (uint32_t)i, 0, ones,
                          rows * width, mask);
            for (j = 0; j < rows * width; j++) m->mask[i][j] = (double)mask[j];
        }
    }
}

/* Central differences for the n numbers at p against the gradient g. Rounding of g is measured
 * against the largest of its tensor. */
static void compare(model *m, double *p, const float *g, size_t n, const char *name, size_t layer,
                    const char *what)
{
    double worst = 0.0, largest = 0.0;
    size_t i, at = 0;
    if (!g) {
        CHECKF(0, "%s: layer %d has no gradient of its %s", name, (int)layer, what);
        return;
    }
    for (i = 0; i < n; i++) {
        const double h = 1e-5;
        double keep = p[i], up, down, error;
        p[i] = keep + h;
        up = objective(m);
        p[i] = keep - h;
        down = objective(m);
        p[i] = keep;
        error = d_abs((up - down) / (2.0 * h) - (double)g[i]);
        if (!(error <= worst)) worst = error, at = i;
        if (d_abs((double)g[i]) > largest) largest = d_abs((double)g[i]);
    }
    CHECKF(worst <= 4e-6 * largest + 1e-8, "%s: layer %d, %s, element %d: off by %g, largest %g",
           name, (int)layer, what, (int)at, worst, largest);
    CHECKF(largest > 1e-4, "%s: layer %d, %s: the gradient is %g, which tests nothing", name,
           (int)layer, what, largest);
}

static void compare_all(model *m, const detnn_net *net, const float *dx, const char *name)
{
    size_t i, in = m->inputs;
    for (i = 0; i < m->layer_count; i++) {
        const detnn_layer *l = &m->layers[i];
        if (l->kind != DETNN_LAYER_DENSE) continue;
        if (!l->frozen) {
            compare(m, m->first[i], detnn_gradient(net, i, DETNN_KERNEL, NULL, NULL), in * l->units,
                    name, i, "kernel");
            if (l->use_bias)
                compare(m, m->second[i], detnn_gradient(net, i, DETNN_BIAS, NULL, NULL), l->units,
                        name, i, "bias");
        }
        in = l->units;
    }
    if (dx) compare(m, m->x, dx, m->rows * m->inputs, name, 0, "input");
}

static int close_to(const float *a, const double *b, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        if (!(d_abs((double)a[i] - b[i]) <= 4e-6 * (1.0 + d_abs(b[i])))) return 0;
    return 1;
}

static detnn_layer dense(size_t units, detnn_activation activation)
{
    detnn_layer l = DETNN_DENSE(0, DETNN_LINEAR);
    l.units = units;
    l.activation = activation;
    l.alpha = activation == DETNN_LEAKY_RELU ? 0.2f : activation == DETNN_ELU ? 1.3f : 1.0f;
    l.kernel.kind = DETNN_NORMAL;
    l.kernel.b = 0.6f;
    l.bias = l.kernel;
    return l;
}
static detnn_layer activation_layer(detnn_activation activation)
{
    detnn_layer l = DETNN_ACTIVATE(DETNN_LINEAR);
    l.activation = activation;
    l.alpha = activation == DETNN_LEAKY_RELU ? 0.2f : activation == DETNN_ELU ? 0.7f : 1.0f;
    return l;
}
static detnn_layer dropout_layer(float rate)
{
    detnn_layer l = DETNN_DROPOUT(0.0f);
    l.rate = rate;
    return l;
}
static detnn_layer standardize_layer(void)
{
    detnn_layer l = DETNN_STANDARDIZE();
    return l;
}

static detnn_net *net_of(detnn_net_desc *desc, const detnn_layer *layers, size_t count,
                         uint64_t seed)
{
    detnn_net *net;
    detnn_error err;
    desc->seed = seed;
    desc->inputs = 5;
    desc->layers = layers;
    desc->layer_count = count;
    if (detnn_net_create(&net, desc, &err)) CHECKF(0, "%s", err.text);
    return net;
}

/* ---- Layers: forward, and backward from a dy of the caller's ---- */

static void check_layers(const char *name, const detnn_layer *layers, size_t count, size_t rows,
                         uint64_t seed)
{
    static model m;
    static float x[ROWS * WIDTH], dy[ROWS * WIDTH], dx[ROWS * WIDTH], y[ROWS * WIDTH];
    detnn_net_desc desc = detnn_net_desc_default();
    detnn_net *net;
    detnn_error err;
    uint64_t state = seed;
    desc.loss = DETNN_MEAN_SQUARED_ERROR;
    net = net_of(&desc, layers, count, seed);
    if (!net) return;
    ref_fill(&state, x, ROWS * WIDTH);
    ref_fill(&state, dy, ROWS * WIDTH);
    if (layers[0].kind == DETNN_LAYER_STANDARDIZE) {
        detnn_data data = detnn_data_default();
        data.x = x;
        data.targets = dy;
        data.count = rows;
        CHECKF(detnn_adapt(net, &data, &err) == DETNN_OK, "%s", err.text);
    }
    CHECKF(detnn_forward(net, x, rows, y, &err) == DETNN_OK, "%s", err.text);
    CHECKF(detnn_backward(net, dy, dx, &err) == DETNN_OK, "%s", err.text);
    take(&m, net, layers, count, seed, x, rows);
    m.dy = dy;
    forward(&m);
    CHECKF(close_to(y, m.y, rows * m.outputs), "%s: forward", name);
    compare_all(&m, net, dx, name);
    detnn_net_destroy(net);
}

static void every_activation_in_dense(void)
{
    int a;
    for (a = DETNN_LINEAR; a <= DETNN_SOFTMAX; a++) {
        detnn_layer layers[2];
        layers[0] = dense(6, (detnn_activation)a);
        layers[1] = dense(4, (detnn_activation)a);
        check_layers(detnn_activation_name((detnn_activation)a), layers, 2, 7, 100 + (uint64_t)a);
    }
}

static void every_activation_as_a_layer(void)
{
    int a;
    for (a = DETNN_LINEAR; a <= DETNN_SOFTMAX; a++) {
        detnn_layer layers[4];
        layers[0] = dense(6, DETNN_LINEAR);
        layers[1] = activation_layer((detnn_activation)a);
        layers[2] = dense(4, DETNN_TANH);
        layers[3] = activation_layer((detnn_activation)a);
        check_layers(detnn_activation_name((detnn_activation)a), layers, 4, 7, 200 + (uint64_t)a);
        layers[0] = activation_layer((detnn_activation)a);
        layers[1] = dense(6, DETNN_TANH);
        check_layers(detnn_activation_name((detnn_activation)a), layers, 2, 7, 300 + (uint64_t)a);
    }
}

static void dropout_and_standardize(void)
{
    detnn_layer layers[6];
    layers[0] = dropout_layer(0.4f);
    layers[1] = dense(6, DETNN_TANH);
    layers[2] = dropout_layer(0.25f);
    layers[3] = dense(4, DETNN_SIGMOID);
    layers[4] = dropout_layer(0.5f);
    check_layers("dropout", layers, 5, 12, 41);
    layers[0] = standardize_layer();
    check_layers("standardize", layers, 4, 12, 42);
    layers[1] = dropout_layer(0.1f);
    layers[2] = dense(7, DETNN_SILU);
    layers[3] = dropout_layer(0.3f);
    layers[4] = activation_layer(DETNN_ELU);
    layers[5] = dense(3, DETNN_SOFTMAX);
    check_layers("all kinds", layers, 6, 12, 43);
    check_layers("all kinds, more than a leaf", layers, 6, 70, 44);
}

static void without_bias_and_one_unit(void)
{
    detnn_layer layers[3];
    layers[0] = dense(1, DETNN_TANH);
    layers[1] = dense(5, DETNN_GELU);
    layers[0].use_bias = layers[1].use_bias = 0;
    layers[2] = dense(1, DETNN_SOFTPLUS);
    check_layers("one unit, no bias", layers, 3, 1, 51);
    check_layers("one unit, no bias", layers, 3, 9, 52);
}

static const float *kernel_of(const detnn_net *net, int layer)
{
    return detnn_weights(net, (size_t)layer, DETNN_KERNEL, NULL, NULL);
}
static const float *bias_of(const detnn_net *net, int layer)
{
    return detnn_weights(net, (size_t)layer, DETNN_BIAS, NULL, NULL);
}
static const float *kernel_gradient_of(const detnn_net *net, int layer)
{
    return detnn_gradient(net, (size_t)layer, DETNN_KERNEL, NULL, NULL);
}

/* A frozen layer has no gradient of its own and passes the others' on, to the same bits. */
static void frozen_layers(void)
{
    static float x[ROWS * WIDTH], dy[ROWS * WIDTH], dx[2][ROWS * WIDTH];
    static const size_t size[3] = { 30, 36, 36 };
    detnn_net_desc desc = detnn_net_desc_default();
    detnn_layer layers[3];
    uint64_t state = 61;
    int frozen, i, k;
    ref_fill(&state, x, ROWS * WIDTH);
    ref_fill(&state, dy, ROWS * WIDTH);
    desc.loss = DETNN_MEAN_SQUARED_ERROR;
    desc.optimizer = detnn_sgd(0.1f);
    for (frozen = 0; frozen < 3; frozen++) {
        detnn_net *net[2]; /* the second has the frozen layer */
        detnn_error err;
        float kernel[36], bias[6];
        size_t n = size[frozen];
        for (i = 0; i < 3; i++) layers[i] = dense(6, DETNN_TANH);
        net[0] = net_of(&desc, layers, 3, 63);
        layers[frozen].frozen = 1;
        net[1] = net_of(&desc, layers, 3, 63);
        check_layers("frozen", layers, 3, 9, 62);
        memcpy(kernel, kernel_of(net[1], frozen), n * sizeof(float));
        memcpy(bias, bias_of(net[1], frozen), sizeof bias);
        for (k = 0; k < 2; k++) {
            CHECK(detnn_forward(net[k], x, 9, NULL, &err) == DETNN_OK);
            CHECK(detnn_backward(net[k], dy, dx[k], &err) == DETNN_OK);
        }
        CHECK(ref_differ(dx[0], dx[1], 45) == 45);
        for (i = 0; i < 3; i++) {
            const float *a = kernel_gradient_of(net[0], i), *b = kernel_gradient_of(net[1], i);
            CHECK(i == frozen || ref_differ(a, b, size[i]) == size[i]);
        }
        for (k = 0; k < 2; k++) CHECK(detnn_step(net[k], &err) == DETNN_OK);
        CHECK(ref_differ(kernel, kernel_of(net[1], frozen), n) == n);
        CHECK(ref_differ(bias, bias_of(net[1], frozen), 6) == 6);
        CHECK(ref_differ(kernel, kernel_of(net[0], frozen), n) < n);
        for (i = 0; i < 3; i++) { /* the others move as they would */
            CHECK(i == frozen
                  || ref_differ(kernel_of(net[0], i), kernel_of(net[1], i), size[i]) == size[i]);
            CHECK(i == frozen || ref_differ(bias_of(net[0], i), bias_of(net[1], i), 6) == 6);
        }
        detnn_net_destroy(net[0]);
        detnn_net_destroy(net[1]);
    }
}

/* ---- Losses: the gradients of a whole step ---- */

enum { LABELS, SOFT, BITS, REALS };

/* Kinds of truth: class labels; soft targets that sum to 1; targets from [0, 1]; any numbers. */
static void check_loss(const char *name, detnn_net_desc *desc, detnn_activation last, int as_layer,
                       size_t outputs, int truth, int weighted, size_t rows, uint64_t seed)
{
    static model m;
    static float x[ROWS * WIDTH], targets[ROWS * WIDTH], weights[ROWS];
    static uint32_t labels[ROWS];
    detnn_layer layers[4];
    detnn_data data = detnn_data_default();
    detnn_net *net, *copy;
    detnn_error err;
    uint64_t state = seed;
    float loss;
    double value;
    size_t i, j, count = as_layer ? 4 : 3;
    layers[0] = dense(7, DETNN_TANH);
    layers[1] = dropout_layer(0.2f);
    layers[2] = dense(outputs, as_layer ? DETNN_LINEAR : last);
    layers[3] = activation_layer(last);
    net = net_of(desc, layers, count, seed);
    if (!net) return;
    ref_fill(&state, x, ROWS * WIDTH);
    ref_fill(&state, targets, ROWS * WIDTH);
    for (i = 0; i < rows; i++) {
        float sum = 0.0f, *t = targets + i * outputs;
        labels[i] = (uint32_t)(detnn_splitmix64(&state) % (outputs > 1 ? outputs : 2));
        weights[i] = 1.0f + ref_random(&state);
        for (j = 0; j < outputs; j++) {
            if (truth == REALS) t[j] = 4.0f * t[j];
            else sum += t[j] = 0.5f + 0.5f * t[j];
        }
        for (j = 0; j < outputs && truth == SOFT; j++) t[j] = t[j] / sum;
    }
    weights[0] = 0.0f; /* one that counts for nothing */
    data.x = x;
    data.count = rows;
    if (truth == LABELS) data.labels = labels;
    else data.targets = targets;
    if (weighted) data.weights = weights;
    CHECKF(detnn_net_copy(&copy, net, &err) == DETNN_OK, "%s", err.text);
    CHECKF(detnn_train_batch(net, &data, &loss, &err) == DETNN_OK, "%s: %s", name, err.text);
    take(&m, copy, layers, count, seed, x, rows); /* as it was before the step */
    m.desc = desc;
    m.data = &data;
    value = objective(&m);
    CHECKF(d_abs(value - (double)loss) <= 2e-6 * d_abs(value),
           "%s: the loss is %.9g, should be %.9g", name, (double)loss, value);
    compare_all(&m, net, NULL, name);
    if (desc->loss == DETNN_HUBER || desc->loss == DETNN_MEAN_ABSOLUTE_ERROR) {
        size_t inside = 0, above = 0, n = rows * m.outputs;
        for (i = 0; i < n && data.targets; i++) {
            double d = m.y[i] - (double)targets[i];
            inside += d_abs(d) <= (double)desc->huber_delta;
            above += d > (double)desc->huber_delta;
        }
        if (data.targets)
            CHECKF(inside && above && inside + above < n, "%s: all sides of delta are tested",
                   name);
    }
    detnn_net_destroy(net);
    detnn_net_destroy(copy);
}

static void cross_entropy(void)
{
    static const float smoothing[] = { 0.0f, 0.1f, 0.5f };
    int s, form, weighted;
    for (s = 0; s < 3; s++)
        for (form = 0; form < 3; form++) /* softmax in dense, as a layer, logits */
            for (weighted = 0; weighted < 2; weighted++) {
                detnn_net_desc desc = detnn_net_desc_default();
                detnn_activation last = form < 2 ? DETNN_SOFTMAX : DETNN_LINEAR;
                uint64_t seed = 1000 + (uint64_t)(s * 6 + form * 2 + weighted);
                desc.label_smoothing = smoothing[s];
                check_loss("cross-entropy, labels", &desc, last, form == 1, 4, LABELS, weighted, 8,
                           seed);
                check_loss("cross-entropy, soft targets", &desc, last, form == 1, 5, SOFT, weighted,
                           8, seed + 100);
                check_loss("cross-entropy, targets of any sum 1", &desc, last, form == 1, 2, SOFT,
                           weighted, 70, seed + 200);
            }
}

static void binary_cross_entropy(void)
{
    int form, weighted;
    for (form = 0; form < 3; form++)
        for (weighted = 0; weighted < 2; weighted++) {
            detnn_net_desc desc = detnn_net_desc_default();
            detnn_activation last = form < 2 ? DETNN_SIGMOID : DETNN_LINEAR;
            uint64_t seed = 2000 + (uint64_t)(form * 2 + weighted);
            desc.loss = DETNN_BINARY_CROSS_ENTROPY;
            check_loss("binary cross-entropy, labels", &desc, last, form == 1, 1, LABELS, weighted,
                       8, seed);
            check_loss("binary cross-entropy, one target", &desc, last, form == 1, 1, BITS,
                       weighted, 8, seed + 100);
            check_loss("binary cross-entropy, classes", &desc, last, form == 1, 3, LABELS, weighted,
                       8, seed + 300);
            check_loss("binary cross-entropy, targets", &desc, last, form == 1, 6, BITS, weighted,
                       70, seed + 200);
        }
}

static void regression_losses(void)
{
    static const detnn_activation lasts[] = { DETNN_LINEAR, DETNN_SIGMOID, DETNN_SOFTMAX,
                                              DETNN_TANH };
    static const float deltas[] = { 1.0f, 0.25f, 2.5f };
    int which, last, weighted;
    for (which = 0; which < 5; which++)
        for (last = 0; last < 4; last++)
            for (weighted = 0; weighted < 2; weighted++) {
                detnn_net_desc desc = detnn_net_desc_default();
                uint64_t seed = 3000 + (uint64_t)(which * 8 + last * 2 + weighted);
                desc.loss = which == 0   ? DETNN_MEAN_SQUARED_ERROR
                            : which == 1 ? DETNN_MEAN_ABSOLUTE_ERROR
                                         : DETNN_HUBER;
                if (which > 2) desc.huber_delta = deltas[which - 2];
                check_loss(which == 0   ? "mean squared"
                           : which == 1 ? "mean absolute"
                                        : "Huber",
                           &desc, lasts[last], last == 1, 4, REALS, weighted, last == 3 ? 66 : 8,
                           seed);
                check_loss("labels as targets", &desc, lasts[last], last == 1, last == 2 ? 3 : 1,
                           LABELS, weighted, 8, seed + 100);
            }
}

/* ---- Losses, their gradients and metrics by the letter of C9, to the bit ---- */

enum { CLASSES = 130 };

/* z: what enters a final softmax or sigmoid, or the output. Gives the loss of a row, its
 * gradient d for z. */
static float row_by_letter(const detnn_net_desc *desc, const float *z, size_t n,
                           const float *target, uint32_t label, float c, float *d)
{
    float t[CLASSES], v[CLASSES], p[CLASSES] = { 0 }, sum, log_sum;
    float max = ref_max(z, n), q = c / (float)n, eps = desc->label_smoothing;
    size_t j;
    for (j = 0; j < n; j++) {
        t[j] = target ? target[j] : n == 1 ? (float)label : j == label ? 1.0f : 0.0f;
        p[j] = detnn_exp(z[j] - max);
    }
    sum = ref_dot(p, NULL, n);
    log_sum = detnn_log(sum);
    for (j = 0; j < n; j++) {
        float r = z[j] - t[j], a = r < 0.0f ? -r : r, delta = desc->huber_delta,
              half = 0.5f * delta, other;
        switch (desc->loss) {
        case DETNN_CROSS_ENTROPY:
            if (eps > 0.0f) t[j] = ref_fma(1.0f - eps, t[j], eps / (float)n);
            p[j] = p[j] / sum;
            r = p[j] - t[j];
            d[j] = r * c;
            r = z[j] - max;
            v[j] = t[j] == 0.0f ? 0.0f : log_sum - r;
            break;
        case DETNN_BINARY_CROSS_ENTROPY:
            other = 1.0f - t[j];
            other = other * detnn_softplus(z[j]);
            v[j] = ref_fma(t[j], detnn_softplus(-z[j]), other);
            r = detnn_sigmoid(z[j]) - t[j];
            d[j] = r * q;
            break;
        case DETNN_MEAN_SQUARED_ERROR:
            v[j] = r;
            d[j] = (r + r) * q;
            break;
        case DETNN_MEAN_ABSOLUTE_ERROR:
            v[j] = a;
            d[j] = r > 0.0f ? q : r < 0.0f ? -q : 0.0f;
            break;
        default:
            other = 0.5f * r;
            v[j] = a <= delta ? other * r : delta * (a - half);
            d[j] = a <= delta ? r * q : r > 0.0f ? delta * q : -(delta * q);
            break;
        }
    }
    if (desc->loss == DETNN_CROSS_ENTROPY)
        return !target && !(eps > 0.0f) ? v[label] : ref_dot(t, v, n);
    return ref_dot(v, desc->loss == DETNN_MEAN_SQUARED_ERROR ? v : NULL, n) / (float)n;
}

/* A net that is one activation alone, so that its inputs are the z of the loss. */
static void check_letter(detnn_net_desc *desc, detnn_activation last, size_t n, size_t rows,
                         int truth, int weighted, uint64_t seed)
{
    static float z[ROWS * CLASSES], t[ROWS * CLASSES], w[ROWS], y[ROWS * CLASSES],
        d[ROWS * CLASSES], d0[CLASSES], loss[ROWS], error[ROWS];
    static uint32_t labels[ROWS];
    float inv = 1.0f / (float)rows, total, far[CLASSES];
    detnn_layer layer = activation_layer(last);
    detnn_data data = detnn_data_default();
    detnni_rows in;
    detnni_score score;
    detnn_metrics metrics;
    detnn_net *net;
    detnn_error err;
    size_t i, j, bad = 0, correct = 0;
    double of = desc->loss == DETNN_CROSS_ENTROPY ? (double)rows : (double)(rows * n);
    desc->seed = seed;
    desc->inputs = n;
    desc->layers = &layer;
    desc->layer_count = 1;
    if (detnn_net_create(&net, desc, &err)) {
        CHECKF(0, "%s", err.text);
        return;
    }
    for (i = 0; i < rows; i++) {
        labels[i] = (uint32_t)(detnn_splitmix64(&seed) % (n > 1 ? n : 2));
        w[i] = i % 5 ? 1.0f + ref_random(&seed) : 0.0f;
        for (j = 0; j < n; j++) {
            z[i * n + j] = 5.0f * ref_random(&seed);
            t[i * n + j] = truth == REALS ? 5.0f * ref_random(&seed)
                                          : 0.5f + 0.5f * ref_random(&seed);
            if (detnn_splitmix64(&seed) % 8 == 0)
                t[i * n + j] = truth == REALS ? z[i * n + j] : 0.0f;
        }
    }
    data.x = z;
    data.count = rows;
    data.labels = truth == LABELS ? labels : NULL;
    data.targets = truth == LABELS ? NULL : t;
    data.weights = weighted ? w : NULL;
    in.x = z;
    in.labels = data.labels;
    in.targets = data.targets;
    in.weights = data.weights;
    detnni_score_start(&score);
    detnni_losses(net, &in, z, rows, inv, &score, d);
    CHECK(detnn_predict(net, z, rows, y, &err) == DETNN_OK);
    for (i = 0; i < rows; i++) {
        const float *target = data.targets ? t + i * n : NULL;
        float c = weighted ? w[i] * inv : inv;
        loss[i] = row_by_letter(desc, z + i * n, n, target, labels[i], c, d0);
        if (weighted) loss[i] = w[i] * loss[i];
        bad += ref_differ(d + i * n, d0, n) != n;
        for (j = 0; j < n; j++) {
            float truth_j = target           ? target[j]
                            : n == 1         ? (float)labels[i]
                            : j == labels[i] ? 1.0f
                                             : 0.0f;
            far[j] = y[i * n + j] - truth_j;
            if (far[j] < 0.0f) far[j] = -far[j];
            if (desc->loss == DETNN_BINARY_CROSS_ENTROPY)
                correct += (z[i * n + j] > 0.0f) == (truth_j > 0.5f);
        }
        error[i] = ref_dot(far, NULL, n) / (float)n;
        if (desc->loss == DETNN_CROSS_ENTROPY)
            correct += detnn_argmax(z + i * n, n) == (target ? detnn_argmax(target, n) : labels[i]);
    }
    total = ref_batch(NULL, 0, loss, 1, rows) * inv;
    CHECKF(!bad, "loss %d, %d outputs: gradients of %d rows", (int)desc->loss, (int)n, (int)bad);
    CHECKF(detnn_evaluate(net, &data, &metrics, &err) == DETNN_OK, "%s", err.text);
    CHECKF(ref_same(metrics.loss, total), "loss %d, %d outputs, %d rows: %a, should be %a",
           (int)desc->loss, (int)n, (int)rows, (double)metrics.loss, (double)total);
    CHECKF(ref_same(metrics.mean_absolute_error, ref_batch(NULL, 0, error, 1, rows) * inv),
           "loss %d: mean absolute error", (int)desc->loss);
    CHECKF(ref_same(metrics.accuracy, (float)((double)correct / of)), "loss %d: accuracy",
           (int)desc->loss);
    CHECK(metrics.count == rows);
    detnn_net_destroy(net);
}

static void losses_follow_the_letter(void)
{
    static const size_t outputs[] = { 1, 2, 3, 10, 64, 65, 130 }, rows[] = { 1, 2, 63, 64, 65, 70 };
    size_t o, r;
    int loss, truth, weighted, s;
    uint64_t seed = 9000;
    for (o = 0; o < 7; o++)
        for (r = 0; r < 6; r++)
            for (loss = 0; loss < DETNN_LOSS_COUNT; loss++)
                for (truth = LABELS; truth <= REALS; truth++)
                    for (weighted = 0; weighted < 2; weighted++)
                        for (s = 0; s < 2; s++) {
                            detnn_net_desc desc = detnn_net_desc_default();
                            detnn_activation last = DETNN_LINEAR;
                            desc.loss = (detnn_loss)loss;
                            if (loss == DETNN_CROSS_ENTROPY && (outputs[o] == 1 || truth == REALS))
                                continue;
                            if (loss == DETNN_BINARY_CROSS_ENTROPY && truth == REALS) continue;
                            if (loss == DETNN_CROSS_ENTROPY && s)
                                last = DETNN_SOFTMAX, desc.label_smoothing = 0.1f;
                            if (loss == DETNN_BINARY_CROSS_ENTROPY && s) last = DETNN_SIGMOID;
                            if (loss == DETNN_HUBER && s) desc.huber_delta = 2.25f;
                            check_letter(&desc, last, outputs[o], rows[r], truth, weighted, seed++);
                        }
}

/* A step passes over the gradients only where their bound says nothing. Inputs of one size and outputs' gradients of 1:
 * each kernel's gradient is rows * x, each bias's rows. Layers so wide that the bound is taken from x and d, and one so
 * small that it is not. */
static void bounds_of_gradients(void)
{
    enum { MOST = 32 };
    static const float sizes[] = { 1e-3f, 1.0f, 1e3f, 1e30f };
    static const size_t widths[] = { 100, 3 };
    static float x[MOST * 100];
    size_t s, w, rows, i;
    for (w = 0; w < 2; w++)
        for (s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (rows = 1; rows <= MOST; rows = 2 * rows + 1) {
                const size_t n = widths[w];
                detnn_net_desc desc = detnn_net_desc_default();
                static const detnn_layer dense = DETNN_DENSE(1, DETNN_LINEAR);
                detnn_layer layers[1];
                detnn_net *net;
                detnn_error err;
                float bound = 0.0f, largest;
                layers[0] = dense;
                layers[0].units = n;
                desc.inputs = n;
                desc.layers = layers;
                desc.layer_count = 1;
                desc.loss = DETNN_MEAN_SQUARED_ERROR;
                desc.batch_max = MOST;
                CHECKF(!detnn_net_create(&net, &desc, &err), "%s", err.text);
                for (i = 0; i < rows * n; i++) x[i] = sizes[s];
                net->forward_x = x;
                (void)detnni_forward_rows(net, x, rows, 0, 1);
                for (i = 0; i < rows * n; i++) net->a[i] = 1.0f;
                detnni_backward_rows(net, rows, 0, 1, net->gradients, 0, &bound);
                largest = detnni_float(detnni_kernels_of(DETNN_ISA_PLAIN)->magnitude(net->gradients, net->parameters));
                CHECK(largest >= (float)rows * (sizes[s] > 1.0f ? sizes[s] * 0.99f : 1.0f));
                CHECK(bound >= largest && bound <= 2.5f * largest);
                detnn_net_destroy(net);
            }
}

int main(void)
{
    TEST(bounds_of_gradients);
    TEST(every_activation_in_dense);
    TEST(every_activation_as_a_layer);
    TEST(dropout_and_standardize);
    TEST(without_bias_and_one_unit);
    TEST(frozen_layers);
    TEST(cross_entropy);
    TEST(binary_cross_entropy);
    TEST(regression_losses);
    TEST(losses_follow_the_letter);
    return test_end();
}

/* The worked trace of the manual (C12), number by number. */
#include "test.h"

static uint32_t bits(float x)
{
    uint32_t b;
    memcpy(&b, &x, 4);
    return b;
}

static int begins(const char *text, const char *with) { return !strncmp(text, with, strlen(with)); }

static void worked_trace(void)
{
    static const float x[2] = { 1.5f, -0.25f }, t[1] = { 0.5f };
    static const uint32_t counter[4] = { 0, 0, 0, 1u << 24 };
    const detnn_layer layers[] = { DETNN_DENSE(1, DETNN_TANH) };
    detnn_net_desc desc = detnn_net_desc_default();
    detnn_data data = detnn_data_default();
    detnn_net *net;
    uint32_t word[4];
    char digest[DETNN_DIGEST_TEXT];
    const float *w, *b, *g;
    float z, y, loss;
    desc.seed = 42;
    desc.inputs = 2;
    desc.layers = layers;
    desc.layer_count = 1;
    desc.loss = DETNN_MEAN_SQUARED_ERROR;
    desc.optimizer = detnn_adam(0.125f);
    data.x = x;
    data.targets = t;
    data.count = 1;

    detnn_philox(42, counter, word);
    CHECK(word[0] == 0x97907da9 && word[1] == 0xecba94ea && word[2] == 0x07dea2c9 && word[3] == 0x1d9cc73d);
    CHECK(detnn_net_create(&net, &desc, 0) == DETNN_OK);
    w = detnn_weights(net, 0, DETNN_KERNEL, 0, 0);
    b = detnn_weights(net, 0, DETNN_BIAS, 0, 0);
    CHECK(bits(w[0]) == 0x3e854ce8 && bits(w[1]) == 0x3f99c40a && bits(b[0]) == 0);
    CHECK(begins(detnn_tensor_digest(w, 2, digest), "32364c44"));
    CHECK(begins(detnn_tensor_digest(b, 1, digest), "8cb90125"));
    CHECK(begins(detnn_digest(net, digest), "3c7edb5d"));
    detnn_dense_forward(x, w, b, 1, 2, 1, &z, NULL);
    CHECK(bits(z) == 0x3db8bd48);
    CHECK(detnn_predict(net, x, 1, &y, 0) == DETNN_OK && bits(y) == 0x3db83d6c);
    CHECK(detnn_train_batch(net, &data, &loss, 0) == DETNN_OK && bits(loss) == 0x3e2c2ad0);
    g = detnn_gradient(net, 0, DETNN_KERNEL, 0, 0);
    CHECK(bits(g[0]) == 0xbf9c2e45 && bits(g[1]) == 0x3e503db1);
    CHECK(bits(*detnn_gradient(net, 0, DETNN_BIAS, 0, 0)) == 0xbf503db1);
    CHECK(bits(w[0]) == 0x3ec54ce9 && bits(w[1]) == 0x3f89c40a && bits(b[0]) == 0x3e000000);
    CHECK(begins(detnn_digest(net, digest), "8c55b560"));
    CHECK(begins(detnn_state_digest(net, digest), "6a99cc68"));
    detnn_net_destroy(net);
}

int main(void)
{
    TEST(worked_trace);
    return test_end();
}

/* A program without a C library: -ffreestanding -DDETNN_FREESTANDING=1, memory from a static
 * block. It returns 0 when its training ends in the digest that a hosted program gets
 * (SMALL_STATE), else the number of what failed. tests/freestanding.sh builds it and looks at what
 * it needs from outside. */
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "small.h"

static unsigned char block[50000], snapshot[8000], file[6000];

static int run(void)
{
    detnn_net_desc desc = small_desc(), described;
    detnn_save_desc save = detnn_save_desc_default();
    detnn_layer layers[5];
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(2);
    detnn_metrics metrics;
    detnn_error err;
    detnn_net *net;
    float y[3 * SMALL_CLASSES];
    char digest[DETNN_DIGEST_TEXT], table[700];
    size_t size = 0;
    if (detnn_selftest(&err)) return 1;
    /* there is no malloc */
    if (detnn_net_create(&net, &desc, &err) != DETNN_ERROR_MEMORY || net) return 2;
    if (detnn_net_size(&desc, &size, &err) || size > sizeof block) return 3;
    if (detnn_net_init(&net, &desc, block, sizeof block, &err)) return 4;
    if (detnn_fit(net, &data, &fit, &err)) return 5;
    size = detnn_snapshot_size(net);
    if (size > sizeof snapshot || detnn_snapshot(net, snapshot, size, &err)) return 6;
    if (detnn_fit(net, &data, &fit, &err) || detnn_restore(net, snapshot, size, &err)) return 7;
    save.state = 1;
    if (detnn_save_size(net, &save, &size, &err) || size > sizeof file) return 13;
    if (detnn_save_memory(net, file, size, &save, &err)) return 14;
    if (detnn_file_desc(file, size, &described, layers, 5, &err)) return 15;
    described.batch_max = desc.batch_max;
    if (detnn_net_init(&net, &described, block, sizeof block, &err)) return 16; /* another net, in the same place */
    if (detnn_load_into_memory(net, file, size, 0, &err)) return 17;
    if (detnn_fit(net, &data, &fit, &err)) return 8;
    if (detnn_evaluate(net, &data, &metrics, &err) || !(metrics.loss > 0.0f)) return 9;
    if (detnn_predict(net, data.x, 3, y, &err) || !(y[0] > 0.0f)) return 10;
    if (detnn_summary(net, table, sizeof table) >= sizeof table) return 11;
    if (!small_equal(detnn_digest(net, digest), SMALL_NET)) return 12;
    detnn_net_destroy(net);
    return 0;
}

int main(void)
{
    return run();
}

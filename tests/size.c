/* What a small program costs: tests/size.sh builds it for microcontrollers and writes the README's table. A net of 8
 * inputs, 16 units with ReLU and 3 with softmax; nothing from a heap. SIZE_LEVEL says how it is used,
 * SIZE_BLOCK what there is for the net. */
#define DETNN_IMPLEMENTATION
#define DETNN_STATIC 1
#include "detnn.h"

enum { INFERENCE_ARRAYS, INFERENCE_NET, TRAINING_LOOP, TRAINING_FIT };
enum { INPUTS = 8, UNITS = 16, CLASSES = 3, BATCH = 16 };

int work(void);
extern const float work_weights[(INPUTS + 1) * UNITS + (UNITS + 1) * CLASSES]; /* in flash */
extern float work_x[BATCH * INPUTS], work_y[BATCH * CLASSES];
extern uint32_t work_labels[BATCH];
extern size_t work_block; /* bytes of the net */

#if SIZE_LEVEL == 0

/* Level 3: the building blocks on plain arrays. */
int work(void)
{
    static float hidden[UNITS];
    const float *w1 = work_weights, *b1 = w1 + INPUTS * UNITS, *w2 = b1 + UNITS, *b2 = w2 + UNITS * CLASSES;
    detnn_dense_forward(work_x, w1, b1, 1, INPUTS, UNITS, hidden, 0);
    detnn_activate(DETNN_RELU, 0.0f, hidden, UNITS, hidden);
    detnn_dense_forward(hidden, w2, b2, 1, UNITS, CLASSES, work_y, 0);
    detnn_softmax(work_y, CLASSES, work_y);
    return 0;
}

#else

int work(void)
{
    static const detnn_layer layers[] = {
        DETNN_DENSE(UNITS, DETNN_RELU),
#if SIZE_LEVEL >= 2
        DETNN_DROPOUT(0.25f),
#endif
        DETNN_DENSE(CLASSES, DETNN_SOFTMAX)
    };
    static unsigned char block[SIZE_BLOCK];
    detnn_net *net;
    detnn_net_desc desc = detnn_net_desc_default();
    desc.inputs = INPUTS;
    desc.layers = layers;
    desc.layer_count = sizeof layers / sizeof *layers;
#if SIZE_LEVEL == 1 /* level 1: predict, the weights where they lie */
    desc.batch_max = 1;
    desc.predict_only = 1;
    desc.weights = work_weights;
    desc.optimizer = detnn_sgd(1.0f); /* the default is not in this build */
#else
    desc.batch_max = BATCH;
    desc.optimizer = detnn_adam(0.01f);
#endif
    if (detnn_net_size(&desc, &work_block, 0) || detnn_net_init(&net, &desc, block, sizeof block, 0)) return 1;
#if SIZE_LEVEL == 1
    if (detnn_predict(net, work_x, 1, work_y, 0)) return 2;
#elif SIZE_LEVEL == 2 /* level 2: one's own loop */
    {
        static float dy[BATCH * CLASSES];
        size_t i;
        if (detnn_forward(net, work_x, BATCH, work_y, 0)) return 2;
        for (i = 0; i < BATCH * CLASSES; i++) dy[i] = work_y[i] - (work_labels[i / CLASSES] == i % CLASSES);
        if (detnn_backward(net, dy, 0, 0) || detnn_step(net, 0)) return 3;
    }
#else /* level 1: fit */
    {
        detnn_data data = detnn_data_default();
        detnn_fit_desc fit = detnn_fit_desc_default();
        data.x = work_x;
        data.labels = work_labels;
        data.count = BATCH;
        fit.batch_size = BATCH;
        if (detnn_fit(net, &data, &fit, 0)) return 2;
    }
#endif
    return 0;
}

#endif

/* firmware.c - on the device: reads digits with the net in flash, then fine-tunes a copy in RAM, because this device's
 * camera sits two pixels too far to the left. Without operating system, C library, malloc; the same file compiled for the
 * desktop prints the same lines (firmware.sh compares them). */
#ifdef __arm__
#define DETNN_FREESTANDING 1
#endif
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "../digits_center.h"
#include "digit_net.h" /* written by model.c */

#ifdef __arm__
void bare_print(const char *line); /* by the board's start-up code */
#else
#include <stdio.h>
static void bare_print(const char *line) { puts(line); }
#endif

enum { CLASSES = 10, TRIES = 200, LESSONS = 400, SHIFT = 2 };

static unsigned char reader_memory[40 << 10], learner_memory[128 << 10];
static detnn_error err;
static detnn_rng hand;

static int fail(void) { return bare_print(err.text), 1; }

/* "what: n of all", or without all */
static void print_number(const char *what, size_t n, size_t all)
{
    char line[80], *p = line, digits[24];
    for (int part = 0; part < (all ? 2 : 1); part++) {
        int k = 0;
        for (const char *s = part ? " of " : what; *s;) *p++ = *s++;
        for (size_t v = part ? all : n; v || !k; v /= 10) digits[k++] = (char)('0' + v % 10);
        while (k) *p++ = digits[--k];
    }
    *p = 0;
    bare_print(line);
}

/* A digit as the camera sees it. */
static uint32_t look(float *x)
{
    float straight[CENTRED];
    const uint32_t digit = (uint32_t)detnn_rng_below(&hand, CLASSES);
    digits_draw_centred(&hand, digit, straight);
    for (int i = 0; i < CENTRED; i++)
        x[i] = i % CENTRED_SIDE >= SHIFT ? straight[i - SHIFT] : 0.0f;
    return digit;
}

static int count_right(detnn_net *net, size_t *right)
{
    float x[CENTRED], y[CLASSES];
    *right = 0;
    detnn_rng_seed(&hand, 7);
    for (int i = 0; i < TRIES; i++) {
        const uint32_t digit = look(x);
        if (detnn_predict(net, x, 1, y, &err)) return 0;
        *right += detnn_argmax(y, CLASSES) == digit;
    }
    return 1;
}

int main(void)
{
    detnn_net *reader, *learner;
    size_t before, after;
    char digest[DETNN_DIGEST_TEXT];

    detnn_net_desc desc = digit_desc(); /* weights where they lie, in flash */
    if (detnn_net_init(&reader, &desc, reader_memory, sizeof reader_memory, &err)) return fail();
    if (digit_test(reader)) return bare_print("the net in flash does not predict what it did on the desktop"), 1;
    print_number("bytes of RAM to read: ", detnn_info(reader).memory, 0);

    desc.predict_only = 0;
    desc.weights = NULL;
    desc.optimizer = detnn_adam(0.002f);
    if (detnn_net_init(&learner, &desc, learner_memory, sizeof learner_memory, &err)) return fail();
    for (size_t layer = 0; layer < 2; layer++)
        for (int t = DETNN_KERNEL; t <= DETNN_BIAS; t++) {
            size_t rows, cols;
            const float *w = detnn_weights(reader, layer, (detnn_tensor)t, &rows, &cols);
            if (detnn_weights_set(learner, layer, (detnn_tensor)t, w, rows * cols, &err)) return fail();
        }
    print_number("bytes of RAM to learn: ", detnn_info(learner).memory, 0);

    if (!count_right(reader, &before)) return fail();
    print_number("digits right, as it came: ", before, TRIES);
    detnn_rng_seed(&hand, 8);
    for (int i = 0; i < LESSONS; i++) {
        float x[CENTRED];
        const uint32_t digit = look(x);
        detnn_data lesson = detnn_data_default();
        lesson.x = x;
        lesson.labels = &digit;
        lesson.count = 1;
        if (detnn_train_batch(learner, &lesson, NULL, &err)) return fail();
    }
    if (!count_right(learner, &after)) return fail();
    print_number("digits right, after 400 lessons: ", after, TRIES);
    bare_print(detnn_digest(learner, digest));
    return 0;
}

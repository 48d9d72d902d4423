/* digits_data.h - hand-written digits for the demo, read from optdigits or MNIST files. */
#include <stdio.h>
#include <stdlib.h>
#include "detnn.h"

enum { DIGITS_MAX = 10000 }; /* images taken from one file at most */

typedef struct digits {
    const char *source;
    size_t side, train, test; /* images of side x side pixels; those to train on come first */
    float *x;                 /* [train + test][side * side], in 0..1 */
    uint32_t *labels;         /* [train + test], 0..9 */
} digits;

static int digits_reserve(digits *d, size_t side, size_t count)
{
    d->side = side;
    d->x = (float *)malloc(count * side * side * sizeof *d->x);
    d->labels = (uint32_t *)malloc(count * sizeof *d->labels);
    return d->x && d->labels;
}

static void digits_free(digits *d)
{
    free(d->x);
    free(d->labels);
}

static long digits_fail(detnn_error *err, const char *file, size_t digit, const char *what)
{
    if (digit) snprintf(err->text, sizeof err->text, "%s: digit %d %s", file, (int)digit, what);
    else snprintf(err->text, sizeof err->text, "%s: %s", file, what);
    return -1;
}

/* A line of optdigits is 64 pixels 0..16 and the class, with commas. Both readers store from image
 * `first` on and return how many images they read, or -1. */
static long digits_read_text(digits *d, FILE *f, const char *file, size_t first, detnn_error *err)
{
    char line[1000], *at, *end;
    size_t n = first;
    if (!first && !digits_reserve(d, 8, 2 * DIGITS_MAX))
        return digits_fail(err, file, 0, "out of memory");
    for (; n < first + DIGITS_MAX && fgets(line, sizeof line, f); n++) {
        at = line;
        for (size_t i = 0; i <= 64; i++, at = end + 1) {
            long value = strtol(at, &end, 10), most = i < 64 ? 16 : 9;
            if (end == at || value < 0 || value > most || (i < 64 ? *end != ',' : *end > ' '))
                return digits_fail(err, file, n - first + 1,
                                   "is not 64 pixels 0..16 and a class 0..9");
            if (i < 64) d->x[n * 64 + i] = (float)value / 16.0f;
            else d->labels[n] = (uint32_t)value;
        }
    }
    return n > first ? (long)(n - first) : digits_fail(err, file, 0, "the file is empty");
}

static uint32_t digits_big_endian(FILE *f)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) value = value << 8 | (uint32_t)(getc(f) & 255);
    return value;
}

/* An IDX file is a magic number, its sizes, then bytes; the labels' file has one size. */
static long digits_read_idx(digits *d, FILE *f, FILE *labels, const char *file, size_t first,
                            detnn_error *err)
{
    int magic = digits_big_endian(f) == 0x803 && digits_big_endian(labels) == 0x801;
    uint32_t count = digits_big_endian(f), side = digits_big_endian(f);
    int square = side == digits_big_endian(f) && side >= 1 && side <= 64;
    if (!magic || !square || (first && side != d->side))
        return digits_fail(err, file, 0, "not the headers of square images and of labels");
    if (count < 1 || count != digits_big_endian(labels))
        return digits_fail(err, file, 0, "there are not as many labels as images");
    if (!first && !digits_reserve(d, side, 2 * DIGITS_MAX))
        return digits_fail(err, file, 0, "out of memory");
    if (count > DIGITS_MAX) count = DIGITS_MAX;
    for (size_t i = first; i < first + count; i++) {
        for (size_t p = i * side * side; p < (i + 1) * side * side; p++)
            d->x[p] = (float)getc(f) / 256.0f;
        d->labels[i] = (uint32_t)getc(labels);
        if (feof(f) || d->labels[i] > 9)
            return digits_fail(err, file, i - first + 1, "is cut short, or its label is not 0..9");
    }
    return (long)count;
}

static FILE *digits_open(const char *folder, const char *const names[2])
{
    char path[1024];
    FILE *f = NULL;
    for (int i = 0; i < 2 && !f; i++)
        if (snprintf(path, sizeof path, "%s/%s", folder, names[i]) < (int)sizeof path)
            f = fopen(path, "rb");
    return f;
}

static long digits_read(digits *d, const char *folder, int idx, int test, detnn_error *err)
{
    static const char *const names[2][3][2] = { /* [training, test][text, images, labels] */
        { { "optdigits.tra", "optdigits.tra" },
          { "train-images-idx3-ubyte", "train-images.idx3-ubyte" },
          { "train-labels-idx1-ubyte", "train-labels.idx1-ubyte" } },
        { { "optdigits.tes", "optdigits.tes" },
          { "t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte" },
          { "t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte" } },
    };
    const char *const(*name)[2] = names[test] + idx;
    const size_t first = test ? d->train : 0;
    FILE *f = digits_open(folder, name[0]), *labels = idx ? digits_open(folder, name[1]) : f;
    long count;
    if (!f && !labels && !test) return 0;
    if (!f || !labels) count = digits_fail(err, name[f ? 1 : 0][0], 0, "there is no such file");
    else if (idx) count = digits_read_idx(d, f, labels, name[0][0], first, err);
    else count = digits_read_text(d, f, name[0][0], first, err);
    if (f) fclose(f);
    if (idx && labels) fclose(labels);
    return count;
}

/* Returns 1; 0: the folder has no digits; -1: a file is damaged, err->text says which and where. */
static int digits_load(digits *d, const char *folder, detnn_error *err)
{
    long train = 0, test = -1;
    for (int idx = 0; idx < 2 && !train; idx++) {
        d->source = idx ? "MNIST" : "optdigits";
        train = digits_read(d, folder, idx, 0, err);
        d->train = (size_t)train;
        if (train > 0) test = digits_read(d, folder, idx, 1, err);
    }
    d->test = (size_t)test;
    if (train && test < 0) digits_free(d);
    return !train ? 0 : test < 0 ? -1 : 1;
}

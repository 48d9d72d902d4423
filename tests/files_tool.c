/* Models on their way to other programs and back, for tests/files.sh.
 *
 *   files_tool write FOLDER     NAME.safetensors of some nets, alone and (NAME.state.safetensors) with their training
 *                               state; NAME.x, inputs [16][5], and NAME.y, what the net makes of them
 *   files_tool read FOLDER      loads NAME.torch.safetensors, which another program wrote, into the same nets and writes
 *                               NAME.torch.y
 *   files_tool try FILE         FILE holds many files, each after its length (4 bytes, little-endian): a line for each,
 *                               "ok" or the sentence with which it is refused
 *   files_tool export FOLDER    C sources NAME_float32.h, NAME_bfloat16.h, NAME_int8.h */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "small.h"

enum { ROWS = 16 };
static detnn_error err;
static char path[2][400];

static void must(int good, const char *what)
{
    if (good) return;
    printf("FAILED %s: %s\n", what, err.text);
    exit(1);
}

static const char *in(const char *folder, const char *name, const char *ending)
{
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s%s", folder, name, ending);
    return path[turn];
}

static const detnn_layer deep[] = {
    DETNN_DENSE(9, DETNN_LINEAR), DETNN_ACTIVATE_EX(DETNN_LEAKY_RELU, 0.25f), DETNN_DENSE(8, DETNN_GELU), DETNN_DROPOUT(0.5f),
    DETNN_DENSE(7, DETNN_SILU), DETNN_DENSE(7, DETNN_ELU), DETNN_DENSE(7, DETNN_SELU), DETNN_DENSE(7, DETNN_SOFTPLUS),
    DETNN_DENSE(7, DETNN_SIGMOID), DETNN_DENSE(7, DETNN_RELU),
    DETNN_DENSE_EX(3, DETNN_LINEAR, 1, DETNN_INIT(DETNN_HE_NORMAL, 0, 0), DETNN_INIT(DETNN_ZEROS, 0, 0), 0, 0)
};

static const char *const names[] = { "small", "deep", "tiny" };
static detnn_net *net_of(int i)
{
    detnn_net_desc desc = i == 2 ? tiny_desc() : small_desc();
    detnn_net *net;
    if (i == 1) desc.layers = deep, desc.layer_count = sizeof deep / sizeof *deep;
    if (i == 1) desc.optimizer = detnn_rmsprop(0.01f);
    must(!detnn_net_create(&net, &desc, &err), names[i]);
    return net;
}

static void write_floats(const char *to, const float *x, size_t n)
{
    FILE *f = fopen(to, "wb");
    must(f && fwrite(x, sizeof *x, n, f) == n && !fclose(f), to);
}

static int try_files(const char *from)
{
    FILE *f = fopen(from, "rb");
    unsigned char length[4];
    must(f != NULL, from);
    while (f && fread(length, 1, 4, f) == 4) {
        size_t n = length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 | (size_t)length[3] << 24;
        unsigned char *bytes = (unsigned char *)malloc(n ? n : 1);
        detnn_net *net;
        must(bytes && fread(bytes, 1, n, f) == n, from);
        if (detnn_load_memory(&net, bytes, n, NULL, &err)) puts(err.text);
        else puts("ok");
        detnn_net_destroy(net);
        free(bytes);
    }
    if (f) fclose(f);
    return 0;
}

int main(int argc, char **argv)
{
    static float y[ROWS * 16];
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(2);
    detnn_save_desc save = detnn_save_desc_default();
    int i, packing;
    if (argc != 3) return 2;
    if (!strcmp(argv[1], "try")) return try_files(argv[2]);
    save.state = 1;
    for (i = 0; i < 3; i++) {
        detnn_net *net = net_of(i);
        must(!detnn_fit(net, &data, &fit, &err), names[i]);
        if (!strcmp(argv[1], "write")) {
            must(!detnn_save(net, in(argv[2], names[i], ".safetensors"), NULL, &err), names[i]);
            must(!detnn_save(net, in(argv[2], names[i], ".state.safetensors"), &save, &err), names[i]);
            must(!detnn_predict(net, data.x, ROWS, y, &err), names[i]);
            write_floats(in(argv[2], names[i], ".x"), data.x, ROWS * SMALL_INPUTS);
            write_floats(in(argv[2], names[i], ".y"), y, ROWS * 3);
        } else if (!strcmp(argv[1], "read")) {
            must(!detnn_load_into(net, in(argv[2], names[i], ".torch.safetensors"), NULL, &err), names[i]);
            must(!detnn_predict(net, data.x, ROWS, y, &err), names[i]);
            write_floats(in(argv[2], names[i], ".torch.y"), y, ROWS * 3);
        } else {
            for (packing = 0; packing < (int)DETNN_PACKING_COUNT; packing++) {
                static const char *const ending[] = { "_float32.h", "_bfloat16.h", "_int8.h" };
                detnn_export_desc d = detnn_export_desc_default();
                char name[40];
                snprintf(name, sizeof name, "%s%s", names[i], ending[packing]);
                *strchr(name, '.') = 0;
                d.name = name;
                d.packing = (detnn_packing)packing;
                d.data = &data;
                must(!detnn_export_c(net, in(argv[2], names[i], ending[packing]), &d, NULL, &err), names[i]);
            }
        }
        detnn_net_destroy(net);
    }
    return 0;
}

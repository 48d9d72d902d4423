/* Loading under libFuzzer or AFL++: whatever the bytes, an error or a net that saves and predicts; the net that was
 * there stays as it was. Each file is tried as it is, and signed anew, so that more than its digests is reached.
 *
 *   clang -fsanitize=fuzzer,address,undefined ... tests/fuzz_load.c     libFuzzer
 *   afl-clang-fast -fsanitize=fuzzer ... tests/fuzz_load.c              AFL++
 *   cc -DFUZZ_CORPUS ... tests/fuzz_load.c; ./a.out FOLDER              writes the files to start from */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "small.h"

static const detnn_layer fuzz_layers[] = { DETNN_DENSE(3, DETNN_LEAKY_RELU), DETNN_DROPOUT(0.5f), DETNN_DENSE(2, DETNN_SOFTMAX) };

static detnn_net *fuzz_net(int standardize)
{
    detnn_net_desc desc = standardize ? small_desc() : tiny_desc();
    detnn_net *net;
    desc.keep_best = standardize;
    desc.batch_max = 24;
    if (!standardize) desc.inputs = 2, desc.layers = fuzz_layers, desc.layer_count = 3;
    if (detnn_net_create(&net, &desc, 0)) abort();
    return net;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#ifdef FUZZ_CORPUS

static void put(const char *folder, const char *name, const unsigned char *bytes, size_t size)
{
    char path[400];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, size, f) != size || fclose(f)) abort();
}

int main(int argc, char **argv)
{
    static unsigned char bytes[20000];
    static const char *const foreign[] = {
        "{}", "{\"__metadata__\":{\"format\":\"pt\"},\"0.bias\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}",
        "{ \"a\\u00e9\\ud83d\\ude00\\n\" : { \"shape\" : [ 1 , 2 ] , \"dtype\" : \"BF16\" , \"data_offsets\" : [ 0 , 4 ] } }    " };
    size_t size, i;
    int k;
    if (argc != 2) return 2;
    for (k = 0; k < 4; k++) {
        char name[8] = "net0";
        detnn_net *net = fuzz_net(k & 1);
        detnn_data data = small_data();
        detnn_fit_desc fit = small_fit(1);
        detnn_save_desc d = detnn_save_desc_default();
        if (k & 1 && detnn_fit(net, &data, &fit, 0)) abort();
        d.state = k >> 1;
        if (detnn_save_size(net, &d, &size, 0) || size > sizeof bytes || detnn_save_memory(net, bytes, size, &d, 0)) abort();
        name[3] = (char)('0' + k);
        put(argv[1], name, bytes, size);
        detnn_net_destroy(net);
    }
    for (i = 0; i < 3; i++) {
        char name[12] = "foreign0";
        memset(bytes, 0, sizeof bytes);
        bytes[0] = (unsigned char)strlen(foreign[i]);
        memcpy(bytes + 8, foreign[i], bytes[0]);
        name[7] = (char)('0' + i);
        put(argv[1], name, bytes, 8u + bytes[0] + (i == 2 ? 4 : 0));
    }
    return 0;
}

#else

static detnn_net *there[2];
static void *before[2]; /* their states, weights and all */

/* Writes detnn.check, detnn.digest and the state's digest as they should be, as far as they are found. */
static void sign(unsigned char *bytes, size_t size)
{
    static const char check[] = "\"detnn.check\":\"";
    detnni_file f;
    detnni_sha sha;
    unsigned char hash[32];
    char text[DETNN_DIGEST_TEXT];
    size_t i, k;
    if (detnni_open(&f, bytes, size, 0)) return;
    detnni_sha_start(&sha);
    for (k = 0; k < DETNNI_KEY_CHECK; k++) {
        if (!f.value[k].p) continue;
        detnni_sha_add(&sha, f.value[k].p, f.value[k].n);
        detnni_sha_add(&sha, "\n", 1);
    }
    detnni_sha_end(&sha, hash);
    for (i = 8; i + sizeof check + 64 < f.data; i++)
        if (!memcmp(bytes + i, check, sizeof check - 1)) {
            memcpy(bytes + i + sizeof check - 1, detnni_hex(hash, text), 64);
            return;
        }
}

static void try_bytes(const uint8_t *bytes, size_t size)
{
    static unsigned char saved[1 << 16];
    detnn_load_desc d = detnn_load_desc_default();
    detnn_error err;
    detnn_net *net;
    int i;
    d.memory_max = (size_t)1 << 24;
    d.batch_max = 8;
    err.code = DETNN_OK;
    if (!detnn_load_memory(&net, bytes, size, &d, &err)) {
        detnn_save_desc s = detnn_save_desc_default();
        size_t n;
        if (detnn_save_size(net, &s, &n, &err)) abort();
        if (n <= sizeof saved) {
            detnn_net *again;
            if (detnn_save_memory(net, saved, n, &s, &err) || detnn_load_memory(&again, saved, n, &d, &err)) abort();
            detnn_net_destroy(again);
        }
        detnn_net_destroy(net);
    } else if (net || !err.code || !err.text[0]) {
        abort();
    }
    for (i = 0; i < 2; i++)
        if (detnn_load_into_memory(there[i], bytes, size, 0, &err)) {
            if (memcmp(before[i], there[i]->state, there[i]->state_size)) abort();
        } else {
            memcpy(before[i], there[i]->state, there[i]->state_size);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    unsigned char *copy;
    int i;
    for (i = 0; i < 2 && !there[i]; i++) {
        there[i] = fuzz_net(i);
        before[i] = malloc(there[i]->state_size);
        if (!before[i]) abort();
        memcpy(before[i], there[i]->state, there[i]->state_size);
    }
    try_bytes(bytes, size);
    if (size > 60000) return 0;
    copy = (unsigned char *)malloc(size ? size : 1); /* of its own size, for the sanitizers */
    if (!copy) return 0;
    memcpy(copy, bytes, size);
    sign(copy, size);
    if (memcmp(copy, bytes, size)) try_bytes(copy, size);
    free(copy);
    return 0;
}

#endif

/* Files: what is saved is what is loaded, bit for bit; what is damaged is refused and changes nothing; a save that
 * fails or is killed leaves the old file or the new one. The C library's files are replaced by ones that fail when
 * told to; the implementation (private names begin with detnni_) is compiled here for that.
 *
 *   test_files            what make check runs: damage at a sample of places, 30 kills
 *   test_files --whole    every byte flipped in every bit, every truncation, every insertion, 200 kills */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__unix__) || defined(__APPLE__)
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#define HAS_POSIX 1
#else
#define HAS_POSIX 0
#endif

static int io_calls, io_fail; /* the call that fails, from 1; 0: none */
static int io_failed(void)
{
    errno = 28;
    return ++io_calls == io_fail;
}
static FILE *io_fopen(const char *path, const char *mode) { return io_failed() ? NULL : fopen(path, mode); }
static size_t io_fwrite(const void *p, size_t size, size_t n, FILE *f) { return fwrite(p, size, io_failed() ? n / 2 : n, f); }
static size_t io_fread(void *p, size_t size, size_t n, FILE *f) { return fread(p, size, io_failed() ? n / 2 : n, f); }
static int io_fflush(FILE *f) { int r = fflush(f); return io_failed() ? EOF : r; }
static int io_fclose(FILE *f) { int r = fclose(f); return io_failed() ? EOF : r; }
static int io_fseek(FILE *f, long at, int from) { return io_failed() ? -1 : fseek(f, at, from); }
static long io_ftell(FILE *f) { return io_failed() ? -1 : ftell(f); }
static int io_rename(const char *from, const char *to) { return io_failed() ? -1 : rename(from, to); }
static void *io_malloc(size_t size) { return io_failed() ? NULL : malloc(size); }
#if HAS_POSIX
static int io_synced;
static int io_fsync(int descriptor) { io_synced++; return io_failed() ? -1 : fsync(descriptor); }
#define fsync(d) io_fsync(d)
#endif
#define fopen(path, mode) io_fopen(path, mode)
#define fwrite(p, size, n, f) io_fwrite(p, size, n, f)
#define fread(p, size, n, f) io_fread(p, size, n, f)
#define fflush(f) io_fflush(f)
#define fclose(f) io_fclose(f)
#define fseek(f, at, from) io_fseek(f, at, from)
#define ftell(f) io_ftell(f)
#define rename(from, to) io_rename(from, to)
#define malloc(size) io_malloc(size)
#include "test.h"
#undef fsync
#undef fopen
#undef fwrite
#undef fread
#undef fflush
#undef fclose
#undef fseek
#undef ftell
#undef rename
#undef malloc
#include "small.h"
#include "helpers.h"

static int whole;           /* --whole */
static char folder[64];     /* of our own */
static unsigned char file[40000], other[40000];

/* The SHA-256 of the file that golden_file saves: the same bytes on every platform. */
#define GOLDEN_FILE "4730364155aa254b952faeca860fdc9886f9cb9d9c87947af5e303ffd59c6dce"

static char *path_of(const char *name)
{
    static char path[2][400];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static detnn_save_desc with_state(void)
{
    detnn_save_desc d = detnn_save_desc_default();
    d.state = 1;
    return d;
}

static size_t save(detnn_net *net, int state, unsigned char *to)
{
    detnn_save_desc d = detnn_save_desc_default();
    detnn_error err;
    size_t size = 0;
    d.state = state;
    CHECKF(!detnn_save_size(net, &d, &size, &err), "%s", err.text);
    CHECK(size > 8 && size <= sizeof file);
    CHECK(detnn_save_memory(net, to, size - 1, &d, &err) == DETNN_ERROR_MEMORY);
    CHECKF(!detnn_save_memory(net, to, size, &d, &err), "%s", err.text);
    return size;
}

/* The small training, with what the state has most of: in the middle of an epoch, with best weights. */
static int pause_at(void *user, detnn_net *net, const detnn_progress *p)
{
    (void)net;
    return p->step == *(const uint64_t *)user ? DETNN_PAUSE : DETNN_GO_ON;
}

static detnn_net *trained(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(4);
    uint64_t at = 10;
    detnn_net *net;
    desc.keep_best = 1;
    desc.batch_max = 32;
    net = make(&desc);
    fit.on_step = pause_at;
    fit.user = &at;
    CHECK(!detnn_fit(net, &data, &fit, NULL));
    return net;
}

/* ---- Round trips ---- */

typedef struct stream { const unsigned char *from; unsigned char *to; size_t at, fail; } stream;
static int stream_write(void *user, const void *bytes, size_t size)
{
    stream *s = (stream *)user;
    if (s->at + size > s->fail) return 1;
    memcpy(s->to + s->at, bytes, size);
    s->at += size;
    return 0;
}
static int stream_read(void *user, void *to, size_t size)
{
    stream *s = (stream *)user;
    if (s->at + size > s->fail) return 1;
    memcpy(to, s->from + s->at, size);
    s->at += size;
    return 0;
}

static void every_way_gives_the_same_bytes(void)
{
    detnn_net *net = trained(), *got;
    detnn_save_desc d = with_state();
    detnn_error err;
    stream s = { NULL, NULL, 0, 0 };
    size_t size = save(net, 1, file);
    FILE *f;
    s.to = other;
    s.fail = sizeof other;
    CHECKF(!detnn_save_write(net, stream_write, &s, &d, &err), "%s", err.text);
    CHECK(s.at == size && !memcmp(file, other, size));
    CHECKF(!detnn_save(net, path_of("a"), &d, &err), "%s", err.text);
    f = fopen(path_of("a"), "rb");
    CHECK(f && fread(other, 1, sizeof other, f) == size && !memcmp(file, other, size));
    if (f) fclose(f);
    CHECKF(!detnn_load(&got, path_of("a"), NULL, &err) && same_state(net, got), "%s", err.text);
    detnn_net_destroy(got);
    s.from = file;
    s.at = 0;
    CHECKF(!detnn_load_read(&got, stream_read, &s, size, NULL, &err) && same_state(net, got), "%s", err.text);
    s.at = 0;
    CHECKF(!detnn_load_into_read(got, stream_read, &s, size, NULL, &err) && same_state(net, got), "%s", err.text);
    CHECKF(!detnn_load_into(got, path_of("a"), NULL, &err) && same_state(net, got), "%s", err.text);
    detnn_net_destroy(got);
    for (s.fail = 0; s.fail < size; s.fail += 97) { /* callbacks that fail */
        s.at = 0;
        CHECK(detnn_load_read(&got, stream_read, &s, size, NULL, &err) == DETNN_ERROR_CALLBACK && !got);
        s.at = 0;
        CHECK(detnn_save_write(net, stream_write, &s, &d, &err) == DETNN_ERROR_CALLBACK);
    }
    memmove(other + 1, file, size); /* memory need not be aligned */
    CHECKF(!detnn_load_memory(&got, other + 1, size, NULL, &err) && same_state(net, got), "%s", err.text);
    detnn_net_destroy(got);
    detnn_net_destroy(net);
}

/* From every step of a fit, saved in the callback: the rest is the same to the bit. */
typedef struct saver { uint64_t at; size_t size; } saver;
static int save_at(void *user, detnn_net *net, const detnn_progress *p)
{
    saver *s = (saver *)user;
    if (p->step == s->at && !s->size) s->size = save(net, 1, file);
    return DETNN_GO_ON;
}

static void continued_from_every_step(void)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    uint64_t at;
    int kind, on_epoch;
    for (kind = 0; kind < 6; kind++)
        for (on_epoch = 0; on_epoch < 2; on_epoch++)
            for (at = 1; at <= 12; at += on_epoch ? 4 : kind ? 3 : 1) {
                detnn_fit_desc fit = small_fit(3);
                saver s = { 0, 0 };
                detnn_net *net, *got;
                detnn_error err;
                uint64_t done;
                s.at = on_epoch ? at + 3 : at;
                desc.optimizer = kind == 0 ? detnn_adam(0.015625f) : kind == 1 ? detnn_sgd(0.125f)
                               : kind == 2 ? detnn_sgd_momentum(0.125f, 0.5f, 1) : kind == 3 ? detnn_rmsprop(0.01f)
                               : kind == 4 ? detnn_adamw(0.01f, 0.1f) : detnn_rmsprop(0.02f);
                if (kind == 5) desc.optimizer.momentum = 0.5f;
                desc.optimizer.clip_norm = kind == 3 ? 0.5f : 0.0f;
                desc.schedule.kind = kind == 4 ? DETNN_SCHEDULE_COSINE : DETNN_SCHEDULE_CONSTANT;
                desc.schedule.period = 9;
                desc.schedule.warmup_steps = (uint64_t)kind;
                desc.keep_best = kind < 3;
                net = make(&desc);
                CHECK(!detnn_freeze(net, 3, kind == 2, NULL));
                CHECK(!detnn_set_learning_rate(net, desc.optimizer.learning_rate / 2, NULL));
                fit.restore_best = kind < 3;
                if (on_epoch) fit.on_epoch = save_at;
                else fit.on_step = save_at;
                fit.user = &s;
                CHECK(!detnn_fit(net, &data, &fit, NULL));
                CHECKF(s.size && !detnn_load_memory(&got, file, s.size, NULL, &err), "%s", err.text);
                fit.on_step = fit.on_epoch = NULL;
                done = detnn_info(got).epoch;
                CHECK(detnn_info(got).step == s.at);
                if (done < 3) {
                    fit.epochs = 3 - done;
                    CHECK(!detnn_fit(got, &data, &fit, NULL));
                    CHECKF(same_state(net, got), "optimizer %d, step %d", kind, (int)at);
                    CHECK(save(got, 1, other) == save(net, 1, file) && !memcmp(file, other, save(net, 1, file)));
                }
                detnn_net_destroy(got);
                detnn_net_destroy(net);
            }
}

static void golden_file(void)
{
    detnn_net *net = trained();
    detnni_sha sha;
    unsigned char digest[32];
    char text[DETNN_DIGEST_TEXT];
    size_t size = save(net, 1, file);
    detnni_sha_start(&sha);
    detnni_sha_add(&sha, file, size);
    detnni_sha_end(&sha, digest);
    CHECKF(!strcmp(detnni_hex(digest, text), GOLDEN_FILE), "%s", text);
    CHECK(size % 4 == 0 && (8 + file[0] + 256u * file[1]) % 8 == 0);
    detnn_net_destroy(net);
}

/* Every kind of layer and number comes back: the file of the loaded net is the same. */
static void descriptions_come_back(void)
{
    static const detnn_layer layers[] = {
        DETNN_STANDARDIZE(), DETNN_DENSE_EX(5, DETNN_LEAKY_RELU, 0.3f, DETNN_INIT(DETNN_HE_NORMAL, 0, 0),
        DETNN_INIT(DETNN_UNIFORM, -0.1f, 0.7f), 1, 0), DETNN_DENSE(7, DETNN_LINEAR), DETNN_ACTIVATE_EX(DETNN_ELU, 0.7f),
        DETNN_DENSE_EX(6, DETNN_GELU, 1, DETNN_INIT(DETNN_ORTHOGONAL, 1, 0), DETNN_INIT(DETNN_ZEROS, 0, 0), 0, 1),
        DETNN_DROPOUT(0.3f), DETNN_ACTIVATE(DETNN_SOFTPLUS), DETNN_DENSE(2, DETNN_SELU), DETNN_DROPOUT(0)
    };
    static const detnn_loss losses[] = { DETNN_HUBER, DETNN_MEAN_SQUARED_ERROR, DETNN_MEAN_ABSOLUTE_ERROR };
    size_t i, size;
    for (i = 0; i < 12; i++) {
        detnn_net_desc desc = detnn_net_desc_default();
        float x[24], t[16];
        detnn_data data = detnn_data_default();
        detnn_net *net, *got;
        detnn_error err;
        desc.seed = i == 3 ? UINT64_MAX : i;
        desc.inputs = 3;
        desc.layers = layers + i % 3;
        desc.layer_count = 9 - i % 3 - i % 2;
        desc.loss = losses[i % 3];
        desc.huber_delta = 0.3f;
        desc.optimizer = detnn_rmsprop(0.1f);
        desc.optimizer.weight_decay = 1e-3f;
        desc.optimizer.clip_value = 0.7f;
        desc.optimizer.clip_norm = 1e-30f;
        desc.schedule.kind = (detnn_schedule_kind)(i % DETNN_SCHEDULE_COUNT);
        desc.schedule.gamma = 0.99f;
        desc.schedule.period = UINT64_MAX - i;
        desc.schedule.final = 0.001f;
        net = make(&desc);
        detnn_random_normal(1, 0, 0, 0, 24, 1.0f, 3.0f, x);
        detnn_random_normal(1, 0, 1, 0, 16, 1.0f, 3.0f, t);
        data.x = x;
        data.targets = t;
        data.count = 8;
        if (i % 3 == 0 && i < 9) CHECK(!detnn_adapt(net, &data, NULL)); /* one has seen no data: no test vector */
        if (i % 3 || i < 9) CHECKF(!detnn_train_batch(net, &data, NULL, &err), "%s", err.text);
        size = save(net, 1, file);
        CHECKF(!detnn_load_memory(&got, file, size, NULL, &err), "net %d: %s", (int)i, err.text);
        CHECK(same_state(net, got) && save(got, 1, other) == size && !memcmp(file, other, size));
        detnn_net_destroy(got);
        size = save(net, 0, file);
        CHECKF(!detnn_load_memory(&got, file, size, NULL, &err) && same_weights(net, got), "%s", err.text);
        CHECK(detnn_info(got).step == 0);
        detnn_net_destroy(got);
        detnn_net_destroy(net);
    }
}

/* In a block of one's own, without malloc; weights alone; only for prediction; the caller's test vector. */
static void in_ones_own_memory(void)
{
    static unsigned char block[400000];
    detnn_net *net = trained(), *got;
    detnn_net_desc desc;
    detnn_layer layers[5];
    detnn_load_desc load = detnn_load_desc_default();
    detnn_save_desc d = detnn_save_desc_default();
    detnn_error err;
    float x[SMALL_INPUTS] = { 1.0f, -1e30f, 0.0f, -0.0f, 1e-40f }, y[3], z[3];
    size_t need = 0, size = save(net, 1, file);
    int calls = io_calls;
    CHECK(detnn_file_desc(file, size, &desc, layers, 4, &err) == DETNN_ERROR_MEMORY && desc.layer_count == 5);
    CHECK(detnn_file_desc(file, size, &desc, NULL, 0, &err) == DETNN_ERROR_MEMORY && desc.layer_count == 5);
    CHECKF(!detnn_file_desc(file, size, &desc, layers, 5, &err), "%s", err.text);
    CHECK(desc.seed == 7 && desc.inputs == 5 && desc.layers == layers && layers[2].rate == 0.25f);
    desc.keep_best = 1;
    CHECK(!detnn_net_size(&desc, &need, NULL) && need <= sizeof block);
    CHECK(!detnn_net_init(&got, &desc, block + 1, need, NULL));
    CHECKF(!detnn_load_into_memory(got, file, size, NULL, &err) && same_state(net, got), "%s", err.text);
    desc.keep_best = 0;
    CHECK(!detnn_net_init(&got, &desc, block, sizeof block, NULL));
    CHECK(detnn_load_into_memory(got, file, size, NULL, &err) == DETNN_ERROR_STATE && strstr(err.text, "keep_best"));
    load.weights_only = 1;
    CHECKF(!detnn_load_into_memory(got, file, size, &load, &err) && same_weights(net, got), "%s", err.text);
    CHECK(detnn_info(got).step == 0);
    desc.predict_only = 1;
    CHECK(!detnn_net_init(&got, &desc, block, sizeof block, NULL));
    CHECKF(!detnn_load_into_memory(got, file, size, NULL, &err) && same_weights(net, got), "%s", err.text);
    CHECK(io_calls == calls); /* no malloc, no file */
    CHECK(!detnn_predict(net, x, 1, y, NULL) && !detnn_predict(got, x, 1, z, NULL) && !memcmp(y, z, sizeof y));
    d.state = 1;
    CHECK(detnn_save_size(got, &d, &size, &err) == DETNN_ERROR_STATE); /* it has none */
    d.state = 0;
    d.test_input = x;
    CHECK(!detnn_save_size(net, &d, &size, NULL) && !detnn_save_memory(net, file, size, &d, NULL));
    CHECK(memcmp(file, other, 8) && strstr((char *)file + 8, "\"detnn.test\":\"3f800000f149f2ca00000000800000000001"));
    CHECKF(!detnn_load_into_memory(got, file, size, NULL, &err), "%s", err.text);
    x[4] = float_of(0x7fc00000);
    CHECK(detnn_save_size(net, &d, &size, &err) == DETNN_ERROR_DATA && strstr(err.text, "test_input[4]"));
    d.test_input = NULL;
    d.test = 0;
    CHECK(!detnn_save_size(net, &d, &need, NULL) && !detnn_save_memory(net, file, need, &d, NULL));
    file[need - 1] = 0;
    CHECK(!strstr((char *)file + 8, "detnn.test"));
    detnn_net_destroy(net);
}

/* ---- What is refused ---- */

/* Writes the digest of the metadata anew, so that what is wrong is found by more than that. */
static void sign(unsigned char *bytes)
{
    static const char *const keys[] = { "format", "contract", "net", "layers", "optimizer", "schedule", "trained",
                                        "digest", "test", "state" };
    char *text = (char *)bytes + 8, name[40], *check = strstr(text, "\"detnn.check\":\"");
    detnni_sha sha;
    unsigned char digest[32];
    char hex[DETNN_DIGEST_TEXT];
    size_t i;
    detnni_sha_start(&sha);
    for (i = 0; i < 10; i++) {
        char *p;
        sprintf(name, "\"detnn.%s\":\"", keys[i]);
        p = strstr(text, name);
        if (!p) continue;
        p += strlen(name);
        detnni_sha_add(&sha, p, (size_t)(strchr(p, '"') - p));
        detnni_sha_add(&sha, "\n", 1);
    }
    detnni_sha_end(&sha, digest);
    if (check) memcpy(check + 15, detnni_hex(digest, hex), 64);
}

/* Replaces text in the header of file by one of another length, and pads. Returns the new size. */
static size_t replace(size_t size, const char *from, const char *to, unsigned char *out)
{
    size_t header = (size_t)(file[0] | file[1] << 8), n, m = strlen(to), data = size - 8 - header, at;
    char *p;
    p = strstr((char *)file + 8, from);
    CHECKF(p != NULL, "no %s in the header", from);
    if (!p) return 0;
    n = strlen(from);
    at = (size_t)(p - (char *)file);
    memcpy(out, file, at);
    memcpy(out + at, to, m);
    memcpy(out + at + m, file + at + n, 8 + header - at - n);
    header = header + m - n;
    while (header % 8) out[8 + header++] = ' ';
    out[0] = (unsigned char)header;
    out[1] = (unsigned char)(header >> 8);
    memcpy(out + 8 + header, file + size - data, data);
    return 8 + header + data;
}

/* What replaces what in the header, signed anew or not, and the answer. */
static const struct { const char *from, *to; int sign; detnn_result wanted; const char *word; } refused[] = {
    { "\"detnn.contract\":\"1\"", "\"detnn.contract\":\"2\"", 1, DETNN_ERROR_FEATURE, "contract 2" },
    { "\"detnn.format\":\"1\"", "\"detnn.format\":\"2\"", 1, DETNN_ERROR_FEATURE, "detnn.format 2" },
    { "\"detnn.format\":\"1\",", "", 0, DETNN_ERROR_DATA, "detnn.format" },
    { "\"detnn.format\":\"1\",", "\"detnn.format\":\"1\",\"detnn.format\":\"1\",", 0, DETNN_ERROR_DATA, "twice" },
    { "\"detnn.format\":\"1\",", "\"detnn.format\":\"1\",\"detnn.more\":\"1\",", 0, DETNN_ERROR_DATA, "unknown key" },
    { "seed 7", "seed 8", 0, DETNN_ERROR_DATA, "detnn.check" },
    { "seed 7", "seed 07", 1, DETNN_ERROR_DATA, "detnn.net" },
    { "seed 7", "seed 18446744073709551616", 1, DETNN_ERROR_DATA, "detnn.net" },
    { "seed 7", "seed 8", 1, DETNN_ERROR_DATA, "training state" },
    { "inputs 5", "inputs 6", 1, DETNN_ERROR_SHAPE, "0.mean" },
    { "inputs 5", "inputs 50000000", 1, DETNN_ERROR_DATA, "more weights" },
    { "standardize, dense 8", "dense 8", 1, DETNN_ERROR_SHAPE, "0.weight" },
    { "dense 8 tanh", "dense 8 tann", 1, DETNN_ERROR_DATA, "detnn.layers" },
    { "dense 8 tanh", "dense 18446744073709551615 tanh", 1, DETNN_ERROR_DATA, "detnn.layers" },
    { "dense 8 tanh", "dense 0 tanh", 1, DETNN_ERROR_SIZE, "units" },
    { "dense 8 tanh", "dense 8 relu", 1, DETNN_ERROR_SELFTEST, "test vector" },
    { "dense 8 tanh", "dense 8 linear", 1, DETNN_ERROR_SHAPE, "3.weight" }, /* the modules' numbers move */
    { "dropout 3e800000", "dropout 3f800000", 1, DETNN_ERROR_VALUE, "rate" },
    { "dropout 3e800000", "dropout 3e80000g", 1, DETNN_ERROR_DATA, "detnn.layers" },
    { "dropout 3e800000", "dropout 3E800000", 1, DETNN_ERROR_DATA, "detnn.layers" },
    { "adam learning", "adax learning", 1, DETNN_ERROR_DATA, "detnn.optimizer" },
    { "adam learning", "sgd learning", 1, DETNN_ERROR_SHAPE, "no tensor of this name" },
    { "learning_rate 3c8", "learning_rate bc8", 1, DETNN_ERROR_VALUE, "learning_rate" },
    { "period 1", "period 0", 1, DETNN_ERROR_VALUE, "period" },
    { "step 10", "step 11", 1, DETNN_ERROR_DATA, "training state" },
    { "adapted 1", "adapted 2", 1, DETNN_ERROR_DATA, "detnn.trained" },
    { "position 48", "position 84", 1, DETNN_ERROR_DATA, "no training" },
    { "has_best 1", "has_best 0", 1, DETNN_ERROR_SHAPE, "no tensor of this name" },
    { "has_best 1", "has_best 1 ", 1, DETNN_ERROR_DATA, "detnn.state" },
    { "keep_best 1", "keep_best 0", 1, DETNN_ERROR_DATA, "no training" },
    { "\"detnn.test\":\"b", "\"detnn.test\":\"3", 1, DETNN_ERROR_SELFTEST, "test vector" },
    { "\"detnn.test\":\"b", "\"detnn.test\":\"", 1, DETNN_ERROR_DATA, "detnn.test" },
    { "\"__metadata__\"", "\"__meta_data__\"", 0, DETNN_ERROR_DATA, "beside" },
    { "{\"__metadata__\"", "[\"__metadata__\"", 0, DETNN_ERROR_DATA, "{" },
    { "{\"__metadata__\":", "{\"__metadata__\":{},\"__metadata__\":", 0, DETNN_ERROR_DATA, "twice" },
    { "\"0.mean\"", "\"0.man\"", 0, DETNN_ERROR_SHAPE, "no tensor 0.mean" },
    { "\"0.mean\"", "\"0.deviation\"", 0, DETNN_ERROR_SHAPE, "no tensor 0.mean" },
    { "\"0.mean\":", "\"x\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,0]},\"0.mean\":", 0, DETNN_ERROR_SHAPE,
      "no tensor of this name" },
    { "\"0.mean\":", "\"0.mean\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[0,20]},\"0.mean\":", 0,
      DETNN_ERROR_DATA, "twice" },
    { "\"F32\"", "\"F16\"", 0, DETNN_ERROR_DATA, "dtype" },
    { "\"F32\"", "32", 0, DETNN_ERROR_DATA, "string" },
    { "\"dtype\":\"F32\",", "", 0, DETNN_ERROR_DATA, "without dtype" },
    { "\"dtype\":\"F32\",", "\"dtype\":\"F32\",\"dtype\":\"F32\",", 0, DETNN_ERROR_DATA, "twice" },
    { "\"dtype\":\"F32\",", "\"dtype\":\"F32\",\"more\":{\"a\":[[[[[]]]]]},", 0, DETNN_ERROR_DATA, "beside" },
    { "[8,5]", "[5,8]", 0, DETNN_ERROR_SHAPE, "[5, 8], the net [8, 5]" },
    { "[8,5]", "[40]", 0, DETNN_ERROR_SHAPE, "1 dimensions" },
    { "[8,5]", "[8,5,1]", 0, DETNN_ERROR_SHAPE, "3 dimensions" },
    { "[8,5]", "[8,5,1,1,1]", 0, DETNN_ERROR_DATA, "4 dimensions" },
    { "[8,5]", "[8,5.0]", 0, DETNN_ERROR_DATA, "]" },
    { "[8,5]", "[8,-5]", 0, DETNN_ERROR_DATA, "whole number" },
    { "[8,5]", "[8,05]", 0, DETNN_ERROR_DATA, "leading 0" },
    { "[8,5]", "[8,5", 0, DETNN_ERROR_DATA, "whole number" },
    { "[8,5]", "[4611686018427387904,5]", 0, DETNN_ERROR_SHAPE, "1.weight" },
    { "[40,200]", "[40,18446744073709551615]", 0, DETNN_ERROR_DATA, "beyond" },
    { "[40,200]", "[40,18446744073709551616]", 0, DETNN_ERROR_DATA, "2^64" },
    { "[40,200]", "[200,40]", 0, DETNN_ERROR_DATA, "backwards" },
    { "[40,200]", "[40,204]", 0, DETNN_ERROR_DATA, "its shape needs 160" },
    { "[40,200]", "[36,196]", 0, DETNN_ERROR_DATA, "hole or an overlap" },
    { "[40,200]", "[0,160]", 0, DETNN_ERROR_DATA, "hole or an overlap" },
    { "[20,40]", "[0,20]", 0, DETNN_ERROR_DATA, "hole or an overlap" },
    { "[0,20]", "[20,40]", 0, DETNN_ERROR_DATA, "hole or an overlap" },
    { "\"0.mean\"", "\"0.m\\u0065a\\ud800n\"", 0, DETNN_ERROR_DATA, "\\u" },
    { "\"0.mean\"", "\"0.m\\u00g5an\"", 0, DETNN_ERROR_DATA, "\\u" },
    { "\"0.mean\"", "\"0.m\\ean\"", 0, DETNN_ERROR_DATA, "escape" },
    { "\"0.mean\"", "\"0.m\xc0\xa5\"", 0, DETNN_ERROR_DATA, "UTF-8" },
    { "\"0.mean\"", "\"0.m\xed\xa0\x80\"", 0, DETNN_ERROR_DATA, "UTF-8" },
    { "\"0.mean\"", "\"0.m\ta\"", 0, DETNN_ERROR_DATA, "control" },
    { "\"0.mean\"", "\"0.mean", 0, DETNN_ERROR_DATA, "colon" },
    { "\"0.mean\":{", "\"0.mean\":", 0, DETNN_ERROR_DATA, "object" }
};

static void refused_with_a_sentence(void)
{
    detnn_net *net = trained();
    char before[DETNN_DIGEST_TEXT];
    size_t size = save(net, 1, file), i;
    CHECK(detnn_state_digest(net, before) == before);
    for (i = 0; i < sizeof refused / sizeof *refused; i++) {
        size_t n = replace(size, refused[i].from, refused[i].to, other);
        detnn_net *none = net;
        detnn_error e;
        detnn_result r;
        if (refused[i].sign) sign(other);
        r = detnn_load_memory(&none, other, n, NULL, &e);
        CHECKF(r == refused[i].wanted && e.code == r && !none && strstr(e.text, refused[i].word), "%s -> %s: %d %s",
               refused[i].from, refused[i].to, (int)r, e.text);
        r = detnn_load_into_memory(net, other, n, NULL, &e);
        CHECKF(r && state_is(net, before), "%s -> %s: %d %s", refused[i].from, refused[i].to, (int)r, e.text);
    }
    detnn_net_destroy(net);
}

/* Equal nets are needed for a state; for weights, what predicts must agree. */
static void other_nets(void)
{
    detnn_net *net = trained(), *b;
    detnn_error err;
    detnn_layer layers[5];
    char before[DETNN_DIGEST_TEXT];
    size_t size = save(net, 1, file), i;
    detnn_load_desc load = detnn_load_desc_default();
    for (i = 0; i < 11; i++) {
        static const char *const word[] = { "seed", "detnn.net", "detnn.optimizer", "detnn.schedule", "rate", "activation",
                                            "units", "use_bias", "fewer", "inputs", "alpha" };
        detnn_net_desc desc = small_desc();
        detnn_result r;
        int predicts = i >= 5;
        memcpy(layers, small_layers, sizeof layers);
        desc.layers = layers;
        desc.keep_best = 1;
        if (i == 0) desc.seed = 8;
        if (i == 1) desc.label_smoothing = 0.1f;
        if (i == 2) desc.optimizer.epsilon = 1e-7f;
        if (i == 3) desc.schedule.warmup_steps = 1;
        if (i == 4) layers[2].rate = 0.5f;
        if (i == 5) layers[1].activation = DETNN_SIGMOID;
        if (i == 6) layers[1].units = 9;
        if (i == 7) layers[1].use_bias = 0;
        if (i == 8) desc.layer_count = 3, layers[2].kind = DETNN_LAYER_ACTIVATION, layers[2].activation = DETNN_SOFTMAX;
        if (i == 9) desc.inputs = 6;
        if (i == 10) layers[1].alpha = 0.5f;
        b = make(&desc);
        CHECK(detnn_state_digest(b, before) == before);
        r = detnn_load_into_memory(b, file, size, NULL, &err);
        CHECKF(r == DETNN_ERROR_SHAPE && state_is(b, before), "%d: %d %s", (int)i, (int)r, err.text);
        CHECKF(strstr(err.text, i == 0 ? "detnn.net" : i == 8 ? "kind" : word[i]), "%d: %s", (int)i, err.text);
        load.weights_only = 1;
        r = detnn_load_into_memory(b, file, size, &load, &err);
        CHECKF((r != DETNN_OK) == predicts, "%d: %d %s", (int)i, (int)r, err.text);
        CHECK(predicts ? state_is(b, before) : same_weights(net, b));
        detnn_net_destroy(b);
    }
    detnn_net_destroy(net);
    net = trained();
    load.weights_only = 0;
    load.memory_max = 3000;
    CHECK(detnn_load_memory(&b, file, size, &load, &err) == DETNN_ERROR_MEMORY && strstr(err.text, "memory_max") && !b);
    CHECK(detnn_forward(net, &small_x[0][0], 3, NULL, NULL) == DETNN_OK);
    CHECK(detnn_load_into_memory(net, file, size, NULL, &err) == DETNN_ERROR_STATE);
    {
        detnn_save_desc d = with_state();
        CHECK(detnn_save_size(net, &d, &size, &err) == DETNN_ERROR_STATE && size == 0);
        d.state = 0;
        CHECK(!detnn_save_size(net, &d, &size, &err));
    }
    detnn_net_destroy(net);
    CHECK(detnn_load(&b, "no/such/file", NULL, &err) == DETNN_ERROR_FILE && !b && strstr(err.text, "no/such/file"));
    CHECK(detnn_load(&b, folder, NULL, &err) == DETNN_ERROR_FILE && !b);
    CHECK(detnn_load(&b, NULL, NULL, &err) == DETNN_ERROR_NULL && detnn_load(NULL, "x", NULL, &err) == DETNN_ERROR_NULL);
    CHECK(detnn_load_memory(&b, NULL, 9, NULL, &err) == DETNN_ERROR_NULL);
    CHECK(detnn_load_into_memory(NULL, file, 9, NULL, &err) == DETNN_ERROR_NULL);
    CHECK(detnn_save(NULL, "x", NULL, &err) == DETNN_ERROR_NULL);
}

/* As the safetensors package writes a state_dict: sorted by name as text; and as others may. */
static void foreign_files(void)
{
    static const char *const headers[] = {
        "{\"0.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"0.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],"
        "\"data_offsets\":[8,32]}}",
        "{\"__metadata__\":{\"format\":\"pt\",\"\\\"\\u00e9\\ud83d\\ude00\":\"\xc3\xa9\\n\"},\"0.weight\":{\"data_offsets\":"
        "[8,32],\"dtype\":\"F32\",\"shape\":[2,3]},\"0.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{ \"0\\u002ebias\" : { \"dtype\" : \"F32\" , \"shape\" : [ 2 ] , \"data_offsets\" : [ 0 , 8 ] } ,\n\t"
        "\"0.w\\u0065ight\" : {\"dtype\":\"F\\u00332\",\"shape\":[2,3], \"data_offsets\":[8,32]}\r} \n"
    };
    static const detnn_layer layers[] = { DETNN_DENSE(2, DETNN_SIGMOID) };
    static const float w[6] = { 1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f }, b[2] = { -1.0f, 0.5f };
    detnn_net_desc desc = detnn_net_desc_default();
    size_t i, j;
    desc.inputs = 3;
    desc.layers = layers;
    desc.layer_count = 1;
    desc.loss = DETNN_BINARY_CROSS_ENTROPY;
    for (i = 0; i < 3; i++) {
        detnn_net *net = make(&desc), *made;
        detnn_error err;
        size_t n = strlen(headers[i]);
        const float *k;
        memset(file, 0, 8);
        file[0] = (unsigned char)n;
        file[1] = (unsigned char)(n >> 8);
        memcpy(file + 8, headers[i], n);
        for (j = 0; j < 8; j++) {
            uint32_t u = bits_of(j < 2 ? b[j] : w[j - 2]);
            file[8 + n + 4 * j] = (unsigned char)u;
            file[9 + n + 4 * j] = (unsigned char)(u >> 8);
            file[10 + n + 4 * j] = (unsigned char)(u >> 16);
            file[11 + n + 4 * j] = (unsigned char)(u >> 24);
        }
        CHECKF(!detnn_load_into_memory(net, file, 8 + n + 32, NULL, &err), "%d: %s", (int)i, err.text);
        k = detnn_weights(net, 0, DETNN_KERNEL, NULL, NULL); /* [3][2], the file has [2][3] */
        CHECK(k[0] == 1.0f && k[1] == 4.0f && k[2] == 2.0f && k[3] == 5.0f && k[4] == 3.0f && k[5] == 6.0f);
        CHECK(detnn_weights(net, 0, DETNN_BIAS, NULL, NULL)[1] == 0.5f);
        CHECK(detnn_load_memory(&made, file, 8 + n + 32, NULL, &err) == DETNN_ERROR_DATA && strstr(err.text, "description"));
        CHECK(detnn_load_into_memory(net, file, 8 + n + 31, NULL, &err) && detnn_load_into_memory(net, file, 9 + n + 32, NULL, &err));
        file[11 + n] = 0x7f;
        file[10 + n] = 0x80; /* an infinity */
        CHECK(detnn_load_into_memory(net, file, 8 + n + 32, NULL, &err) == DETNN_ERROR_DATA && strstr(err.text, "0.bias"));
        detnn_net_destroy(net);
    }
}

/* ---- Damage ---- */

/* An error, or an equal net; never anything else. */
static size_t accepted;
static void damaged(detnn_net *net, const char *before, const unsigned char *bytes, size_t size, const char *what, size_t at)
{
    unsigned char *copy = (unsigned char *)malloc(size ? size : 1); /* for the sanitizers */
    detnn_net *got;
    detnn_error err;
    memcpy(copy, bytes, size);
    err.code = DETNN_OK;
    if (detnn_load_memory(&got, copy, size, NULL, &err)) {
        CHECKF(!got && err.code && err.text[0], "%s %d", what, (int)at);
        if (at % 7 == 0) CHECK(detnn_load_into_memory(net, copy, size, NULL, &err) && state_is(net, before));
    } else {
        accepted++;
        CHECKF(state_is(got, before) && save(got, 1, other) && !memcmp(other, file, 8), "%s %d", what, (int)at);
        detnn_net_destroy(got);
    }
    free(copy);
}

static void every_byte(void)
{
    static unsigned char bad[sizeof file + 1];
    detnn_net *net = trained();
    char before[DETNN_DIGEST_TEXT];
    size_t size = save(net, 1, file), i, step = whole ? 1 : 23;
    int j;
    CHECK(detnn_state_digest(net, before) == before);
    accepted = 0;
    for (i = 0; i < size; i += whole ? 1 : 5) damaged(net, before, file, i, "cut at", i);
    CHECK(accepted == 0);
    for (i = 0; i < size; i += step)
        for (j = 0; j < (whole ? 9 : 2); j++) {
            memcpy(bad, file, size);
            bad[i] = (unsigned char)(j < 8 && whole ? bad[i] ^ 1 << j : j ? 0x20 : bad[i] ^ 1 << i % 8);
            if (bad[i] != file[i]) damaged(net, before, bad, size, "byte", i);
        }
    for (i = 0; i <= size; i += step)
        for (j = 0; j < (whole ? 3 : 1); j++) {
            memcpy(bad, file, i);
            bad[i] = (unsigned char)(j == 0 ? (i * 131) & 0xff : j == 1 ? 0x20 : 0x22);
            memcpy(bad + i + 1, file + i, size - i);
            damaged(net, before, bad, size + 1, "insertion at", i);
        }
    if (whole) printf("%d of all damaged files of %d bytes give an equal net\n", (int)accepted, (int)size);
    detnn_net_destroy(net);
}

/* ---- Saving in one step ---- */

#if HAS_POSIX
static int files_in_folder(void)
{
    DIR *d = opendir(folder);
    int n = 0;
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return n - 2;
}

static void empty_folder(void)
{
    DIR *d = opendir(folder);
    struct dirent *e;
    while (d && (e = readdir(d)) != NULL)
        if (e->d_name[0] != '.') (void)remove(path_of(e->d_name));
    if (d) closedir(d);
}

/* Does the file hold the weights of net? */
static int holds(const char *name, const detnn_net *net)
{
    detnn_net *got;
    int same;
    if (detnn_load(&got, path_of(name), NULL, NULL)) return 0;
    same = same_state(got, net);
    detnn_net_destroy(got);
    return same;
}

static void every_call_fails_in_turn(void)
{
    detnn_net *old = trained(), *newer, *got;
    detnn_data data = small_data();
    detnn_save_desc d = with_state();
    detnn_export_desc e = detnn_export_desc_default();
    detnn_fit_desc fit = small_fit(1);
    detnn_error err;
    detnn_result r;
    int what, at, replaced;
    CHECK(!detnn_net_copy(&newer, old, NULL) && !detnn_fit(newer, &data, &fit, NULL));
    e.packing = DETNN_INT8;
    e.data = &data;
    for (what = 0; what < 3; what++) /* save, receipt, source */
        for (at = 1, replaced = 0;; at++) {
            detnn_net_desc desc = small_desc();
            detnn_net *fresh = make(&desc);
            empty_folder();
            CHECK(!detnn_save(old, path_of("a"), &d, NULL));
            io_calls = 0;
            io_fail = at;
            r = what == 0 ? detnn_save(newer, path_of("a"), &d, &err)
              : what == 1 ? detnn_fit_receipt(fresh, &data, &fit, path_of("a"), &err)
                          : detnn_export_c(newer, path_of("a"), &e, NULL, &err);
            io_fail = 0;
            CHECKF(files_in_folder() == 1, "call %d leaves files", at);
            detnn_net_destroy(fresh);
            if (io_calls < at) break; /* nothing failed */
            if (holds("a", old)) {
                CHECKF((r == DETNN_ERROR_FILE || r == DETNN_ERROR_MEMORY) && !replaced, "call %d: %d", at, (int)r);
                CHECK(strstr(err.text, "errno 28") || r == DETNN_ERROR_MEMORY || err.text[0] == 'c');
            } else {
                if (!what) CHECK(holds("a", newer));
                CHECKF(!r || strstr(err.text, "is the new file"), "call %d: %d %s", at, (int)r, err.text);
                replaced++;
            }
            if (r == DETNN_OK) CHECKF(replaced > 0, "call %d failed and was not seen", at);
        }
    CHECK(!r && (what == 3) && at > 3 && replaced >= 1);
    io_synced = 0;
    CHECK(!detnn_save(newer, path_of("a"), &d, NULL) && holds("a", newer));
    CHECK(io_synced == 2); /* the file and its folder */
    for (at = 1;; at++) { /* and reading */
        io_calls = 0;
        io_fail = at;
        r = detnn_load(&got, path_of("a"), NULL, &err);
        io_fail = 0;
        if (io_calls < at) break; /* nothing failed */
        if (!r) { /* closing it failed, which does no harm */
            detnn_net_destroy(got);
            continue;
        }
        CHECKF(!got && (r == DETNN_ERROR_FILE || r == DETNN_ERROR_MEMORY), "call %d: %d", at, (int)r);
    }
    CHECKF(at == 10 && same_state(got, newer), "%d calls", at);
    detnn_net_destroy(got);
    for (at = 1;; at++) {
        char before[DETNN_DIGEST_TEXT];
        (void)detnn_state_digest(old, before);
        io_calls = 0;
        io_fail = at;
        r = detnn_load_into(old, path_of("a"), NULL, &err);
        io_fail = 0;
        if (!r) break;
        CHECK(state_is(old, before) && (r == DETNN_ERROR_FILE || r == DETNN_ERROR_MEMORY));
    }
    CHECK(same_state(old, newer));
    detnn_net_destroy(old);
    detnn_net_destroy(newer);
}

/* A disk that is full after so many bytes. */
static void a_full_disk(void)
{
    detnn_net *old = trained(), *newer;
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(1);
    detnn_save_desc d = with_state();
    size_t limit, size = save(old, 1, file);
    CHECK(!detnn_net_copy(&newer, old, NULL) && !detnn_fit(newer, &data, &fit, NULL));
    CHECK(!detnn_save(old, path_of("a"), &d, NULL));
    for (limit = 0; limit < size; limit += 499) {
        int status = -1;
        pid_t child = fork();
        if (!child) {
            struct rlimit most;
            detnn_error err;
            most.rlim_cur = most.rlim_max = limit;
            signal(SIGXFSZ, SIG_IGN);
            if (setrlimit(RLIMIT_FSIZE, &most)) _exit(3);
            _exit(detnn_save(newer, path_of("a"), &d, &err) == DETNN_ERROR_FILE ? 0 : 1);
        }
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
        CHECKF(WEXITSTATUS(status) == 0, "%d bytes: %d", (int)limit, WEXITSTATUS(status));
        CHECK(holds("a", old) && files_in_folder() == 1);
    }
    detnn_net_destroy(old);
    detnn_net_destroy(newer);
}

/* A child saves two nets in turn and is killed. */
static void killed_while_saving(void)
{
    detnn_net *a = trained(), *b;
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(1);
    detnn_save_desc d = with_state();
    const int kills = whole ? 200 : 30;
    uint32_t wait[200], span;
    struct timespec begin, end;
    int i, left = 0, in_a = 0, in_b = 0;
    CHECK(!detnn_net_copy(&b, a, NULL) && !detnn_fit(b, &data, &fit, NULL));
    empty_folder();
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    for (i = 0; i < 8; i++) CHECK(!detnn_save(a, path_of("a"), &d, NULL));
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    span = (uint32_t)((end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000) / 2 + 1; /* 4 saves */
    detnn_random_words((uint64_t)time(NULL), 0, 0, 0, 200, wait);
    for (i = 0; i < kills; i++) {
        int status, n;
        pid_t child = fork();
        if (!child) for (;;) if (detnn_save(b, path_of("a"), &d, NULL) || detnn_save(a, path_of("a"), &d, NULL)) _exit(1);
        usleep(wait[i] % span);
        kill(child, SIGKILL);
        CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
        n = files_in_folder();
        if (holds("a", a)) in_a++;
        else if (holds("a", b)) in_b++;
        if (n > 1) { /* what it was writing */
            left++;
            empty_folder();
            CHECK(!detnn_save(i % 2 ? a : b, path_of("a"), &d, NULL));
        }
    }
    CHECKF(in_a + in_b == kills, "%d whole files of %d", in_a + in_b, kills);
    if (whole) printf("killed %d times: %d left the one file, %d the other, %d in the middle of writing\n", kills, in_a, in_b, left);
    if (whole) CHECKF(left > 0 && in_a > 0 && in_b > 0, "%d %d %d: at no moment that matters", left, in_a, in_b);
    empty_folder();
    detnn_net_destroy(a);
    detnn_net_destroy(b);
}
#endif

/* ---- Receipts ---- */

static int finish_at(void *user, detnn_net *net, const detnn_progress *p)
{
    (void)net;
    return p->epoch == 2 ? *(int *)user : DETNN_GO_ON;
}

static char receipt[4000];
static size_t write_receipt(const detnn_net_desc *desc, const detnn_data *data, const detnn_fit_desc *fit)
{
    detnn_net *net = make(desc);
    detnn_error err;
    stream s = { NULL, NULL, 0, 0 };
    s.to = (unsigned char *)receipt;
    s.fail = sizeof receipt - 1;
    CHECKF(!detnn_fit_receipt_write(net, data, fit, stream_write, &s, &err), "%s", err.text);
    receipt[s.at] = 0;
    CHECK(detnn_fit_receipt_write(net, data, fit, stream_write, &s, &err) == DETNN_ERROR_STATE);
    detnn_net_destroy(net);
    return s.at;
}

static int get_sample(void *user, detnn_sample *s)
{
    const detnn_data *from = (const detnn_data *)user;
    memcpy(s->x, from->x + s->index * SMALL_INPUTS, SMALL_INPUTS * sizeof(float));
    s->label = from->labels[s->index];
    return 0;
}

static void sign_receipt(size_t length)
{
    detnni_sha sha;
    unsigned char digest[32];
    detnni_sha_start(&sha);
    detnni_sha_add(&sha, receipt, length - 71);
    detnni_sha_end(&sha, digest);
    (void)detnni_hex(digest, receipt + length - 65);
    receipt[length - 1] = '\n';
}

static void receipts(void)
{
    detnn_data data = small_data(), part = data, getter = detnn_data_default();
    detnn_load_desc load = detnn_load_desc_default();
    detnn_error err;
    detnn_result r;
    uint64_t epochs;
    size_t n, i;
    int kind;
    data.inputs = part.inputs = getter.inputs = SMALL_INPUTS;
    data.outputs = part.outputs = getter.outputs = SMALL_CLASSES;
    for (kind = 0; kind < 6; kind++) {
        detnn_net_desc desc = small_desc();
        detnn_fit_desc fit = small_fit(5);
        int answer = kind == 3 ? DETNN_FINISH : DETNN_PAUSE;
        uint64_t wanted = kind >= 3 && kind < 5 ? 3 : 5;
        desc.keep_best = kind > 0;
        part.count = 20;
        fit.restore_best = kind > 1;
        if (kind == 1) fit.validation_split = 0.0f, fit.validation = &part;
        if (kind == 2) fit.patience = 1;
        if (kind == 3 || kind == 4) fit.on_epoch = finish_at, fit.user = &answer;
        fit.shuffle = kind != 5;
        n = write_receipt(&desc, &data, &fit);
        load.isa = kind & 1 ? DETNN_ISA_PLAIN : DETNN_ISA_AUTO;
        load.batch_max = 64;
        r = detnn_verify_receipt_text(receipt, n, &data, fit.validation, &load, &epochs, &err);
        CHECKF(!r && (kind == 2 || epochs == wanted), "%d: %d %s", kind, (int)epochs, err.text);
    }
    getter.get = get_sample; /* the same data from a callback */
    getter.get_labels = 1;
    getter.count = data.count;
    getter.user = &data;
    CHECKF(!detnn_verify_receipt_text(receipt, n, &getter, NULL, NULL, &epochs, &err) && epochs == 5, "%s", err.text);
    /* data of another width than the receipt's net, or of unknown width */
    data.inputs++;
    r = detnn_verify_receipt_text(receipt, n, &data, NULL, NULL, &epochs, &err);
    CHECKF(r == DETNN_ERROR_SHAPE && strstr(err.text, "data.inputs is 6, the net has 5"), "%s", err.text);
    data.inputs = 0;
    r = detnn_verify_receipt_text(receipt, n, &data, NULL, NULL, &epochs, &err);
    CHECKF(r == DETNN_ERROR_VALUE && strstr(err.text, "must be given"), "%s", err.text);
    data.inputs = SMALL_INPUTS;
    /* damage */
    for (i = 0; i < n; i += whole ? 1 : 13) {
        char c = receipt[i];
        receipt[i] = (char)(c ^ 1);
        CHECK(detnn_verify_receipt_text(receipt, n, &data, NULL, NULL, &epochs, &err));
        CHECK(err.code == DETNN_ERROR_DATA);
        receipt[i] = c;
        CHECK(detnn_verify_receipt_text(receipt, i, &data, NULL, NULL, &epochs, &err) == DETNN_ERROR_DATA);
    }
    /* other data */
    small_x[30][2] += 1.0f;
    r = detnn_verify_receipt_text(receipt, n, &data, NULL, NULL, &epochs, &err);
    CHECKF(r == DETNN_ERROR_DATA && strstr(err.text, "other data"), "%s", err.text);
    small_x[30][2] -= 1.0f;
    (void)small_data();
    r = detnn_verify_receipt_text(receipt, n, &data, &part, NULL, &epochs, &err);
    CHECK(r);
    /* a run that parted in epoch 3, at the end, at the start */
    for (kind = 0; kind < 3; kind++) {
        static const char *const line[] = { "\nepoch 3 ", "\nend go_on ", "\nstart " };
        static const char *const word[] = { "in epoch 3", "at the end", "before the first epoch" };
        char *p = strstr(receipt, line[kind]), c;
        CHECK(p != NULL);
        if (!p) return;
        p += strlen(line[kind]) + 5;
        c = *p;
        *p = c == '0' ? '1' : '0';
        sign_receipt(n);
        r = detnn_verify_receipt_text(receipt, n, &data, NULL, NULL, &epochs, &err);
        CHECKF(r == DETNN_ERROR_PARTED && strstr(err.text, word[kind]), "%s", err.text);
        CHECK(epochs == (kind == 0 ? 3 : kind == 1 ? 5 : 0));
        *p = c;
    }
    /* another learning rate, another seed: the runs part where that begins to show */
    {
        char *p = strstr(receipt, "learning_rate 3c8");
        CHECK(p != NULL);
        if (!p) return;
        p[16] = '9';
        sign_receipt(n);
        r = detnn_verify_receipt_text(receipt, n, &data, NULL, NULL, &epochs, &err);
        CHECKF(r == DETNN_ERROR_PARTED && strstr(err.text, "before"), "%s", err.text); /* the rate is in the state */
        p[16] = '8';
        p = strstr(receipt, "beta1 3f6");
        p[8] = '5';
        sign_receipt(n);
        r = detnn_verify_receipt_text(receipt, n, &data, NULL, NULL, &epochs, &err);
        CHECKF(r == DETNN_ERROR_PARTED && strstr(err.text, "in epoch 0") && epochs == 0, "%s", err.text);
        p[8] = '6';
    }
    {
        detnn_net_desc desc = small_desc();
        detnn_fit_desc fit = small_fit(2);
        detnn_net *net = make(&desc);
        float w = 0.5f;
        uint64_t at = 1;
        char digest[DETNN_DIGEST_TEXT], same[DETNN_DIGEST_TEXT];
        CHECK(!detnn_weights_set(net, 4, DETNN_BIAS, detnn_weights(net, 4, DETNN_BIAS, NULL, NULL), 3, NULL));
        CHECKF(!detnn_data_digest(net, &data, digest, &err) && strstr(receipt, digest), "%s", err.text);
        CHECK(!detnn_data_digest(net, &getter, same, NULL) && !strcmp(digest, same));
        fit.on_step = pause_at;
        fit.user = &at;
        CHECK(detnn_fit_receipt(net, &data, &fit, path_of("r"), &err) == DETNN_ERROR_VALUE && strstr(err.text, "on_step"));
        fit.on_step = NULL;
        CHECKF(!detnn_fit_receipt(net, &data, &fit, path_of("r"), &err), "%s", err.text);
        CHECKF(!detnn_verify_receipt(path_of("r"), &data, NULL, NULL, &epochs, &err) && epochs == 2, "%s", err.text);
        detnn_net_destroy(net);
        net = make(&desc);
        {
            float three[3] = { 0.5f, 0.0f, 0.0f };
            three[0] = w;
            CHECK(!detnn_weights_set(net, 4, DETNN_BIAS, three, 3, NULL));
        }
        CHECK(detnn_fit_receipt(net, &data, &fit, path_of("r"), &err) == DETNN_ERROR_STATE);
        CHECK(detnn_info(net).step == 0);
        detnn_net_destroy(net);
    }
}

/* ---- C source ---- */

/* Reads an array out of the source that was written. */
static size_t array_of(const char *source, const char *name, double *to, size_t most)
{
    char head[80];
    const char *p;
    size_t n = 0;
    sprintf(head, "%s[", name);
    p = strstr(source, head);
    p = p ? strchr(p, '{') : NULL;
    while (p && *p != '}' && n < most) {
        char *end;
        p++;
        to[n++] = strtod(p, &end);
        p = end;
        while (*p == 'f' || *p == ' ' || *p == '\n') p++;
    }
    return n;
}

static void one_after_another(void *user, detnn_task task, void *arg, size_t count)
{
    (void)user;
    while (count--) task(arg, count);
}

/* The exported net predicts as the float net whose kernels hold what the manual says. */
static void exported(void)
{
    static char source[60000];
    static double numbers[4000];
    static float rest[400], scales[100], y[SMALL_SAMPLES][3], z[SMALL_SAMPLES][3];
    static uint16_t halves[4000];
    static int8_t bytes[4000];
    detnn_net *net = trained(), *packed, *plain;
    detnn_data data = small_data();
    detnn_error err;
    int kind;
    for (kind = 0; kind < (int)DETNN_PACKING_COUNT; kind++) {
        detnn_net_desc desc = small_desc();
        detnn_export_desc d = detnn_export_desc_default();
        detnn_export_cost cost;
        detnn_packed p = { NULL, NULL, NULL };
        detnn_metrics m;
        stream s = { NULL, NULL, 0, 0 };
        char a[DETNN_DIGEST_TEXT], b[DETNN_DIGEST_TEXT];
        size_t n, i, at = 0, unit = 0, layer;
        s.to = (unsigned char *)source;
        s.fail = sizeof source - 1;
        d.name = "small_net";
        d.packing = (detnn_packing)kind;
        d.data = &data;
        CHECKF(!detnn_export_c_write(net, stream_write, &s, &d, &cost, &err), "%s", err.text);
        source[s.at] = 0;
        n = array_of(source, "small_net_weights", numbers, 4000);
        CHECK(n == (kind ? 27 : 133) && cost.bytes == (kind == 0 ? 532u : kind == 1 ? 27 * 4 + 106 * 2u : 27 * 4 + 106 + 17 * 4u));
        for (i = 0; i < n; i++) rest[i] = (float)numbers[i];
        plain = trained();
        if (kind) {
            CHECK(array_of(source, "small_net_kernels", numbers, 4000) == 106);
            for (i = 0; i < 106; i++) {
                if (kind == 1) halves[i] = (uint16_t)numbers[i];
                else bytes[i] = (int8_t)numbers[i];
            }
            if (kind == 2) {
                CHECK(array_of(source, "small_net_scales", numbers, 100) == 17);
                for (i = 0; i < 17; i++) scales[i] = (float)numbers[i];
            }
            for (layer = 1; layer < 5; layer++) { /* the float net that the manual describes */
                size_t rows, cols;
                float w[64];
                const float *k = detnn_weights(plain, layer, DETNN_KERNEL, &rows, &cols);
                if (!k) continue;
                for (i = 0; i < rows * cols; i++) {
                    w[i] = kind == 1 ? float_of((uint32_t)halves[at + i] << 16) : (float)bytes[at + i] * scales[unit + i % cols];
                    CHECKF((kind == 1 ? (w[i] - k[i]) * 256 <= (k[i] < 0 ? -k[i] : k[i]) &&
                                        (k[i] - w[i]) * 256 <= (k[i] < 0 ? -k[i] : k[i])
                                      : (w[i] - k[i]) / scales[unit + i % cols] < 0.501f &&
                                        (k[i] - w[i]) / scales[unit + i % cols] < 0.501f),
                           "%g %g", (double)w[i], (double)k[i]);
                }
                CHECK(!detnn_weights_set(plain, layer, DETNN_KERNEL, w, rows * cols, NULL));
                at += rows * cols;
                unit += cols;
            }
            if (kind == 1) p.bfloat16 = halves;
            else p.int8 = bytes, p.scales = scales;
            desc.packed = &p;
        }
        desc.predict_only = 1;
        desc.weights = rest;
        desc.batch_max = 7;
        desc.isa = kind ? DETNN_ISA_AUTO : DETNN_ISA_PLAIN;
        packed = make(&desc);
        CHECK(!detnn_predict(plain, data.x, data.count, &y[0][0], NULL));
        CHECKF(!detnn_predict(packed, data.x, data.count, &z[0][0], &err), "%s", err.text);
        CHECKF(!memcmp(y, z, sizeof y), "packing %d", kind);
        {
            detnn_net_desc shared = desc; /* among tasks, by columns and by rows */
            detnn_net *many;
            shared.parallel_for = one_after_another;
            shared.workers = 3;
            shared.task_work = 1;
            shared.batch_max = 33;
            many = make(&shared);
            memset(z, 0, sizeof z);
            CHECK(!detnn_predict(many, data.x, data.count, &z[0][0], NULL) && !memcmp(y, z, sizeof y));
            detnn_net_destroy(many);
        }
        CHECK(!strcmp(detnn_digest(plain, a), detnn_digest(packed, b)));
        CHECK((detnn_weights(packed, 1, DETNN_KERNEL, NULL, NULL) == NULL) == (kind > 0));
        {
            size_t in_flash = 0, in_ram = 0;
            detnn_net_desc own = desc;
            own.weights = NULL;
            own.packed = NULL;
            CHECK(!detnn_net_size(&desc, &in_flash, NULL) && !detnn_net_size(&own, &in_ram, NULL));
            CHECK(in_ram - in_flash >= 133 * sizeof(float)); /* no copy of the weights */
        }
        CHECK(detnn_weights(packed, 1, DETNN_BIAS, NULL, NULL)[3] == detnn_weights(plain, 1, DETNN_BIAS, NULL, NULL)[3]);
        CHECK(!detnn_evaluate(plain, &data, &m, NULL) && m.loss == cost.after.loss && m.accuracy == cost.after.accuracy);
        CHECK(!detnn_evaluate(net, &data, &m, NULL) && m.loss == cost.before.loss);
        CHECK(kind ? cost.largest > 0.0f && cost.relative < 0.01f : cost.largest == 0.0f);
        n = save(packed, 0, file); /* as a file, too */
        CHECKF(!detnn_load_into_memory(plain, file, n, NULL, &err) && !strcmp(b, detnn_digest(plain, a)), "%s", err.text);
        n = array_of(source, "y", numbers, 4000);
        {
            double x[8];
            float in[5], out[3];
            CHECK(array_of(source, "x", x, 8) == 5 && n == 3);
            for (i = 0; i < 5; i++) in[i] = (float)x[i];
            CHECK(!detnn_predict(packed, in, 1, out, NULL));
            for (i = 0; i < 3; i++) CHECK(bits_of(out[i]) == bits_of((float)numbers[i]));
        }
        detnn_net_destroy(packed);
        detnn_net_destroy(plain);
        if (!kind) continue;
        desc.weights = NULL; /* half a description */
        CHECK(detnn_net_create(&packed, &desc, &err) == DETNN_ERROR_NULL && strstr(err.text, "packed"));
        d.name = "3x";
        CHECK(detnn_export_c_write(net, stream_write, &s, &d, NULL, &err) == DETNN_ERROR_VALUE);
        d.name = "a b";
        CHECK(detnn_export_c_write(net, stream_write, &s, &d, NULL, &err) == DETNN_ERROR_VALUE);
    }
    detnn_net_destroy(net);
}

/* Nine digits are enough for any number, by whatever reader. */
static void decimals_come_back(void)
{
    uint32_t i;
    for (i = 0; i < 20000; i++) {
        uint32_t bits = i < 100 ? i : i < 200 ? 0x7f7fffff - i + 100 : i < 300 ? 0x3f800000 - 250 + i : i * 2654435761u;
        detnni_sink s;
        char text[40];
        unsigned char *to = (unsigned char *)text;
        float x;
        if ((bits & 0x7f800000) == 0x7f800000) continue;
        memcpy(&x, &bits, 4);
        detnni_sink_start(&s, detnni_write_memory, &to);
        detnni_put_decimal(&s, x);
        detnni_sink_flush(&s);
        *to = 0;
        CHECKF(bits_of((float)strtod(text, NULL)) == bits && to[-1] == 'f', "%08x %s", (unsigned)bits, text);
    }
}

int main(int argc, char **argv)
{
    whole = argc > 1 && !strcmp(argv[1], "--whole");
    strcpy(folder, ".");
#if HAS_POSIX
    strcpy(folder, "build/files_XXXXXX");
    if (!mkdtemp(folder)) {
        strcpy(folder, "/tmp/files_XXXXXX");
        if (!mkdtemp(folder)) return printf("no folder to write to\n0 passed, 1 failed\n"), 1;
    }
#endif
    TEST(every_way_gives_the_same_bytes);
    TEST(continued_from_every_step);
    TEST(golden_file);
    TEST(descriptions_come_back);
    TEST(in_ones_own_memory);
    TEST(refused_with_a_sentence);
    TEST(other_nets);
    TEST(foreign_files);
    TEST(every_byte);
    TEST(receipts);
    TEST(exported);
    TEST(decimals_come_back);
#if HAS_POSIX
    TEST(every_call_fails_in_turn);
    TEST(a_full_disk);
    TEST(killed_while_saving);
    empty_folder();
    (void)remove(folder);
#endif
    return test_end();
}

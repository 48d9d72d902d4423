/* A training that moves: begun on one machine, continued on others from files, ended where there is no file system.
 *
 *   resume whole             the state's digest at the end, never moved
 *   resume begin TO STEP     trains up to that step, in the middle of an epoch, and saves
 *   resume go FROM TO STEP   goes on up to that step, and saves
 *   resume end FROM          goes on to the end: the state's digest
 *
 * With RESUME_FILE, a header with the bytes as resume_file, it is "end" on a board (tests/bare), and tries the exported
 * nets (EXPORTED, a header that includes them) as well. */
#ifdef RESUME_FILE
#define DETNN_FREESTANDING 1
#endif
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "small.h"

enum { EPOCHS = 3 };

static int stop_at(void *user, detnn_net *net, const detnn_progress *p)
{
    (void)net;
    return p->step == *(const uint64_t *)user ? DETNN_PAUSE : DETNN_GO_ON;
}

/* Up to step, or to the end for 0. */
static detnn_result train(detnn_net *net, uint64_t step, detnn_error *err)
{
    detnn_data data = small_data();
    detnn_fit_desc fit = small_fit(EPOCHS - detnn_info(net).epoch);
    fit.restore_best = 1;
    if (step) fit.on_step = stop_at;
    fit.user = &step;
    return detnn_fit(net, &data, &fit, err);
}

#ifdef RESUME_FILE

void bare_print(const char *line);
#include RESUME_FILE
#ifdef EXPORTED
#include EXPORTED
#endif

static unsigned char block[60000];

static int fail(detnn_error *err)
{
    bare_print(err->text);
    return 1;
}

int main(void)
{
    detnn_net_desc desc;
    detnn_layer layers[5];
    detnn_error err;
    detnn_net *net;
    char digest[DETNN_DIGEST_TEXT];
    if (detnn_file_desc(resume_file, sizeof resume_file, &desc, layers, 5, &err)) return fail(&err);
    desc.keep_best = 1;
    desc.batch_max = 24;
    if (detnn_net_init(&net, &desc, block, sizeof block, &err)) return fail(&err);
    if (detnn_load_into_memory(net, resume_file, sizeof resume_file, 0, &err)) return fail(&err);
    if (train(net, 0, &err)) return fail(&err);
    bare_print(detnn_state_digest(net, digest));
#ifdef EXPORTED
    {
        static detnn_net_desc (*const describe[])(void) = { small_float32_desc, small_bfloat16_desc, small_int8_desc };
        static int (*const test[])(detnn_net *) = { small_float32_test, small_bfloat16_test, small_int8_test };
        int i;
        for (i = 0; i < 3; i++) {
            desc = describe[i]();
            if (detnn_net_init(&net, &desc, block, sizeof block, &err)) return fail(&err);
            bare_print(test[i](net) ? "FAILED exported net" : "exported net ok");
        }
    }
#endif
    return 0;
}

#else

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    detnn_net_desc desc = small_desc();
    detnn_save_desc save = detnn_save_desc_default();
    detnn_error err;
    detnn_net *net;
    char digest[DETNN_DIGEST_TEXT];
    const char *to = 0;
    detnn_result r;
    desc.keep_best = 1;
    save.state = 1;
    if (argc == 2 && !strcmp(argv[1], "whole")) r = detnn_net_create(&net, &desc, &err);
    else if (argc == 4 && !strcmp(argv[1], "begin")) r = detnn_net_create(&net, &desc, &err), to = argv[2];
    else if (argc == 5 && !strcmp(argv[1], "go")) r = detnn_load(&net, argv[2], 0, &err), to = argv[3];
    else if (argc == 3 && !strcmp(argv[1], "end")) r = detnn_load(&net, argv[2], 0, &err);
    else return 2;
    if (!r) r = train(net, to ? strtoull(argv[argc - 1], 0, 10) : 0, &err);
    if (!r && to) r = detnn_save(net, to, &save, &err);
    if (r) return printf("%s\n", err.text), 1;
    if (!to) puts(detnn_state_digest(net, digest));
    detnn_net_destroy(net);
    return 0;
}

#endif

/* The progress bar: its text in a terminal and elsewhere, with a clock that the test moves; other callbacks go on being
 * called; the training's bits are those without it. */
#include "test.h"
#include "small.h"

typedef struct console {
    char text[20000];
    size_t length;
    uint64_t time, per_step; /* in tenths of a second */
    int steps, epochs, stop; /* stop: what on_step answers at the third step */
} console;

static int put(void *user, const char *text, size_t length)
{
    console *c = (console *)user;
    if (c->length + length >= sizeof c->text) return 1;
    memcpy(c->text + c->length, text, length);
    c->text[c->length += length] = 0;
    return 0;
}

static uint64_t now(void *user) { return ((console *)user)->time / 10; }

static int on_step(void *user, detnn_net *net, const detnn_progress *p)
{
    console *c = (console *)user;
    (void)net, (void)p;
    c->time += c->per_step;
    return ++c->steps == 3 ? c->stop : DETNN_GO_ON;
}

static int on_epoch(void *user, detnn_net *net, const detnn_progress *p)
{
    (void)net, (void)p;
    ((console *)user)->epochs++;
    return DETNN_GO_ON;
}

static detnn_progress_bar bar_to(console *c, int terminal)
{
    detnn_progress_bar bar = detnn_progress_bar_default();
    bar.write = put;
    bar.clock = now;
    bar.user = c;
    bar.terminal = terminal;
    return bar;
}

static int paused; /* the last training was */

/* Trains the small net and compares its digest with that of a training without a bar. */
static void train(detnn_fit_desc *fit, uint64_t epochs)
{
    detnn_net_desc desc = small_desc();
    detnn_data data = small_data();
    detnn_fit_desc plain = small_fit(epochs);
    detnn_net *net, *other;
    char a[DETNN_DIGEST_TEXT], b[DETNN_DIGEST_TEXT];
    CHECK(!detnn_net_create(&net, &desc, NULL) && !detnn_net_create(&other, &desc, NULL));
    plain.patience = fit->patience;
    plain.min_delta = fit->min_delta;
    CHECK(!detnn_fit(net, &data, fit, NULL));
    paused = detnn_info(net).samples != 0;
    if (paused) CHECK(!detnn_fit(net, &data, fit, NULL));
    CHECK(!detnn_fit(other, &data, &plain, NULL));
    CHECK(!strcmp(detnn_state_digest(net, a), detnn_state_digest(other, b)));
    detnn_net_destroy(net);
    detnn_net_destroy(other);
}

static void elsewhere_a_line_per_epoch(void)
{
    static console c;
    detnn_progress_bar bar = bar_to(&c, 0);
    detnn_fit_desc fit = small_fit(3);
    c.per_step = 7;
    fit.on_step = on_step;
    fit.on_epoch = on_epoch;
    fit.user = &c;
    detnn_show_progress(&fit, &bar);
    train(&fit, 3);
    CHECK(c.steps == 12 && c.epochs == 3);
    CHECKF(!strcmp(c.text, "epoch 1/3  loss 1.116  val 1.259\nepoch 2/3  loss 1.111  val 1.275\n"
                          "epoch 3/3  loss 1.078  val 1.282\n"), "%s", c.text);
}

/* 79 samples an epoch in steps of 24, 24, 24, 7, each taking half a second: the rate counts from the first full second. */
static void in_a_terminal_one_line(void)
{
    static console c;
    detnn_progress_bar bar = bar_to(&c, 1);
    detnn_fit_desc fit = small_fit(2);
    c.per_step = 5;
    fit.on_step = on_step;
    fit.user = &c;
    detnn_show_progress(&fit, &bar);
    train(&fit, 2);
    CHECKF(!strcmp(c.text, "\repoch 1/2 [===       ] 30 %  loss 1.108"
                          "\repoch 1/2 [=====     ] 50 %  31 samples/s  0:03 left  loss 1.065"
                          "\repoch 2/2 [========  ] 80 %  39 samples/s  0:01 left  loss 1.116  val 1.259"
                          "\repoch 2/2 [==========] 100 %  36 samples/s  0:00 left  loss 1.116  val 1.259"
                          "\repoch 2/2 [==========] 100 %  36 samples/s  loss 1.111  val 1.275           \n"), "%s", c.text);
}

static void ends_the_line_early(void)
{
    static console c, d;
    detnn_progress_bar bar = bar_to(&c, 1);
    detnn_fit_desc fit = small_fit(4);
    c.per_step = 1;
    c.stop = DETNN_PAUSE;
    fit.on_step = on_step;
    fit.user = &c;
    detnn_show_progress(&fit, &bar);
    detnn_show_progress(&fit, &bar); /* once more: no bar in a bar */
    train(&fit, 4);
    CHECK(paused);
    CHECKF(c.steps == 16 && strstr(c.text, "epoch 1/4 [==        ] 22 %") && strstr(c.text, "\n\repoch"), "%s", c.text);
    CHECK(c.text[c.length - 1] == '\n');

    bar = bar_to(&d, 1);
    fit = small_fit(9);
    fit.patience = 2;
    fit.min_delta = 9.0f; /* only the first epoch is better */
    detnn_show_progress(&fit, &bar);
    train(&fit, 9);
    CHECKF(strstr(d.text, "epoch 3/9 [===       ] 33 %") && d.text[d.length - 1] == '\n', "%s", d.text);
}

static void without_clock_or_writer(void)
{
    static console c;
    detnn_progress_bar bar = bar_to(&c, 1);
    detnn_fit_desc fit = small_fit(2);
    bar.clock = NULL;
    detnn_show_progress(&fit, &bar);
    train(&fit, 2);
    CHECKF(strstr(c.text, "epoch 2/2 [==========] 100 %  loss ") && !strstr(c.text, "samples"), "%s", c.text);
    bar.write = NULL;
    detnn_show_progress(&fit, &bar);
    train(&fit, 2);
}

int main(void)
{
    TEST(elsewhere_a_line_per_epoch);
    TEST(in_a_terminal_one_line);
    TEST(ends_the_line_early);
    TEST(without_clock_or_writer);
    return test_end();
}

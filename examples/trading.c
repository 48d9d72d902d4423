/* trading.c - online learning on a price series, and its exact replay: at every tick the net first says what the next
 * move will be, then learns from the move that came. Half way a snapshot is taken; replayed from there, every
 * prediction, every position and the state at the end are the same, bit for bit.
 *
 *     cc -O2 -I. examples/trading.c -o trading && ./trading [ticks] */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define DETNN_IMPLEMENTATION
#include "detnn.h"

enum { MOVES = 8, MOST = 1000000, BUCKETS = 16 };

typedef struct journal { /* what a run leaves behind */
    float *said;         /* [ticks] the predicted moves */
    long profit, trades; /* in ticks of the price */
    char state[DETNN_DIGEST_TEXT];
} journal;

static int8_t move[MOST]; /* of the price, in ticks: integers, as at an exchange, so nothing here is rounded */
static long histogram[BUCKETS]; /* of the time from a tick to the end of its step: below 1, 2, 4, 8 ... microseconds */
static detnn_error err;

static void check(detnn_result result)
{
    if (result == DETNN_OK) return;
    fprintf(stderr, "trading: %s\n", err.text);
    exit(1);
}

/* Moves by chance, with a habit: after two moves the same way it often turns. From the middle on, it often goes on. */
static void draw_prices(int ticks)
{
    detnn_rng rng;
    detnn_rng_seed(&rng, 2026);
    for (int t = 0; t < ticks; t++) {
        const int trend = t < 2 ? 0 : move[t - 1] + move[t - 2];
        const int habit = detnn_rng_below(&rng, 100) < 30 ? (trend > 1) - (trend < -1) : 0;
        const int chance = (int)detnn_rng_below(&rng, 3) - (int)detnn_rng_below(&rng, 3);
        move[t] = (int8_t)(chance + (t < ticks / 2 ? -2 * habit : 2 * habit));
    }
}

static int64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void note_time(int64_t ns)
{
    int bucket = 0;
    while (bucket < BUCKETS - 1 && ns >= (int64_t)1000 << bucket) bucket++;
    histogram[bucket]++;
}

/* Ticks from .. to: predict, trade, learn. Where snapshot is not null, it is taken before tick half. */
static void run(detnn_net *net, journal *j, int from, int to, int half, void *snapshot)
{
    float x[MOVES], next;
    detnn_data data = detnn_data_default();
    data.x = x;
    data.targets = &next;
    data.count = 1;
    j->profit = j->trades = 0;
    for (int t = from; t < to; t++) {
        if (t == half) { /* the results from here on are compared */
            if (snapshot) check(detnn_snapshot(net, snapshot, detnn_snapshot_size(net), &err));
            j->profit = j->trades = 0;
        }
        const int64_t begin = nanoseconds();
        for (int i = 0; i < MOVES; i++) x[i] = 0.25f * (float)move[t - 1 - i];
        check(detnn_predict(net, x, 1, &j->said[t], &err));
        const int position = (j->said[t] > 0.1f) - (j->said[t] < -0.1f);
        next = 0.25f * (float)move[t];
        check(detnn_train_batch(net, &data, NULL, &err));
        note_time(nanoseconds() - begin);
        j->profit += position * move[t];
        j->trades += position != 0;
    }
    detnn_state_digest(net, j->state);
}

int main(int argc, char **argv)
{
    const int ticks = argc > 1 ? atoi(argv[1]) : 20000, half = ticks / 2;
    if (ticks < 100 || ticks > MOST) return fprintf(stderr, "usage: trading [ticks, 100 to %d]\n", MOST), 1;
    draw_prices(ticks);

    static const detnn_layer layers[] = { /* tanh: where a ReLU stays off, Adam's moments fade to subnormal numbers, */
        DETNN_DENSE(16, DETNN_TANH), DETNN_DENSE(16, DETNN_TANH), DETNN_DENSE(1, DETNN_LINEAR)
    };                                    /* which are kept, and which many processors are slow at */
    detnn_net_desc desc = detnn_net_desc_default();
    desc.seed = 1;
    desc.inputs = MOVES;
    desc.layers = layers;
    desc.layer_count = 3;
    desc.loss = DETNN_HUBER;
    desc.optimizer = detnn_adam(0.002f);
    desc.optimizer.clip_norm = 1.0f; /* one wild tick must not throw the net */
    desc.batch_max = 1;              /* nothing is allocated after this line */

    static unsigned char block[64 << 10], snapshot[64 << 10];
    detnn_net *net;
    check(detnn_net_init(&net, &desc, block, sizeof block, &err));
    if (detnn_snapshot_size(net) > sizeof snapshot) return fprintf(stderr, "trading: the snapshot is too small\n"), 1;
    journal live = { (float *)calloc((size_t)ticks, sizeof(float)), 0, 0, "" }, again = live;
    again.said = (float *)calloc((size_t)ticks, sizeof(float));
    if (!live.said || !again.said) return fprintf(stderr, "trading: no memory\n"), 1;

    run(net, &live, MOVES, ticks, half, snapshot);
    check(detnn_restore(net, snapshot, detnn_snapshot_size(net), &err));
    run(net, &again, half, ticks, half, NULL);

    long most = 1;
    for (int i = 0; i < BUCKETS; i++) most = histogram[i] > most ? histogram[i] : most;
    printf("from a tick to the end of its step\n");
    for (int i = 0; i < BUCKETS; i++)
        if (histogram[i])
            printf("%s %5d us %8ld %.*s\n", i < BUCKETS - 1 ? "below" : "above", 1 << (i < BUCKETS - 1 ? i : i - 1),
                   histogram[i], (int)(histogram[i] * 50 / most), "##################################################");
    const int same = !memcmp(live.said + half, again.said + half, (size_t)(ticks - half) * sizeof(float))
                     && live.profit == again.profit && !strcmp(live.state, again.state);
    printf("live:     ticks %d to %d, %ld trades, %+ld ticks of profit\n", half, ticks, live.trades, live.profit);
    printf("replayed: %ld trades, %+ld ticks of profit, %s\n%s\n", again.trades, again.profit,
           same ? "every prediction and the state equal" : "NOT EQUAL", again.state);
    free(live.said);
    free(again.said);
    return same ? 0 : 1;
}

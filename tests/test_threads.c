/* Threads: the same bits for every number of workers, whatever runs the tasks and in whatever mode its threads are; the
 * pool's corners. */
#define _POSIX_C_SOURCE 200809L
#define DETNN_THREADS 1
#include "test.h"
#include "small.h"
#include <fenv.h>
#include <pthread.h>
#if defined(__x86_64__) || defined(__SSE2__)
#include <immintrin.h>
#endif

/* Wide enough to be cut by columns and by rows; every kind of layer. */
enum { WIDE_SAMPLES = 150, WIDE_INPUTS = 70, WIDE_CLASSES = 5 };
static const detnn_layer wide_layers[] = {
    DETNN_STANDARDIZE(),          DETNN_DENSE(130, DETNN_GELU), DETNN_DROPOUT(0.25f),     DETNN_DENSE(67, DETNN_LINEAR),
    DETNN_ACTIVATE(DETNN_SELU), DETNN_DENSE(33, DETNN_SOFTMAX), DETNN_DENSE(40, DETNN_TANH),
    DETNN_DENSE(WIDE_CLASSES, DETNN_SOFTMAX)
};
static float wide_x[WIDE_SAMPLES * WIDE_INPUTS];
static uint32_t wide_labels[WIDE_SAMPLES];

static size_t calls, tasks;

/* What a run leaves behind: state, predictions, gradient for the inputs. */
typedef struct {
    char state[DETNN_DIGEST_TEXT];
    float y[WIDE_SAMPLES * WIDE_CLASSES], dx[20 * WIDE_INPUTS], loss;
} wide_result;

static wide_result wide_run(size_t workers, detnn_parallel_for parallel_for, void *user, size_t task_work)
{
    detnn_net_desc desc = detnn_net_desc_default();
    detnn_data data = detnn_data_default();
    detnn_fit_desc fit = detnn_fit_desc_default();
    detnn_metrics metrics;
    detnn_error err;
    detnn_net *net;
    wide_result r;
    float dy[20 * WIDE_CLASSES];
    size_t i;
    memset(&r, 0, sizeof r);
    detnn_random_normal(3, 0, 0, 0, WIDE_SAMPLES * WIDE_INPUTS, 0.0f, 1.0f, wide_x);
    for (i = 0; i < WIDE_SAMPLES; i++) wide_labels[i] = (uint32_t)(i * 7 % WIDE_CLASSES);
    for (i = 0; i < 20 * WIDE_CLASSES; i++) dy[i] = wide_x[i];
    desc.seed = 5;
    desc.inputs = WIDE_INPUTS;
    desc.layers = wide_layers;
    desc.layer_count = sizeof wide_layers / sizeof *wide_layers;
    desc.optimizer = detnn_adam(0.01f);
    desc.optimizer.clip_norm = 0.5f;
    desc.optimizer.clip_value = 0.125f;
    desc.batch_max = 128;
    desc.workers = workers;
    desc.parallel_for = parallel_for;
    desc.parallel_user = user;
    desc.task_work = task_work;
    calls = tasks = 0;
    CHECKF(!detnn_net_create(&net, &desc, &err), "%s", err.text);
    data.x = wide_x;
    data.labels = wide_labels;
    data.count = WIDE_SAMPLES;
    fit.batch_size = 65;
    fit.epochs = 2;
    CHECKF(!detnn_fit(net, &data, &fit, &err), "%s", err.text);
    CHECK(!detnn_forward(net, wide_x, 20, NULL, &err) && !detnn_backward(net, dy, r.dx, &err));
    CHECK(!detnn_step(net, &err));
    CHECK(!detnn_predict(net, wide_x, WIDE_SAMPLES, r.y, &err));
    CHECK(!detnn_evaluate(net, &data, &metrics, &err));
    r.loss = metrics.loss;
    detnn_state_digest(net, r.state);
    detnn_net_destroy(net);
    return r;
}

static void same_result(const wide_result *a, const wide_result *b, size_t workers)
{
    CHECKF(!strcmp(a->state, b->state), "%d workers: state %s, alone %s", (int)workers, b->state, a->state);
    CHECKF(!memcmp(a->y, b->y, sizeof a->y), "%d workers: predictions", (int)workers);
    CHECKF(!memcmp(a->dx, b->dx, sizeof a->dx), "%d workers: gradient for x", (int)workers);
    CHECKF(!memcmp(&a->loss, &b->loss, sizeof a->loss), "%d workers: loss", (int)workers);
}

/* Runs the tasks in an order of its own, and counts. */
static void scattered(void *user, detnn_task task, void *arg, size_t count)
{
    size_t i, step = count % 7 ? 7 : 11; /* visits all where count and step share no divisor */
    if (count % step == 0) step = 1;
    CHECK(count > 1 && count <= *(size_t *)user);
    calls++;
    for (i = 0; i < count; i++) {
        tasks++;
        task(arg, (i * step + 3) % count);
    }
}

static void same_for_every_number_of_workers(void)
{
    const wide_result alone = wide_run(1, NULL, NULL, 250000);
    size_t workers;
    for (workers = 0; workers <= 64; workers = workers < 9 ? workers + 1 : workers + 11) {
        wide_result r = wide_run(workers, scattered, &workers, 0);
        same_result(&alone, &r, workers);
        CHECK(workers < 2 ? calls == 0 : calls > 50 && tasks >= 2 * calls);
    }
}

/* Work that is too small to gain is not shared out. */
static void small_work_stays(void)
{
    size_t workers = 8;
    (void)wide_run(workers, scattered, &workers, 100000000);
    CHECK(calls == 0);
}

static void same_with_pools(void)
{
    const wide_result alone = wide_run(1, NULL, NULL, 250000);
    static const size_t threads[] = { 1, 2, 3, 8 };
    size_t i;
    for (i = 0; i < 4; i++) {
        detnn_pool *pool;
        wide_result r;
        CHECK(!detnn_pool_create(&pool, threads[i], NULL));
        CHECK(detnn_pool_threads(pool) == threads[i]);
        r = wide_run(threads[i], detnn_pool_for, pool, 0);
        same_result(&alone, &r, threads[i]);
        detnn_pool_destroy(pool);
    }
}

/* A job system of the worst kind: a new thread for each task, with another rounding mode and subnormals flushed, and
 * traps on where the processor has them; it must find its mode as it was. */
typedef struct {
    detnn_task task;
    void *arg;
    size_t i;
    int kept;
} hostile_task;

static void *hostile_thread(void *user)
{
    static const int rounding[3] = { FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
    hostile_task *t = (hostile_task *)user;
    const int mode = rounding[t->i % 3];
    fesetround(mode);
#if defined(__x86_64__) || defined(__SSE2__)
    _mm_setcsr((_mm_getcsr() & ~0x1f80u) | 0x8040);
    {
        const unsigned csr = _mm_getcsr() & 0xffc0;
        t->task(t->arg, t->i);
        t->kept = (_mm_getcsr() & 0xffc0) == csr && fegetround() == mode;
    }
#else
    t->task(t->arg, t->i);
    t->kept = fegetround() == mode;
#endif
    return NULL;
}

static void hostile(void *user, detnn_task task, void *arg, size_t count)
{
    hostile_task t[DETNN_WORKERS_MAX];
    pthread_t thread[DETNN_WORKERS_MAX];
    size_t i;
    (void)user;
    for (i = 0; i < count; i++) {
        t[i].task = task;
        t[i].arg = arg;
        t[i].i = i;
        CHECK(!pthread_create(&thread[i], NULL, hostile_thread, &t[i]));
    }
    for (i = 0; i < count; i++) {
        pthread_join(thread[i], NULL);
        CHECK(t[i].kept);
    }
    fesetround(FE_UPWARD); /* and it leaves another mode behind on the caller's thread */
}

static void same_on_hostile_threads(void)
{
    const wide_result alone = wide_run(1, NULL, NULL, 250000);
    wide_result r = wide_run(3, hostile, NULL, 0);
    fesetround(FE_TONEAREST);
    same_result(&alone, &r, 3);
}

/* Two nets on two threads share a pool. */
static detnn_pool *shared_pool;
static void *train_small(void *digest)
{
    detnn_net_desc desc = small_desc();
    detnn_fit_desc fit = small_fit(4);
    detnn_data data = detnn_data_default();
    detnn_net *net;
    data.x = &small_x[0][0];
    data.labels = small_labels;
    data.count = SMALL_SAMPLES;
    desc.workers = 3;
    desc.parallel_for = detnn_pool_for;
    desc.parallel_user = shared_pool;
    desc.task_work = 0;
    if (detnn_net_create(&net, &desc, NULL)) return NULL;
    if (!detnn_fit(net, &data, &fit, NULL)) detnn_state_digest(net, (char *)digest);
    detnn_net_destroy(net);
    return NULL;
}

static void two_nets_share_a_pool(void)
{
    char a[DETNN_DIGEST_TEXT] = "", b[DETNN_DIGEST_TEXT] = "", c[DETNN_DIGEST_TEXT] = "";
    pthread_t thread;
    (void)small_data();
    CHECK(!detnn_pool_create(&shared_pool, 3, NULL));
    CHECK(!pthread_create(&thread, NULL, train_small, a));
    (void)train_small(b);
    pthread_join(thread, NULL);
    (void)train_small(c);
    CHECK(*a && !strcmp(a, b) && !strcmp(a, c));
    detnn_pool_destroy(shared_pool);
}

/* Every index once, for many jobs of many sizes, by pools that come and go. */
static int visits[300];
static void visit(void *arg, size_t i) { (void)arg, visits[i]++; }

static void every_index_once(void)
{
    size_t threads, count, round, i;
    for (threads = 1; threads <= 5; threads += 2)
        for (round = 0; round < 20; round++) {
            detnn_pool *pool;
            size_t wrong = 0;
            CHECK(!detnn_pool_create(&pool, threads, NULL));
            for (count = 0; count <= 300; count += 1 + count / 8) {
                memset(visits, 0, sizeof visits);
                detnn_pool_for(pool, visit, NULL, count);
                for (i = 0; i < 300; i++) wrong += visits[i] != (i < count);
            }
            CHECKF(!wrong, "%d threads: %d indices not visited once", (int)threads, (int)wrong);
            detnn_pool_destroy(pool);
        }
}

static void errors(void)
{
    detnn_pool *pool = (detnn_pool *)(void *)&pool;
    detnn_error err;
    detnn_net_desc desc = small_desc();
    detnn_net *net;
    CHECK(detnn_pool_create(NULL, 2, &err) == DETNN_ERROR_NULL);
    CHECK(detnn_pool_create(&pool, 65, &err) == DETNN_ERROR_VALUE && !pool && strstr(err.text, "65 threads, at most 64"));
    CHECK(!detnn_pool_create(&pool, 0, &err) && detnn_pool_threads(pool) >= 1);
    detnn_pool_destroy(pool);
    detnn_pool_destroy(NULL);
    CHECK(detnn_pool_threads(NULL) == 1);
    desc.workers = 2;
    CHECK(detnn_net_create(&net, &desc, &err) == DETNN_ERROR_NULL && strstr(err.text, "desc.parallel_for is null"));
    desc.parallel_for = scattered;
    desc.workers = 65;
    CHECK(detnn_net_create(&net, &desc, &err) == DETNN_ERROR_SIZE && strstr(err.text, "desc.workers 65"));
}

int main(void)
{
    TEST(same_for_every_number_of_workers);
    TEST(small_work_stays);
    TEST(same_with_pools);
    TEST(same_on_hostile_threads);
    TEST(two_nets_share_a_pool);
    TEST(every_index_once);
    TEST(errors);
    return test_end();
}

/* lockstep.cpp - a lockstep game whose agents learn while it runs. Two copies of the world, as on two players'
 * machines: one with one thread, one with four. The game brings its own job system and allocator, every agent has its
 * own net, and every tick both copies' digests are compared.
 *
 *     c++ -std=c++11 -O2 -pthread -I. examples/lockstep.cpp -o lockstep
 *     ./lockstep             the copies stay equal
 *     ./lockstep --desync    at tick 200 one bit of one weight flips in one copy: which tick and agent show it? */
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>
#define DETNN_IMPLEMENTATION
#include "detnn.h"
#include "jobs.h"

enum { AGENTS = 12, TICKS = 400, SIDE = 64, HISTORY = 4, WAYS = 5 };
static const int way_x[WAYS] = { 0, 1, -1, 0, 0 }, way_y[WAYS] = { 0, 0, 0, 1, -1 };

/* The game's memory: one block for each world, given out from the front, freed as a whole. */
struct arena {
    std::vector<std::max_align_t> block = std::vector<std::max_align_t>((2 << 20) / sizeof(std::max_align_t));
    size_t used = 0;
    static void *alloc(void *user, size_t size)
    {
        arena *a = (arena *)user;
        const size_t n = (size + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t);
        if (n > a->block.size() - a->used) return nullptr;
        a->used += n;
        return &a->block[a->used - n];
    }
    static void release(void *, void *, size_t) {}
};

static void check(detnn_result result, const detnn_error &err)
{
    if (result) std::fprintf(stderr, "lockstep: %s\n", err.text), std::exit(1);
}

struct agent {
    detnn_net *net;
    int x, y, caught;
};

/* The runner moves by a habit that the agents do not know; each guesses the next move, goes there, and learns. */
struct world {
    arena memory;
    jobs pool;
    agent agents[AGENTS];
    detnn_rng rng;
    int x = SIDE / 2, y = SIDE / 2, past[HISTORY] = { 0 };

    explicit world(int threads) : pool(threads)
    {
        const detnn_layer layers[] = { DETNN_DENSE(24, DETNN_TANH), DETNN_DENSE(WAYS, DETNN_SOFTMAX) };
        detnn_net_desc desc = detnn_net_desc_default();
        desc.inputs = HISTORY * WAYS;
        desc.layers = layers;
        desc.layer_count = 2;
        desc.optimizer = detnn_adam(0.01f);
        desc.batch_max = 1;
        desc.allocator = { arena::alloc, arena::release, &memory };
        detnn_rng_seed(&rng, 7);
        for (int i = 0; i < AGENTS; i++) {
            detnn_error err;
            desc.seed = 100 + (uint64_t)i; /* each its own */
            agents[i] = { nullptr, (int)detnn_rng_below(&rng, SIDE), (int)detnn_rng_below(&rng, SIDE), 0 };
            check(detnn_net_create(&agents[i].net, &desc, &err), err);
        }
    }
    static int toward(int from, int to) { return from == to ? 0 : ((to - from + SIDE) % SIDE < SIDE / 2 ? 1 : SIDE - 1); }
    void tick()
    {
        float seen[HISTORY * WAYS] = { 0 };
        for (int i = 0; i < HISTORY; i++) seen[i * WAYS + past[i]] = 1;
        const int turn[WAYS] = { 1, 3, 4, 2, 1 }; /* the habit: three moves straight on, then a turn; one in ten free */
        const bool straight = past[0] != past[1] || past[1] != past[2];
        const uint32_t move = (uint32_t)(detnn_rng_below(&rng, 10) == 0 ? (int)detnn_rng_below(&rng, WAYS)
                                         : straight && past[0] ? past[0] : turn[past[0]]);
        const int x1 = (x + way_x[move] + SIDE) % SIDE, y1 = (y + way_y[move] + SIDE) % SIDE;
        pool.run(AGENTS, [&](int i) {
            agent &a = agents[i];
            detnn_error err;
            detnn_data lesson = detnn_data_default();
            lesson.x = seen, lesson.labels = &move, lesson.count = 1;
            float chance[WAYS];
            check(detnn_predict(a.net, seen, 1, chance, &err), err);
            const size_t guess = detnn_argmax(chance, WAYS);
            a.x = (a.x + toward(a.x, (x + way_x[guess] + SIDE) % SIDE)) % SIDE;
            a.y = (a.y + toward(a.y, (y + way_y[guess] + SIDE) % SIDE)) % SIDE;
            a.caught += a.x == x1 && a.y == y1;
            check(detnn_train_batch(a.net, &lesson, nullptr, &err), err);
        });
        for (int i = HISTORY - 1; i > 0; i--) past[i] = past[i - 1];
        past[0] = (int)move, x = x1, y = y1;
    }
    std::string digest(int i) const /* of all that agent i is */
    {
        char net[DETNN_DIGEST_TEXT];
        const agent &a = agents[i];
        return detnn_state_digest(a.net, net) + (" " + std::to_string(a.x) + " " + std::to_string(a.y)) + " "
               + std::to_string(a.caught);
    }
};

int main(int count, char **words)
{
    const bool desync = count > 1 && !std::strcmp(words[1], "--desync");
    std::unique_ptr<world> here(new world(1)), there(new world(4));
    for (int t = 0; t < TICKS; t++) {
        if (desync && t == 200) {
            detnn_error err;
            std::vector<float> w(HISTORY * WAYS * 24);
            std::memcpy(w.data(), detnn_weights(there->agents[5].net, 0, DETNN_KERNEL, nullptr, nullptr), w.size() * 4);
            uint32_t bits;
            std::memcpy(&bits, &w[17], 4), bits ^= 1, std::memcpy(&w[17], &bits, 4);
            check(detnn_weights_set(there->agents[5].net, 0, DETNN_KERNEL, w.data(), w.size(), &err), err);
        }
        here->tick();
        there->tick();
        for (int i = 0; i < AGENTS; i++)
            if (here->digest(i) != there->digest(i))
                return std::printf("tick %d: agent %d is not the same in both copies\n", t, i), 1;
        if (t % 100 == 99) {
            int caught = 0;
            for (const agent &a : here->agents) caught += a.caught;
            std::printf("tick %3d: equal; the runner was met %d times so far\n", t + 1, caught);
        }
    }
    std::vector<float> all; /* the digest of all digests */
    for (int i = 0; i < AGENTS; i++)
        for (char c : here->digest(i)) all.push_back((float)c);
    char digest[DETNN_DIGEST_TEXT];
    std::printf("%s\n", detnn_tensor_digest(all.data(), all.size(), digest));
    return 0;
}

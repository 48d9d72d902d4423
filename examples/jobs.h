/* jobs.h - a job system such as a game has one (C++11): run(n, f) calls f(0) ... f(n - 1) on all threads, in whatever
 * order they come, and returns when all are done. */
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

class jobs {
public:
    explicit jobs(int threads)
    {
        for (int i = 1; i < threads; i++) workers.emplace_back([this] { work(); });
    }
    ~jobs()
    {
        { std::lock_guard<std::mutex> hold(lock); quit = true; }
        wake.notify_all();
        for (std::thread &t : workers) t.join();
    }
    void run(int n, std::function<void(int)> f)
    {
        std::unique_lock<std::mutex> hold(lock);
        job = f, next = 0, count = n, busy = (int)workers.size(), round++;
        wake.notify_all();
        hold.unlock();
        take();
        hold.lock();
        done.wait(hold, [this] { return busy == 0; });
    }

private:
    void take() { for (int i; (i = next++) < count;) job(i); }
    void work()
    {
        std::unique_lock<std::mutex> hold(lock);
        for (int seen = 0;;) {
            wake.wait(hold, [&] { return quit || round != seen; });
            if (quit) return;
            seen = round;
            hold.unlock();
            take();
            hold.lock();
            if (--busy == 0) done.notify_one();
        }
    }
    std::mutex lock;
    std::condition_variable wake, done;
    std::vector<std::thread> workers;
    std::function<void(int)> job;
    std::atomic<int> next{ 0 };
    int count = 0, busy = 0, round = 0;
    bool quit = false;
};

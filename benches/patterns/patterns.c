/* patterns.c PATTERN ROUNDS WARM_UP: threads, one on each node, that share ITEMS pages in one way.
 *
 *     read_mostly         all read all items in each round; every 8th round one item is written before
 *     migratory           each thread locks item after item, reads and writes it, once in each round
 *     producer_consumer   one thread writes all items and raises an _Atomic flag, the others read them
 *     write_shared        each thread writes its own words of all items, then reads a neighbour's
 *     counter             all threads add to one _Atomic counter, and sleep 20 us between
 *     phases              the first four, one after the other, on the same items
 *
 * What is read is checked. Prints the time of one round after the rounds that warm up (phases: of all rounds).
 * Run by `cargo xtask bench patterns`, which counts the messages: benches/patterns.rs. */
#include "../peers/burst.h"
#include <sched.h>
#include <stdatomic.h>

enum { ITEMS = 16, WORDS = 48, LOCKED_WORDS = 8, ADDS = 8, BETWEEN_ADDS_US = 20,
       WRITES_EVERY = 8, PATTERNS = 5, PHASES = 4 };

static void require(int holds, const char *pattern, int round)
{
    if (!holds) {
        fprintf(stderr, "%s, round %d: node %d reads something else than was written\n", pattern, round, dist_thr_node());
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    const char *name = argv[1];
    int rounds = atoi(argv[2]), warm_up = atoi(argv[3]), threads = dist_node_count();
    struct item {
        long words[WORDS];
        char rest[4096 - WORDS * sizeof(long)];
    } items[ITEMS] __attribute__((aligned(4096)));
    dist_mutex_t locks[ITEMS];
    dist_barrier_t barrier;
    _Atomic long counter = 0;
    _Atomic int produced = 0;
    int chosen = 0;

    void read_mostly(int thread, int round)
    {
        long writes = round / WRITES_EVERY + 1, sum = 0;
        if (thread == 0 && round % WRITES_EVERY == 0)
            items[round / WRITES_EVERY % ITEMS].words[0]++;
        dist_barrier_wait(&barrier);
        for (int i = 0; i < ITEMS; i++)
            sum += items[i].words[0];
        require(sum == writes, "read_mostly", round);
        dist_barrier_wait(&barrier);
    }
    void migratory(int thread, int round)
    {
        for (int i = 0; i < ITEMS; i++) {
            int item = (i + thread * ITEMS / threads) % ITEMS;
            dist_mutex_lock(&locks[item]);
            for (int word = 1; word < LOCKED_WORDS; word++)
                require(items[item].words[word]++ == items[item].words[0], "migratory", round);
            items[item].words[0]++;
            dist_mutex_unlock(&locks[item]);
        }
        /* Else a thread would run ahead, and nothing would move. */
        dist_barrier_wait(&barrier);
    }
    void producer_consumer(int thread, int round)
    {
        if (thread == 0) {
            for (int i = 0; i < ITEMS; i++)
                for (int word = 0; word < WORDS; word++)
                    items[i].words[word] = round + i;
            produced = round + 1;
        } else {
            for (int looks = 0; produced <= round; looks++)
                looks < 100 ? sched_yield() : usleep(20);
            for (int i = 0; i < ITEMS; i++)
                require(items[i].words[WORDS - 1] == round + i, "producer_consumer", round);
        }
        dist_barrier_wait(&barrier);
    }
    void write_shared(int thread, int round)
    {
        for (int i = 0; i < ITEMS; i++)
            for (int word = thread; word < WORDS; word += threads)
                items[i].words[word]++;
        dist_barrier_wait(&barrier);
        for (int i = 0; i < ITEMS; i++)
            require(items[i].words[(thread + 1) % threads] == round + 1, "write_shared", round);
        dist_barrier_wait(&barrier);
    }
    void count(int thread, int round)
    {
        for (int i = 0; i < ADDS; i++) {
            counter++;
            usleep(BETWEEN_ADDS_US);
        }
        require(thread >= 0 && counter >= (round + 1) * ADDS, "counter", round);
    }

    /* Begins anew with items of zeros. */
    void phase(int thread, int pattern, int first, int last)
    {
        dist_barrier_wait(&barrier);
        if (thread == 0 && first == 0) {
            memset(items, 0, sizeof items);
            produced = 0;
        }
        dist_barrier_wait(&barrier);
        for (int round = first; round < last; round++)
            switch (pattern) {
            case 0: read_mostly(thread, round); break;
            case 1: migratory(thread, round); break;
            case 2: producer_consumer(thread, round); break;
            case 3: write_shared(thread, round); break;
            case 4: count(thread, round); break;
            }
        dist_barrier_wait(&barrier);
    }
    void work(int thread)
    {
        if (getenv("UMBEL_BENCH_BURST"))
            burst(thread);
        if (chosen < PATTERNS)
            phase(thread, chosen, 0, warm_up);
        long start = now_ns();
        if (chosen < PATTERNS)
            phase(thread, chosen, warm_up, rounds);
        else
            for (int pattern = 0; pattern < PHASES; pattern++)
                phase(thread, pattern, 0, rounds / PHASES);
        if (thread == 0)
            report_mean("round", now_ns() - start, chosen < PATTERNS ? rounds - warm_up : rounds);
    }

    static const char *const names[] = { "read_mostly", "migratory", "producer_consumer", "write_shared", "counter", "phases" };
    while (strcmp(names[chosen], name) != 0)
        if (++chosen > PATTERNS)
            return 2;
    for (int i = 0; i < ITEMS; i++)
        dist_mutex_init(&locks[i], 0);
    dist_barrier_init(&barrier, 0, threads);
    for (int thread = 0; thread < threads; thread++)
        dist_thr_create_on(thread, work, thread);
    dist_thr_join_all();
    if (counter != (chosen == PATTERNS - 1 ? (long)threads * rounds * ADDS : 0))
        return 1;
}

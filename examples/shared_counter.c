/* Shared counter: threads on all nodes count in the same two variables.
 *
 *     umbel cc shared_counter.c -o shared_counter
 *     umbel run -n 4 ./shared_counter
 *
 * Both counters are locals of main.  They are shared because `count`, a function nested in main, uses
 * them and runs as a thread; nothing else has to be said.  `plain` is an ordinary int and needs the
 * mutex, as it would with POSIX threads; `atomic` needs none.
 *
 * Expect 8 threads x 500 rounds = 4000 in both, on any number of nodes.  With `umbel run --stats` you
 * see how often each counter moved from node to node.
 */
#include <stdatomic.h>
#include <stdio.h>

enum { THREADS = 8, ROUNDS = 500 };

int main(void)
{
    int plain = 0;
    atomic_int atomic = 0;
    dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;

    void count(int rounds) {
        for (int round = 0; round < rounds; round++) {
            dist_mutex_lock(&mutex);
            plain++;
            dist_mutex_unlock(&mutex);

            atomic++;
        }
    }

    for (int thread = 0; thread < THREADS; thread++)
        dist_thr_create(count, ROUNDS);
    dist_thr_join_all();

    printf("plain:  %d\n", plain);
    printf("atomic: %d\n", atomic);
    return plain != THREADS * ROUNDS || atomic != THREADS * ROUNDS;
}

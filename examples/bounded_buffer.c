/* Bounded buffer: producers and consumers on different nodes, between them a ring of few slots.
 *
 *     umbel cc bounded_buffer.c -o bounded_buffer
 *     umbel run -n 4 ./bounded_buffer
 *
 * The textbook solution: one semaphore counts the free slots, another the filled ones, a mutex guards
 * the ring.  A producer that finds no slot free waits until a consumer has emptied one, wherever that
 * runs.  A zero tells a consumer that there is no more.
 *
 * Expect 3 x 200 items, each consumed exactly once.
 */
#include <stdio.h>

enum { PRODUCERS = 3, CONSUMERS = 2, ITEMS_EACH = 200, ITEMS = PRODUCERS * ITEMS_EACH, SLOTS = 8 };

int main(void)
{
    int ring[SLOTS], head = 0, tail = 0;        /* oldest item, first free slot; count up for ever */
    dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;
    dist_sem_t free_slots, filled_slots;
    int times_consumed[ITEMS + 1] = { 0 };
    long sum = 0;

    void put(int item) {
        dist_sem_wait(&free_slots);
        dist_mutex_lock(&mutex);
        ring[tail++ % SLOTS] = item;
        dist_mutex_unlock(&mutex);
        dist_sem_post(&filled_slots);
    }

    int take(void) {
        dist_sem_wait(&filled_slots);
        dist_mutex_lock(&mutex);
        int item = ring[head++ % SLOTS];
        dist_mutex_unlock(&mutex);
        dist_sem_post(&free_slots);
        return item;
    }

    void produce(int producer) {
        for (int i = 1; i <= ITEMS_EACH; i++)
            put(producer * ITEMS_EACH + i);
    }

    void consume(int unused) {
        long own_sum = 0;
        for (int item; (item = take()) != 0;) {
            times_consumed[item]++;             /* no other thread gets this item: no lock needed */
            own_sum += item;
        }
        dist_mutex_lock(&mutex);
        sum += own_sum;
        dist_mutex_unlock(&mutex);
    }

    dist_sem_init(&free_slots, 0, SLOTS);
    dist_sem_init(&filled_slots, 0, 0);

    dist_thr_t producers[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++)
        producers[i] = dist_thr_create(produce, i);
    for (int i = 0; i < CONSUMERS; i++)
        dist_thr_create(consume, 0);

    for (int i = 0; i < PRODUCERS; i++)
        dist_thr_join(producers[i]);
    for (int i = 0; i < CONSUMERS; i++)
        put(0);                                 /* behind the last item */
    dist_thr_join_all();

    int once = 0;
    for (int item = 1; item <= ITEMS; item++)
        once += times_consumed[item] == 1;
    printf("%d of %d items were consumed exactly once, their sum is %ld\n", once, ITEMS, sum);
    return once != ITEMS || sum != (long)ITEMS * (ITEMS + 1) / 2;
}

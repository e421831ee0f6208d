/* mpi.c COUNT: what MPI takes for the same: two ranks.
 *
 *     rtt_64, rtt_4096   MPI_Send and MPI_Recv there and back: 64 and 64 bytes, 64 and 4096
 *     barrier            MPI_Barrier
 *     get_4096           MPI_Win_lock, MPI_Get of a page, MPI_Win_unlock: a read of remote memory
 *     window_lock        both take the exclusive lock of one window in turns and change what it guards; for each change of hands
 *     stream_page        4096 bytes of messages of 4 MiB
 *
 * Estimate over TCP: 8, 9, 5, 28, 14 us, 0.8 us a page. */
#include "burst.h"
#include <mpi.h>

enum { BATCH = 20, MESSAGE = 4 << 20, MESSAGES = 4 };

static int rank, count;
static struct samples samples;
static char buffer[MESSAGE];

static void send_to(int other, int bytes) { MPI_Send(buffer, bytes, MPI_CHAR, other, 0, MPI_COMM_WORLD); }

static void receive_from(int other, int bytes)
{
    MPI_Recv(buffer, bytes, MPI_CHAR, other, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void finish(const char *name)
{
    if (rank == 0)
        report(name, &samples);
    samples.count = 0;
    MPI_Barrier(MPI_COMM_WORLD);
}

static void round_trips(const char *name, int answer)
{
    for (int i = -BATCH; i < count; i++) {
        long start = now_ns();
        if (rank == 0) {
            send_to(1, 64);
            receive_from(1, answer);
        } else {
            receive_from(0, 64);
            send_to(0, answer);
        }
        if (i >= 0)
            add_sample(&samples, now_ns() - start);
    }
    finish(name);
}

static void barriers(void)
{
    for (int i = -BATCH; i < count; i++) {
        long start = now_ns();
        MPI_Barrier(MPI_COMM_WORLD);
        if (i >= 0)
            add_sample(&samples, now_ns() - start);
    }
    finish("barrier");
}

/* Rank 1 serves rank 0 while it waits in a barrier. */
static void gets(MPI_Win window)
{
    for (int i = -BATCH; rank == 0 && i < count; i++) {
        long start = now_ns();
        MPI_Win_lock(MPI_LOCK_SHARED, 1, 0, window);
        MPI_Get(buffer, PAGE, MPI_CHAR, 1, 0, PAGE, MPI_CHAR, window);
        MPI_Win_unlock(1, window);
        if (i >= 0)
            add_sample(&samples, now_ns() - start);
    }
    finish("get_4096");
}

/* What is guarded: changes of hands, who had it last, whether it is over. */
static void window_locks(MPI_Win window)
{
    long guarded[3] = { 0, -1, 0 }, turns = 0, start = now_ns(), changes = 0;
    MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, window);
    MPI_Put(guarded, 3, MPI_LONG, 0, 0, 3, MPI_LONG, window);
    MPI_Win_unlock(0, window);
    MPI_Barrier(MPI_COMM_WORLD);
    while (!guarded[2]) {
        MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, window);
        MPI_Get(guarded, 3, MPI_LONG, 0, 0, 3, MPI_LONG, window);
        MPI_Win_flush(0, window);
        guarded[0] += guarded[1] != rank;
        guarded[1] = rank;
        guarded[2] |= rank == 1 && turns > count;
        MPI_Put(guarded, 3, MPI_LONG, 0, 0, 3, MPI_LONG, window);
        MPI_Win_unlock(0, window);
        if (rank == 1 && turns++ % BATCH == 0) {
            if (turns > BATCH)
                add_sample(&samples, (double)(now_ns() - start) / (guarded[0] - changes));
            start = now_ns(), changes = guarded[0];
        }
    }
    if (rank == 1)
        report("window_lock", &samples);
    finish("");
}

static void stream(void)
{
    for (int i = -1; i < 6; i++) {
        MPI_Barrier(MPI_COMM_WORLD);
        long start = now_ns();
        for (int message = 0; message < MESSAGES; message++)
            rank == 0 ? receive_from(1, MESSAGE) : send_to(0, MESSAGE);
        if (i >= 0)
            add_sample(&samples, (double)(now_ns() - start) * PAGE / ((double)MESSAGE * MESSAGES));
    }
    finish("stream_page");
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    count = argc > 1 ? atoi(argv[1]) : 500;
    burst(rank);
    round_trips("rtt_64", 64);
    round_trips("rtt_4096", PAGE);
    barriers();
    stream();
    if (getenv("PEERS_WITHOUT_WINDOWS")) {
        MPI_Finalize();
        return 0;
    }
    MPI_Win window;
    char *memory;
    MPI_Win_allocate(PAGE, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &memory, &window);
    gets(window);
    window_locks(window);
    MPI_Win_free(&window);
    MPI_Finalize();
}

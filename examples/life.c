/* Game of life: a glider gun shoots, computed by threads on all nodes.
 *
 *     umbel cc -O2 life.c -o life
 *     umbel run -n 4 ./life                 prints the last generation
 *     umbel run -n 4 ./life --animate       draws them all
 *
 * A dead cell with three living neighbours comes to life; a living one with two or three stays alive;
 * all others are dead in the next generation.  The world is a torus.  Each thread computes a band of
 * rows; threads and main, which draws, meet at a barrier after each generation.
 *
 * Expect three gliders on their way to the lower right, and "same as one thread: yes".
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 32, COLUMNS = 64, THREADS = 4, GENERATIONS = 100 };

typedef char world_t[ROWS][COLUMNS];            /* 1: alive */

static const char *const gun[] = {
    "........................#...........",
    "......................#.#...........",
    "............##......##............##",
    "...........#...#....##............##",
    "##........#.....#...##..............",
    "##........#...#.##....#.#...........",
    "..........#.....#.......#...........",
    "...........#...#....................",
    "............##......................",
};

static void set_up(world_t world)
{
    memset(world, 0, sizeof(world_t));
    for (unsigned row = 0; row < sizeof gun / sizeof gun[0]; row++)
        for (int column = 0; gun[row][column]; column++)
            world[row + 1][column + 1] = gun[row][column] == '#';
}

/* The next generation of the rows first to last - 1. */
static void step(world_t from, world_t to, int first, int last)
{
    for (int row = first; row < last; row++)
        for (int column = 0; column < COLUMNS; column++) {
            int sum = 0;                        /* of the cell and its neighbours */
            for (int i = ROWS - 1; i <= ROWS + 1; i++)
                for (int j = COLUMNS - 1; j <= COLUMNS + 1; j++)
                    sum += from[(row + i) % ROWS][(column + j) % COLUMNS];
            to[row][column] = sum == 3 || (sum == 4 && from[row][column]);
        }
}

static void draw(world_t world)
{
    for (int row = 0; row < ROWS; row++) {
        for (int column = 0; column < COLUMNS; column++)
            putchar(world[row][column] ? '#' : '.');
        putchar('\n');
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    world_t worlds[2], alone[2];                /* the threads use `worlds`, so it is shared */
    dist_barrier_t done;

    void live(int thread) {
        int first = thread * ROWS / THREADS, last = (thread + 1) * ROWS / THREADS;
        for (int generation = 0; generation < GENERATIONS; generation++) {
            step(worlds[generation % 2], worlds[(generation + 1) % 2], first, last);
            dist_barrier_wait(&done);
        }
    }

    int animate = argc > 1 && !strcmp(argv[1], "--animate");
    dist_barrier_init(&done, 0, THREADS + 1);
    set_up(worlds[0]);
    for (int thread = 0; thread < THREADS; thread++)
        dist_thr_create(live, thread);

    for (int generation = 0; generation < GENERATIONS; generation++) {
        if (animate) {
            printf("%sgeneration %d\n", generation ? "\033[H" : "\033[2J\033[H", generation);
            draw(worlds[generation % 2]);       /* the threads only read it meanwhile */
            usleep(30000);
        }
        dist_barrier_wait(&done);
    }
    dist_thr_join_all();

    set_up(alone[0]);
    for (int generation = 0; generation < GENERATIONS; generation++)
        step(alone[generation % 2], alone[(generation + 1) % 2], 0, ROWS);

    if (animate)
        printf("\033[H");
    printf("generation %d\n", GENERATIONS);
    draw(worlds[GENERATIONS % 2]);
    int same = !memcmp(worlds[GENERATIONS % 2], alone[GENERATIONS % 2], sizeof(world_t));
    printf("same as one thread: %s\n", same ? "yes" : "NO");
    return !same;
}

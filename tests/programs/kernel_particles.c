/* kernel_particles [THREADS [PARTICLES [STEPS]]]: particles that attract and repel each other.
 *
 * Pattern: migratory data under locks. Algorithm: all pairs, each computed once by the owner of the first particle
 * and applied to both by Newton's third law; leapfrog steps: L. Verlet, Computer experiments on classical fluids, 1967.
 * Forces are summed privately and then added block by block, each block under its lock, each thread beginning with
 * another block, as in the old suites' water programs.
 *
 * All numbers are integers (fixed point), so no order of additions changes the result. A particle is 72 bytes and a
 * block 5 of them: blocks share pages, and each lock guards bytes in the midst of others'.
 *
 * Checked: bit for bit the serial result; the sum of all velocities stays. */
#include "kernel.h"

enum { BLOCK = 5, AXES = 3, BOX = 1 << 20, SOFT = 1 << 14 };

struct particle {
	long position[AXES], velocity[AXES], force[AXES];
};

static void place(struct particle *particles, int count)
{
	unsigned long random = 3;
	memset(particles, 0, count * sizeof *particles);
	for (int i = 0; i < count; i++)
		for (int axis = 0; axis < AXES; axis++) {
			particles[i].position[axis] = random_bits(&random) % BOX;
			particles[i].velocity[axis] = (long)(random_bits(&random) % 256) - 128;
		}
}

/* Adds the force between two particles to both sums; exactly opposite, for division rounds towards zero. */
static void interact(const struct particle *a, const struct particle *b, long *force_a, long *force_b)
{
	long between[AXES], square = SOFT;
	for (int axis = 0; axis < AXES; axis++) {
		between[axis] = b->position[axis] - a->position[axis];
		square += between[axis] / 64 * (between[axis] / 64);
	}
	for (int axis = 0; axis < AXES; axis++) {
		long force = between[axis] * 4096 / square - between[axis] * 64 / (square / 256 + 1);
		force_a[axis] += force;
		force_b[axis] -= force;
	}
}

static void move(struct particle *particle)
{
	for (int axis = 0; axis < AXES; axis++) {
		particle->velocity[axis] += particle->force[axis];
		particle->position[axis] += particle->velocity[axis];
		particle->force[axis] = 0;
	}
}

int main(int argc, char **argv)
{
	int threads = argument(argc, argv, 1, dist_node_count());
	int count = argument(argc, argv, 2, 100);
	int steps = argument(argc, argv, 3, 5);
	int blocks = (count + BLOCK - 1) / BLOCK;
	struct particle particles[count];
	dist_mutex_t locks[blocks];
	dist_barrier_t barrier;

	/* Adds own sums to the particles of one block. */
	void add(int block, long (*sums)[AXES])
	{
		dist_mutex_lock(&locks[block]);
		for (int i = block * BLOCK; i < count && i < (block + 1) * BLOCK; i++)
			for (int axis = 0; axis < AXES; axis++)
				particles[i].force[axis] += sums[i][axis];
		dist_mutex_unlock(&locks[block]);
	}

	void work(int thread)
	{
		long (*sums)[AXES] = private_bytes(count * sizeof *sums);
		int first = share(count, thread, threads), last = share(count, thread + 1, threads);
		for (int step = 0; step < steps; step++) {
			memset(sums, 0, count * sizeof *sums);
			/* Every second distance each way round, so that all threads have as many pairs. */
			for (int i = first; i < last; i++)
				for (int j = 0; j < count; j++)
					if ((i < j && (i + j) % 2) || (i > j && (i + j) % 2 == 0))
						interact(&particles[i], &particles[j], sums[i], sums[j]);
			for (int i = 0; i < blocks; i++)
				add((i + share(blocks, thread, threads)) % blocks, sums);
			dist_barrier_wait(&barrier);
			for (int i = first; i < last; i++)
				move(&particles[i]);
			dist_barrier_wait(&barrier);
		}
		free(sums);
	}

	CHECK(threads >= 1 && count >= 1);
	for (int block = 0; block < blocks; block++)
		CHECK_EQ(dist_mutex_init(&locks[block], 0), 0);
	dist_barrier_init(&barrier, 0, threads);
	place(particles, count);
	run_threads(threads, work);

	struct particle *reference = private_bytes(count * sizeof *reference);
	place(reference, count);
	long drift[AXES] = { 0 };
	for (int i = 0; i < count; i++)
		for (int axis = 0; axis < AXES; axis++)
			drift[axis] -= reference[i].velocity[axis];
	for (int step = 0; step < steps; step++) {
		for (int i = 0; i < count; i++)
			for (int j = i + 1; j < count; j++)
				interact(&reference[i], &reference[j], reference[i].force, reference[j].force);
		for (int i = 0; i < count; i++)
			move(&reference[i]);
	}
	CHECK(memcmp(particles, reference, count * sizeof *reference) == 0);
	for (int axis = 0; axis < AXES; axis++) {
		for (int i = 0; i < count; i++)
			drift[axis] += particles[i].velocity[axis];
		CHECK_EQ(drift[axis], 0);
	}
	return verified("particles", threads);
}

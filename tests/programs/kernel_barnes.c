/* kernel_barnes [THREADS [BODIES [STEPS]]]: gravity between many bodies by a tree of cells.
 *
 * Pattern: a tree that is built once in a step and then only read, by all. Algorithm: J. Barnes, P. Hut, A hierarchical
 * O(N log N) force-calculation algorithm, Nature 324, 1986; here in the plane, with a tree of quarters.
 *
 * The cells are elements of one shared array and name each other by number. One thread builds the tree; then every
 * thread walks it for its own bodies, and moves them.
 *
 * Checked: bit for bit the serial result; the first forces are near those of all pairs. */
#include "kernel.h"

enum { LEVELS_MAX = 40 };
#define NEAR 0.5
#define SOFT 1e-4
#define STEP 1e-3

struct vector {
	double x, y;
};

struct body {
	struct vector position, velocity;
	double mass;
};

/* A square: empty, with one body, or with quarters. Quarters are cells from `quarters` on; 0: none. */
struct cell {
	struct vector centre, sum;      /* of the square; mass-weighted sum of its bodies' positions */
	double half, mass;
	int quarters, body;             /* body: -1 for none */
};

struct tree {
	int count, limit;
	struct cell *cells;
};

static void place(struct body *bodies, int count)
{
	unsigned long random = 5;
	for (int i = 0; i < count; i++) {
		/* Denser towards the middle, so that the tree is of uneven depth. */
		double radius = random_unit(&random), angle = 2 * M_PI * random_unit(&random);
		bodies[i].position = (struct vector) { radius * radius * cos(angle), radius * radius * sin(angle) };
		bodies[i].velocity = (struct vector) { -bodies[i].position.y, bodies[i].position.x };
		bodies[i].mass = (0.5 + random_unit(&random)) / count;
	}
}

static int quarter_of(const struct cell *cell, struct vector position)
{
	return (position.x >= cell->centre.x) + 2 * (position.y >= cell->centre.y);
}

static void split(struct tree *tree, int number)
{
	struct cell *cell = &tree->cells[number];
	CHECK(tree->count + 4 <= tree->limit);
	cell->quarters = tree->count;
	tree->count += 4;
	for (int i = 0; i < 4; i++) {
		double half = cell->half / 2;
		struct vector centre = { cell->centre.x + (i & 1 ? half : -half), cell->centre.y + (i & 2 ? half : -half) };
		tree->cells[cell->quarters + i] = (struct cell) { .centre = centre, .half = half, .body = -1 };
	}
}

static void insert(struct tree *tree, const struct body *bodies, int body)
{
	int number = 0;
	for (int level = 0; level < LEVELS_MAX; level++) {
		struct cell *cell = &tree->cells[number];
		cell->mass += bodies[body].mass;
		cell->sum.x += bodies[body].mass * bodies[body].position.x;
		cell->sum.y += bodies[body].mass * bodies[body].position.y;
		if (!cell->quarters && cell->body < 0) {
			cell->body = body;
			return;
		}
		if (!cell->quarters) {
			/* The body that was alone here goes down a level. */
			split(tree, number);
			const struct body *other = &bodies[cell->body];
			struct cell *lower = &tree->cells[cell->quarters + quarter_of(cell, other->position)];
			lower->body = cell->body;
			lower->mass = other->mass;
			lower->sum = (struct vector) { other->mass * other->position.x, other->mass * other->position.y };
			cell->body = -1;
		}
		number = cell->quarters + quarter_of(cell, bodies[body].position);
	}
	CHECK(!"two bodies lie in one place");
}

static void build(struct tree *tree, const struct body *bodies, int count)
{
	double half = 0;
	for (int i = 0; i < count; i++)
		half = fmax(half, fmax(fabs(bodies[i].position.x), fabs(bodies[i].position.y)));
	tree->cells[0] = (struct cell) { .half = half * 1.001, .body = -1 };
	tree->count = 1;
	for (int i = 0; i < count; i++)
		insert(tree, bodies, i);
}

static void attract(struct vector *force, struct vector to, struct vector from, double mass)
{
	double x = to.x - from.x, y = to.y - from.y, square = x * x + y * y + SOFT;
	double pull = mass / (square * sqrt(square));
	force->x += pull * x;
	force->y += pull * y;
}

static struct vector force_on(const struct cell *cells, const struct body *bodies, int body)
{
	struct vector force = { 0, 0 }, position = bodies[body].position;
	int stack[4 * LEVELS_MAX], depth = 0;
	for (stack[depth++] = 0; depth > 0;) {
		const struct cell *cell = &cells[stack[--depth]];
		if (cell->mass == 0 || cell->body == body)
			continue;
		struct vector middle = { cell->sum.x / cell->mass, cell->sum.y / cell->mass };
		double distance = hypot(middle.x - position.x, middle.y - position.y);
		if (!cell->quarters || 2 * cell->half < NEAR * distance)
			attract(&force, middle, position, cell->mass);
		else
			for (int i = 0; i < 4; i++)
				stack[depth++] = cell->quarters + i;
	}
	return force;
}

static void move(struct body *body, struct vector force)
{
	body->velocity.x += STEP * force.x;
	body->velocity.y += STEP * force.y;
	body->position.x += STEP * body->velocity.x;
	body->position.y += STEP * body->velocity.y;
}

/* What all pairs give: the cells' forces are near it. */
static void check_forces(const struct cell *cells, const struct body *bodies, int count)
{
	double error = 0, size = 0;
	for (int i = 0; i < count; i++) {
		struct vector exact = { 0, 0 }, force = force_on(cells, bodies, i);
		for (int j = 0; j < count; j++)
			if (j != i)
				attract(&exact, bodies[j].position, bodies[i].position, bodies[j].mass);
		error += hypot(force.x - exact.x, force.y - exact.y);
		size += hypot(exact.x, exact.y);
	}
	CHECK(error < 0.02 * size);
}

int main(int argc, char **argv)
{
	int threads = argument(argc, argv, 1, dist_node_count());
	int count = argument(argc, argv, 2, 400);
	int steps = argument(argc, argv, 3, 4);
	int limit = 16 * count + 4 * LEVELS_MAX;
	struct body bodies[count];
	struct cell cells[limit];
	dist_barrier_t barrier;

	void work(int thread)
	{
		int first = share(count, thread, threads), last = share(count, thread + 1, threads);
		struct vector *forces = private_bytes((last - first) * sizeof *forces);
		for (int step = 0; step < steps; step++) {
			if (thread == step % threads)
				build(&(struct tree) { .limit = limit, .cells = cells }, bodies, count);
			dist_barrier_wait(&barrier);
			for (int i = first; i < last; i++)
				forces[i - first] = force_on(cells, bodies, i);
			dist_barrier_wait(&barrier);
			for (int i = first; i < last; i++)
				move(&bodies[i], forces[i - first]);
			dist_barrier_wait(&barrier);
		}
		free(forces);
	}

	CHECK(threads >= 1 && count >= 1);
	dist_barrier_init(&barrier, 0, threads);
	place(bodies, count);
	run_threads(threads, work);

	struct body *reference = private_bytes(count * sizeof *reference);
	struct vector *forces = private_bytes(count * sizeof *forces);
	struct tree tree = { .limit = limit, .cells = private_bytes(limit * sizeof *tree.cells) };
	place(reference, count);
	for (int step = 0; step < steps; step++) {
		build(&tree, reference, count);
		if (step == 0)
			check_forces(tree.cells, reference, count);
		for (int i = 0; i < count; i++)
			forces[i] = force_on(tree.cells, reference, i);
		for (int i = 0; i < count; i++)
			move(&reference[i], forces[i]);
	}
	CHECK(memcmp(bodies, reference, count * sizeof *bodies) == 0);
	return verified("barnes", threads);
}

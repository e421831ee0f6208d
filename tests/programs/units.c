/* Rows of an array that travel together: one fault fetches a unit, whatever the order of the rows. */
#include <stdio.h>
#include "check.h"

enum { ROWS = 64, COLUMNS = 4096 };

int main(void)
{
	__attribute__((shadow("unit(4)"))) int grid[ROWS][COLUMNS];

	void sum(int seed)
	{
		long total = 0;
		/* No two rows in a row are neighbours, and no page after the other: no stream to detect. */
		for (int i = 0; i < ROWS; i++)
			for (int page = 0; page < 4; page++)
				total += grid[(i * 29 + seed) % ROWS][page * 2777 % COLUMNS];
		CHECK(total == ROWS * (0L + 2777 + 2 * 2777 % COLUMNS + 3 * 2777 % COLUMNS));
	}

	for (int i = 0; i < ROWS; i++)
		for (int j = 0; j < COLUMNS; j++)
			grid[i][j] = j;
	dist_thr_create_on(dist_node_count() - 1, sum, 7);
	dist_thr_join_all();
	puts("together");
	return 0;
}

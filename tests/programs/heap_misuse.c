/* Misuse of the shared heap, one kind per run: the first argument says which, the second the object's size. */
#include "check.h"

static unsigned long size;

static void *make(void) { return dist_malloc(size); }

static void end(void *object) { dist_free(object); }

static void end_again(void *object) { dist_free(object); }

int main(int argc, char **argv)
{
	CHECK(argc > 2);
	char *how = argv[1];
	size = strtoul(argv[2], 0, 10);
	int last = dist_node_count() - 1;
	char *volatile object = make();
	object[0] = 1;
	void free_it(int unused) { end(object); }
	void use_it(int write)
	{
		if (write)
			object[0] = 2;
		else if (object[0] == 'x')
			printf("nobody wrote that\n");
	}
	/* Nobody waits until a freed object is gone everywhere: it is used again until that is noticed. */
	void use_it_here(int write)
	{
		for (int i = 0; i < 50; i++) {
			usleep(100000);
			use_it(write);
		}
	}
	if (!strcmp(how, "twice")) {
		end(object);
		end_again(object);
	} else if (!strcmp(how, "twice-elsewhere")) {
		end(object);
		CHECK(dist_thr_create_on(last, free_it, 0));
		dist_thr_join_all();
	} else if (!strcmp(how, "both-elsewhere")) {
		for (int i = 0; i < 2; i++) {
			CHECK(dist_thr_create_on(last, free_it, 0));
			dist_thr_join_all();
		}
	} else if (!strcmp(how, "inside-elsewhere") || !strcmp(how, "realloc-elsewhere")) {
		void misuse(int resize)
		{
			if (!resize)
				end(object + 16);
			else {
				end(object);
				object = dist_realloc(object, 3 * size);
			}
		}
		CHECK(dist_thr_create_on(last, misuse, how[0] == 'r'));
		dist_thr_join_all();
	} else if (!strcmp(how, "inside")) {
		end(object + 16);
	} else if (!strcmp(how, "stack")) {
		end(&how);
	} else if (!strcmp(how, "malloc")) {
		end(malloc(10));
	} else if (!strcmp(how, "variable")) {
		end((void *)&object);
	} else if (!strcmp(how, "realloc")) {
		end(object);
		object = dist_realloc(object, 3 * size);
	} else if (!strcmp(how, "read") || !strcmp(how, "write")) {
		end(object);
		use_it_here(how[0] == 'w');
	} else if (!strcmp(how, "read-elsewhere") || !strcmp(how, "write-elsewhere")) {
		/* It has a copy before. */
		CHECK(dist_thr_create_on(last, use_it, 1));
		dist_thr_join_all();
		end(object);
		CHECK(dist_thr_create_on(last, use_it_here, how[0] == 'w'));
		dist_thr_join_all();
	} else if (!strcmp(how, "freed-elsewhere")) {
		CHECK(dist_thr_create_on(last, free_it, 0));
		dist_thr_join_all();
		use_it_here(1);
	} else if (!strcmp(how, "reuse")) {
		end(object);
		object[0] = 3;
		for (int i = 0; i < 70000; i++)
			end(make());
		for (int i = 0; i < 300000; i++)
			CHECK(make() != 0);
	}
	/* Freeing on another node is not waited for. */
	usleep(300000);
	printf("nothing was found\n");
	return 0;
}

/* globals_other.c - the other unit of globals.c. */
extern int other, other_array[3], counter;
int other = 11;
int other_array[3] = { 1, 2, 3 };
int *other_pointer = &other;
int *elsewhere[2] = { 0, &counter };
int increment_other(void) { return elsewhere[1] == &counter ? ++other : 0; }

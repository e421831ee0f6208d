/* error: umbel: words of the attribute 'shadow' of 'x' contradict each other: 'remote' and 'migratory' */
#include "umbel.h"
typedef struct { int a, b __attribute__((shadow("migratory"))); } pair;
int f(void)
{
	pair x __attribute__((shadow("remote"))) = { 0 };
	return x.a;
}

/* error: umbel: 'x' is sequential, because it or a part of it is volatile, and 'update' is for weak objects */
#include "umbel.h"
int f(void)
{
	struct { volatile int flag; } x __attribute__((shadow("update"))) = { 0 };
	return x.flag;
}

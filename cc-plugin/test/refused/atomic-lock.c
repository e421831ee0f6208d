/* warning: umbel: operations on 'x' are not atomic between nodes: it is '_Atomic' and has not 1, 2, 4 or 8 bytes, so each node has a lock of its own for it */
#include "umbel.h"
struct big { long a[3]; };
long f(void)
{
	_Atomic struct big x __attribute__((shadow)) = { { 0 } };
	struct big y = x;
	return y.a[0];
}

/* error: umbel: 'unit(4)' is for arrays; 'x' is none */
#include "umbel.h"
int f(void)
{
	int x __attribute__((shadow("unit(4)"))) = 0;
	return x;
}

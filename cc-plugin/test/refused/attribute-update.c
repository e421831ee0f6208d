/* error: words of the attribute 'shadow' contradict each other: 'update' and 'sequential' */
int f(void)
{
	int x __attribute__((shadow("sequential update"))) = 0;
	return x;
}

/* error: 'shadow' attribute: no such word: 'eager'; there are 'sequential', 'weak', 'auto', 'invalidate', 'migratory', 'read_only', 'update', 'remote' and 'unit(N)' */
int f(void)
{
	int x __attribute__((shadow("weak, eager"))) = 0;
	return x;
}

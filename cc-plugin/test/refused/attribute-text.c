/* error: argument of 'shadow' must be a string */
int f(void)
{
	int x __attribute__((shadow(3))) = 0;
	return x;
}

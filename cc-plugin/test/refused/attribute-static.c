/* warning: 'shadow' attribute ignored: only automatic variables and parameters can be shadowed */
int f(void)
{
	static int kept __attribute__((shadow("update")));
	return kept++;
}

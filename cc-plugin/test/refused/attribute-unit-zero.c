/* error: 'shadow' attribute: no such word: 'unit(0)'; there are */
int f(void)
{
	int x[3] __attribute__((shadow("unit(0)")));
	return x[0];
}

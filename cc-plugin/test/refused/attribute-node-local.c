/* warning: 'node_local' attribute ignored: it is for globals and static locals */
int f(void)
{
	int x __attribute__((node_local)) = 0;
	return x;
}

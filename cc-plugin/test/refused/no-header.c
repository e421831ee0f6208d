/* error: umbel: 'umbel_abi.h' is not included (no '__umbel_small'): compile with 'umbel cc', or add '-include umbel_abi.h' */
/* options: -DWITHOUT */
void g(void (*)(void));
void f(void)
{
	int x = 0;
	void inner(void) { x++; }
	g(inner);
}

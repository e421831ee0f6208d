/* error: words of the attribute 'shadow' contradict each other: 'sequential' and 'weak' */
struct s {
	int a __attribute__((shadow("sequential", "weak")));
};

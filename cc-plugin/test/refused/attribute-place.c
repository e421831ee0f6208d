/* warning: 'shadow' attribute ignored: it is for variables, parameters, members, structures, unions and typedefs */
int f(void) __attribute__((shadow("weak")));

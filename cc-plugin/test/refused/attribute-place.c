/* warning: 'shadow' attribute ignored: only automatic variables and parameters can be shadowed */
int global __attribute__((shadow("update")));

/* error: umbel: 'x' cannot be shared: it is thread-local */
__thread int x __attribute__((shadow("weak")));

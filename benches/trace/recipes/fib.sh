# Calls of a function that does nothing else.
gcc $CFLAGS "$HERE/fib.c" -o fib

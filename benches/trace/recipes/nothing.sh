# What starting and ending costs.
gcc $CFLAGS "$HERE/nothing.c" -o nothing

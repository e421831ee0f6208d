# What values cost: a few numbers, pointers that lead somewhere or not, deep data; and a program that hangs.
gcc $CFLAGS "$HERE/numbers.c" -o numbers
gcc $CFLAGS "$HERE/pointers.c" -o pointers
gcc $CFLAGS "$HERE/fault.c" -o fault
# Not the library's own little functions: those are bare events.
g++ $CFLAGS -finstrument-functions-exclude-file-list=/c++/ "$HERE/deep.cc" -o deep
gcc $CFLAGS "$HERE/hang.c" -o hang -pthread

# A shell: fork and exec all the time.
CFLAGS= "$SRC/configure" > configure.log 2>&1
make CFLAGS="$CFLAGS" CFLAGS_FOR_BUILD="-O2" > make.log 2>&1
cp src/dash dash

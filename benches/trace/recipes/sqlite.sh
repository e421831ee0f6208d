# sqlite3's own benchmark and shell, each with the whole library in one file.
CFLAGS= "$SRC/configure" --disable-readline --disable-tcl > configure.log 2>&1
make sqlite3.c shell.c > make.log 2>&1
gcc $CFLAGS -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -I. "$SRC/test/speedtest1.c" sqlite3.c -lm -o speedtest1
gcc $CFLAGS -DSQLITE_THREADSAFE=1 -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE -I. shell.c sqlite3.c -lm -ldl -lpthread -o sqlite

# sqlite3's own benchmark and shell, each with the whole library in one file.
CFLAGS= "$SRC/configure" --disable-readline --disable-tcl > configure.log 2>&1
make sqlite3.c shell.c > make.log 2>&1
gcc $CFLAGS -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -I. "$SRC/test/speedtest1.c" sqlite3.c -lm -o speedtest1
gcc $CFLAGS -DSQLITE_THREADSAFE=1 -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE -I. shell.c sqlite3.c -lm -ldl -lpthread -o sqlite
gcc $CFLAGS -DSQLITE_OSS_FUZZ -DSQLITE_ENABLE_MEMSYS5 -DSQLITE_MAX_MEMORY=50000000 -DSQLITE_PRINTF_PRECISION_LIMIT=1000 \
    -DSQLITE_ENABLE_FTS4 -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_BYTECODE_VTAB -DSQLITE_ENABLE_DBPAGE_VTAB \
    -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -I. -I"$SRC/test" -I"$SRC/ext/recover" \
    "$SRC/test/fuzzcheck.c" "$SRC/test/ossfuzz.c" "$SRC/test/vt02.c" "$SRC/test/fuzzinvariants.c" "$SRC/ext/recover/dbdata.c" \
    "$SRC/ext/recover/sqlite3recover.c" sqlite3.c -lm -o fuzzcheck

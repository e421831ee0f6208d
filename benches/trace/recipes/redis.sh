# A server with threads; its tests start and stop it.
cp -r "$SRC"/. .
make -C src -j"$(nproc)" MALLOC=libc OPTIMIZATION= REDIS_CFLAGS="$CFLAGS -w" redis-server redis-cli redis-benchmark > make.log 2>&1

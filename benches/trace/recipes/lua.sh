# The interpreter; Debian's source names a header of its packaging, which the archive lacks.
cp "$SRC"/src/*.[ch] .
sed -i '/lua5.4-deb-multiarch.h/d' luaconf.h
rm luac.c
gcc $CFLAGS -DLUA_USE_LINUX -Wl,-E *.c -lm -ldl -o lua

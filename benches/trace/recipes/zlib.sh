# The library inside its two test programs.
cp "$SRC"/*.[ch] "$SRC"/test/*.c .
rm infcover.c
for program in minigzip example; do
    gcc $CFLAGS -DHAVE_UNISTD_H -DHAVE_STDARG_H $(ls *.c | grep -v -e minigzip.c -e example.c) $program.c -o $program
done
# To compress: the sources, ten times.
for round in 1 2 3 4 5 6 7 8 9 10; do cat *.[ch]; done > text

# A program that sees its own call sites change.
gcc $CFLAGS "$HERE/pulse.c" -o pulse

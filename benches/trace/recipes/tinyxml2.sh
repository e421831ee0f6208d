# Its own test, which reads and writes in the folder it starts in.
g++ $CFLAGS "$SRC/xmltest.cpp" "$SRC/tinyxml2.cpp" -I"$SRC" -o xmltest
cp -r "$SRC/resources" .
mkdir -p resources/out

# Jets of particles: the library, and a program of ours that finds jets in events of its own making.
mkdir -p fastjet objects
cp -r "$SRC"/include/fastjet/. fastjet
cat > fastjet/config_auto.h <<'END'
#define FASTJET_HAVE_EXECINFO_H 1
#define FASTJET_HAVE_LIBM 1
#define FASTJET_PACKAGE_STRING "FastJet 3.4.0"
#define FASTJET_PACKAGE_VERSION "3.4.0"
#define FASTJET_VERSION "3.4.0"
#define FASTJET_VERSION_NUMBER 30400
#define FASTJET_HAVE_EXPLICIT_FOR_OPERATORS
#define FASTJET_HAVE_OVERRIDE
END
ls "$SRC"/src/*.cc | xargs -P "$(nproc)" -I FILE sh -c \
    'g++ -std=c++14 $0 -w -fPIC -DDROP_CGAL -I. -c FILE -o objects/$(basename FILE .cc).o' "$CFLAGS"
g++ -std=c++14 $CFLAGS -w -I. "$HERE/jets.cc" objects/*.o -o jets
g++ -std=c++14 $CFLAGS -w -I. "$SRC/example/01-basic.cc" objects/*.o -o basic

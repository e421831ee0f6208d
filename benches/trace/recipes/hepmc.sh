# A shared library, its plugins, and their tests, one with threads.
cmake -S "$SRC" -B . -DHEPMC3_ENABLE_TEST=ON -DHEPMC3_ENABLE_PYTHON=OFF -DHEPMC3_ENABLE_ROOTIO=OFF \
    -DHEPMC3_BUILD_EXAMPLES=OFF -DHEPMC3_BUILD_STATIC_LIBS=OFF -DHEPMC3_ENABLE_SEARCH=ON \
    -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="$CFLAGS -w" > cmake.log 2>&1
make -j"$(nproc)" > make.log 2>&1

// What the programs of golden call trees share.

/// A function that is called as the source says, at every level of optimization.
#define APART __attribute__((noinline, noclone, noipa))

/// Not traced: the programs' own machinery.
#define UNSEEN __attribute__((no_instrument_function))

/* atomics.h - atomic builtins as builtins.cc knows them, for atomics.cc. */
#ifndef UMBEL_ATOMICS_H
#define UMBEL_ATOMICS_H

#include "plugin.h"

/* As in umbel_abi.h. */
enum operation { LOAD, STORE, EXCHANGE, COMPARE_EXCHANGE, ADD, SUB, AND, OR, XOR, NAND };

enum result {
	OLD,     /* the value before, if anything */
	NEW,     /* the value after */
	SWAPPED, /* whether a compare-and-swap found what it expected */
	EXPECTS  /* the same, and the expected value is behind a pointer that gets the old one */
};

struct atomic_builtin {
	const char *name; /* without _N */
	operation kind;
	enum result gives;
};

/* One call of such a builtin. */
struct atomic_call {
	const atomic_builtin *builtin;
	unsigned width; /* bytes; 0: any, and the address is the second argument */
};

/* Fills CALL if FUNCTION is an atomic builtin, and no fence. */
extern bool find_atomic(tree function, atomic_call *call);
extern bool is_flag_call(const atomic_call &call);
extern unsigned address_index(const atomic_call &call);

#endif

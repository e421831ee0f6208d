/* plugin.h - what the passes know about a nest, and the entry point of each.
 *
 * A nest is one outermost C function with the functions nested in it.  The way through the plugin:
 *
 *   PLUGIN_PRE_GENERICIZE, GENERIC trees, once per nest (transform_nest in plugin.cc)
 *     capture.cc   which functions become threads, which locals become objects
 *     words.cc     attributes and types: which objects are sequential
 *     escape.cc    locals whose address is stored where another thread can read it
 *     units.cc     rows of an array that each thread works on
 *     spawn.cc     umbel_thr_create (node, f, arg) -> __umbel_thr_create (&record, descriptor, node, arg)
 *     voidmain.cc  void main () ends with status 0
 *     share.cc     DECL_VALUE_EXPR (v) = *v.obj, allocation and release
 *   when the unit has been parsed, GENERIC, once
 *     globals.cc   which globals and static locals are shared; warnings about the others
 *     redirect.cc  uses of v -> *umbel.global.v, and the tables for it
 *   GIMPLE, each function, directly after GCC lowered the nest (PROP_gimple_any, structured)
 *     stubs.cc     stack trampolines -> stub pool
 *     frames.cc    tables of frames and functions
 *     aliases.cc   object pointers once per function, and what does not alias what
 *     atomics.cc   atomic and volatile accesses; in every function, not only in nests
 *     loops.cc     after the CFG is built: the same, from one iteration to the next
 *
 * abi.cc builds the tables' records and finds the functions of umbel_abi.h; builtins.cc knows the atomic builtins.
 */
#ifndef UMBEL_PLUGIN_H
#define UMBEL_PLUGIN_H

#include "gcc.h"

struct options {
	bool all = false;    /* every captured local is sharable */
	bool report = false; /* say at compile time which variables became objects, and why */
	bool share_globals = false;   /* globals and static locals too, where a thread may use them */
	bool no_warn_globals = false; /* threads may write globals of which each node has its own */
};
extern options opt;

/* What source and types say about an object's consistency. */
struct verdict {
	std::string words;           /* of the attribute shadow, its own and its parts' */
	unsigned long unit = 0;      /* outermost elements per unit, 0: not subdivided */
	bool is_sequential = false;
	bool is_weak = false;        /* the source says so: also where it is volatile */
	bool has_operations = false; /* atomic read-modify-writes may be calls */
	bool is_remote = false;      /* loads and stores too */
};

/* One variable that lives in the window. */
struct object {
	tree variable;
	tree pointer; /* v.obj, in the owner; a field of the owner's FRAME once a nested function uses it;
			 of a global: umbel.global.NAME */
	tree record;  /* its struct umbel_object; null for a global of another unit */
	bool vla;
	verdict says;
};

/* One function of a nest. */
struct nest_function {
	tree decl;
	nest_function *outer;
	std::vector<nest_function *> inner;

	std::vector<tree> captured; /* automatic variables of enclosing functions used here */
	std::set<tree> captured_set;
	std::set<nest_function *> uses; /* nested functions called here or whose address is taken here */
	std::set<nest_function *> goto_owners; /* functions that a non-local goto from here lands in */
	std::set<tree> nonlocal_labels;        /* own labels that a nested function jumps to */
	bool spawned = false;  /* named in a call of umbel_thr_create */
	bool escapes = false;  /* its address goes anywhere else: a stub */
	bool calls_setjmp = false;

	std::vector<tree> shared; /* own variables that become objects, in order of discovery */
	std::vector<object *> objects;
	tree stub_mark = NULL_TREE; /* set if an inner function escapes */
	tree function_record = NULL_TREE;
	tree frame_record = NULL_TREE;
	unsigned short clique = 0; /* set by aliases.cc if it marked references */

	bool thread_root() const { return spawned || escapes; }
	bool is_within(const nest_function *ancestor) const;
};

/* plugin.cc */
extern nest_function *find_nest_function(tree decl);
extern void learn_object_fields(const nest_function *f);
extern object *find_object_of_field(tree field);
extern object *find_object_of_pointer(tree pointer);
extern object *find_object_of_local(tree local);
extern void remember_local(tree local, object *o);
extern bool names_umbel(tree decl);
extern bool is_thread_function(tree decl);
extern bool is_spawned(tree decl);
extern void keep_alive(tree node);

/* capture.cc */
struct captures {
	std::vector<nest_function *> order; /* outer before inner */
	std::set<tree> address_taken;
	std::set<tree> atomic_operands; /* named directly in an atomic builtin or a cast to volatile */
	std::map<tree, unsigned long> units; /* arrays subdivided by judgement: rows per thread */
	std::set<tree> omp_private; /* named in a privatising OpenMP clause: stays where it is */
};
extern bool is_automatic(tree decl);
extern bool is_vla(tree decl);
extern bool is_setjmp(tree call);
extern void scan_captures(captures &nest);
extern void choose_shared(captures &nest);
extern void share(captures &nest, tree variable, const char *why);

/* words.cc */
extern verdict judge(tree variable, bool atomic_operand);
extern bool has_shadow(tree variable);
extern tree handle_shadow(tree *node, tree name, tree arguments, int flags, bool *no_add);

/* builtins.cc */
extern tree atomic_address(tree call);
extern bool atomic_writes(tree call);
extern tree variable_at(tree address);

/* globals.cc */
extern void share_globals();

/* redirect.cc */
struct shared_global {
	tree variable;
	bool atomic_operand; /* named directly in an atomic builtin of this unit */
};
extern object *find_global_of_pointer(tree pointer);
extern void redirect_globals(const std::vector<shared_global> &shared, const std::map<tree, tree> &declarations,
			     const std::vector<tree> &functions, const std::vector<tree> &variables);

/* escape.cc */
extern void share_escaping_addresses(captures &nest);

/* units.cc */
extern void judge_units(captures &nest);

/* spawn.cc */
extern tree spawned_function_address(tree call);
extern void redirect_spawn(tree *call, tree address, nest_function *nested);
extern unsigned clear_useless_descriptors(function *fun);

/* share.cc */
extern void move_objects(nest_function *f, const captures &nest);

/* voidmain.cc */
extern void mark_void_main(tree decl);

/* abi.cc */
extern void remember_abi_function(tree decl);
extern tree abi_function(const char *name);
extern tree call_abi(const char *name, const std::vector<tree> &arguments);
extern tree make_record(const char *kind, tree of, unsigned words, const char *section);
extern void fill_record(tree record, const std::vector<tree> &words);
extern tree word(HOST_WIDE_INT value);
extern tree word_of_size(tree size);
extern tree word_of_text(const char *text);
extern tree address_of(tree decl);
extern tree code_address(tree function);
extern const char *name_of(tree decl);
extern tree object_record(tree variable, tree function, const verdict &v, unsigned more_flags);
extern tree function_record_of(nest_function *f);
extern tree frame_record_of(nest_function *f);
extern tree plain_function_record(tree decl);
extern bool has_plain_record(tree decl);
enum { FUNCTION_WORDS = 6, FRAME_WORDS = 6, FIELD_WORDS = 5, OBJECT_WORDS = 12, GLOBAL_WORDS = 4 };

/* frames.cc, stubs.cc, aliases.cc, atomics.cc, loops.cc */
extern gimple_opt_pass *make_stubs_pass(gcc::context *context);
extern gimple_opt_pass *make_frames_pass(gcc::context *context);
extern gimple_opt_pass *make_aliases_pass(gcc::context *context);
extern gimple_opt_pass *make_atomics_pass(gcc::context *context);
extern gimple_opt_pass *make_loops_pass(gcc::context *context);
extern tree frame_variable(tree function);

#endif

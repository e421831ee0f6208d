/* builtins.cc - GCC's atomic builtins, __atomic_* and __sync_*, by name.
 *
 * Inserted: nothing.  Names, because GCC has a code of its own for every width, and the same names in 11 and 12.
 */
#include "atomics.h"

static const atomic_builtin builtins[] = {
	{ "__atomic_load", LOAD, OLD }, { "__atomic_store", STORE, OLD },
	{ "__atomic_exchange", EXCHANGE, OLD }, { "__atomic_compare_exchange", COMPARE_EXCHANGE, EXPECTS },
	{ "__atomic_fetch_add", ADD, OLD }, { "__atomic_add_fetch", ADD, NEW },
	{ "__atomic_fetch_sub", SUB, OLD }, { "__atomic_sub_fetch", SUB, NEW },
	{ "__atomic_fetch_and", AND, OLD }, { "__atomic_and_fetch", AND, NEW },
	{ "__atomic_fetch_or", OR, OLD }, { "__atomic_or_fetch", OR, NEW },
	{ "__atomic_fetch_xor", XOR, OLD }, { "__atomic_xor_fetch", XOR, NEW },
	{ "__atomic_fetch_nand", NAND, OLD }, { "__atomic_nand_fetch", NAND, NEW },
	{ "__atomic_test_and_set", EXCHANGE, OLD }, { "__atomic_clear", STORE, OLD },
	{ "__sync_fetch_and_add", ADD, OLD }, { "__sync_add_and_fetch", ADD, NEW },
	{ "__sync_fetch_and_sub", SUB, OLD }, { "__sync_sub_and_fetch", SUB, NEW },
	{ "__sync_fetch_and_and", AND, OLD }, { "__sync_and_and_fetch", AND, NEW },
	{ "__sync_fetch_and_or", OR, OLD }, { "__sync_or_and_fetch", OR, NEW },
	{ "__sync_fetch_and_xor", XOR, OLD }, { "__sync_xor_and_fetch", XOR, NEW },
	{ "__sync_fetch_and_nand", NAND, OLD }, { "__sync_nand_and_fetch", NAND, NEW },
	{ "__sync_val_compare_and_swap", COMPARE_EXCHANGE, OLD },
	{ "__sync_bool_compare_and_swap", COMPARE_EXCHANGE, SWAPPED },
	{ "__sync_lock_test_and_set", EXCHANGE, OLD }, { "__sync_lock_release", STORE, OLD },
};

/* Sets or clears a byte, whatever the type of the pointer. */
bool is_flag_call(const atomic_call &call)
{
	return !strcmp(call.builtin->name, "__atomic_test_and_set") || !strcmp(call.builtin->name, "__atomic_clear");
}

bool find_atomic(tree function, atomic_call *call)
{
	if (!function || !fndecl_built_in_p(function, BUILT_IN_NORMAL) || !DECL_NAME(function))
		return false;
	std::string name = name_of(function);
	if (name.compare(0, 9, "__atomic_") && name.compare(0, 7, "__sync_"))
		return false;
	unsigned width = 0;
	size_t digits = name.find_last_not_of("0123456789") + 1;
	if (digits < name.size() && name[digits - 1] == '_') {
		width = atoi(name.c_str() + digits);
		name.resize(digits - 1);
	}
	for (const atomic_builtin &b : builtins)
		if (name == b.name) {
			*call = { &b, width };
			if (is_flag_call(*call))
				call->width = 1;
			return true;
		}
	return false;
}

unsigned address_index(const atomic_call &call) { return call.width ? 0 : 1; }

/* The address argument of a call of an atomic builtin (GENERIC), or null. */
tree atomic_address(tree expression)
{
	atomic_call call;
	if (!CALL_EXPR_FN(expression) || !find_atomic(get_callee_fndecl(expression), &call)
	    || address_index(call) >= (unsigned)call_expr_nargs(expression))
		return NULL_TREE;
	return CALL_EXPR_ARG(expression, address_index(call));
}

/* Does the call (GENERIC) change what its address points to? */
bool atomic_writes(tree expression)
{
	atomic_call call;
	return find_atomic(get_callee_fndecl(expression), &call) && call.builtin->kind != LOAD;
}

/* The variable that ADDRESS (GENERIC) lies in, if it is written there: &x, &x.f, &x[i], x + i. */
tree variable_at(tree address)
{
	for (;;) {
		STRIP_NOPS(address);
		if (TREE_CODE(address) == POINTER_PLUS_EXPR || TREE_CODE(address) == SAVE_EXPR)
			address = TREE_OPERAND(address, 0);
		else
			break;
	}
	if (TREE_CODE(address) != ADDR_EXPR)
		return NULL_TREE;
	tree base = TREE_OPERAND(address, 0);
	while (handled_component_p(base))
		base = TREE_OPERAND(base, 0);
	if (TREE_CODE(base) == INDIRECT_REF || TREE_CODE(base) == MEM_REF)
		return variable_at(TREE_OPERAND(base, 0));
	return VAR_P(base) || TREE_CODE(base) == PARM_DECL ? base : NULL_TREE;
}

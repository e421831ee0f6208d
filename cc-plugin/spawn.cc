/* spawn.cc - calls that create a thread from a function named directly.
 *
 * Inserted: umbel_thr_create (node, f, arg) becomes __umbel_thr_create (&record of f, descriptor, node, arg).
 * The descriptor of a nested function is what GCC makes for FUNC_ADDR_BY_DESCRIPTOR: a {chain, code} pair in
 * the parent's FRAME, no trampoline.  An ordinary function, or a nested one that needs no chain, has 0.
 * Calls with a pointer value stay as they are: the runtime finds the pointer in its stub pool or tables.
 * Dump: -fdump-tree-original shows the source, -fdump-tree-nested the redirected call.
 */
#include "plugin.h"

/* The ADDR_EXPR of the function that CALL names as the new thread's, or null. */
tree spawned_function_address(tree call)
{
	tree callee = CALL_EXPR_FN(call) ? get_callee_fndecl(call) : NULL_TREE;
	if (!callee || !DECL_NAME(callee) || strcmp(name_of(callee), "umbel_thr_create")
	    || !TREE_PUBLIC(callee) || call_expr_nargs(call) != 3)
		return NULL_TREE;
	tree address = CALL_EXPR_ARG(call, 1);
	STRIP_NOPS(address);
	if (TREE_CODE(address) != ADDR_EXPR || TREE_CODE(TREE_OPERAND(address, 0)) != FUNCTION_DECL)
		return NULL_TREE;
	return address;
}

void redirect_spawn(tree *call, tree address, nest_function *nested)
{
	tree function = TREE_OPERAND(address, 0);
	if (!abi_function("__umbel_thr_create"))
		return;
	tree descriptor = null_pointer_node;
	if (nested) {
		descriptor = build1(ADDR_EXPR, TREE_TYPE(address), function);
		FUNC_ADDR_BY_DESCRIPTOR(descriptor) = 1;
	}
	tree record = nested ? function_record_of(nested) : plain_function_record(function);
	tree redirected = call_abi("__umbel_thr_create", { address_of(record), descriptor,
							   CALL_EXPR_ARG(*call, 0), CALL_EXPR_ARG(*call, 2) });
	SET_EXPR_LOCATION(redirected, EXPR_LOCATION(*call));
	*call = fold_convert(TREE_TYPE(*call), redirected);
}

static tree clear_descriptor(gimple_stmt_iterator *gsi, bool *, walk_stmt_info *)
{
	gcall *call = dyn_cast<gcall *>(gsi_stmt(*gsi));
	tree callee = call ? gimple_call_fndecl(call) : NULL_TREE;
	if (!callee || !DECL_NAME(callee) || strcmp(name_of(callee), "__umbel_thr_create")
	    || gimple_call_num_args(call) != 4)
		return NULL_TREE;
	tree descriptor = gimple_call_arg(call, 1);
	if (TREE_CODE(descriptor) == ADDR_EXPR && TREE_CODE(TREE_OPERAND(descriptor, 0)) == FUNCTION_DECL)
		gimple_call_set_arg(call, 1, null_pointer_node);
	return NULL_TREE;
}

/* After lowering: a nested function without a chain got its code's address instead of a descriptor. */
unsigned clear_useless_descriptors(function *fun)
{
	walk_stmt_info info;
	memset(&info, 0, sizeof info);
	walk_gimple_seq(gimple_body(fun->decl), clear_descriptor, NULL, &info);
	return 0;
}

/* voidmain.cc - void main () ends with status 0.
 *
 * The paper's Figure 1 declares main so.  C leaves the status of such a program open: with plain gcc it is
 * what the last computation left in a register, and `umbel run` would show that as the job's.
 *
 * Inserted: a call of __umbel_main_is_void () before the first statement of main.  Dump: -fdump-tree-original.
 */
#include "plugin.h"

static bool is_void_main(tree decl)
{
	return DECL_NAME(decl) && !strcmp(name_of(decl), "main") && VOID_TYPE_P(TREE_TYPE(TREE_TYPE(decl)));
}

void mark_void_main(tree decl)
{
	if (!is_void_main(decl) || seen_error() || !abi_function("__umbel_main_is_void"))
		return;
	tree saved = DECL_SAVED_TREE(decl);
	tree *body = TREE_CODE(saved) == BIND_EXPR ? &BIND_EXPR_BODY(saved) : &DECL_SAVED_TREE(decl);
	tree statements = NULL_TREE;
	append_to_statement_list_force(call_abi("__umbel_main_is_void", {}), &statements);
	append_to_statement_list_force(*body, &statements);
	*body = statements;
}

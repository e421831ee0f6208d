/* stubs.cc - addresses of nested functions without executable stacks.
 *
 * Inserted: GCC's __builtin_init_trampoline (&FRAME.f, f, &FRAME) becomes
 *     *(void **) &FRAME.f = __umbel_stub_make (f, &FRAME)
 * behind the function's __umbel_stub_mark (), so that the TRY_FINALLY of share.cc gives the stub back; and
 * __builtin_adjust_trampoline (&FRAME.f) becomes a load of that word.  The field keeps its size.
 * Dump: -fdump-tree-all, file *.umbel_stubs; readelf -lW shows GNU_STACK RW.
 */
#include "plugin.h"

static tree stub_word(tree trampoline)
{
	/* Folded: GIMPLE wants MEM_REF (&FRAME, offset), not MEM_REF (&FRAME.f, 0). */
	return fold_build2(MEM_REF, ptr_type_node, trampoline,
			   build_int_cst(build_pointer_type(ptr_type_node), 0));
}

static tree replace_trampoline(gimple_stmt_iterator *gsi, bool *, walk_stmt_info *info)
{
	auto *moved = static_cast<std::vector<gcall *> *>(info->info);
	gcall *call = dyn_cast<gcall *>(gsi_stmt(*gsi));
	if (!call)
		return NULL_TREE;
	if (gimple_call_builtin_p(call, BUILT_IN_INIT_TRAMPOLINE)) {
		moved->push_back(call);
		gsi_remove(gsi, false);
		info->removed_stmt = true;
	} else if (gimple_call_builtin_p(call, BUILT_IN_ADJUST_TRAMPOLINE)) {
		gassign *load = gimple_build_assign(gimple_call_lhs(call), stub_word(gimple_call_arg(call, 0)));
		gimple_set_location(load, gimple_location(call));
		gsi_replace(gsi, load, false);
	} else if (!moved->empty() && gimple_call_fndecl(call) == abi_function("__umbel_stub_mark")) {
		for (gcall *init : *moved) {
			tree stub = create_tmp_var(ptr_type_node, "umbel.stub");
			gcall *make = gimple_build_call(abi_function("__umbel_stub_make"), 2,
							gimple_call_arg(init, 1), gimple_call_arg(init, 2));
			gimple_call_set_lhs(make, stub);
			gimple_set_location(make, gimple_location(init));
			gsi_insert_after(gsi, make, GSI_NEW_STMT);
			gsi_insert_after(gsi, gimple_build_assign(stub_word(gimple_call_arg(init, 0)), stub),
					 GSI_NEW_STMT);
		}
		moved->clear();
	}
	return NULL_TREE;
}

namespace {
const pass_data stubs_data = { GIMPLE_PASS, "umbel_stubs", OPTGROUP_NONE, TV_NONE, PROP_gimple_any, 0, 0, 0, 0 };

struct stubs_pass : gimple_opt_pass {
	explicit stubs_pass(gcc::context *context) : gimple_opt_pass(stubs_data, context) {}
	bool gate(function *fun) override { return find_nest_function(fun->decl) != NULL; }
	unsigned int execute(function *fun) override
	{
		learn_object_fields(find_nest_function(fun->decl)); /* this is the first pass after lowering */
		std::vector<gcall *> moved;
		walk_stmt_info info;
		memset(&info, 0, sizeof info);
		info.info = &moved;
		gimple_seq body = gimple_body(fun->decl);
		walk_gimple_seq_mod(&body, replace_trampoline, NULL, &info);
		gimple_set_body(fun->decl, body);
		gcc_assert(moved.empty()); /* share.cc gave each function that makes stubs a mark */
		return clear_useless_descriptors(fun);
	}
};
}

gimple_opt_pass *make_stubs_pass(gcc::context *context) { return new stubs_pass(context); }

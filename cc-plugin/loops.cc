/* loops.cc - makes the clique of aliases.cc hold from one iteration to the next.
 *
 * Inserted: nothing into the code; loop->owned_clique of every loop of a function whose references are marked.
 * The vectorizer believes a clique across iterations only if it is 1 or the loop's own (dr_may_alias_p),
 * because a clique that came in with an inlined body holds for one iteration.  Ours holds for the whole
 * activation, so each loop may own it; inlining renames it together with the references.  GCC uses the field
 * for loops of inlined bodies only, where it stands for the callee's clique 1: so a nested function with
 * marked references loses what `restrict` says across iterations of loops that are inlined elsewhere.
 * Seen in: -fopt-info-vec.
 */
#include "plugin.h"

namespace {
const pass_data loops_data = { GIMPLE_PASS, "umbel_loops", OPTGROUP_NONE, TV_NONE, PROP_cfg, 0, 0, 0, 0 };

struct loops_pass : gimple_opt_pass {
	explicit loops_pass(gcc::context *context) : gimple_opt_pass(loops_data, context) {}
	bool gate(function *fun) override
	{
		nest_function *f = find_nest_function(fun->decl);
		return f && f->clique && loops_for_fn(fun);
	}
	unsigned int execute(function *fun) override
	{
		unsigned short clique = find_nest_function(fun->decl)->clique;
		for (unsigned i = 0; i < number_of_loops(fun); i++)
			if (class loop *loop = get_loop(fun, i))
				loop->owned_clique = clique;
		return 0;
	}
};
}

gimple_opt_pass *make_loops_pass(gcc::context *context) { return new loops_pass(context); }

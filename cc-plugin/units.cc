/* units.cc - how many outermost elements of an array each thread works on, by judgement.
 *
 * Inserted: nothing; the number goes into the array's record as if the attribute had said unit(N), which overrules
 * it.  Looked at are the indices of the first dimension of captured arrays in thread functions: a[i] and a[i][j]
 * where i is the function's parameter or computed from it with constants (k + 1, k * 8 + j, k * ROWS / THREADS),
 * also through locals, such as the variable of a loop that starts at k * 8.  N is what the index moves by when
 * the parameter moves by one, the least of all such indices, and 1 where that isn't a constant.
 * Shown by -fplugin-arg-NAME-report.
 */
#include "plugin.h"

namespace {

/* How an expression follows the parameter. */
struct derived {
	bool follows;
	HOST_WIDE_INT stride; /* per step of the parameter; 0: not a constant */
};

struct thread_walk {
	nest_function *f;
	tree parameter;
	std::map<tree, std::vector<tree>> sources; /* what is assigned to each local */
	std::vector<std::pair<tree, tree>> indices; /* array and index */
	std::set<tree> visiting;
	hash_set<tree> visited;
};

}

static tree find_decl(tree *node, int *walk_subtrees, void *decl)
{
	if (TYPE_P(*node))
		*walk_subtrees = 0;
	return *node == decl ? *node : NULL_TREE;
}

static void note_source(thread_walk *w, tree target, tree value)
{
	/* i = i + 1 says nothing about where i starts. */
	if (VAR_P(target) && value && !walk_tree_without_duplicates(&value, find_decl, target))
		w->sources[target].push_back(value);
}

static tree collect(tree *node, int *walk_subtrees, void *data)
{
	thread_walk *w = static_cast<thread_walk *>(data);
	switch (TREE_CODE(*node)) {
	case MODIFY_EXPR:
	case INIT_EXPR:
		note_source(w, TREE_OPERAND(*node, 0), TREE_OPERAND(*node, 1));
		break;
	case DECL_EXPR:
		if (VAR_P(DECL_EXPR_DECL(*node)) && is_automatic(DECL_EXPR_DECL(*node))) {
			note_source(w, DECL_EXPR_DECL(*node), DECL_INITIAL(DECL_EXPR_DECL(*node)));
			walk_tree(&DECL_INITIAL(DECL_EXPR_DECL(*node)), collect, w, &w->visited);
		}
		*walk_subtrees = 0;
		break;
	case ARRAY_REF: {
		tree array = TREE_OPERAND(*node, 0);
		if (VAR_P(array) && is_automatic(array) && w->f->captured_set.count(array))
			w->indices.push_back({ array, TREE_OPERAND(*node, 1) });
		break;
	}
	default:
		if (TYPE_P(*node))
			*walk_subtrees = 0;
	}
	return NULL_TREE;
}

static derived derive(thread_walk *w, tree e);

static derived derive_local(thread_walk *w, tree local)
{
	derived all = { false, 0 };
	if (!w->visiting.insert(local).second)
		return all;
	bool first = true;
	for (tree source : w->sources[local]) {
		derived one = derive(w, source);
		if (!one.follows)
			continue;
		all = { true, first || all.stride == one.stride ? one.stride : 0 };
		first = false;
	}
	w->visiting.erase(local);
	return all;
}

static derived derive_sum(const derived &a, const derived &b, HOST_WIDE_INT sign)
{
	if (!a.follows || !b.follows)
		return a.follows ? a : derived { b.follows, sign * b.stride };
	if (!a.stride || !b.stride)
		return { true, 0 };
	HOST_WIDE_INT stride = a.stride + sign * b.stride;
	return { stride != 0, stride };
}

static derived derive_scaled(tree_code code, const derived &a, tree by)
{
	STRIP_NOPS(by);
	if (!a.follows || !tree_fits_shwi_p(by) || !a.stride)
		return { a.follows, 0 };
	HOST_WIDE_INT n = tree_to_shwi(by);
	if (n <= 0 || n > 1 << 30 || a.stride > HOST_WIDE_INT(1) << 30)
		return { true, 0 };
	if (code == MULT_EXPR)
		return { true, a.stride * n };
	if (code == LSHIFT_EXPR)
		return { true, n < 30 ? a.stride << n : 0 };
	return { true, a.stride % n ? 0 : a.stride / n };
}

static derived derive(thread_walk *w, tree e)
{
	STRIP_NOPS(e);
	switch (TREE_CODE(e)) {
	case PARM_DECL:
		return { e == w->parameter, 1 };
	case VAR_DECL:
		return derive_local(w, e);
	case SAVE_EXPR:
	case NON_LVALUE_EXPR:
	CASE_CONVERT:
	case TRUNC_MOD_EXPR: /* k % n: another row for each k */
		return derive(w, TREE_OPERAND(e, 0));
	case PLUS_EXPR:
	case MINUS_EXPR:
		return derive_sum(derive(w, TREE_OPERAND(e, 0)), derive(w, TREE_OPERAND(e, 1)),
				  TREE_CODE(e) == PLUS_EXPR ? 1 : -1);
	case MULT_EXPR: {
		derived left = derive(w, TREE_OPERAND(e, 0));
		if (left.follows)
			return derive_scaled(MULT_EXPR, left, TREE_OPERAND(e, 1));
		return derive_scaled(MULT_EXPR, derive(w, TREE_OPERAND(e, 1)), TREE_OPERAND(e, 0));
	}
	case LSHIFT_EXPR:
	case TRUNC_DIV_EXPR:
	case EXACT_DIV_EXPR:
		return derive_scaled(TREE_CODE(e), derive(w, TREE_OPERAND(e, 0)), TREE_OPERAND(e, 1));
	default:
		return { false, 0 };
	}
}

static void judge_thread(captures &nest, nest_function *f)
{
	thread_walk w;
	w.f = f;
	w.parameter = DECL_ARGUMENTS(f->decl);
	if (!w.parameter)
		return;
	walk_tree(&DECL_SAVED_TREE(f->decl), collect, &w, &w.visited);
	for (auto &reference : w.indices) {
		derived index = derive(&w, reference.second);
		if (!index.follows)
			continue;
		unsigned long rows = index.stride ? std::abs(index.stride) : 1;
		unsigned long &unit = nest.units[reference.first];
		unit = unit ? std::min(unit, rows) : rows;
	}
}

void judge_units(captures &nest)
{
	for (nest_function *f : nest.order)
		if (f->spawned)
			judge_thread(nest, f);
	if (opt.report)
		for (auto &unit : nest.units)
			inform(DECL_SOURCE_LOCATION(unit.first), "umbel: %qD is subdivided: units of %lu outermost"
			       " elements, as its threads use it", unit.first, unit.second);
}

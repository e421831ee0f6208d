/* capture.cc - which nested functions run as threads, and which locals they share.
 *
 * Inserted: nothing but the redirected calls of spawn.cc, met on the way.
 * Roots are the functions named in umbel_thr_create and, since a function pointer may be spawned anywhere,
 * every nested function whose address is taken otherwise.  A variable v of function O is sharable iff a
 * function in the closure of some root r (calls and address uses among nested functions) uses v, and O
 * properly encloses r: then O's frame belongs to another thread.  Shown by -fplugin-arg-NAME-report.
 */
#include "plugin.h"

bool nest_function::is_within(const nest_function *ancestor) const
{
	for (const nest_function *f = this; f; f = f->outer)
		if (f == ancestor)
			return true;
	return false;
}

bool is_automatic(tree decl)
{
	if (TREE_CODE(decl) == PARM_DECL)
		return true;
	return VAR_P(decl) && !TREE_STATIC(decl) && !DECL_EXTERNAL(decl) && !DECL_HARD_REGISTER(decl);
}

bool is_vla(tree decl)
{
	return !DECL_SIZE_UNIT(decl) || TREE_CODE(DECL_SIZE_UNIT(decl)) != INTEGER_CST;
}

/* setjmp and its kin, but not GCC's own __builtin_setjmp. */
bool is_setjmp(tree call)
{
	tree callee = CALL_EXPR_FN(call) ? get_callee_fndecl(call) : NULL_TREE;
	return callee && !fndecl_built_in_p(callee) && (flags_from_decl_or_type(callee) & ECF_RETURNS_TWICE)
		&& INTEGRAL_TYPE_P(TREE_TYPE(call));
}

struct scan {
	captures *nest;
	nest_function *function;
};

static tree scan_tree(tree *node, int *walk_subtrees, void *data);

static void note_variable(const scan *s, tree variable)
{
	tree owner = decl_function_context(variable);
	if (owner && owner != s->function->decl && is_automatic(variable)
	    && s->function->captured_set.insert(variable).second)
		s->function->captured.push_back(variable);
}

/* &x in an atomic builtin, or in *(volatile int *) &x. */
static void note_atomic_operand(const scan *s, tree address)
{
	tree variable = variable_at(address);
	if (variable && is_automatic(variable))
		s->nest->atomic_operands.insert(variable);
}

static void note_call(scan *s, tree *node, int *walk_subtrees)
{
	s->function->calls_setjmp |= is_setjmp(*node);
	if (tree address = atomic_address(*node))
		note_atomic_operand(s, address);
	if (tree address = spawned_function_address(*node)) {
		nest_function *nested = find_nest_function(TREE_OPERAND(address, 0));
		if (nested && !nested->outer)
			nested = NULL;
		redirect_spawn(node, address, nested);
		if (nested) {
			nested->spawned = true;
			s->function->uses.insert(nested);
		}
		return;
	}
	tree callee = CALL_EXPR_FN(*node) ? get_callee_fndecl(*node) : NULL_TREE;
	nest_function *nested = callee ? find_nest_function(callee) : NULL;
	if (!nested || !nested->outer)
		return;
	/* A direct call: the address operand is no address use. */
	s->function->uses.insert(nested);
	*walk_subtrees = 0;
	for (int i = 0; i < call_expr_nargs(*node); i++)
		walk_tree_without_duplicates(&CALL_EXPR_ARG(*node, i), scan_tree, s);
}

static void note_address(scan *s, tree node, int *walk_subtrees)
{
	tree base = TREE_OPERAND(node, 0);
	if (TREE_CODE(base) == FUNCTION_DECL && (TREE_NO_TRAMPOLINE(node) || FUNC_ADDR_BY_DESCRIPTOR(node))) {
		if (nest_function *nested = find_nest_function(base))
			s->function->uses.insert(nested);
		*walk_subtrees = 0;
		return;
	}
	while (handled_component_p(base))
		base = TREE_OPERAND(base, 0);
	if (DECL_P(base) && is_automatic(base))
		s->nest->address_taken.insert(base);
}

static void note_clause(const scan *s, tree clause)
{
	switch (OMP_CLAUSE_CODE(clause)) {
	case OMP_CLAUSE_PRIVATE:
	case OMP_CLAUSE_FIRSTPRIVATE:
	case OMP_CLAUSE_LASTPRIVATE:
	case OMP_CLAUSE_REDUCTION:
	case OMP_CLAUSE_IN_REDUCTION:
	case OMP_CLAUSE_TASK_REDUCTION:
	case OMP_CLAUSE_LINEAR:
	case OMP_CLAUSE_MAP:
		break;
	default:
		return;
	}
	/* Array sections are lists or references: their base is what is privatised. */
	tree decl = OMP_CLAUSE_DECL(clause);
	while (decl && (TREE_CODE(decl) == TREE_LIST || EXPR_P(decl)))
		decl = TREE_CODE(decl) != TREE_LIST ? TREE_OPERAND(decl, 0)
			: TREE_CHAIN(decl) ? TREE_CHAIN(decl) : TREE_VALUE(decl);
	if (decl && DECL_P(decl) && is_automatic(decl))
		s->nest->omp_private.insert(decl);
}

static void note_goto(const scan *s, tree label)
{
	if (TREE_CODE(label) != LABEL_DECL)
		return;
	nest_function *owner = find_nest_function(decl_function_context(label));
	if (!owner || owner == s->function)
		return;
	s->function->goto_owners.insert(owner);
	owner->nonlocal_labels.insert(label);
}

static tree scan_tree(tree *node, int *walk_subtrees, void *data)
{
	scan *s = static_cast<scan *>(data);
	switch (TREE_CODE(*node)) {
	case VAR_DECL:
	case PARM_DECL:
		*walk_subtrees = 0;
		note_variable(s, *node);
		break;
	case FUNCTION_DECL: {
		*walk_subtrees = 0;
		nest_function *nested = find_nest_function(*node);
		if (nested && nested->outer) {
			s->function->uses.insert(nested);
			nested->escapes = true;
		}
		break;
	}
	case ADDR_EXPR:
		note_address(s, *node, walk_subtrees);
		break;
	case CALL_EXPR:
		note_call(s, node, walk_subtrees);
		break;
	case INDIRECT_REF:
		if (TREE_THIS_VOLATILE(*node))
			note_atomic_operand(s, TREE_OPERAND(*node, 0));
		break;
	case OMP_CLAUSE:
		note_clause(s, *node);
		break;
	case DECL_EXPR: /* of a nested function: its definition, not a use */
		if (TREE_CODE(DECL_EXPR_DECL(*node)) == FUNCTION_DECL)
			*walk_subtrees = 0;
		break;
	case GOTO_EXPR:
		note_goto(s, GOTO_DESTINATION(*node));
		break;
	default:
		if (TYPE_P(*node))
			*walk_subtrees = 0;
	}
	return NULL_TREE;
}

void scan_captures(captures &nest)
{
	for (nest_function *f : nest.order) {
		scan s = { &nest, f };
		hash_set<tree> seen;
		walk_tree(&DECL_SAVED_TREE(f->decl), scan_tree, &s, &seen);
	}
}

void share(captures &nest, tree variable, const char *why)
{
	nest_function *owner = find_nest_function(decl_function_context(variable));
	if (!owner || DECL_HAS_VALUE_EXPR_P(variable) || DECL_ARTIFICIAL(variable)
	    || std::find(owner->shared.begin(), owner->shared.end(), variable) != owner->shared.end())
		return;
	if (nest.omp_private.count(variable)) {
		warning_at(DECL_SOURCE_LOCATION(variable), 0, "umbel: %qD stays private to its thread: a"
			   " privatising OpenMP clause names it", variable);
		return;
	}
	owner->shared.push_back(variable);
	if (opt.report)
		inform(DECL_SOURCE_LOCATION(variable), "umbel: %qD of %qD is a sharable object: %s", variable,
		       owner->decl, why);
}

static void add_closure(nest_function *f, std::set<nest_function *> &reached)
{
	if (reached.insert(f).second)
		for (nest_function *used : f->uses)
			add_closure(used, reached);
}

static tree find_marked(tree *node, int *walk_subtrees, void *data)
{
	if (TYPE_P(*node))
		*walk_subtrees = 0;
	else if (TREE_CODE(*node) == BIND_EXPR)
		for (tree v = BIND_EXPR_VARS(*node); v; v = DECL_CHAIN(v))
			if (VAR_P(v) && is_automatic(v) && has_shadow(v))
				share(*static_cast<captures *>(data), v, "it has the attribute shadow");
	return NULL_TREE;
}

void choose_shared(captures &nest)
{
	for (nest_function *root : nest.order) {
		if (!root->thread_root())
			continue;
		std::set<nest_function *> reached;
		add_closure(root, reached);
		for (nest_function *f : nest.order) {
			if (!reached.count(f))
				continue;
			for (tree v : f->captured) {
				nest_function *owner = find_nest_function(decl_function_context(v));
				if (owner && owner != root && root->is_within(owner))
					share(nest, v, root->spawned ? "a thread function uses it"
					      : "a function whose address is taken uses it");
			}
			for (nest_function *target : f->goto_owners)
				if (root->spawned && target != root && root->is_within(target))
					warning_at(DECL_SOURCE_LOCATION(root->decl), 0, "umbel: a non-local"
						   " goto leaves the thread function %qD for %qD: a thread"
						   " cannot end that way", root->decl, target->decl);
		}
	}
	for (nest_function *f : nest.order) {
		if (opt.all)
			for (tree v : f->captured)
				share(nest, v, "option all");
		walk_tree_without_duplicates(&DECL_SAVED_TREE(f->decl), find_marked, &nest);
		for (tree p = DECL_ARGUMENTS(f->decl); p; p = DECL_CHAIN(p))
			if (has_shadow(p))
				share(nest, p, "it has the attribute shadow");
	}
}

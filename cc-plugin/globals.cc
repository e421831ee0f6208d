/* globals.cc - which globals and static locals become shared, and warnings about the others.
 *
 * Inserted: nothing; redirect.cc changes the unit.  Runs once, when the unit has been parsed and nothing of it
 * gimplified.
 * A variable is a candidate if it is static or global, not const, not thread-local, has no register, section or
 * alias, holds no addresses of labels, is not named in an OpenMP clause or in a system header, and has not the attribute node_local.
 * Shared are the candidates with the attribute shadow, and with the option share-globals also
 *   - every one with external linkage: other units decide the same, without asking;
 *   - of the rest those whose address is taken, and those that a function which may run on another node uses:
 *     one with external linkage (but main), one whose address is taken, a thread function, and whatever these
 *     call or mention, also through initial values.
 * Without that option a thread function that writes a candidate, itself or in functions of the unit that it
 * calls, is warned of, once per variable; not with the option no-warn-globals.
 * Shown by -fplugin-arg-NAME-report.
 */
#include "plugin.h"

namespace {

struct variable_write {
	tree variable;
	location_t place;
};

/* What a function, or the initial value of a variable, mentions. */
struct mentions {
	std::set<tree> variables, functions;
	std::vector<variable_write> writes;
};

struct unit_scan {
	std::map<tree, mentions> of; /* functions and variables */
	std::vector<tree> functions, variables;
	std::set<tree> known_variables;
	std::map<tree, tree> by_name; /* of those with external linkage: the definition, or a declaration */
	std::set<tree> address_taken; /* functions */
	std::set<tree> atomic_operands, omp_named;
	std::set<tree> alias_targets; /* identifiers */
};

struct body_walk {
	unit_scan *unit;
	mentions *found;
	hash_set<tree> visited;
};

}

/* ---- candidates ------------------------------------------------------------------------------ */

static bool has_static_storage(tree decl) { return VAR_P(decl) && (TREE_STATIC(decl) || DECL_EXTERNAL(decl)); }

/* One node for all declarations of a variable in the unit. */
static tree the_variable(unit_scan *unit, tree decl)
{
	if (!TREE_PUBLIC(decl) || !DECL_NAME(decl))
		return decl;
	tree &known = unit->by_name[DECL_ASSEMBLER_NAME(decl)];
	if (!known || (DECL_EXTERNAL(known) && !DECL_EXTERNAL(decl)))
		known = decl;
	return known;
}

static tree find_label(tree *node, int *walk_subtrees, void *)
{
	if (TYPE_P(*node))
		*walk_subtrees = 0;
	return TREE_CODE(*node) == LABEL_DECL ? *node : NULL_TREE;
}

/* static void *table[] = { &&label }: GCC copies it with its function. */
static bool holds_labels(tree v)
{
	return DECL_INITIAL(v) && walk_tree_without_duplicates(&DECL_INITIAL(v), find_label, NULL);
}

/* Null, or why the variable cannot be shared. */
static const char *obstacle(const unit_scan &unit, tree v)
{
	if (DECL_THREAD_LOCAL_P(v))
		return "it is thread-local";
	if (TREE_READONLY(v) || TYPE_READONLY(strip_array_types(TREE_TYPE(v))))
		return "it is const";
	if (DECL_HARD_REGISTER(v) || DECL_REGISTER(v))
		return "it is a register";
	if (DECL_ASSEMBLER_NAME_SET_P(v) && *IDENTIFIER_POINTER(DECL_ASSEMBLER_NAME(v)) == '*')
		return "it has an assembler name";
	if (lookup_attribute("section", DECL_ATTRIBUTES(v)))
		return "it has a section";
	if (lookup_attribute("alias", DECL_ATTRIBUTES(v)) || lookup_attribute("weakref", DECL_ATTRIBUTES(v))
	    || (DECL_ASSEMBLER_NAME_SET_P(v) && unit.alias_targets.count(DECL_ASSEMBLER_NAME(v))))
		return "it has an alias";
	if (holds_labels(v))
		return "it holds addresses of labels";
	if (unit.omp_named.count(v))
		return "an OpenMP clause names it";
	if (!DECL_EXTERNAL(v) && (!DECL_SIZE_UNIT(v) || TREE_CODE(DECL_SIZE_UNIT(v)) != INTEGER_CST
				  || integer_zerop(DECL_SIZE_UNIT(v))))
		return "it has no size";
	return NULL;
}

static bool is_ours(tree v)
{
	return has_static_storage(v) && DECL_NAME(v) && !in_system_header_at(DECL_SOURCE_LOCATION(v))
		&& strncmp(name_of(v), "umbel", 5) && strncmp(name_of(v), "__", 2)
		&& !lookup_attribute("node_local", DECL_ATTRIBUTES(v));
}

/* Compound literals have a name that starts with underscores, and belong to the program too. */
static bool is_candidate(const unit_scan &unit, tree v)
{
	bool literal = DECL_NAME(v) && !strncmp(name_of(v), "__compound_literal", 18) && has_static_storage(v);
	return (literal || (is_ours(v) && !DECL_ARTIFICIAL(v))) && !obstacle(unit, v);
}

/* ---- what is mentioned where ----------------------------------------------------------------- */

static void note_variable(unit_scan *unit, tree decl)
{
	if (unit->known_variables.insert(decl).second)
		unit->variables.push_back(decl);
}

static void note_write(body_walk *w, tree target, location_t place)
{
	while (handled_component_p(target))
		target = TREE_OPERAND(target, 0);
	if (TREE_CODE(target) == INDIRECT_REF || TREE_CODE(target) == MEM_REF)
		target = variable_at(TREE_OPERAND(target, 0));
	if (target && has_static_storage(target))
		w->found->writes.push_back({ the_variable(w->unit, target), place });
}

static void note_operand(body_walk *w, tree address)
{
	tree variable = variable_at(address);
	if (variable && has_static_storage(variable))
		w->unit->atomic_operands.insert(the_variable(w->unit, variable));
}

static tree scan_body(tree *node, int *walk_subtrees, void *data);

static void scan_call(body_walk *w, tree call, int *walk_subtrees)
{
	if (CALL_EXPR_FN(call) == NULL_TREE)
		return;
	if (tree address = atomic_address(call)) {
		note_operand(w, address);
		tree variable = variable_at(address);
		if (variable && atomic_writes(call))
			note_write(w, variable, EXPR_LOCATION(call));
	}
	tree callee = get_callee_fndecl(call);
	if (!callee)
		return;
	w->found->functions.insert(callee);
	*walk_subtrees = 0;
	for (int i = 0; i < call_expr_nargs(call); i++)
		walk_tree(&CALL_EXPR_ARG(call, i), scan_body, w, &w->visited);
}

static void scan_binding(body_walk *w, tree bind)
{
	for (tree v = BIND_EXPR_VARS(bind); v; v = DECL_CHAIN(v)) {
		if (!VAR_P(v))
			continue;
		if (TREE_STATIC(v) && !DECL_EXTERNAL(v))
			note_variable(w->unit, v);
		else if (!DECL_EXTERNAL(v))
			walk_tree(&DECL_INITIAL(v), scan_body, w, &w->visited);
	}
	walk_tree(&BIND_EXPR_BODY(bind), scan_body, w, &w->visited);
}

static tree scan_body(tree *node, int *walk_subtrees, void *data)
{
	body_walk *w = static_cast<body_walk *>(data);
	switch (TREE_CODE(*node)) {
	case VAR_DECL:
		*walk_subtrees = 0;
		if (has_static_storage(*node)) {
			note_variable(w->unit, *node);
			w->found->variables.insert(the_variable(w->unit, *node));
		}
		break;
	case FUNCTION_DECL:
		*walk_subtrees = 0;
		w->found->functions.insert(*node);
		w->unit->address_taken.insert(*node);
		break;
	case MODIFY_EXPR:
	case INIT_EXPR:
	case PREINCREMENT_EXPR:
	case PREDECREMENT_EXPR:
	case POSTINCREMENT_EXPR:
	case POSTDECREMENT_EXPR:
		note_write(w, TREE_OPERAND(*node, 0), EXPR_LOCATION(*node));
		break;
	case INDIRECT_REF:
		if (TREE_THIS_VOLATILE(*node))
			note_operand(w, TREE_OPERAND(*node, 0));
		break;
	case CALL_EXPR:
		scan_call(w, *node, walk_subtrees);
		break;
	case BIND_EXPR:
		*walk_subtrees = 0;
		scan_binding(w, *node);
		break;
	case DECL_EXPR:
		*walk_subtrees = 0;
		if (VAR_P(DECL_EXPR_DECL(*node)) && !has_static_storage(DECL_EXPR_DECL(*node)))
			walk_tree(&DECL_INITIAL(DECL_EXPR_DECL(*node)), scan_body, w, &w->visited);
		break;
	case OMP_CLAUSE:
		if (omp_clause_num_ops[OMP_CLAUSE_CODE(*node)] && OMP_CLAUSE_OPERAND(*node, 0)
		    && VAR_P(OMP_CLAUSE_OPERAND(*node, 0)))
			w->unit->omp_named.insert(the_variable(w->unit, OMP_CLAUSE_OPERAND(*node, 0)));
		break;
	default:
		if (TYPE_P(*node))
			*walk_subtrees = 0;
	}
	return NULL_TREE;
}

static void scan(unit_scan *unit, tree owner, tree *what)
{
	body_walk w;
	w.unit = unit;
	w.found = &unit->of[owner];
	walk_tree(what, scan_body, &w, &w.visited);
}

static void scan_unit(unit_scan *unit)
{
	cgraph_node *function;
	FOR_EACH_FUNCTION(function)
		if (DECL_SAVED_TREE(function->decl) && !names_umbel(function->decl))
			unit->functions.push_back(function->decl);
	varpool_node *variable;
	FOR_EACH_VARIABLE(variable) {
		note_variable(unit, variable->decl);
		the_variable(unit, variable->decl);
		if (tree alias = lookup_attribute("alias", DECL_ATTRIBUTES(variable->decl)))
			unit->alias_targets.insert(get_identifier(TREE_STRING_POINTER(TREE_VALUE(TREE_VALUE(alias)))));
	}
	for (tree f : unit->functions)
		scan(unit, f, &DECL_SAVED_TREE(f));
	for (size_t i = 0; i < unit->variables.size(); i++) { /* grows */
		tree v = unit->variables[i];
		if (TREE_STATIC(v) && DECL_INITIAL(v) && DECL_INITIAL(v) != error_mark_node)
			scan(unit, the_variable(unit, v), &DECL_INITIAL(v));
	}
}

/* ---- decisions ------------------------------------------------------------------------------- */

static void reach(const unit_scan &unit, tree from, std::set<tree> &reached)
{
	if (!reached.insert(from).second)
		return;
	auto found = unit.of.find(from);
	if (found == unit.of.end())
		return;
	for (tree f : found->second.functions)
		reach(unit, f, reached);
	for (tree v : found->second.variables)
		reach(unit, v, reached);
}

static bool is_main(tree function) { return DECL_FILE_SCOPE_P(function) && !strcmp(name_of(function), "main"); }

/* Everything that code running on another node than main's may use. */
static std::set<tree> used_anywhere(const unit_scan &unit)
{
	std::set<tree> reached;
	for (tree f : unit.functions)
		if ((TREE_PUBLIC(f) && !is_main(f)) || unit.address_taken.count(f) || is_thread_function(f))
			reach(unit, f, reached);
	return reached;
}

static const char *why_shared(const unit_scan &unit, tree v, const std::set<tree> &used)
{
	if (has_shadow(v))
		return "it has the attribute shadow";
	if (!opt.share_globals)
		return NULL;
	if (TREE_PUBLIC(v))
		return "option share-globals";
	if (TREE_ADDRESSABLE(v))
		return "option share-globals, and its address is taken";
	return used.count(v) ? "option share-globals, and a function that may run anywhere uses it" : NULL;
}

static void decide(unit_scan &unit, std::vector<shared_global> &shared)
{
	std::set<tree> used = used_anywhere(unit), seen;
	for (tree declaration : unit.variables) {
		tree v = the_variable(&unit, declaration);
		if (!seen.insert(v).second || !(is_ours(v) || is_candidate(unit, v)))
			continue;
		const char *why = why_shared(unit, v, used);
		if (!why)
			continue;
		const char *not_so = obstacle(unit, v);
		bool harmless = not_so && (!strncmp(not_so, "it is const", 11) || DECL_THREAD_LOCAL_P(v)
					   || holds_labels(v));
		if (not_so && has_shadow(v)) {
			error_at(DECL_SOURCE_LOCATION(v), "umbel: %qD cannot be shared: %s", v, not_so);
		} else if (not_so && !harmless) {
			warning_at(DECL_SOURCE_LOCATION(v), 0, "umbel: %qD is not shared, each node has its own: %s;"
				   " the attribute %<node_local%> says that this is right", v, not_so);
		} else if (!not_so && is_candidate(unit, v)) {
			shared.push_back({ v, unit.atomic_operands.count(v) != 0 });
			if (opt.report)
				inform(DECL_SOURCE_LOCATION(v), "umbel: %qD is a shared global: %s", v, why);
		}
	}
}

/* ---- warnings -------------------------------------------------------------------------------- */

static void warn_of_write(tree thread, tree f, const variable_write &w)
{
	bool said = f == thread
		? warning_at(w.place, 0, "umbel: the thread function %qD writes %qD, of which each node has its own",
			     thread, w.variable)
		: warning_at(w.place, 0, "umbel: the thread function %qD leads to %qD, which writes %qD, of which each"
			     " node has its own", thread, f, w.variable);
	if (said)
		inform(DECL_SOURCE_LOCATION(w.variable), "compile with %<--share-globals%>, or give %qD the attribute"
		       " %<shadow%> (one for all nodes) or %<node_local%> (meant so)", w.variable);
}

static void warn_of_writes(unit_scan &unit, const std::set<tree> &shared)
{
	std::set<tree> warned;
	for (bool direct : { true, false }) /* the thread's own writes say more */
		for (tree thread : unit.functions) {
			std::set<tree> reached;
			if (is_spawned(thread))
				reach(unit, thread, reached);
			for (tree f : unit.functions)
				if (reached.count(f) && (f == thread || !direct))
					for (const variable_write &w : unit.of[f].writes)
						if (!shared.count(w.variable) && is_candidate(unit, w.variable)
						    && warned.insert(w.variable).second)
							warn_of_write(thread, f, w);
		}
}

/* ---- the unit -------------------------------------------------------------------------------- */

/* When everything has been parsed. */
void share_globals()
{
	if (seen_error() || flag_syntax_only || !lang_GNU_C())
		return;
	unit_scan unit;
	scan_unit(&unit);
	std::vector<shared_global> shared;
	decide(unit, shared);
	if (seen_error())
		return;
	std::set<tree> chosen;
	std::map<tree, tree> all_declarations;
	for (const shared_global &g : shared)
		chosen.insert(g.variable);
	for (tree v : unit.variables)
		if (chosen.count(the_variable(&unit, v)))
			all_declarations[v] = the_variable(&unit, v);
	if (!opt.share_globals && !opt.no_warn_globals)
		warn_of_writes(unit, chosen);
	if (!shared.empty())
		redirect_globals(shared, all_declarations, unit.functions, unit.variables);
}

/* escape.cc - locals that are not captured, but whose address another thread can read.
 *
 * Inserted: nothing.  `int x, *p = &x;` with p sharable makes x sharable too, and so does
 * `dist_thr_create (f, &x)`.  Flow-insensitive, over the whole nest: an assignment or initialization puts the addresses and the pointers that its right side
 * mentions into its left side; what reaches a sharable variable, or a store through a pointer whose value
 * comes from one, becomes sharable, until nothing changes.
 * Not followed: addresses handed to or returned by another function, through globals, static locals or the heap.
 */
#include "plugin.h"

/* What an assignment's right side may hand over. */
struct flow {
	std::set<tree> addresses; /* x of &x, or of an array's decay */
	std::set<tree> copies;    /* y, read as a value */
};

struct flow_graph {
	captures *nest;
	std::map<tree, flow> into;   /* by the variable written */
	std::map<tree, flow> through; /* by the pointer written through */
	std::vector<flow> arguments;  /* of thread functions */
};

static bool is_candidate(tree decl)
{
	return DECL_P(decl) && (VAR_P(decl) || TREE_CODE(decl) == PARM_DECL) && is_automatic(decl)
		&& find_nest_function(decl_function_context(decl));
}

/* Only a pointer, or something that contains one, can carry an address. */
static bool may_hold_pointer(tree type)
{
	type = strip_array_types(type);
	switch (TREE_CODE(type)) {
	case RECORD_TYPE:
	case UNION_TYPE:
		for (tree field = TYPE_FIELDS(type); field; field = DECL_CHAIN(field))
			if (TREE_CODE(field) == FIELD_DECL && may_hold_pointer(TREE_TYPE(field)))
				return true;
		return false;
	case POINTER_TYPE:
		return true;
	case INTEGER_TYPE: /* intptr_t */
		return TYPE_PRECISION(type) == POINTER_SIZE;
	default:
		return false;
	}
}

static tree collect_flow(tree *node, int *walk_subtrees, void *data)
{
	flow *f = static_cast<flow *>(data);
	if (TYPE_P(*node) || TREE_CODE(*node) == CALL_EXPR) {
		*walk_subtrees = 0;
	} else if (TREE_CODE(*node) == ADDR_EXPR) {
		tree base = get_base_address(TREE_OPERAND(*node, 0));
		if (base && is_candidate(base)) {
			f->addresses.insert(base);
			*walk_subtrees = 0;
		}
	} else if (DECL_P(*node)) {
		*walk_subtrees = 0;
		if (is_candidate(*node) && may_hold_pointer(TREE_TYPE(*node)))
			f->copies.insert(*node);
	}
	return NULL_TREE;
}

static void merge(flow &target, const flow &source)
{
	target.addresses.insert(source.addresses.begin(), source.addresses.end());
	target.copies.insert(source.copies.begin(), source.copies.end());
}

/* A store through *p, p->next->f or a[i]: all the variables that make up the address. */
static void note_store(flow_graph *graph, tree target, const flow &value)
{
	while (handled_component_p(target))
		target = TREE_OPERAND(target, 0);
	if (DECL_P(target)) {
		if (is_candidate(target))
			merge(graph->into[target], value);
		return;
	}
	flow address;
	walk_tree_without_duplicates(&target, collect_flow, &address);
	for (tree pointer : address.copies)
		merge(graph->through[pointer], value);
	for (tree pointee : address.addresses)
		merge(graph->into[pointee], value);
}

/* umbel_thr_create (node, f, argument), or what spawn.cc made of it: the last argument is the thread's. */
static bool creates_thread(tree call)
{
	tree function = get_callee_fndecl(call);
	if (!function || call_expr_nargs(call) == 0)
		return false;
	return !strcmp(name_of(function), "umbel_thr_create") || !strcmp(name_of(function), "__umbel_thr_create");
}

static tree collect_stores(tree *node, int *walk_subtrees, void *data)
{
	flow_graph *graph = static_cast<flow_graph *>(data);
	flow value;
	switch (TREE_CODE(*node)) {
	case MODIFY_EXPR:
	case INIT_EXPR:
		walk_tree_without_duplicates(&TREE_OPERAND(*node, 1), collect_flow, &value);
		note_store(graph, TREE_OPERAND(*node, 0), value);
		break;
	case DECL_EXPR: {
		tree decl = DECL_EXPR_DECL(*node);
		if (VAR_P(decl) && DECL_INITIAL(decl) && is_automatic(decl)) {
			walk_tree_without_duplicates(&DECL_INITIAL(decl), collect_flow, &value);
			note_store(graph, decl, value);
		}
		break;
	}
	case CALL_EXPR:
		if (creates_thread(*node)) {
			tree argument = CALL_EXPR_ARG(*node, call_expr_nargs(*node) - 1);
			walk_tree_without_duplicates(&argument, collect_flow, &value);
			graph->arguments.push_back(value);
		}
		break;
	default:
		if (TYPE_P(*node))
			*walk_subtrees = 0;
	}
	return NULL_TREE;
}

/* Variables whose addresses VALUE may hold, followed through copies. */
static void reach(const flow_graph &graph, const flow &value, std::set<tree> &seen, std::set<tree> &reached)
{
	reached.insert(value.addresses.begin(), value.addresses.end());
	for (tree variable : value.copies) {
		if (!seen.insert(variable).second)
			continue;
		auto source = graph.into.find(variable);
		if (source != graph.into.end())
			reach(graph, source->second, seen, reached);
	}
}

static bool is_shared(tree variable)
{
	nest_function *owner = find_nest_function(decl_function_context(variable));
	return owner && std::find(owner->shared.begin(), owner->shared.end(), variable) != owner->shared.end();
}

static bool share_reached(flow_graph &graph, const flow &value, const char *why)
{
	std::set<tree> seen, reached;
	reach(graph, value, seen, reached);
	bool changed = false;
	for (tree variable : reached) {
		if (is_shared(variable))
			continue;
		share(*graph.nest, variable, why);
		changed |= is_shared(variable);
	}
	return changed;
}

/* A pointer leads into shared memory if it is an object, or may hold an object's address or a copy of one. */
static bool points_to_shared(const flow_graph &graph, tree pointer, std::set<tree> &seen)
{
	if (is_shared(pointer))
		return true;
	auto source = graph.into.find(pointer);
	if (source == graph.into.end() || !seen.insert(pointer).second)
		return false;
	for (tree variable : source->second.addresses)
		if (is_shared(variable))
			return true;
	for (tree variable : source->second.copies)
		if (points_to_shared(graph, variable, seen))
			return true;
	return false;
}

void share_escaping_addresses(captures &nest)
{
	flow_graph graph;
	graph.nest = &nest;
	for (nest_function *f : nest.order)
		walk_tree_without_duplicates(&DECL_SAVED_TREE(f->decl), collect_stores, &graph);
	const char *stored = "its address is stored in a sharable object";
	bool changed = true;
	while (changed) {
		changed = false;
		for (auto &argument : graph.arguments)
			changed |= share_reached(graph, argument, "its address is a thread's argument");
		for (auto &store : graph.into)
			if (is_shared(store.first))
				changed |= share_reached(graph, store.second, stored);
		for (auto &store : graph.through) {
			std::set<tree> seen;
			if (points_to_shared(graph, store.first, seen))
				changed |= share_reached(graph, store.second, stored);
		}
	}
}

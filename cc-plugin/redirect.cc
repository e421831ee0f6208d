/* redirect.cc - makes the chosen globals and static locals of a unit shared.
 *
 * Inserted, for a variable v that the unit defines:
 *   - umbel.initial.v, static, with v's initial value; v itself is defined no more, so that a unit that was
 *     compiled without knowing that v is shared does not link;
 *   - umbel.global.v, a pointer with v's linkage, which points to the initial value until the runtime is up;
 *   - its records in umbel_objects and umbel_globals.
 * For v of another unit: a reference to umbel.global.v.  Every use of v in the unit's functions becomes
 * *umbel.global.v; DECL_VALUE_EXPR (v) says the same to the gimplifier, for types, and to the debugger.
 * Initial values that hold the address of a shared variable get it from the function umbel.fix, which the runtime
 * calls when addresses are known; a const table that holds one is no longer read-only.
 * Dump: -fdump-tree-gimple (uses), readelf -x umbel_globals FILE.o, nm.
 */
#include "plugin.h"

namespace {

struct shared_variable {
	tree initial; /* null for one of another unit */
	tree pointer;
	tree type;
};

struct unit_rewrite {
	std::map<tree, shared_variable> shared; /* by every declaration */
	hash_set<tree> visited;
	tree fixes = NULL_TREE; /* statements of umbel.fix */
};

}

static std::map<tree, object *> globals_by_pointer;

/* The shared global that POINTER, a variable named umbel.global..., leads to. */
object *find_global_of_pointer(tree pointer)
{
	auto found = globals_by_pointer.find(pointer);
	return found == globals_by_pointer.end() ? NULL : found->second;
}

/* ---- declarations ---------------------------------------------------------------------------- */

static tree initial_image(tree v, const std::string &name)
{
	tree initial = copy_node(v);
	DECL_NAME(initial) = get_identifier(name.c_str());
	DECL_CONTEXT(initial) = DECL_CHAIN(initial) = DECL_ATTRIBUTES(initial) = NULL_TREE;
	TREE_STATIC(initial) = TREE_USED(initial) = DECL_ARTIFICIAL(initial) = DECL_IGNORED_P(initial) = 1;
	TREE_PUBLIC(initial) = DECL_EXTERNAL(initial) = DECL_COMMON(initial) = DECL_WEAK(initial) = 0;
	DECL_VISIBILITY(initial) = VISIBILITY_DEFAULT;
	DECL_VISIBILITY_SPECIFIED(initial) = 0;
	DECL_COMDAT(initial) = DECL_DEFER_OUTPUT(initial) = 0;
	DECL_PRESERVE_P(initial) = TREE_ADDRESSABLE(initial) = 1;
	SET_DECL_RTL(initial, NULL);
	SET_DECL_ASSEMBLER_NAME(initial, DECL_NAME(initial));
	keep_alive(initial);
	return initial;
}

/* What other units call it, or with a number if there are none. */
static std::string pointer_name(tree v, unsigned number)
{
	if (TREE_PUBLIC(v))
		return std::string("umbel.global.") + IDENTIFIER_POINTER(DECL_ASSEMBLER_NAME(v));
	return std::string("umbel.global.") + name_of(v) + "." + std::to_string(number);
}

static tree pointer_variable(tree v, const std::string &name, tree initial)
{
	tree type = build_pointer_type(TREE_TYPE(v));
	tree pointer = build_decl(DECL_SOURCE_LOCATION(v), VAR_DECL, get_identifier(name.c_str()), type);
	DECL_ARTIFICIAL(pointer) = DECL_IGNORED_P(pointer) = TREE_USED(pointer) = TREE_ADDRESSABLE(pointer) = 1;
	TREE_PUBLIC(pointer) = TREE_PUBLIC(v);
	DECL_VISIBILITY(pointer) = DECL_VISIBILITY(v);
	DECL_VISIBILITY_SPECIFIED(pointer) = DECL_VISIBILITY_SPECIFIED(v);
	SET_DECL_ASSEMBLER_NAME(pointer, get_identifier(name.c_str()));
	layout_decl(pointer, 0);
	keep_alive(pointer);
	if (!initial) {
		DECL_EXTERNAL(pointer) = 1;
		return pointer;
	}
	TREE_STATIC(pointer) = DECL_PRESERVE_P(pointer) = 1;
	DECL_INITIAL(pointer) = build1(ADDR_EXPR, type, initial);
	if (DECL_WEAK(v))
		declare_weak(pointer);
	varpool_node::finalize_decl(pointer);
	return pointer;
}

/* Nothing of v is left but its type and its debug information. */
static void undefine(tree v)
{
	if (varpool_node *node = varpool_node::get(v)) {
		node->definition = false;
		node->force_output = false;
	}
	DECL_INITIAL(v) = NULL_TREE;
	if (DECL_FILE_SCOPE_P(v)) {
		DECL_EXTERNAL(v) = 1;
		TREE_STATIC(v) = DECL_COMMON(v) = 0;
	}
}

static tree place_of(const shared_variable &s)
{
	tree place = build1(INDIRECT_REF, s.type, s.pointer);
	TREE_THIS_NOTRAP(place) = 1;
	if (TYPE_VOLATILE(s.type))
		TREE_THIS_VOLATILE(place) = TREE_SIDE_EFFECTS(place) = 1;
	return place;
}

static shared_variable make_shared(const shared_global &g)
{
	static unsigned number;
	tree v = g.variable;
	bool here = !DECL_EXTERNAL(v);
	shared_variable s = { NULL_TREE, NULL_TREE, TREE_TYPE(v) };
	number++;
	if (here)
		s.initial = initial_image(v, std::string("umbel.initial.") + name_of(v) + "."
					  + std::to_string(number));
	s.pointer = pointer_variable(v, pointer_name(v, number), s.initial);
	/* Whether another unit's object was the operand of a builtin there, nobody knows here. */
	object *o = new object { v, s.pointer, NULL_TREE, false, judge(v, here && g.atomic_operand) };
	if (here) {
		enum { ADDRESS_TAKEN = 4, GLOBAL = 512 };
		tree function = decl_function_context(v);
		o->record = object_record(v, function, o->says, GLOBAL | (TREE_ADDRESSABLE(v) ? ADDRESS_TAKEN : 0));
	}
	globals_by_pointer[s.pointer] = o;
	keep_alive(v);
	return s;
}

/* ---- uses ------------------------------------------------------------------------------------ */

static tree find_shared(tree *node, int *walk_subtrees, void *data)
{
	unit_rewrite *r = static_cast<unit_rewrite *>(data);
	if (TYPE_P(*node))
		*walk_subtrees = 0;
	if (TREE_CODE(*node) == COMPOUND_LITERAL_EXPR && r->shared.count(COMPOUND_LITERAL_EXPR_DECL(*node)))
		return *node;
	return VAR_P(*node) && r->shared.count(*node) ? *node : NULL_TREE;
}

static bool mentions_shared(unit_rewrite *r, tree expression)
{
	return walk_tree_without_duplicates(&expression, find_shared, r) != NULL_TREE;
}

/* What GCC took for constant is not, if it holds the address of a shared variable. */
static void unmark_constant(unit_rewrite *r, tree node)
{
	if (!TREE_CONSTANT(node) || CONSTANT_CLASS_P(node) || DECL_P(node) || TYPE_P(node)
	    || !mentions_shared(r, node))
		return;
	TREE_CONSTANT(node) = 0;
	if (TREE_CODE(node) == CONSTRUCTOR)
		TREE_STATIC(node) = 0;
}

static tree rewrite(tree *node, int *walk_subtrees, void *data)
{
	unit_rewrite *r = static_cast<unit_rewrite *>(data);
	unmark_constant(r, *node);
	switch (TREE_CODE(*node)) {
	case COMPOUND_LITERAL_EXPR: {
		auto literal = r->shared.find(COMPOUND_LITERAL_EXPR_DECL(*node));
		if (literal != r->shared.end()) {
			*node = place_of(literal->second);
			*walk_subtrees = 0;
		}
		break;
	}
	case VAR_DECL: {
		auto found = r->shared.find(*node);
		*walk_subtrees = 0;
		if (found != r->shared.end())
			*node = place_of(found->second);
		break;
	}
	case BIND_EXPR:
		*walk_subtrees = 0;
		for (tree v = BIND_EXPR_VARS(*node); v; v = DECL_CHAIN(v))
			if (VAR_P(v) && !TREE_STATIC(v) && !DECL_EXTERNAL(v))
				walk_tree(&DECL_INITIAL(v), rewrite, r, &r->visited);
		walk_tree(&BIND_EXPR_BODY(*node), rewrite, r, &r->visited);
		break;
	case DECL_EXPR: {
		tree v = DECL_EXPR_DECL(*node);
		*walk_subtrees = 0;
		if (VAR_P(v) && !TREE_STATIC(v) && !DECL_EXTERNAL(v))
			walk_tree(&DECL_INITIAL(v), rewrite, r, &r->visited);
		break;
	}
	default:
		if (TYPE_P(*node))
			*walk_subtrees = 0;
	}
	return NULL_TREE;
}

/* ---- addresses in initial values --------------------------------------------------------------- */

static tree name_initial(tree *node, int *walk_subtrees, void *data)
{
	unit_rewrite *r = static_cast<unit_rewrite *>(data);
	if (TYPE_P(*node))
		*walk_subtrees = 0;
	tree decl = TREE_CODE(*node) == COMPOUND_LITERAL_EXPR ? COMPOUND_LITERAL_EXPR_DECL(*node) : *node;
	auto found = VAR_P(decl) ? r->shared.find(decl) : r->shared.end();
	if (found == r->shared.end())
		return NULL_TREE;
	*walk_subtrees = 0;
	/* Until the address is known: that of the initial value, or of nothing. */
	if (found->second.initial)
		*node = found->second.initial;
	return NULL_TREE;
}

static bool is_elsewhere(unit_rewrite *r, tree value)
{
	tree found = walk_tree_without_duplicates(&value, find_shared, r);
	if (found && TREE_CODE(found) == COMPOUND_LITERAL_EXPR)
		found = COMPOUND_LITERAL_EXPR_DECL(found);
	return found && !r->shared[found].initial;
}

/* *VALUE, which initializes PLACE, holds an address: set it in umbel.fix. */
static void fix_value(unit_rewrite *r, tree *value, tree place)
{
	tree computed = unshare_expr(*value);
	unit_rewrite copy;
	copy.shared = r->shared;
	walk_tree(&computed, rewrite, &copy, &copy.visited);
	tree set = build2(MODIFY_EXPR, void_type_node, place, computed);
	TREE_SIDE_EFFECTS(set) = 1;
	append_to_statement_list(set, &r->fixes);
	if (is_elsewhere(r, *value))
		*value = build_zero_cst(TREE_TYPE(*value));
	else
		walk_tree_without_duplicates(value, name_initial, r);
}

static tree element_of(tree array, tree index)
{
	return build4(ARRAY_REF, TREE_TYPE(TREE_TYPE(array)), array, index, NULL_TREE, NULL_TREE);
}

static void fix_initial(unit_rewrite *r, tree *value, tree place)
{
	if (!mentions_shared(r, *value))
		return;
	if (TREE_CODE(*value) != CONSTRUCTOR) {
		fix_value(r, value, place);
		return;
	}
	unsigned i;
	constructor_elt *element;
	FOR_EACH_VEC_SAFE_ELT(CONSTRUCTOR_ELTS(*value), i, element) {
		tree index = element->index;
		if (TREE_CODE(TREE_TYPE(*value)) != ARRAY_TYPE) {
			tree member = build3(COMPONENT_REF, TREE_TYPE(index), unshare_expr(place), index, NULL_TREE);
			fix_initial(r, &element->value, member);
		} else if (index && TREE_CODE(index) == RANGE_EXPR) {
			HOST_WIDE_INT last = tree_to_shwi(TREE_OPERAND(index, 1));
			for (HOST_WIDE_INT k = tree_to_shwi(TREE_OPERAND(index, 0)); k < last; k++) {
				tree one = unshare_expr(element->value); /* all but the last: the value stays */
				fix_initial(r, &one, element_of(unshare_expr(place), size_int(k)));
			}
			fix_initial(r, &element->value, element_of(unshare_expr(place), size_int(last)));
		} else {
			tree k = index ? index : size_int(i);
			fix_initial(r, &element->value, element_of(unshare_expr(place), unshare_expr(k)));
		}
	}
}

static void fix_variable(unit_rewrite *r, tree v)
{
	if (!DECL_INITIAL(v) || DECL_INITIAL(v) == error_mark_node || !mentions_shared(r, DECL_INITIAL(v)))
		return;
	TREE_READONLY(v) = 0;
	DECL_INITIAL(v) = unshare_expr(DECL_INITIAL(v));
	fix_initial(r, &DECL_INITIAL(v), v);
}

/* ---- umbel.fix ------------------------------------------------------------------------------- */

/* static void umbel.fix (void) { STATEMENTS } */
static tree make_function(tree statements)
{
	tree type = build_function_type_list(void_type_node, NULL_TREE);
	tree function = build_decl(UNKNOWN_LOCATION, FUNCTION_DECL, get_identifier("umbel.fix"), type);
	tree result = build_decl(UNKNOWN_LOCATION, RESULT_DECL, NULL_TREE, void_type_node);
	DECL_ARTIFICIAL(result) = DECL_IGNORED_P(result) = 1;
	DECL_CONTEXT(result) = function;
	DECL_RESULT(function) = result;
	TREE_STATIC(function) = TREE_USED(function) = DECL_ARTIFICIAL(function) = DECL_IGNORED_P(function) = 1;
	DECL_UNINLINABLE(function) = DECL_PRESERVE_P(function) = 1;
	DECL_NO_INSTRUMENT_FUNCTION_ENTRY_EXIT(function) = 1;
	tree block = make_node(BLOCK);
	BLOCK_SUPERCONTEXT(block) = function;
	TREE_USED(block) = 1;
	DECL_INITIAL(function) = block;
	DECL_SAVED_TREE(function) = build3(BIND_EXPR, void_type_node, NULL_TREE, statements, block);
	TREE_SIDE_EFFECTS(DECL_SAVED_TREE(function)) = 1;
	keep_alive(function);
	push_struct_function(function);
	pop_cfun();
	cgraph_node::finalize_function(function, true);
	return function;
}

/* ---- the unit -------------------------------------------------------------------------------- */

/* DECLARATIONS: every declaration of a shared variable, with the variable it is of. */
void redirect_globals(const std::vector<shared_global> &shared, const std::map<tree, tree> &declarations,
		      const std::vector<tree> &functions, const std::vector<tree> &variables)
{
	unit_rewrite r;
	std::map<tree, shared_variable> made;
	for (const shared_global &g : shared)
		made[g.variable] = make_shared(g);
	for (auto &declaration : declarations)
		r.shared[declaration.first] = made[declaration.second];
	if (seen_error())
		return;
	for (tree f : functions)
		walk_tree(&DECL_SAVED_TREE(f), rewrite, &r, &r.visited);
	for (tree v : variables)
		if (!r.shared.count(v) && TREE_STATIC(v))
			fix_variable(&r, v);
	for (const shared_global &g : shared)
		if (made[g.variable].initial)
			fix_variable(&r, made[g.variable].initial);
	tree fix = r.fixes ? make_function(r.fixes) : NULL_TREE;
	for (const shared_global &g : shared) {
		const shared_variable &s = made[g.variable];
		if (!s.initial)
			continue;
		tree record = make_record("shared", g.variable, GLOBAL_WORDS, "umbel_globals");
		fill_record(record, { address_of(globals_by_pointer[s.pointer]->record), address_of(s.initial),
				      address_of(s.pointer), fix ? code_address(fix) : word(0) });
		fix = NULL_TREE; /* once */
		varpool_node::finalize_decl(s.initial);
	}
	for (auto &s : r.shared) {
		if (!DECL_EXTERNAL(s.first))
			undefine(s.first);
		SET_DECL_VALUE_EXPR(s.first, place_of(s.second));
		DECL_HAS_VALUE_EXPR_P(s.first) = 1;
	}
}

/* share.cc - moves chosen locals of one function into the window.
 *
 * Inserted, in GENERIC, before the gimplifier sees the function:
 *   - per object a local pointer v.obj, and DECL_VALUE_EXPR (v) = *v.obj: the gimplifier replaces every use, in
 *     the nested functions too, and the debugger still finds v;
 *   - at entry  small = __umbel_small (); pages = __umbel_page (); v.obj = __umbel_alloc (&record) ...,
 *     round the body TRY_FINALLY __umbel_leave (small, pages); stub marks likewise;
 *   - per variable-length array, at its declaration, __umbel_alloc_pages and a TRY_FINALLY of its own;
 *   - behind a label that a nested function jumps to, and behind a call of setjmp, __umbel_leave with the marks
 *     that hold there, because non-local goto and longjmp skip the TRY_FINALLYs of the functions they leave.
 * Objects are allocated at function entry, not in their block: goto and switch may enter a block past its
 * start, and GCC too gives captured block locals the life of the function.
 * Dump: -fdump-tree-gimple (after), -fdump-tree-original (before).
 */
#include "plugin.h"

enum { SMALL_BYTES = 64 };

/* Marks of everything allocated in a scope: what __umbel_leave takes to drop all that came later. */
struct scope_marks {
	tree small, pages, stubs;
};

struct mover {
	nest_function *f;
	tree bind;
	std::map<tree, object *> moved;
	hash_set<tree> visited;
};

struct scope_walk {
	mover *m;
	scope_marks marks;
};

static tree new_local(mover &m, const char *name, tree type)
{
	tree local = build_decl(DECL_SOURCE_LOCATION(m.f->decl), VAR_DECL, get_identifier(name), type);
	DECL_CONTEXT(local) = m.f->decl;
	DECL_ARTIFICIAL(local) = DECL_IGNORED_P(local) = TREE_USED(local) = 1;
	/* In front: BLOCK_VARS must stay the tail of BIND_EXPR_VARS, or GCC never declares the FRAME. */
	DECL_CHAIN(local) = BIND_EXPR_VARS(m.bind);
	BIND_EXPR_VARS(m.bind) = local;
	return local;
}

static tree assign(tree target, tree value)
{
	tree statement = build2(MODIFY_EXPR, void_type_node, target, fold_convert(TREE_TYPE(target), value));
	TREE_SIDE_EFFECTS(statement) = 1;
	return statement;
}

/* ---- objects --------------------------------------------------------------------------------- */

static object *make_object(mover &m, tree variable, const captures &nest)
{
	enum { ADDRESS_TAKEN = 4 };
	tree type = TREE_TYPE(variable);
	std::string name = std::string(name_of(variable)) + ".obj";
	tree pointer = build_decl(DECL_SOURCE_LOCATION(variable), VAR_DECL, get_identifier(name.c_str()),
				  build_pointer_type(type));
	DECL_CONTEXT(pointer) = m.f->decl;
	DECL_ARTIFICIAL(pointer) = TREE_USED(pointer) = 1;
	DECL_IGNORED_P(pointer) = 0; /* the debugger reaches the variable through it */
	layout_decl(pointer, 0);
	DECL_CHAIN(pointer) = BIND_EXPR_VARS(m.bind);
	BIND_EXPR_VARS(m.bind) = pointer;

	object *o = new object { variable, pointer, NULL_TREE, is_vla(variable),
				 judge(variable, nest.atomic_operands.count(variable)) };
	auto judged = nest.units.find(variable);
	if (!o->says.unit && judged != nest.units.end())
		o->says.unit = judged->second;
	o->record = object_record(variable, m.f->decl, o->says,
				  nest.address_taken.count(variable) ? ADDRESS_TAKEN : 0);
	tree place = build1(INDIRECT_REF, type, pointer);
	if (TREE_THIS_VOLATILE(variable) || TYPE_VOLATILE(type))
		TREE_THIS_VOLATILE(place) = TREE_SIDE_EFFECTS(place) = 1;
	/* A nested function may load the pointer of a variable-length array that does not exist yet: such a
	 * place may trap, so that nothing is read from it before the program does. */
	TREE_THIS_NOTRAP(place) = !o->vla;
	SET_DECL_VALUE_EXPR(variable, place);
	DECL_HAS_VALUE_EXPR_P(variable) = 1;
	keep_alive(variable);
	keep_alive(pointer);
	m.moved[variable] = o;
	m.f->objects.push_back(o);
	return o;
}

static tree allocate(const object *o, tree size)
{
	bool small = !o->vla && compare_tree_int(size, SMALL_BYTES) <= 0
		&& DECL_ALIGN_UNIT(o->variable) <= SMALL_BYTES;
	tree address = address_of(o->record);
	return assign(o->pointer, small ? call_abi("__umbel_alloc", { address })
		      : call_abi("__umbel_alloc_pages", { address, size }));
}

/* ---- parameters ------------------------------------------------------------------------------ */

static tree replace_decl(tree *node, int *walk_subtrees, void *data)
{
	auto *replacement = static_cast<std::map<tree, tree> *>(data);
	auto found = replacement->find(*node);
	if (found != replacement->end()) {
		*node = found->second;
		*walk_subtrees = 0;
	}
	return NULL_TREE;
}

/* Sizes in parameter types are evaluated before the body, so they keep the incoming value. */
static void replace_in_type(tree type, std::map<tree, tree> *replacement)
{
	for (; type && (POINTER_TYPE_P(type) || TREE_CODE(type) == ARRAY_TYPE); type = TREE_TYPE(type)) {
		if (TREE_CODE(type) != ARRAY_TYPE)
			continue;
		walk_tree_without_duplicates(&TYPE_SIZE(type), replace_decl, replacement);
		walk_tree_without_duplicates(&TYPE_SIZE_UNIT(type), replace_decl, replacement);
		if (TYPE_DOMAIN(type))
			walk_tree_without_duplicates(&TYPE_MAX_VALUE(TYPE_DOMAIN(type)), replace_decl,
						     replacement);
	}
}

/* The incoming value gets a parameter of its own; the old node becomes an alias of the object. */
static tree incoming_parameter(mover &m, tree parameter)
{
	tree incoming = copy_node(parameter);
	DECL_HAS_VALUE_EXPR_P(incoming) = 0;
	TREE_ADDRESSABLE(incoming) = DECL_NONLOCAL(incoming) = 0;
	tree *link = &DECL_ARGUMENTS(m.f->decl);
	while (*link != parameter)
		link = &DECL_CHAIN(*link);
	DECL_CHAIN(incoming) = DECL_CHAIN(parameter);
	*link = incoming;
	return incoming;
}

static tree debug_variable(mover &m, tree parameter)
{
	tree variable = build_decl(DECL_SOURCE_LOCATION(parameter), VAR_DECL, DECL_NAME(parameter),
				   TREE_TYPE(parameter));
	DECL_CONTEXT(variable) = m.f->decl;
	TREE_USED(variable) = 1;
	layout_decl(variable, 0);
	SET_DECL_VALUE_EXPR(variable, unshare_expr(DECL_VALUE_EXPR(parameter)));
	DECL_HAS_VALUE_EXPR_P(variable) = 1;
	return variable;
}

static tree find_bind_of_block(tree *node, int *walk_subtrees, void *block)
{
	if (TYPE_P(*node))
		*walk_subtrees = 0;
	return TREE_CODE(*node) == BIND_EXPR && BIND_EXPR_BLOCK(*node) == block ? *node : NULL_TREE;
}

static void declare_for_debugger(mover &m, tree variables)
{
	tree block = DECL_INITIAL(m.f->decl);
	tree bind = walk_tree_without_duplicates(&m.bind, find_bind_of_block, block);
	if (!bind || !variables)
		return;
	if (BLOCK_VARS(block)) {
		chainon(BLOCK_VARS(block), variables);
	} else {
		BIND_EXPR_VARS(bind) = chainon(BIND_EXPR_VARS(bind), variables);
		BLOCK_VARS(block) = variables;
	}
}

/* ---- variable-length arrays and labels ------------------------------------------------------- */

static tree move_statement(tree *node, int *walk_subtrees, void *data);

/* Rewrites everything in NODE, whose labels are reached with MARKS. */
static void move_in_scope(mover &m, tree *node, const scope_marks &marks)
{
	scope_walk w = { &m, marks };
	walk_tree(node, move_statement, &w, &m.visited);
}

static object *vla_declared_by(const mover &m, tree statement)
{
	if (TREE_CODE(statement) != DECL_EXPR)
		return NULL;
	auto found = m.moved.find(DECL_EXPR_DECL(statement));
	return found != m.moved.end() && found->second->vla && VAR_P(found->first) ? found->second : NULL;
}

/* small = ...; pages = ...; try { v.obj = __umbel_alloc_pages (); REST } finally __umbel_leave (small, pages) */
static tree vla_scope(mover &m, const object *o, tree rest, const scope_marks &outer)
{
	scope_marks inside = outer;
	inside.pages = new_local(m, "umbel.pages", long_unsigned_type_node);
	tree small_before = new_local(m, "umbel.small", long_unsigned_type_node);
	tree pages_before = new_local(m, "umbel.pages", long_unsigned_type_node);
	move_in_scope(m, &rest, inside);

	tree body = alloc_stmt_list(), leave = alloc_stmt_list(), all = alloc_stmt_list();
	append_to_statement_list(allocate(o, DECL_SIZE_UNIT(o->variable)), &body);
	append_to_statement_list(assign(inside.pages, call_abi("__umbel_page", {})), &body);
	append_to_statement_list_force(rest, &body);
	append_to_statement_list(call_abi("__umbel_leave", { small_before, pages_before }), &leave);
	append_to_statement_list(assign(small_before, call_abi("__umbel_small", {})), &all);
	append_to_statement_list(assign(pages_before, call_abi("__umbel_page", {})), &all);
	tree scope = build2(TRY_FINALLY_EXPR, void_type_node, body, leave);
	TREE_SIDE_EFFECTS(scope) = 1;
	append_to_statement_list(scope, &all);
	return all;
}

/* setjmp () becomes (result = setjmp (), __umbel_leave (...), result). */
static tree leave_after_setjmp(const scope_walk *w, tree call)
{
	tree result = new_local(*w->m, "umbel.setjmp", TREE_TYPE(call));
	tree leave = build2(COMPOUND_EXPR, void_type_node,
			    call_abi("__umbel_leave", { w->marks.small, w->marks.pages }),
			    call_abi("__umbel_stub_leave", { w->marks.stubs }));
	tree first = build2(COMPOUND_EXPR, void_type_node, assign(result, call), leave);
	return build2(COMPOUND_EXPR, TREE_TYPE(call), first, result);
}

static tree leave_after_label(const scope_walk *w, tree label)
{
	tree statements = alloc_stmt_list();
	append_to_statement_list(label, &statements);
	append_to_statement_list(call_abi("__umbel_leave", { w->marks.small, w->marks.pages }), &statements);
	append_to_statement_list(call_abi("__umbel_stub_leave", { w->marks.stubs }), &statements);
	return statements;
}

static void move_statement_list(scope_walk *w, tree list)
{
	for (tree_stmt_iterator i = tsi_start(list); !tsi_end_p(i); tsi_next(&i)) {
		const object *o = vla_declared_by(*w->m, tsi_stmt(i));
		if (!o) {
			walk_tree(tsi_stmt_ptr(i), move_statement, w, &w->m->visited);
			continue;
		}
		tree rest = alloc_stmt_list();
		tree_stmt_iterator next = i;
		tsi_next(&next);
		while (!tsi_end_p(next)) {
			append_to_statement_list_force(tsi_stmt(next), &rest);
			tsi_delink(&next);
		}
		tsi_link_after(&i, vla_scope(*w->m, o, rest, w->marks), TSI_CONTINUE_LINKING);
		return;
	}
}

static tree move_statement(tree *node, int *walk_subtrees, void *data)
{
	scope_walk *w = static_cast<scope_walk *>(data);
	tree statement = *node;
	switch (TREE_CODE(statement)) {
	case LABEL_EXPR:
		*walk_subtrees = 0;
		if (w->marks.small && w->m->f->nonlocal_labels.count(LABEL_EXPR_LABEL(statement)))
			*node = leave_after_label(w, statement);
		break;
	case CALL_EXPR:
		if (w->marks.small && is_setjmp(statement)) {
			*walk_subtrees = 0;
			*node = leave_after_setjmp(w, statement);
		}
		break;
	case DECL_EXPR:
		*walk_subtrees = 0;
		if (const object *o = vla_declared_by(*w->m, statement)) { /* the sole statement of a block */
			tree both = alloc_stmt_list();
			append_to_statement_list(statement, &both);
			append_to_statement_list(vla_scope(*w->m, o, alloc_stmt_list(), w->marks), &both);
			*node = both;
		} else if (VAR_P(DECL_EXPR_DECL(statement))) {
			walk_tree(&DECL_INITIAL(DECL_EXPR_DECL(statement)), move_statement, w, &w->m->visited);
		}
		break;
	case BIND_EXPR: /* initializers are met at their DECL_EXPR, within the right marks */
		*walk_subtrees = 0;
		walk_tree(&BIND_EXPR_BODY(statement), move_statement, w, &w->m->visited);
		break;
	case STATEMENT_LIST:
		*walk_subtrees = 0;
		move_statement_list(w, statement);
		break;
	default:
		if (TYPE_P(statement) || DECL_P(statement))
			*walk_subtrees = 0;
	}
	return NULL_TREE;
}

/* ---- the function ---------------------------------------------------------------------------- */

static tree outermost_bind(tree function)
{
	tree body = DECL_SAVED_TREE(function);
	if (TREE_CODE(body) == STATEMENT_LIST && tsi_one_before_end_p(tsi_start(body)))
		body = expr_first(body);
	if (TREE_CODE(body) == BIND_EXPR)
		return body;
	/* main with an implicit return is a list: give it a bind. */
	tree bind = build3(BIND_EXPR, void_type_node, NULL_TREE, DECL_SAVED_TREE(function), NULL_TREE);
	TREE_SIDE_EFFECTS(bind) = 1;
	DECL_SAVED_TREE(function) = bind;
	return bind;
}

/* Allocations of everything whose size is constant; returns variables to declare for the debugger. */
static tree allocate_at_entry(mover &m, const captures &nest, tree *entry)
{
	std::map<tree, tree> incoming;
	tree debug_variables = NULL_TREE;
	for (tree v : m.f->shared) {
		object *o = make_object(m, v, nest);
		if (TREE_CODE(v) == PARM_DECL) {
			incoming[v] = incoming_parameter(m, v);
			append_to_statement_list(allocate(o, DECL_SIZE_UNIT(v)), entry);
			tree place = build1(INDIRECT_REF, TYPE_MAIN_VARIANT(TREE_TYPE(v)), o->pointer);
			append_to_statement_list(build2(INIT_EXPR, void_type_node, place, incoming[v]), entry);
			tree shown = debug_variable(m, v);
			DECL_CHAIN(shown) = debug_variables;
			debug_variables = shown;
		} else if (!o->vla) {
			append_to_statement_list(allocate(o, DECL_SIZE_UNIT(v)), entry);
		}
	}
	if (!incoming.empty())
		for (tree p = DECL_ARGUMENTS(m.f->decl); p; p = DECL_CHAIN(p))
			replace_in_type(TREE_TYPE(p), &incoming);
	return debug_variables;
}

static bool any_vla(const nest_function *f)
{
	for (const object *o : f->objects)
		if (o->vla)
			return true;
	return false;
}

static bool makes_stubs(const nest_function *f)
{
	for (const nest_function *inner : f->inner)
		if (inner->escapes)
			return true;
	return false;
}

/* Marks behind the function's own allocations, for the places that jumps from other functions reach. */
static scope_marks take_marks_inside(mover &m, tree *body)
{
	scope_marks inside;
	inside.small = new_local(m, "umbel.small", long_unsigned_type_node);
	inside.pages = new_local(m, "umbel.pages", long_unsigned_type_node);
	inside.stubs = new_local(m, "umbel.stubs", long_unsigned_type_node);
	append_to_statement_list(assign(inside.small, call_abi("__umbel_small", {})), body);
	append_to_statement_list(assign(inside.pages, call_abi("__umbel_page", {})), body);
	append_to_statement_list(assign(inside.stubs, call_abi("__umbel_stub_mark", {})), body);
	return inside;
}

/* Can a jump from another function land here, with something left behind above our own marks? */
static bool is_landing(const nest_function *f, const captures &nest)
{
	bool nest_has_anything = false;
	for (const nest_function *g : nest.order)
		nest_has_anything |= !g->shared.empty() || makes_stubs(g);
	return f->calls_setjmp || (!f->nonlocal_labels.empty() && nest_has_anything);
}

void move_objects(nest_function *f, const captures &nest)
{
	bool stubs = makes_stubs(f), objects = !f->shared.empty(), landing = is_landing(f, nest);
	if (!stubs && !objects && !landing)
		return;

	mover m;
	m.f = f;
	m.bind = outermost_bind(f->decl);
	tree all = alloc_stmt_list(), body = alloc_stmt_list(), after = alloc_stmt_list();
	if (stubs) {
		f->stub_mark = new_local(m, "umbel.stubs", long_unsigned_type_node);
		keep_alive(f->stub_mark);
		append_to_statement_list(assign(f->stub_mark, call_abi("__umbel_stub_mark", {})), &all);
		append_to_statement_list(call_abi("__umbel_stub_leave", { f->stub_mark }), &after);
	}
	if (objects) {
		tree small = new_local(m, "umbel.small", long_unsigned_type_node);
		tree pages = new_local(m, "umbel.pages", long_unsigned_type_node);
		append_to_statement_list(assign(small, call_abi("__umbel_small", {})), &all);
		append_to_statement_list(assign(pages, call_abi("__umbel_page", {})), &all);
		append_to_statement_list(call_abi("__umbel_leave", { small, pages }), &after);
	}
	declare_for_debugger(m, allocate_at_entry(m, nest, &body));
	scope_marks inside = { NULL_TREE, NULL_TREE, NULL_TREE };
	if (landing)
		inside = take_marks_inside(m, &body);
	if (landing || any_vla(f))
		move_in_scope(m, &BIND_EXPR_BODY(m.bind), inside);
	append_to_statement_list_force(BIND_EXPR_BODY(m.bind), &body);
	if (stubs || objects) {
		tree scope = build2(TRY_FINALLY_EXPR, void_type_node, body, after);
		TREE_SIDE_EFFECTS(scope) = 1;
		append_to_statement_list(scope, &all);
	} else {
		append_to_statement_list_force(body, &all);
	}
	BIND_EXPR_BODY(m.bind) = all;
}

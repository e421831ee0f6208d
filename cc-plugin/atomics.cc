/* atomics.cc - atomic and volatile accesses, as several nodes need them.  In every function of the unit.
 *
 * Inserted, before an atomic builtin (what C makes of _Atomic accesses, too) or a volatile access through a
 * pointer whose object is not known to be sequential:
 *     if ((unsigned long) address >> 45 == 1)     in the window: umbel_abi.h
 *             __umbel_strengthen (address);
 * Nothing if the address is that of a local or of an ordinary global.  And round an atomic read-modify-write of
 * an object with operations, every atomic access to a "remote" one and its plain loads and stores:
 *     if (umbel_remote_active) old = __umbel_operate (address, kind, width, operand, expected), result of old;
 *     else                     the access as it was
 * Why in GIMPLE: every language feature has become a builtin or an access with the volatile bit by then, and
 * nothing has been inlined or moved yet.  Pointers are followed through copies that are assigned once.
 * C makes fetch-and-op builtins of the simple compound assignments to _Atomic whole numbers; of the others
 * (multiplication, shifts, floating point) a loop, whose compare-and-exchange is what goes by call.
 * Not seen: OpenMP's atomic directive, and members of "remote" objects that are bit-fields or no scalars.
 * Dump: -fdump-tree-all, file *.umbel_atomics.  Cost: test/bench_atomics.c.
 */
#include "atomics.h"

enum { WINDOW_SHIFT = 45 };

/* ---- pointers -------------------------------------------------------------------------------- */

namespace {

struct pointer_target {
	enum { PRIVATE, OBJECT, UNKNOWN } kind;
	const object *known;
};

struct atomics_state {
	std::map<tree, tree> value;   /* of locals that are assigned once */
	std::set<tree> many;          /* assigned more than once, or otherwise */
	gimple_stmt_iterator *gsi;
	location_t place;
};

/* A volatile reference of one statement. */
struct volatile_references {
	std::vector<tree> found;
};

}

static const object *object_in(tree pointer)
{
	if (const object *global = find_global_of_pointer(pointer))
		return global;
	if (TREE_CODE(pointer) == COMPONENT_REF)
		return find_object_of_field(TREE_OPERAND(pointer, 1));
	return VAR_P(pointer) ? find_object_of_local(pointer) : NULL;
}

static pointer_target target_of(const atomics_state &s, tree pointer, unsigned depth = 0)
{
	const pointer_target unknown = { pointer_target::UNKNOWN, NULL };
	if (depth > 16)
		return unknown;
	STRIP_NOPS(pointer);
	if (const object *known = object_in(pointer))
		return { pointer_target::OBJECT, known };
	switch (TREE_CODE(pointer)) {
	case ADDR_EXPR: {
		tree base = TREE_OPERAND(pointer, 0);
		while (handled_component_p(base))
			base = TREE_OPERAND(base, 0);
		if (TREE_CODE(base) == MEM_REF)
			return target_of(s, TREE_OPERAND(base, 0), depth + 1);
		return { pointer_target::PRIVATE, NULL };
	}
	case POINTER_PLUS_EXPR:
		return target_of(s, TREE_OPERAND(pointer, 0), depth + 1);
	case SSA_NAME: /* the gimplifier makes some */
	case VAR_DECL: {
		auto only = s.value.find(pointer);
		return only == s.value.end() || s.many.count(pointer) ? unknown
			: target_of(s, only->second, depth + 1);
	}
	default:
		return unknown;
	}
}

static tree note_values(gimple_stmt_iterator *gsi, bool *, walk_stmt_info *info)
{
	atomics_state *s = static_cast<atomics_state *>(info->info);
	gimple *statement = gsi_stmt(*gsi);
	if (gasm *assembly = dyn_cast<gasm *>(statement))
		for (unsigned i = 0; i < gimple_asm_noutputs(assembly); i++)
			s->many.insert(TREE_VALUE(gimple_asm_output_op(assembly, i)));
	tree target = gimple_get_lhs(statement);
	if (!target || !is_gimple_reg(target))
		return NULL_TREE;
	gassign *assign = dyn_cast<gassign *>(statement);
	bool followed = assign && (gimple_assign_single_p(assign) || gimple_assign_cast_p(assign)
				   || gimple_assign_rhs_code(assign) == POINTER_PLUS_EXPR);
	if (!followed || !s->value.insert({ target, gimple_assign_rhs1(assign) }).second)
		s->many.insert(target);
	return NULL_TREE;
}

/* ---- inserted code --------------------------------------------------------------------------- */

static void insert(atomics_state *s, gimple *statement)
{
	gimple_set_location(statement, s->place);
	gsi_insert_before(s->gsi, statement, GSI_SAME_STMT);
}

static tree compute(atomics_state *s, tree type, tree_code code, tree a, tree b = NULL_TREE)
{
	tree value = create_tmp_var(type, "umbel.value");
	insert(s, b ? gimple_build_assign(value, code, a, b) : gimple_build_assign(value, code, a));
	return value;
}

/* VALUE with the same bits in TYPE, which has at least as many bytes; fewer are extended with zeros. */
static tree bits_as(atomics_state *s, tree type, tree value)
{
	tree from = TREE_TYPE(value);
	if (useless_type_conversion_p(type, from))
		return value;
	bool whole = INTEGRAL_TYPE_P(from) || POINTER_TYPE_P(from);
	unsigned bits = tree_to_uhwi(TYPE_SIZE(from));
	tree same = build_nonstandard_integer_type(bits, 1);
	tree raw = value;
	if (!whole)
		raw = compute(s, same, VIEW_CONVERT_EXPR, build1(VIEW_CONVERT_EXPR, same, value));
	else if (!TYPE_UNSIGNED(from) || TYPE_PRECISION(from) != bits)
		raw = compute(s, same, NOP_EXPR, value);
	if (useless_type_conversion_p(type, TREE_TYPE(raw)))
		return raw;
	if (INTEGRAL_TYPE_P(type) || POINTER_TYPE_P(type))
		return compute(s, type, NOP_EXPR, raw);
	tree narrow = build_nonstandard_integer_type(tree_to_uhwi(TYPE_SIZE(type)), 1);
	if (!useless_type_conversion_p(narrow, TREE_TYPE(raw)))
		raw = compute(s, narrow, NOP_EXPR, raw);
	return compute(s, type, VIEW_CONVERT_EXPR, build1(VIEW_CONVERT_EXPR, type, raw));
}

static void insert_strengthen(atomics_state *s, tree address)
{
	tree function = abi_function("__umbel_strengthen");
	if (!function)
		return;
	tree number = compute(s, long_unsigned_type_node, NOP_EXPR, address);
	tree high = compute(s, long_unsigned_type_node, RSHIFT_EXPR, number,
			    build_int_cst(integer_type_node, WINDOW_SHIFT));
	tree inside = create_artificial_label(s->place), outside = create_artificial_label(s->place);
	insert(s, gimple_build_cond(EQ_EXPR, high, build_one_cst(long_unsigned_type_node), inside, outside));
	insert(s, gimple_build_label(inside));
	insert(s, gimple_build_call(function, 1, address));
	insert(s, gimple_build_label(outside));
	TREE_USED(function) = 1;
}

/* if (umbel_remote_active) goto CALLED; else goto PLAIN, and the first label. */
static void insert_choice(atomics_state *s, tree called, tree plain)
{
	tree active = abi_function("umbel_remote_active");
	tree value = create_tmp_var(unsigned_char_type_node, "umbel.active");
	insert(s, gimple_build_assign(value, active));
	insert(s, gimple_build_cond(NE_EXPR, value, build_zero_cst(unsigned_char_type_node), called, plain));
	insert(s, gimple_build_label(called));
}

static tree insert_operate(atomics_state *s, tree address, operation kind, unsigned width, tree operand, tree expected)
{
	tree zero = build_zero_cst(long_unsigned_type_node);
	tree first = operand ? bits_as(s, long_unsigned_type_node, operand) : zero;
	tree second = expected ? bits_as(s, long_unsigned_type_node, expected) : zero;
	gcall *call = gimple_build_call(abi_function("__umbel_operate"), 5, address,
					build_int_cst(unsigned_type_node, kind),
					build_int_cst(unsigned_type_node, width), first, second);
	tree old = create_tmp_var(long_unsigned_type_node, "umbel.old");
	gimple_call_set_lhs(call, old);
	insert(s, call);
	return old;
}

static bool has_operate() { return abi_function("__umbel_operate") && abi_function("umbel_remote_active"); }

/* ---- builtins -------------------------------------------------------------------------------- */

static tree_code code_of(operation kind)
{
	switch (kind) {
	case ADD: return PLUS_EXPR;
	case SUB: return MINUS_EXPR;
	case OR: return BIT_IOR_EXPR;
	case XOR: return BIT_XOR_EXPR;
	default: return BIT_AND_EXPR;
	}
}

static tree new_value(atomics_state *s, operation kind, tree type, tree old, tree operand)
{
	tree value = compute(s, type, code_of(kind), old, bits_as(s, type, operand));
	return kind == NAND ? compute(s, type, BIT_NOT_EXPR, value) : value;
}

/* The call's operation by __umbel_operate, in the branch that has been opened. */
static void insert_operation(atomics_state *s, gcall *call, const atomic_call &atomic, tree result)
{
	operation kind = atomic.builtin->kind;
	enum result gives = atomic.builtin->gives;
	tree type = build_nonstandard_integer_type(atomic.width * 8, 1);
	tree address = gimple_call_arg(call, 0), operand = NULL_TREE, expected = NULL_TREE, place = NULL_TREE;
	if (is_flag_call(atomic)) {
		operand = build_int_cst(type, kind == EXCHANGE);
	} else if (!strcmp(atomic.builtin->name, "__sync_lock_release")) {
		operand = build_zero_cst(type);
	} else if (gives == EXPECTS) {
		place = build2(MEM_REF, type, gimple_call_arg(call, 1), build_int_cst(ptr_type_node, 0));
		expected = create_tmp_var(type, "umbel.expected");
		insert(s, gimple_build_assign(expected, place));
		operand = gimple_call_arg(call, 2);
	} else if (kind == COMPARE_EXCHANGE) {
		expected = gimple_call_arg(call, 1);
		operand = gimple_call_arg(call, 2);
	} else if (kind != LOAD) {
		operand = gimple_call_arg(call, 1);
	}
	tree wide = insert_operate(s, address, kind, atomic.width, operand, expected);
	tree old = bits_as(s, type, wide);
	if (gives == EXPECTS) /* where it was equal, this changes nothing */
		insert(s, gimple_build_assign(unshare_expr(place), old));
	if (!result)
		return;
	if (gives == SWAPPED || gives == EXPECTS)
		insert(s, gimple_build_assign(result, NOP_EXPR, compute(s, boolean_type_node, EQ_EXPR, old,
									bits_as(s, type, expected))));
	else if (gives == NEW)
		insert(s, gimple_build_assign(result, NOP_EXPR, new_value(s, kind, type, old, operand)));
	else if (is_flag_call(atomic))
		insert(s, gimple_build_assign(result, NOP_EXPR, compute(s, boolean_type_node, NE_EXPR, old,
									build_zero_cst(type))));
	else
		insert(s, gimple_build_assign(result, NOP_EXPR, old));
}

/* GSI: the builtin's call; afterwards the last statement of what it became. */
static void choose_operation(atomics_state *s, gcall *call, const atomic_call &atomic)
{
	tree target = gimple_call_lhs(call), result = NULL_TREE;
	if (target) { /* it may be an SSA name, which is assigned once */
		result = create_tmp_var(TREE_TYPE(target), "umbel.result");
		gimple_call_set_lhs(call, result);
	}
	tree called = create_artificial_label(s->place), plain = create_artificial_label(s->place);
	tree end = create_artificial_label(s->place);
	insert_choice(s, called, plain);
	insert_operation(s, call, atomic, result);
	insert(s, gimple_build_goto(end));
	insert(s, gimple_build_label(plain));
	gsi_insert_after(s->gsi, gimple_build_label(end), GSI_NEW_STMT);
	if (target)
		gsi_insert_after(s->gsi, gimple_build_assign(target, result), GSI_NEW_STMT);
}

static void visit_atomic(atomics_state *s, gcall *call, const atomic_call &atomic)
{
	if (address_index(atomic) >= gimple_call_num_args(call))
		return;
	tree address = gimple_call_arg(call, address_index(atomic));
	pointer_target target = target_of(*s, address);
	if (target.kind == pointer_target::PRIVATE)
		return;
	const verdict *says = target.kind == pointer_target::OBJECT ? &target.known->says : NULL;
	if (!says || !says->is_sequential)
		insert_strengthen(s, address);
	bool modifies = atomic.builtin->kind != LOAD && atomic.builtin->kind != STORE;
	bool sized = atomic.width == 1 || atomic.width == 2 || atomic.width == 4 || atomic.width == 8;
	if (says && sized && (says->is_remote || (says->has_operations && modifies)) && has_operate())
		choose_operation(s, call, atomic);
}

/* ---- references ------------------------------------------------------------------------------ */

static tree base_pointer(tree reference)
{
	while (handled_component_p(reference))
		reference = TREE_OPERAND(reference, 0);
	return TREE_CODE(reference) == MEM_REF ? TREE_OPERAND(reference, 0) : NULL_TREE;
}

static tree collect_volatile(tree *node, int *walk_subtrees, void *data)
{
	auto *references = static_cast<volatile_references *>(static_cast<walk_stmt_info *>(data)->info);
	if (TYPE_P(*node) || TREE_CODE(*node) == ADDR_EXPR) {
		*walk_subtrees = 0;
		return NULL_TREE;
	}
	if (!handled_component_p(*node) && TREE_CODE(*node) != MEM_REF)
		return NULL_TREE;
	*walk_subtrees = 0;
	bool is_volatile = false;
	for (tree part = *node; ; part = TREE_OPERAND(part, 0)) {
		is_volatile |= TREE_THIS_VOLATILE(part);
		if (!handled_component_p(part))
			break;
	}
	if (is_volatile && base_pointer(*node))
		references->found.push_back(*node);
	return NULL_TREE;
}

/* The address of REFERENCE, or of what it is a part of if a part has none. */
static tree insert_address(atomics_state *s, tree reference)
{
	while (TREE_CODE(reference) == BIT_FIELD_REF || TREE_CODE(reference) == REALPART_EXPR
	       || TREE_CODE(reference) == IMAGPART_EXPR || TREE_CODE(reference) == VIEW_CONVERT_EXPR
	       || (TREE_CODE(reference) == COMPONENT_REF && DECL_BIT_FIELD(TREE_OPERAND(reference, 1))))
		reference = TREE_OPERAND(reference, 0);
	if (TREE_CODE(reference) == MEM_REF && integer_zerop(TREE_OPERAND(reference, 1)))
		return TREE_OPERAND(reference, 0);
	tree address = create_tmp_var(ptr_type_node, "umbel.address");
	insert(s, gimple_build_assign(address, build1(ADDR_EXPR, ptr_type_node, unshare_expr(reference))));
	return address;
}

static void visit_volatile(atomics_state *s, gimple *statement)
{
	if (is_gimple_omp(statement) || gimple_clobber_p(statement))
		return;
	volatile_references references;
	walk_stmt_info info;
	memset(&info, 0, sizeof info);
	info.info = &references;
	walk_gimple_op(statement, collect_volatile, &info);
	std::set<tree> checked;
	for (tree reference : references.found) {
		pointer_target target = target_of(*s, base_pointer(reference));
		bool sure = target.kind == pointer_target::PRIVATE
			|| (target.kind == pointer_target::OBJECT
			    && (target.known->says.is_sequential || target.known->says.is_weak));
		if (!sure && checked.insert(base_pointer(reference)).second)
			insert_strengthen(s, insert_address(s, reference));
	}
}

/* A plain scalar in an object with the attribute "remote". */
static bool is_remote_scalar(const atomics_state &s, tree reference)
{
	if (!reference || !is_gimple_reg_type(TREE_TYPE(reference)) || !base_pointer(reference)
	    || TREE_CODE(reference) == BIT_FIELD_REF || TREE_CODE(reference) == REALPART_EXPR
	    || TREE_CODE(reference) == IMAGPART_EXPR
	    || (TREE_CODE(reference) == COMPONENT_REF && DECL_BIT_FIELD(TREE_OPERAND(reference, 1))))
		return false;
	HOST_WIDE_INT bytes = int_size_in_bytes(TREE_TYPE(reference));
	if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)
		return false;
	pointer_target target = target_of(s, base_pointer(reference));
	return target.kind == pointer_target::OBJECT && target.known->says.is_remote;
}

/* target = REFERENCE, by call or as it is. */
static void choose_load(atomics_state *s, gassign *load)
{
	tree reference = gimple_assign_rhs1(load);
	tree type = TREE_TYPE(reference);
	tree value = create_tmp_var(TYPE_MAIN_VARIANT(type), "umbel.loaded");
	tree called = create_artificial_label(s->place), plain = create_artificial_label(s->place);
	tree end = create_artificial_label(s->place);
	tree address = insert_address(s, reference);
	insert_choice(s, called, plain);
	tree old = insert_operate(s, address, LOAD, int_size_in_bytes(type), NULL_TREE, NULL_TREE);
	insert(s, gimple_build_assign(value, bits_as(s, TYPE_MAIN_VARIANT(type), old)));
	insert(s, gimple_build_goto(end));
	insert(s, gimple_build_label(plain));
	insert(s, gimple_build_assign(value, reference));
	insert(s, gimple_build_label(end));
	gimple_assign_set_rhs1(load, value);
	gimple_assign_set_rhs_code(load, VAR_DECL);
}

/* REFERENCE = value, by call or as it is; GSI ends behind it. */
static void choose_store(atomics_state *s, gassign *store)
{
	tree reference = gimple_assign_lhs(store);
	tree called = create_artificial_label(s->place), plain = create_artificial_label(s->place);
	tree end = create_artificial_label(s->place);
	tree address = insert_address(s, reference);
	insert_choice(s, called, plain);
	insert_operate(s, address, STORE, int_size_in_bytes(TREE_TYPE(reference)), gimple_assign_rhs1(store),
		       NULL_TREE);
	insert(s, gimple_build_goto(end));
	insert(s, gimple_build_label(plain));
	gsi_insert_after(s->gsi, gimple_build_label(end), GSI_NEW_STMT);
}

static void visit_remote(atomics_state *s, gimple *statement)
{
	gassign *assign = dyn_cast<gassign *>(statement);
	if (assign && gimple_assign_single_p(assign) && is_remote_scalar(*s, gimple_assign_rhs1(assign))
	    && has_operate())
		choose_load(s, assign);
	tree target = gimple_get_lhs(statement);
	if (!is_remote_scalar(*s, target) || !has_operate())
		return;
	if (!assign || !gimple_assign_single_p(assign) || !is_gimple_val(gimple_assign_rhs1(assign))) {
		/* A call or a computation stores: through a local. */
		tree value = create_tmp_var(TYPE_MAIN_VARIANT(TREE_TYPE(target)), "umbel.stored");
		gimple_set_lhs(statement, value);
		assign = gimple_build_assign(target, value);
		gimple_set_location(assign, s->place);
		gsi_insert_after(s->gsi, assign, GSI_NEW_STMT);
	}
	choose_store(s, assign);
}

/* ---- the pass -------------------------------------------------------------------------------- */

static tree visit_statement(gimple_stmt_iterator *gsi, bool *, walk_stmt_info *info)
{
	atomics_state *s = static_cast<atomics_state *>(info->info);
	gimple *statement = gsi_stmt(*gsi);
	s->gsi = gsi;
	s->place = gimple_location(statement);
	gcall *call = dyn_cast<gcall *>(statement);
	atomic_call atomic;
	if (call && find_atomic(gimple_call_fndecl(call), &atomic)) {
		visit_atomic(s, call, atomic);
		return NULL_TREE;
	}
	visit_volatile(s, statement);
	visit_remote(s, statement);
	return NULL_TREE;
}

namespace {
const pass_data atomics_data = { GIMPLE_PASS, "umbel_atomics", OPTGROUP_NONE, TV_NONE, PROP_gimple_any, 0, 0, 0, 0 };

struct atomics_pass : gimple_opt_pass {
	explicit atomics_pass(gcc::context *context) : gimple_opt_pass(atomics_data, context) {}
	bool gate(function *fun) override { return !names_umbel(fun->decl); }
	unsigned int execute(function *fun) override
	{
		atomics_state s = {};
		walk_stmt_info info;
		memset(&info, 0, sizeof info);
		info.info = &s;
		gimple_seq body = gimple_body(fun->decl);
		walk_gimple_seq(body, note_values, NULL, &info);
		walk_gimple_seq_mod(&body, visit_statement, NULL, &info);
		gimple_set_body(fun->decl, body);
		return 0;
	}
};
}

gimple_opt_pass *make_atomics_pass(gcc::context *context) { return new atomics_pass(context); }

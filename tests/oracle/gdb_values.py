"""What gdb knows at each call and return of a program built with -finstrument-functions: run inside of gdb.

gdb drives the very process that `umbel trace record` records, with breakpoints at the first instruction of the hooks, so both
see the same memory and registers at the same event, and every address can be compared as it is.

A line of JSON for each event, in each thread's order:
  {"n", "tid", "kind": "enter" or "exit", "function", "arguments", "locals" (exit), "caller": {"function", "locals"} (enter)}
and for each return value that gdb could tell, later: {"return_of": n, "returned"}.

A value is a tree, the one that `umbel trace export --format jsonl` writes:
  "5", "97 'a'", "RED", "true", "-0.5"          scalars as gdb writes them
  {"absent": "optimized out" | "invalid ..."}
  {"text", "complete"}                          char arrays and std::string
  {"ptr", "to"}                                 pointers and references; "to" if they were followed
  {"member": .., "<Base>": ..}                  records
  [.., {"more": n}]                             arrays and containers
  {"map": [[key, value], ..]}
"""

import json
import os
import re
import subprocess

import gdb

EVENTS = int(os.environ["ORACLE_EVENTS"])
ELEMENTS = 16
TEXT = 64
FOLLOW = 1
NESTING = 10

# Types whose printers tell what a person wants; others are compared member by member.
PRINTED = re.compile(
    r"^std::(__cxx11::|__debug::)?(basic_string|basic_string_view|vector|map|multimap|set|multiset|list|forward_list|deque"
    r"|unordered_(multi)?(map|set)|tuple|optional|variant|unique_ptr|shared_ptr|weak_ptr|stack|queue|priority_queue|bitset)<"
)
# What a call may change: outside of a frame that is still at its call they hold something else by now, whatever gdb says.
VOLATILE = ["rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"]
OPTIMIZED_OUT = {"absent": "optimized out"}

out = open(os.environ["ORACLE_OUTPUT"], "w", encoding="utf-8")


def text_at(address, limit):
    """Bytes up to a NUL, at most limit, page by page; and whether the NUL was seen. None: nothing can be read there."""
    inferior = gdb.selected_inferior()
    found = b""
    while len(found) < limit and address + len(found) < 1 << 64:
        at = address + len(found)
        part = min(limit - len(found), 4096 - at % 4096)
        try:
            found += bytes(inferior.read_memory(at, part))
        except gdb.MemoryError:
            break
    if not found:
        return None
    end = found.find(b"\0")
    return (found[:end], True) if end >= 0 else (found, False)


def text_tree(found, complete):
    return {"text": found.decode("latin-1"), "complete": complete}


def whole(trees):
    """What a value is of which no part is there; None if any is."""
    if not trees or not all(isinstance(tree, dict) and "absent" in tree for tree in trees):
        return None
    return trees[0] if all(tree["absent"][:7] == trees[0]["absent"][:7] for tree in trees) else None


def record_tree(value, kind, follow, nesting):
    members = {}
    for field in kind.fields():
        if not hasattr(field, "bitpos") and not field.is_base_class or field.artificial:
            continue
        if field.is_base_class:
            name = "<%s>" % field.name
        else:
            name = field.name or "<anonymous>"
        number = 2
        while name in members:
            name = "%s %d>" % (name.rstrip(">").rstrip(" 0123456789"), number)
            number += 1
        members[name] = safe_tree(lambda: value[field], follow, nesting)
    return whole(list(members.values())) or members


def is_char(kind):
    return kind.code in (gdb.TYPE_CODE_CHAR, gdb.TYPE_CODE_INT) and kind.sizeof == 1


def array_tree(value, kind, follow, nesting):
    low, high = kind.range()
    if kind.sizeof == 0:
        # A member of any length: gdb gives it one element.
        high = low - 1
    element = kind.target().strip_typedefs()
    if is_char(element) and "vector_size" not in str(kind):
        if value.is_optimized_out:
            return OPTIMIZED_OUT
        count = min(high - low + 1, TEXT)
        codes = [int(value[low + n]) & 0xFF for n in range(max(count, 0))]
        found = bytes(codes)
        end = found.find(b"\0")
        if end >= 0:
            return text_tree(found[:end], True)
        return text_tree(found, count == high - low + 1)
    count = high - low + 1
    trees = [
        safe_tree(lambda: value[low + n], follow, nesting)
        for n in range(min(count, ELEMENTS))
    ]
    absent = whole(trees)
    if absent:
        return absent
    if count > ELEMENTS:
        trees.append({"more": count - ELEMENTS})
    return trees


# By page: what garbage pointers find in the tracer's own memory is another each moment.
tracers = {}


# Bytes that a mapping of its scratch memory has at most; the program's own heaps are larger.
SCRATCH = 64 << 10


def is_tracers(address):
    """Whether the tracer writes there: in the file that it shares with the recorder, in the thread's block, where its state is, or in the
    memory that it captures into."""
    page = address >> 12
    if page not in tracers:
        block = int(gdb.parse_and_eval("(unsigned long)$fs_base"))
        with open("/proc/%d/maps" % gdb.selected_inferior().pid, encoding="utf-8") as maps:
            for line in maps:
                begin, end = (int(part, 16) for part in line.split()[0].split("-"))
                if begin <= address < end:
                    is_scratch = len(line.split()) == 5 and end - begin <= SCRATCH
                    tracers[page] = is_scratch or line.split()[-1].endswith(".live") or begin <= block < end
    return tracers.get(page, False)


def pointer_tree(value, kind, follow, nesting):
    if value.is_optimized_out:
        return OPTIMIZED_OUT
    if "synthetic pointer" in value.format_string(max_depth=0, symbols=False):
        tree = {"synthetic": True}
        if follow > 0:
            tree["to"] = safe_tree(value.dereference, follow - 1, nesting)
            if tree["to"] == OPTIMIZED_OUT:
                # Neither the pointer nor what it leads to is anywhere.
                return OPTIMIZED_OUT
        return tree
    address = int(value) & 0xFFFFFFFFFFFFFFFF
    tree = {"ptr": hex(address)}
    target = kind.target().strip_typedefs()
    if address == 0 or target.code in (gdb.TYPE_CODE_FUNC, gdb.TYPE_CODE_VOID, gdb.TYPE_CODE_METHOD):
        return tree
    if is_tracers(address):
        return tree
    if is_char(target):
        found = text_at(address, TEXT)
        if found:
            tree["to"] = text_tree(*found)
        else:
            tree["to"] = {"absent": "invalid %#x" % address}
    elif follow > 0:
        tree["to"] = safe_tree(value.dereference, follow - 1, nesting)
    return tree


def printed_tree(value, follow, nesting):
    """By the printer of the C++ library; None: it has none for this, or can't print it."""
    printer = gdb.default_visualizer(value)
    if printer is None:
        return None
    hint = printer.display_hint() if hasattr(printer, "display_hint") else None
    if hint == "string":
        text = printer.to_string()
        if hasattr(text, "value"):
            address, length = int(text.address), int(text.length)
            if is_tracers(address):
                # One that isn't made yet.
                return {"unprintable": "what the tracer writes"}
            found = bytes(gdb.selected_inferior().read_memory(address, min(length, TEXT))) if length > 0 else b""
            return text_tree(found, length <= TEXT)
        return text_tree(str(text).encode("latin-1", "replace"), True)
    if not hasattr(printer, "children"):
        return None
    trees, names, more = [], [], False
    limit = 2 * ELEMENTS if hint == "map" else ELEMENTS
    for name, child in printer.children():
        if len(trees) == limit:
            more = True
            break
        names.append(name)
        # Elements are part of the container: they cost no depth.
        trees.append(safe_tree(lambda: child, follow, nesting) if isinstance(child, gdb.Value) else str(child).lower())
    if names == ["get()"]:
        return trees[0]
    if hint == "map":
        pairs = [[trees[n], trees[n + 1]] for n in range(0, len(trees) - 1, 2)]
        return {"map": pairs, "more": True} if more else {"map": pairs}
    if more:
        trees.append({"more": 1})
    return trees


def tree(value, follow, nesting):
    kind = value.type.strip_typedefs()
    code = kind.code
    if nesting == 0:
        return {"absent": "not captured"}
    nesting -= 1
    if code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
        if kind.name and PRINTED.match(kind.name):
            try:
                printed = printed_tree(value, follow, nesting)
                if printed is not None:
                    return printed
            except (gdb.error, RuntimeError, ValueError, TypeError, StopIteration, OverflowError) as error:
                if "optimized out" in str(error) or "not saved" in str(error):
                    return OPTIMIZED_OUT
                return {"unprintable": str(error)}
        return record_tree(value, kind, follow, nesting)
    if code == gdb.TYPE_CODE_ARRAY:
        return array_tree(value, kind, follow, nesting)
    if code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
        # A reference is followed at the price of a pointer, and at the bottom too: an address says nothing.
        target = value.referenced_value()
        to = safe_tree(lambda: target, max(follow - 1, 0), nesting) if follow >= 0 else None
        tree = {"to": to}
        if not value.is_optimized_out and target.address is not None:
            tree["ptr"] = hex(int(target.address) & 0xFFFFFFFFFFFFFFFF)
        # Neither the reference nor what it leads to is anywhere.
        return OPTIMIZED_OUT if tree == {"to": OPTIMIZED_OUT} else tree
    if code == gdb.TYPE_CODE_PTR:
        return pointer_tree(value, kind, follow, nesting)
    if value.is_optimized_out:
        return OPTIMIZED_OUT
    if code == gdb.TYPE_CODE_MEMBERPTR and value.address is not None:
        # gdb names the member; what is there is its offset.
        offset = gdb.selected_inferior().read_memory(int(value.address), 8)
        return {"ptr": hex(int.from_bytes(bytes(offset), "little"))}
    if code == gdb.TYPE_CODE_FLT and kind.sizeof <= 8:
        # 9 digits name a float, 17 a double.
        return "%.9g" % float(value) if kind.sizeof <= 4 else repr(float(value))
    return value.format_string(symbols=False, repeat_threshold=0)


def safe_tree(get, follow, nesting):
    try:
        return tree(get(), follow, nesting)
    except gdb.MemoryError as error:
        return {"absent": "invalid %s" % error}
    except (gdb.error, RuntimeError, OverflowError) as error:
        text = str(error)
        if "optimized out" in text or "not saved" in text or "not available" in text:
            return OPTIMIZED_OUT
        if "Cannot access memory" in text:
            return {"absent": "invalid %s" % text}
        return {"unprintable": text}


def physical(frame):
    """The frame that an inlined function's is a part of."""
    while frame.type() == gdb.INLINE_FRAME and frame.older() is not None:
        frame = frame.older()
    return frame


def variables(frame, arguments):
    """Arguments or locals of a frame: innermost block first, as gdb looks names up."""
    found = []
    # What is said by its value at the function's entry, gdb looks for in the frame before: of an inlined function that is the one that
    # it was inlined into, whose registers are not those of the call. Without a block it takes the frame that it is given.
    host = physical(frame)
    try:
        block = frame.block()
    except RuntimeError:
        return found
    while block is not None and not block.is_global:
        for symbol in block:
            if symbol.is_argument != arguments or not (symbol.is_argument or symbol.is_variable):
                continue
            # Statics are no part of an event.
            if symbol.addr_class == gdb.SYMBOL_LOC_STATIC:
                continue
            value = safe_tree(lambda: host.read_var(symbol), FOLLOW, NESTING)
            if value == [] and "[variable length]" in str(symbol.type):
                # gdb doesn't know how long it is, and takes it for empty.
                value = OPTIMIZED_OUT
            found.append({"name": symbol.name, "type": str(symbol.type), "value": value})
        if block.function:
            break
        block = block.superblock
    return found


# By the caller's pc and the hooked function's: names that gdb takes from registers which the call may have changed.
unsound = {}


def without_volatile(frame, locals_):
    """Leaves out locals whose value gdb takes from registers that are the callee's by now: it believes that they were kept."""
    key = frame.pc()
    if key not in unsound:
        newest = gdb.newest_frame()
        level = frame.level()
        kept = {name: int(gdb.parse_and_eval("(unsigned long)$" + name)) for name in VOLATILE}
        vectors = {}
        for number in range(16):
            register = "xmm%d" % number
            halves = gdb.parse_and_eval("$%s.v2_int64" % register)
            vectors[register] = (int(halves[0]), int(halves[1]))
        try:
            for name in VOLATILE:
                gdb.execute("set $%s = %d" % (name, kept[name] ^ 0x5A5A5A5A5A5A5A5A), to_string=True)
            for register, (low, high) in vectors.items():
                gdb.execute("set $%s.v2_int64[0] = %d" % (register, ~low), to_string=True)
                gdb.execute("set $%s.v2_int64[1] = %d" % (register, ~high), to_string=True)
            again = gdb.newest_frame()
            for _ in range(level):
                again = again.older()
            changed = variables(again, False)
        finally:
            for name in VOLATILE:
                gdb.execute("set $%s = %d" % (name, kept[name]), to_string=True)
            for register, (low, high) in vectors.items():
                gdb.execute("set $%s.v2_int64[0] = %d" % (register, low), to_string=True)
                gdb.execute("set $%s.v2_int64[1] = %d" % (register, high), to_string=True)
        unsound[key] = {
            n for n, (before, after) in enumerate(zip(locals_, changed)) if before["value"] != after["value"]
        }
    for n in unsound[key]:
        if n < len(locals_):
            locals_[n]["value"] = OPTIMIZED_OUT
    return locals_


names = {}


def function_at(address):
    """Linkage name of the function that begins at an address; None without debug information."""
    if address not in names:
        block = gdb.block_for_pc(address)
        while block is not None and (block.function is None or block.function.symtab is None):
            block = block.superblock
        names[address] = block.function.linkage_name if block is not None else None
    return names[address]


traced = {}


def is_traced(frame):
    """Whether its function is in a file that calls the hooks: others, which may have debug information elsewhere, the tracer leaves alone."""
    file = frame.function().symtab.objfile.filename
    if file not in traced:
        # The C library has hooks that do nothing: it is who asks for them that is meant.
        symbols = subprocess.run(["readelf", "--wide", "--dyn-syms", file], capture_output=True, text=True, check=False)
        traced[file] = " UND __cyg_profile_func_enter" in symbols.stdout
    return traced[file]


def plain(name):
    """A copy of a function that the compiler made carries its name with something behind."""
    if not name:
        return name
    return re.sub(r"\.(part|constprop|isra|cold|lto_priv)\.?\d*", "", name).split("(")[0]


def is_told(kind):
    """Whether gdb can tell a returned value of this type: of __int128 and vectors it believes that they are in memory."""
    is_wide = kind.code == gdb.TYPE_CODE_INT and kind.sizeof > 8
    return kind.code not in (gdb.TYPE_CODE_VOID, gdb.TYPE_CODE_ARRAY) and not is_wide


class Returned(gdb.FinishBreakpoint):
    """At the place that a function returns to."""

    finished = []

    def __init__(self, frame, number):
        super().__init__(frame, internal=True)
        self.silent = True
        self.event = number

    def stop(self):
        if self.return_value is not None:
            value = self.return_value
            line = {"return_of": self.event, "returned": safe_tree(lambda: value, FOLLOW, NESTING)}
            out.write(json.dumps(line) + "\n")
        Returned.finished.append(self)
        return False

    def out_of_scope(self):
        Returned.finished.append(self)


class Hook(gdb.Breakpoint):
    """At the first instruction of a hook."""

    counted = 0

    def __init__(self, where, kind):
        super().__init__(where, internal=True)
        self.silent = True
        self.kind = kind

    def stop(self):
        try:
            return self.look()
        except Exception as error:  # An exception would end in gdb's hands, who goes on without a word.
            out.write(json.dumps({"trouble": "%s: %s" % (type(error).__name__, error)}) + "\n")
            return True

    def look(self):
        for old in Returned.finished:
            if old.is_valid():
                old.delete()
        Returned.finished.clear()
        number = Hook.counted
        Hook.counted += 1
        hook = gdb.newest_frame()
        frame = hook.older()
        called = int(hook.read_register("rdi"))
        function = frame.function()
        line = {
            "n": number,
            "tid": gdb.selected_thread().ptid[1],
            "kind": self.kind,
            "function": function_at(called),
            "address": hex(called),
        }
        # Behind a jump to the hook its function is gone already: gdb may tell which it was, but its frame lies below the stack pointer.
        is_jump = frame.type() == gdb.TAILCALL_FRAME
        if is_jump or function is None or plain(function.linkage_name) != plain(function_at(called)):
            line["gone"] = True
        else:
            self.look_at(frame, line)
        out.write(json.dumps(line) + "\n")
        return Hook.counted >= EVENTS

    def look_at(self, frame, line):
        is_inline = frame.type() == gdb.INLINE_FRAME
        line["inline"] = is_inline
        line["arguments"] = variables(frame, True)
        if self.kind == "enter":
            caller = frame.older()
            if caller is not None and caller.function() is not None and is_traced(caller):
                locals_ = variables(caller, False)
                if not is_inline:
                    locals_ = without_volatile(caller, locals_)
                line["caller"] = {"function": caller.function().linkage_name, "locals": locals_}
            return
        line["locals"] = variables(frame, False)
        result = frame.function().type.target()
        if not is_inline and result is not None and is_told(result.strip_typedefs()):
            if frame.older() is not None:
                Returned(frame, line["n"])


for setting in [
    "pagination off",
    "confirm off",
    "startup-with-shell off",
    "breakpoint pending on",
    "breakpoint always-inserted on",
    "print elements %d" % ELEMENTS,
    "print repeats 0",
    "print max-depth -1",
    "print thread-events off",
    "detach-on-fork on",
    "debuginfod enabled off",
]:
    gdb.execute("set " + setting)
# The hooks' own probes of memory get SIGSEGV and SIGBUS.
gdb.execute("handle SIGSEGV SIGBUS SIGPIPE SIGALRM SIGVTALRM SIGCHLD SIGUSR1 SIGUSR2 nostop noprint pass", to_string=True)
Hook("__cyg_profile_func_enter", "enter")
Hook("__cyg_profile_func_exit", "exit")
gdb.execute("run")
try:
    gdb.selected_thread()
    gdb.execute("kill")
except gdb.error:
    pass  # It ended by itself.
out.close()

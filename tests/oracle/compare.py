"""Compares what gdb knew at each event with what `umbel trace record --values=all` captured of the same run.

    compare.py GDB_LINES UMBEL_LINES PROGRAM [--show N]
    compare.py --self-test

Prints the first differences, then `= events: N`, and for each kind of values `= kind: equal missing ours different cut neither`.

| class | |
|---|---|
| equal | both say the same, or both that it isn't there |
| missing | gdb has it, we say that it is optimized out or not known |
| ours | we have it, gdb doesn't |
| different | both have it, and it isn't the same: never right |

A value is different if any part is, else missing if any part is. What a limit cut off is not compared: how deep pointers are followed,
how many elements and bytes of a text are taken (counted as cut if nothing at all was compared).
"""

import argparse
import json
import math
import re
import sys
from collections import Counter

EQUAL, CUT, OURS, MISSING, DIFFERENT = range(5)
CLASSES = ["equal", "cut", "ours", "missing", "different"]
LABELS = ["equal", "missing", "ours", "different", "cut", "neither"]
OPTIMIZED_OUT = "optimized out"


def absence(tree):
    """Why a value isn't there; None if it is."""
    if isinstance(tree, dict) and "absent" in tree:
        return tree["absent"].split(" at ")[0]
    return None


def worst(classes):
    """The class of a whole: cut parts count only if there are no others."""
    classes = list(classes)
    if not classes:
        return EQUAL
    judged = [one for one in classes if one != CUT]
    return max(judged) if judged else CUT


def compare(gdb, ours):
    """The class of a value."""
    if isinstance(gdb, dict) and "unprintable" in gdb:
        return CUT
    gdb_absent, our_absent = absence(gdb), absence(ours)
    if our_absent is not None and our_absent.startswith("not captured"):
        return CUT
    if gdb_absent is not None and gdb_absent.startswith("not captured"):
        return CUT
    if gdb_absent is not None or our_absent is not None:
        return compare_absent(gdb_absent, our_absent, gdb, ours)
    if isinstance(gdb, dict) and isinstance(ours, dict):
        return compare_objects(gdb, ours)
    if is_initializer_list(gdb) and isinstance(ours, list):
        return CUT
    if isinstance(gdb, dict) and set(gdb) == {"ptr"} and isinstance(ours, str):
        # A pointer to a member is a number for us.
        return EQUAL if int(gdb["ptr"], 16) == int(ours, 0) & (1 << 64) - 1 else DIFFERENT
    if isinstance(gdb, dict) and "text" in gdb and isinstance(ours, list):
        ours = text_of(ours)
        return compare_objects(gdb, ours) if isinstance(ours, dict) else DIFFERENT
    gdb, ours = as_list(gdb), as_list(ours)
    if isinstance(gdb, list) and (is_unmade_optional(ours) or is_unmade_vector(ours)):
        return CUT
    if isinstance(gdb, list) and isinstance(ours, list):
        return compare_lists(gdb, ours)
    if isinstance(gdb, str) and isinstance(ours, str):
        return EQUAL if same_scalar(gdb, ours) else DIFFERENT
    # The garbage of a container that isn't made yet: gdb prints what it can, we its members.
    if is_unprintable(gdb) or is_raw_container(ours) and is_unreadable(gdb):
        return CUT
    # Only declared where it is used: gdb looks elsewhere, we say that we don't know. A container of such is shown by its members.
    if ours == "<incomplete type>" or isinstance(gdb, (list, dict)) and is_raw_container(ours):
        return MISSING
    return DIFFERENT


def is_raw_container(tree):
    return isinstance(tree, dict) and any(name.startswith("<std::_") for name in tree)


def is_unprintable(tree):
    if isinstance(tree, dict):
        return "unprintable" in tree or any(is_unprintable(part) for part in tree.values())
    return isinstance(tree, list) and any(is_unprintable(part) for part in tree)


def compare_absent(gdb_absent, our_absent, gdb, ours):
    if gdb_absent is not None and our_absent is not None:
        both_invalid = gdb_absent.startswith("invalid") and our_absent.startswith("invalid")
        both_out = gdb_absent == our_absent == OPTIMIZED_OUT
        # Invalid memory, and a value that isn't there: no value either way.
        return EQUAL if both_invalid or both_out else MISSING
    if our_absent is not None:
        if not our_absent.startswith("invalid"):
            # gdb prints what an object consists of though all of its data are optimized out, or though it has none.
            return CUT if knows_nothing(gdb) else MISSING
        # Memory that gdb could read is not invalid; of an object without members it reads nothing.
        return CUT if is_unread(gdb) else EQUAL if is_unreadable(gdb) else DIFFERENT
    if not gdb_absent.startswith("invalid"):
        return OURS
    # gdb gives up a whole record for a virtual base that can't be found; we leave out the base.
    return CUT if isinstance(ours, dict) and has_absent(ours) else DIFFERENT


def is_unreadable(tree):
    """Whether gdb could read no part of it."""
    if isinstance(tree, dict):
        if "unprintable" in tree or (absence(tree) or "").startswith("invalid"):
            return True
        parts = list(tree.values())
    elif isinstance(tree, list):
        parts = [part for part in tree if not is_more(part)]
    else:
        return False
    read = [part for part in parts if not is_unread(part)]
    return bool(read) and all(is_unreadable(part) for part in read)


def is_unread(tree):
    """Whether gdb read nothing for it: it has no members, or lies deeper than was asked for."""
    if isinstance(tree, dict):
        return absence(tree) == "not captured" or all(is_unread(part) for part in tree.values())
    return False


def knows_nothing(tree):
    """Whether gdb says of no part of it what it is."""
    if isinstance(tree, dict):
        return absence(tree) in (OPTIMIZED_OUT, "not captured") or all(knows_nothing(part) for part in tree.values())
    return False


def has_absent(tree):
    if isinstance(tree, dict):
        return absence(tree) is not None or any(has_absent(part) for part in tree.values())
    return isinstance(tree, list) and any(has_absent(part) for part in tree)


def is_unmade_string(tree):
    """Whether its members are those of no std::string: more characters than the room has that its pointer leads to."""
    length = tree.get("_M_string_length")
    pointed, room = tree.get("_M_dataplus", {}).get("_M_p", {}), tree.get("<anonymous>", {}).get("_M_local_buf")
    return isinstance(length, str) and int(length) > 15 and isinstance(room, dict) and pointed.get("to") == room


def is_unmade_optional(tree):
    """Whether its members are those of no std::optional: whether it has a value is neither true nor false. gdb takes it for one."""
    if not isinstance(tree, dict):
        return False
    if "_M_engaged" in tree:
        return tree["_M_engaged"] not in ("true", "false")
    return any(is_unmade_optional(part) for name, part in tree.items() if is_base(name) or name == "_M_payload")


def is_unmade_vector(tree):
    """Whether its members are those of no std::vector: it ends before it begins. gdb counts from there on to what it takes for the end."""
    while isinstance(tree, dict) and not {"_M_start", "_M_finish", "_M_end_of_storage"} <= set(tree):
        parts = [part for name, part in tree.items() if name.startswith("<std::_Vector_base") or name == "_M_impl"]
        tree = parts[0] if parts else None
    if not isinstance(tree, dict):
        return False
    begin, end, room = [int(tree[name].get("ptr", "0"), 16) for name in ("_M_start", "_M_finish", "_M_end_of_storage")]
    return not begin <= end <= room


def compare_objects(gdb, ours):
    if "text" in gdb and is_unmade_string(ours):
        return CUT
    if "text" in gdb and "text" in ours:
        classes = [EQUAL if same_text(gdb, ours) else DIFFERENT]
        if "ptr" in gdb and "ptr" in ours:
            classes.append(EQUAL if same_address(gdb["ptr"], ours["ptr"]) else DIFFERENT)
        return worst(classes)
    if "map" in gdb and "map" in ours:
        return compare_lists(gdb["map"], ours["map"])
    if "synthetic" in gdb:
        if "to" in gdb and "to" in ours:
            return compare(gdb["to"], ours["to"])
        return CUT
    if "ptr" in gdb or "ptr" in ours:
        classes = []
        if "ptr" in gdb and "ptr" in ours:
            classes.append(EQUAL if same_address(gdb["ptr"], ours["ptr"]) else DIFFERENT)
        if "to" in gdb and "to" in ours:
            classes.append(compare(gdb["to"], ours["to"]))
        return worst(classes) if classes else CUT
    if "to" in gdb and "to" in ours:
        return compare(gdb["to"], ours["to"])
    if set(gdb) == {"_M_elems"} and "_M_elems" not in ours:
        return compare(gdb["_M_elems"], ours)
    return compare_members(gdb, ours)


def compare_members(gdb, ours):
    """Members by name; bases too, whose names may be written in more than one way."""
    classes = []
    bases = {plain_type(name): ours[name] for name in ours if is_base(name)}
    for name in gdb:
        if is_base(name):
            known = plain_type(name)
            classes.append(compare(gdb[name], bases[known]) if known in bases else MISSING)
        else:
            classes.append(compare(gdb[name], ours[name]) if name in ours else MISSING)
    return worst(classes)


def is_base(name):
    return name.startswith("<") and not name.startswith("<anonymous")


def plain_type(name):
    name = re.sub(r"\b(long|short) (unsigned )?int\b", r"\2\1", name)
    # gdb writes `T const`, we `const T`: two bases that differ only in that are not told apart.
    name = re.sub(r"\bconst\b", "", name)
    return name.replace("long unsigned", "unsigned long").replace(" ", "")


def as_list(tree):
    """A char array may be a text or a list; a std::array a record."""
    if isinstance(tree, dict) and set(tree) == {"_M_elems"}:
        return tree["_M_elems"]
    return tree


def is_initializer_list(tree):
    """gdb's printers don't know it: its elements are behind a pointer that they don't follow."""
    return isinstance(tree, dict) and set(tree) == {"_M_array", "_M_len"}


def is_more(tree):
    return isinstance(tree, dict) and set(tree) == {"more"}


def compare_lists(gdb, ours):
    gdb_cut, our_cut = bool(gdb) and is_more(gdb[-1]), bool(ours) and is_more(ours[-1])
    gdb = gdb[:-1] if gdb_cut else gdb
    ours = ours[:-1] if our_cut else ours
    if len(gdb) > len(ours) and not our_cut or len(ours) > len(gdb) and not gdb_cut:
        return DIFFERENT
    return worst(compare(a, b) for a, b in zip(gdb, ours)) if gdb and ours else EQUAL


def same_text(gdb, ours):
    a, b = gdb["text"], ours["text"]
    if gdb.get("complete") and ours.get("complete"):
        return a == b
    length = min(len(a), len(b))
    return a[:length] == b[:length]


def same_address(a, b):
    return int(a, 16) == int(b, 16)


def code(text):
    """The number of `97 'a'` or `97`; None: it is something else."""
    found = re.fullmatch(r"(-?\d+)(?: [uUL]?'.*')?", text, re.S)
    return int(found[1]) if found else None


def text_of(tree):
    """A list of characters as a text; others as they are."""
    if not isinstance(tree, list):
        return tree
    cut = bool(tree) and is_more(tree[-1])
    codes = [code(one) if isinstance(one, str) else None for one in (tree[:-1] if cut else tree)]
    if None in codes:
        return tree
    text = "".join(chr(one & 0xFF) for one in codes)
    end = text.find("\0")
    return {"text": text[:end] if end >= 0 else text, "complete": end >= 0 or not cut}


def same_scalar(a, b):
    if a == b:
        return True
    first, other = code(a), code(b)
    if first is not None and other is not None:
        return first == other
    numbers, others = floats(a), floats(b)
    if numbers is not None and others is not None and len(numbers) == len(others):
        return all(same_float(x, y) for x, y in zip(numbers, others))
    # gdb writes enumerators with their scopes.
    squeeze = lambda text: re.sub(r"[\s(){}]|\b\w+::", "", text)
    return squeeze(a) == squeeze(b)


def floats(text):
    """The numbers of `1.5`, `-nan(0x8...)`, `1 + 2i`; None: it is something else."""
    found = re.findall(r"[-+]?\s*(?:nan(?:\(0x[0-9a-f]+\))?|inf|[0-9][0-9.]*(?:e[-+]?\d+)?)", text, re.I)
    rest = text
    for number in found:
        rest = rest.replace(number, "", 1)
    if not found or rest.replace("i", "").replace("I", "").replace("*", "").strip(" +-") != "":
        return None
    return [re.sub(r"\s|\(.*\)", "", number) for number in found]


def same_float(a, b):
    x, y = float(a), float(b)
    if math.isnan(x) or math.isnan(y):
        return math.isnan(x) and math.isnan(y)
    return x == y


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def plain(name):
    if not name:
        return name
    name = re.sub(r"\.(part|constprop|isra|cold|lto_priv)\.?\d*", "", name).split("(")[0]
    # The variants of constructors and destructors are mostly one piece of code with several names.
    name = name.replace("ECI2", "ECI1")
    return re.sub(r"([CD])[0-4](?=[EI]|$)", r"\1", name)


def is_function(gdb, ours):
    """Whether both name one function; what the compiler makes has no name for the linker in the debug information."""
    gdb, ours = plain(gdb), plain(ours)
    # Functions in functions have numbers for the linker.
    return gdb == re.sub(r"\.\d+$", "", ours) or not gdb.startswith("_Z") and ours.startswith("_Z") and gdb in ours


def our_events(lines, program):
    """By thread: events that hooks made, in order."""
    threads, names = {}, {}
    events = {}
    for line in lines:
        kind = line["type"]
        if kind == "thread":
            if line.get("program") == program:
                threads[line["thread"]] = line["tid"]
        elif kind == "function":
            names[line["id"]] = line.get("linkage", line["name"])
        elif kind in ("begin", "end", "unseen") and line["thread"] in threads and "cut" not in line:
            line["function"] = names[line["id"]]
            line["kind"] = "enter" if kind == "begin" else "exit"
            events.setdefault(threads[line["thread"]], []).append(line)
    return events


def where(gdb, ours):
    """The smallest part that is judged as the whole is: its path, and both sides of it."""
    judged, path = compare(gdb, ours), ""
    while True:
        if isinstance(gdb, dict) and isinstance(ours, dict):
            parts = [(".%s" % name, gdb[name], ours[name]) for name in gdb if name in ours]
        elif isinstance(gdb, list) and isinstance(ours, list):
            parts = [("[%d]" % n, a, b) for n, (a, b) in enumerate(zip(gdb, ours))]
        else:
            parts = []
        worse = [part for part in parts if not isinstance(part[1], bool) and compare(part[1], part[2]) == judged]
        if not worse or "text" in gdb or {"ptr", "to"} <= set(names(gdb)) and worse[0][0] == ".ptr":
            return path, gdb, ours
        name, gdb, ours = worse[0]
        path += name


def names(tree):
    return tree if isinstance(tree, dict) else ()


def no_object(tree):
    return isinstance(tree, dict) and 0 < int(tree.get("ptr", "0"), 16) < 4096


class Report:
    """Counts, and the first of what is wrong."""

    def __init__(self, show):
        self.counts = {}
        self.left = show
        self.missing_left = show

    def add(self, kind, event, name, gdb, ours):
        found = compare(gdb, ours)
        if found == DIFFERENT and name == "this" and no_object(gdb):
            # gdb takes entry values of some inlined functions from the wrong place: no object lies in the first page.
            found = CUT
        # A value that neither has says nothing about us.
        both_absent = absence(gdb) == OPTIMIZED_OUT and absence(ours) == OPTIMIZED_OUT
        label = "neither" if both_absent else CLASSES[found]
        self.counts.setdefault(kind, Counter())[label] += 1
        if found == DIFFERENT and self.left > 0:
            self.left -= 1
            self.tell("DIFFERENT", kind, event, name, gdb, ours)
        if found == MISSING and self.missing_left > 0:
            self.missing_left -= 1
            self.tell("missing", kind, event, name, gdb, ours)

    def tell(self, what, kind, event, name, gdb, ours):
        path, gdb, ours = where(gdb, ours)
        print("%s: %s of event %d, %s%s of %s" % (what, kind, event["n"], name, path, event["function"]))
        print("  gdb:  %s\n  ours: %s" % (json.dumps(gdb)[:300], json.dumps(ours)[:300]))

    def variables(self, kind, event, gdb, ours):
        """Variables of one frame; of those with equal names the order counts."""
        by_name = {}
        for variable in ours or []:
            by_name.setdefault(variable["name"], []).append(variable["value"])
        for variable in gdb:
            values = by_name.get(variable["name"], [])
            value = values.pop(0) if values else {"absent": OPTIMIZED_OUT}
            self.add(kind, event, variable["name"], variable["value"], value)


def unmade_string(length, room):
    """For the self-test: members of a string."""
    room = {"text": room, "complete": True}
    pointed = {"_M_p": {"ptr": "0x10", "to": {"text": "ab", "complete": True}}}
    return {"_M_string_length": length, "_M_dataplus": pointed, "<anonymous>": {"_M_local_buf": room}}


def optional(engaged):
    """For the self-test: members of an optional."""
    return {"<std::_Optional_base>": {"_M_payload": {"<std::_Optional_payload>": {"_M_engaged": engaged}}}}


def vector(begin, end, room):
    """For the self-test: members of a vector."""
    data = {"_M_start": {"ptr": begin}, "_M_finish": {"ptr": end}, "_M_end_of_storage": {"ptr": room}}
    return {"<std::_Vector_base<int>>": {"_M_impl": {"<std::_Vector_base<int>::_Vector_impl_data>": data}}}


OUT = {"absent": "optimized out"}
BAD = {"absent": "invalid 0x8"}
SELF_TEST = [
    ("5", "5", EQUAL),
    ("5", "6", DIFFERENT),
    ("97 'a'", "97", EQUAL),
    ("97 'a'", "98 'a'", DIFFERENT),
    ("-0.5", "-5e-1", EQUAL),
    ("0.1", "0.10000000000000002", DIFFERENT),
    ("1.40129846e-45", "0.0000140129846E-40", EQUAL),
    ("nan", "-nan(0x8000000000000)", EQUAL),
    ("1 + 2i", "1 + 3i", DIFFERENT),
    ("ns::RED", "RED", EQUAL),
    ("RED", "BLUE", DIFFERENT),
    ({"n": "1"}, "<incomplete type>", MISSING),
    (OUT, OUT, EQUAL),
    (OUT, "5", OURS),
    ("5", OUT, MISSING),
    ({"<empty>": {"<other>": {}}}, OUT, CUT),
    ({"<empty>": {}, "n": "1"}, OUT, MISSING),
    ({"<empty>": {}, "n": OUT, "m": {"x": OUT}}, OUT, CUT),
    ({"n": OUT, "m": "1"}, OUT, MISSING),
    ([], OUT, MISSING),
    (["5"], vector("0x30", "0x20", "0x40"), CUT),
    (["5"], vector("0x20", "0x30", "0x28"), CUT),
    (["5"], vector("0x20", "0x30", "0x40"), MISSING),
    (["5"], optional("200"), CUT),
    (["5"], optional("true"), MISSING),
    (["5"], {"optional": optional("200")}, DIFFERENT),
    ("5", BAD, DIFFERENT),
    (BAD, "5", DIFFERENT),
    (BAD, BAD, EQUAL),
    ({}, BAD, CUT),
    ([BAD, BAD, {"more": 1}], {"<std::_Vector_base>": {"start": {"ptr": "0x10"}}}, CUT),
    ({"n": "1"}, BAD, DIFFERENT),
    ({"n": BAD, "deep": {"absent": "not captured"}}, BAD, EQUAL),
    ({"n": "1", "deep": {"absent": "not captured"}}, BAD, DIFFERENT),
    ({"<empty>": {"<other>": {}}, "n": BAD}, BAD, EQUAL),
    ({"<empty>": {}, "n": "1"}, BAD, DIFFERENT),
    ({"<empty>": {"<other>": {}}}, BAD, CUT),
    ({"text": "ab\0\0"}, unmade_string("99", "ab"), CUT),
    ({"text": "ab\0\0"}, unmade_string("99", "ac"), MISSING),
    ({"text": "ab"}, unmade_string("2", "ab"), MISSING),
    ([{"x": {"unprintable": "no memory"}}], [BAD], EQUAL),
    ([{"x": {"unprintable": "no memory"}, "y": "5"}], [BAD], DIFFERENT),
    ("5", {"absent": "not captured"}, CUT),
    ([BAD, BAD], {"<std::_Vector_base>": {"start": {"ptr": "0x10"}}}, CUT),
    (["5", BAD], {"<std::_Vector_base>": {"start": {"ptr": "0x10"}}}, MISSING),
    ([BAD, BAD], [], DIFFERENT),
    ({"ptr": "0x10", "to": "5"}, {"ptr": "0x10"}, EQUAL),
    ({"ptr": "0x10", "to": "5"}, {"ptr": "0x10", "to": "6"}, DIFFERENT),
    ({"ptr": "0x10"}, {"ptr": "0x11"}, DIFFERENT),
    ({"x": "1", "y": "2"}, {"y": "2", "x": "1"}, EQUAL),
    ({"x": "1", "y": "2"}, {"x": "2", "y": "1"}, DIFFERENT),
    ({"x": "1", "y": "2"}, {"x": "1"}, MISSING),
    ({"<A<B const, int>>": {"n": "1"}}, {"<A<const B, int>>": {"n": "2"}}, DIFFERENT),
    ({"<ns::A<long, 3>>": {"n": "1"}}, {"<ns::A<long int, 3>>": {"n": "2"}}, DIFFERENT),
    (["1", "2", {"more": 3}], ["1", "2"], EQUAL),
    (["1", "2"], ["1"], DIFFERENT),
    (["1", "2"], ["1", {"more": 1}], EQUAL),
    ({"text": "abc", "complete": True}, {"text": "ab", "complete": True}, DIFFERENT),
    ({"text": "abc", "complete": False}, {"text": "ab", "complete": False}, EQUAL),
    ({"text": "ab", "complete": True}, ["97 'a'", "98 'b'", "0 '\\000'", "99 'c'"], EQUAL),
    ({"text": "ab", "complete": True}, ["97 'a'", "99 'c'"], DIFFERENT),
    ({"map": [["1", "a"]]}, {"map": [["1", "b"]]}, DIFFERENT),
]


def self_test():
    """A comparison that finds nothing would please everybody."""
    for gdb, ours, wanted in SELF_TEST:
        found = compare(gdb, ours)
        if found != wanted:
            sys.exit("%s and %s are taken for %s, not %s" % (gdb, ours, CLASSES[found], CLASSES[wanted]))


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    parser = argparse.ArgumentParser()
    parser.add_argument("gdb")
    parser.add_argument("umbel")
    parser.add_argument("program")
    parser.add_argument("--show", type=int, default=10)
    options = parser.parse_args()

    returned, events = {}, []
    for line in read(options.gdb):
        if "trouble" in line:
            sys.exit("the gdb side failed: %s" % line["trouble"])
        if "return_of" in line:
            returned[line["return_of"]] = line["returned"]
        else:
            events.append(line)
    theirs = our_events(read(options.umbel), options.program)

    report = Report(options.show)
    compared = 0
    places = Counter()
    for event in events:
        own = theirs.get(event["tid"], [])
        place = places[event["tid"]]
        places[event["tid"]] += 1
        if place >= len(own):
            # gdb kills the program at its last event, which is not recorded any more.
            if event["n"] + 1 < len(events):
                sys.exit("event %d of thread %d (%s) is not in the recording" % (event["n"], event["tid"], event["function"]))
            continue
        line = own[place]
        # Lambdas have no name for the linker in the debug information.
        is_named = re.fullmatch(r"(?!operator$)\w+", plain(event["function"] or "?"))
        is_it = not is_named or is_function(event["function"], line["function"])
        if line["kind"] != event["kind"] or not is_it:
            sys.exit(
                "event %d: gdb saw %s %s, the recording has %s %s"
                % (event["n"], event["kind"], event["function"], line["kind"], line["function"])
            )
        compared += 1
        if event.get("gone"):
            continue
        values = line.get("values", {})
        at = "entry" if event["kind"] == "enter" else "exit"
        report.variables("arguments at " + at, event, event["arguments"], values.get("arguments"))
        if "locals" in event:
            report.variables("locals at exit", event, event["locals"], values.get("locals"))
        if "caller" in event:
            report.variables("caller's locals", event, event["caller"]["locals"], values.get("caller", {}).get("locals"))
        if event["n"] in returned:
            ours = values.get("returned", {"absent": OPTIMIZED_OUT})
            report.add("return value", event, "return value", returned[event["n"]], ours)
    print("= events: %d" % compared)
    for kind, counts in report.counts.items():
        print("= %s: %s" % (kind, " ".join(str(counts[name]) for name in LABELS)))


main()

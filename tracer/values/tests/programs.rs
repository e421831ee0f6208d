//! Plans for real programs: whatever way gcc writes the debug information, and however it is damaged afterwards.

mod common;

use umbel_values::plan::{Kind, Site, Wishes};
use umbel_values::{DebugFile, Place, Type};

use common::{
    EXPECTED, Folder, arguments, build_units, entry_plan, functions, functions_of, names, plan,
};

#[test]
fn optimized_arguments_are_named_and_most_are_there() {
    let folder = Folder::new("levels");
    for level in ["-O1", "-O2", "-O3", "-Og"] {
        let found = arguments(&folder.build(&level[1..], &[level]));
        let own: Vec<String> = names(&found);
        for expected in EXPECTED {
            assert!(own.iter().any(|line| line == expected), "{level}: {own:?}");
        }
        let add = found.iter().find(|(name, _)| name == "add");
        let (_, add) = add.expect("it was just found");
        assert!(
            add.iter().all(|(_, is_there)| *is_there),
            "{level}: {add:?}"
        );
    }
}

#[test]
fn a_returned_value_is_found_behind_the_exit_hook() {
    let folder = Folder::new("returned");
    for level in ["-O0", "-O1", "-O2"] {
        let program = folder.build(&format!("returned{level}"), &[level]);
        let mut file = DebugFile::open(&program, &[]).expect("it has debug information");
        let all = functions(&program);
        for (name, begin, end) in all.iter().filter(|(name, _, _)| name != "main") {
            let sites = (*begin..=*end).filter(|address| file.calls_hook(*address) == Some(true));
            let site = Site {
                address: sites.max().expect("the hook is called at the end"),
                kind: Kind::Exit,
                function: Some(*begin),
            };
            let result = plan(&mut file, &site, &Wishes::default())
                .and_then(|plan| plan.result)
                .expect("it returns a number");
            assert!(result.place != Place::OptimizedOut, "{level} {name}");
        }
    }
}

/// Results that are computed behind the hook, as -O2 has them.
const COMPUTED: &str = r#"
typedef float lanes __attribute__((vector_size(16)));
struct pair { float x, y; };
struct mixed { double d; int n; };
volatile double kept = 2.5;
__attribute__((noinline)) double third(int n, float f) { return (n + f) / 3; }
__attribute__((noinline)) float negated(float f) { return -f; }
__attribute__((noinline)) long rounded(double d, long n) { return (long)d + n; }
__attribute__((noinline)) unsigned larger(unsigned a, unsigned b) { return a > b ? a : b; }
__attribute__((noinline)) long double widened(double d) { return d; }
__attribute__((noinline)) lanes moved(lanes l) { return l; }
__attribute__((noinline)) struct pair paired(float f) { struct pair p = {f, f + 1}; return p; }
__attribute__((noinline)) struct mixed mixed(double d, int n) { struct mixed m = {d * d, n + 1}; return m; }
int main(void) {
  return third(1, 2) + negated(3) + rounded(kept, 1) + larger(kept, 3) + widened(kept) + moved((lanes){1})[0] + paired(kept).y +
         mixed(kept, 2).n;
}
"#;

#[test]
fn a_returned_value_that_is_computed_behind_the_hook_is_found() {
    let folder = Folder::new("computed");
    let names = [
        "third", "negated", "rounded", "larger", "widened", "moved", "paired", "mixed",
    ];
    for level in ["-O0", "-O1", "-O2", "-O3"] {
        let program = folder.build_of(COMPUTED, &format!("computed{level}"), &[level]);
        let mut file = DebugFile::open(&program, &[]).expect("it has debug information");
        let all = functions_of(&program, &names);
        assert_eq!(all.len(), names.len());
        for (name, begin, end) in &all {
            let sites = (*begin..=*end).filter(|address| file.calls_hook(*address) == Some(true));
            let site = Site {
                address: sites.max().expect("the hook is called at the end"),
                kind: Kind::Exit,
                function: Some(*begin),
            };
            let result = plan(&mut file, &site, &Wishes::default()).and_then(|plan| plan.result);
            let place = result.expect("it returns a number").place;
            assert!(is_whole(&place), "{level} {name}: {place:?}");
        }
    }
}

fn is_whole(place: &Place) -> bool {
    match place {
        Place::OptimizedOut => false,
        Place::Pieces(pieces) => pieces.iter().all(|piece| is_whole(&piece.place)),
        _ => true,
    }
}

#[test]
fn what_one_unit_declares_is_found_where_another_defines_it() {
    let folder = Folder::new("declared");
    let program = build_units(&folder, "-O0");
    let mut file = DebugFile::open(&program, &[]).expect("it has debug information");
    let all = functions_of(
        &program,
        &["_Z4lookPN4shop4itemEPNS_5twiceEPN5outer5innerEPNS_12_GLOBAL__N_13ownE"],
    );
    let (_, begin, end) = all.first().expect("gcc has compiled it");
    let plan = entry_plan(&mut file, *begin, *end, &Wishes::default()).expect("it has arguments");
    let bytes = plan.frames[0].arguments.iter().map(|argument| {
        let target = match file.types().bare(argument.of) {
            Some((
                _,
                Type {
                    kind: umbel_values::Kind::Pointer(target),
                    ..
                },
            )) => *target,
            other => panic!("{} is no pointer: {other:?}", argument.name),
        };
        file.types().size(target)
    });
    // What has no name outside of its unit is another there.
    assert_eq!(
        bytes.collect::<Vec<_>>(),
        [Some(16), Some(8), Some(12), None]
    );
}

#[test]
fn what_a_call_puts_into_registers_is_known_of_functions_in_other_units_too() {
    let folder = Folder::new("entries");
    let program = build_units(&folder, "-O2");
    let mut file = DebugFile::open(&program, &[]).expect("it has debug information");
    let all = functions_of(&program, &["main", "_ZN4shop5priceEPNS_4itemEPNS_5twiceE"]);
    let begin_of = |wanted: &str| all.iter().find(|(name, ..)| name.starts_with(wanted));
    let (_, begin, end) = *begin_of("main").expect("gcc has compiled it");
    let (_, price, _) = *begin_of("_ZN4shop").expect("gcc has compiled it");
    let plans = (begin..=end).filter_map(|address| {
        let site = Site {
            address,
            kind: Kind::Caller,
            function: None,
        };
        plan(&mut file, &site, &Wishes::default())
    });
    let call = plans
        .into_iter()
        .find(|plan| plan.callee == Some(price))
        .expect("main calls it");
    let mut registers: Vec<u16> = call.entries.iter().map(|(number, _)| *number).collect();
    registers.sort_unstable();
    // rdi and rsi.
    assert_eq!(registers, [4, 5]);
}

#[test]
fn the_caller_of_an_inlined_function_has_its_locals() {
    let folder = Folder::new("inlined");
    let program = build_units(&folder, "-O2");
    let mut file = DebugFile::open(&program, &[]).expect("it has debug information");
    let all = functions_of(&program, &["main"]);
    let (_, begin, end) = *all.first().expect("gcc has compiled it");
    let wishes = Wishes {
        caller: true,
        ..Wishes::default()
    };
    let inlined = (begin..=end).find_map(|address| {
        (file.calls_hook(address) == Some(true)).then_some(())?;
        let function = file
            .frames(address - 1)
            .first()
            .filter(|frame| frame.is_inline)?
            .entry;
        let site = Site {
            address,
            kind: Kind::Enter,
            function,
        };
        plan(&mut file, &site, &wishes)
    });
    let frames = inlined.expect("half is inlined").frames;
    assert_eq!((&*frames[0].name, &*frames[1].name), ("half", "main"));
    let kept = frames[1].locals.iter().find(|local| &*local.name == "kept");
    assert!(is_whole(&kept.expect("main has it").place));
}

/// gcc makes a copy of `scaled` for its constant.
const COPIED: &str = r#"
volatile int sink;
__attribute__((noinline)) long scaled(const int *row, int count, int factor) {
  long sum = 0;
  for (int i = 0; i < count; i++) { sum += (long)row[i] * factor; sink = i; }
  return sum;
}
__attribute__((noinline)) long more(int n) { return scaled(&n, 1, n); }
int main(void) {
  int row[4] = {sink, 2, 3, 4};
  long sum = 0;
  for (int i = 0; i < 3; i++) sum += scaled(row, sink, 3) + scaled(row, 2, 3);
  return (int)(sum + more(4));
}
"#;

#[test]
fn a_copy_of_a_function_that_gcc_made_is_that_function() {
    let folder = Folder::new("copied");
    let program = folder.build_of(COPIED, "copied", &["-O3"]);
    let mut file = DebugFile::open(&program, &[]).expect("it has debug information");
    let all = functions_of(&program, &["scaled", "scaled.constprop.0"]);
    let begin_of = |wanted: &str| all.iter().find(|(name, ..)| name == wanted);
    let (_, own, _) = *begin_of("scaled").expect("gcc has compiled it");
    let (_, begin, end) = *begin_of("scaled.constprop.0").expect("gcc copies it");
    let sites = (begin..=end).filter(|address| file.calls_hook(*address) == Some(true));
    let site = Site {
        address: sites.min().expect("the copy calls the hooks"),
        kind: Kind::Enter,
        function: Some(own),
    };
    let plan = plan(&mut file, &site, &Wishes::default()).expect("it has arguments");
    let names: Vec<_> = plan.frames[0]
        .arguments
        .iter()
        .map(|one| &*one.name)
        .collect();
    assert_eq!(names, ["row", "count", "factor"]);
}

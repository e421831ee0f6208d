//! Globals and static locals are shared between nodes, and threads that write unshared ones are warned of.

use std::fs;

use umbel_tests::cluster::{On, compile_ours, compile_text, try_compile};

/// Where the second unit lies, for gcc's command line.
const OTHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/programs/globals_other.c");

#[test]
fn globals_of_several_units_are_shared() {
    for level in ["-O0", "-O2"] {
        let program = compile_ours("globals", &["-Wall", level, "--share-globals", OTHER]);
        for on in [On::Alone, On::Nodes(1), On::Nodes(2), On::Nodes(4)] {
            let outcome = program.run(on, &["8"], &[]);
            let as_expected = outcome.stdout == "globals are shared\n"
                && outcome.stderr.is_empty()
                && outcome.status == Some(0);
            assert!(as_expected, "{level} {on:?}: {outcome}");
        }
        assert_eq!(program.leftovers(), [""; 0]);
    }
}

#[test]
fn the_attribute_shares_a_single_global() {
    let program = compile_text(
        "#include <stdio.h>\n\
         static int shared __attribute__((shadow(\"sequential\"))) = 3;\n\
         static int local __attribute__((node_local)) = 3;\n\
         static void add(long k) { shared += k; local += k; }\n\
         int main(void) {\n\
             dist_thr_create_on(1, add, 4);\n\
             dist_thr_join_all();\n\
             printf(\"%d %d\\n\", shared, local);\n\
         }\n",
        &["-O2"],
    );
    let outcome = program.run(On::Nodes(2), &[], &[]);
    assert_eq!(outcome.stdout, "7 3\n", "{outcome}");
}

#[test]
fn a_thread_that_writes_an_unshared_global_is_warned_of() {
    let source = "int counter;\n\
                  static void add(long k) { counter += k; }\n\
                  int main(void) { dist_thr_create(add, 4); dist_thr_join_all(); return counter; }\n";
    let file = std::env::temp_dir().join(format!("umbel-globals-{}.c", std::process::id()));
    fs::write(&file, source).expect("the folder for temporary files is writable");
    let (_, warned) = try_compile(&file, &["-O2"]);
    let (_, silent) = try_compile(&file, &["-O2", "-Wno-umbel-globals"]);
    let (_, shared) = try_compile(&file, &["-O2", "--share-globals"]);
    fs::remove_file(&file).expect("it was made above");
    assert!(
        warned
            .stderr
            .contains("the thread function ‘add’ writes ‘counter’")
            || warned
                .stderr
                .contains("the thread function 'add' writes 'counter'"),
        "{warned}"
    );
    assert!(warned.stderr.contains("--share-globals"), "{warned}");
    assert_eq!((silent.status, silent.stderr.as_str()), (Some(0), ""));
    assert_eq!((shared.status, shared.stderr.as_str()), (Some(0), ""));
}

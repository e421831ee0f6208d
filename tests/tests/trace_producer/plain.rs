//! One thread.

use crate::session::{Folder, How, Session, run};

#[test]
fn every_call_and_return_is_recorded() {
    let folder = Folder::new();
    for flags in [&["-O0"][..], &["-O2"], &["-O2", "-fno-plt"]] {
        let program = folder.compile("fib.c", flags);
        let session = Session::start(&folder, How::default());
        let outcome = run(session.command(&program).arg("22")).must_succeed();
        let recorded = session.finish();
        // And main.
        let expected = outcome.number("calls") + 1;
        assert_eq!(
            (recorded.calls(), recorded.returns(), recorded.lost()),
            (expected, expected, 0),
            "{flags:?}"
        );
        assert!(recorded.depths().values().all(|&depth| depth == 0));
        assert_eq!(recorded.questions, 1);
        assert_eq!(outcome.stderr, "");
    }
}

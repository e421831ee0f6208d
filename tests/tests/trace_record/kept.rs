//! What is kept about a file for the next session: it changes nothing but the time that it takes, whatever happens to it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use umbel_tests::cluster::{LIMIT, Outcome, start};

use super::{Folder, count};

/// Excludes by file, for which sources are asked for, and by name, for which sites are patched.
const OPTIONS: [&str; 4] = ["--filter", "file:workers.c", "-x", "inner"];

fn cache(folder: &Folder) -> PathBuf {
    folder.path.join("cache")
}

/// Names and contents of what is kept.
fn kept(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(cache(folder).join("umbel/trace")) else {
        return Vec::new();
    };
    let entries = entries.flatten().map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read(entry.path()).expect("it is ours"))
    });
    // What is known of the machine's clock is no file's, and a busy machine can't measure it.
    let mut kept: Vec<_> = entries
        .filter(|(name, _): &(String, _)| !name.ends_with(".counter"))
        .collect();
    kept.sort();
    kept
}

#[track_caller]
fn record(folder: &Folder, setting: &str) -> Outcome {
    let mut command = folder.command(&OPTIONS, &["100"]);
    command
        .env("XDG_CACHE_HOME", cache(folder))
        .env("UMBEL_TRACE_CACHE", setting);
    let outcome = start(&mut command, b"").wait(LIMIT);
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("; 0 lost"), "{outcome}");
    let calls = folder.calls();
    let counts = ["outer", "inner", "inlined"].map(|name| count(&calls, name));
    assert_eq!(counts, [400, 0, 400], "{outcome}");
    outcome
}

#[test]
fn a_second_session_finds_what_the_first_has_kept() {
    let folder = Folder::compile("workers", &["-Wl,--build-id"]);
    record(&folder, "off");
    assert!(kept(&folder).is_empty());
    record(&folder, "");
    let first = kept(&folder);
    let kinds = first.iter().map(|(name, _)| name.split('.').next_back());
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [Some("sites"), Some("sources")],
        "{first:?}"
    );
    record(&folder, "");
    assert_eq!(kept(&folder), first);
    // What isn't true of the clock is measured again.
    let counter = |entry: &fs::DirEntry| entry.path().extension() == Some("counter".as_ref());
    let places = fs::read_dir(cache(&folder).join("umbel/trace")).expect("it is ours");
    for place in places.flatten().filter(counter) {
        fs::write(place.path(), b"nonsense").expect("it is ours");
    }
    record(&folder, "");
    // Another build is another file.
    let other = Folder::compile("workers", &["-Wl,--build-id=none"]);
    record(&other, "");
    assert!(kept(&other).is_empty());
}

#[test]
fn damaged_and_foreign_files_are_ignored_and_written_anew() {
    let folder = Folder::compile("workers", &["-Wl,--build-id"]);
    record(&folder, "");
    let whole = kept(&folder);
    let place = |name: &str| cache(&folder).join("umbel/trace").join(name);
    for damage in [
        (|bytes| bytes[..bytes.len() / 2].to_vec()) as fn(&[u8]) -> Vec<u8>,
        |bytes| bytes.iter().map(|byte| byte ^ 1).collect(),
        |_| Vec::new(),
        |bytes| [bytes, b"more"].concat(),
    ] {
        for (name, bytes) in &whole {
            fs::write(place(name), damage(bytes)).expect("the folder is ours");
        }
        record(&folder, "");
        let names = |kept: &[(String, Vec<u8>)]| {
            let sizes = kept.iter().map(|(name, bytes)| (name.clone(), bytes.len()));
            sizes.collect::<Vec<_>>()
        };
        assert_eq!(names(&kept(&folder)), names(&whole));
    }
    // What stands where the file should be is no file.
    let (name, _) = &whole[0];
    fs::remove_file(place(name)).expect("it is there");
    fs::create_dir(place(name)).expect("the folder is ours");
    record(&folder, "");
}

#[test]
fn without_a_place_nothing_is_kept_and_all_is_recorded() {
    let folder = Folder::compile("workers", &["-Wl,--build-id"]);
    // A file where the folder should be.
    fs::write(cache(&folder), b"").expect("the folder is ours");
    record(&folder, "");
    fs::remove_file(cache(&folder)).expect("it is there");
    fs::create_dir(cache(&folder)).expect("the folder is ours");
    fs::set_permissions(cache(&folder), fs::Permissions::from_mode(0o500)).expect("it is ours");
    record(&folder, "");
    fs::set_permissions(cache(&folder), fs::Permissions::from_mode(0o700)).expect("it is ours");
}

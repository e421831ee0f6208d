//! What is kept comes back as it was, or not at all.

use super::*;

pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("umbel-cache-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const KEY: Key = Key {
    build_id: &[1, 0xab],
    what: "sites",
    depends: 7,
};

#[test]
fn what_was_written_is_read_again_for_the_same_build_only() {
    let folder = Folder::new("same");
    let cache = Cache::at(&folder.0);
    assert_eq!(cache.read(&KEY), None);
    cache.write(&KEY, b"found");
    assert_eq!(cache.read(&KEY).as_deref(), Some(&b"found"[..]));
    for other in [
        Key {
            build_id: &[1],
            ..KEY
        },
        Key {
            build_id: &[],
            ..KEY
        },
        Key {
            what: "sources",
            ..KEY
        },
        Key { depends: 8, ..KEY },
    ] {
        assert_eq!(cache.read(&other), None, "{other:?}");
    }
    cache.write(&Key { depends: 8, ..KEY }, b"other");
    assert_eq!(cache.read(&KEY), None);
    let names: Vec<_> = fs::read_dir(&folder.0)
        .expect("it is there")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(names, ["01ab.sites"]);
    assert_eq!(Cache::default().read(&KEY), None);
    Cache::default().write(&KEY, b"nowhere");
    cache.write(
        &Key {
            build_id: &[],
            ..KEY
        },
        b"of no build",
    );
    assert_eq!(fs::read_dir(&folder.0).expect("it is there").count(), 1);
}

#[test]
fn damaged_files_are_ignored_and_written_anew() {
    let folder = Folder::new("damaged");
    let cache = Cache::at(&folder.0);
    cache.write(&KEY, b"found");
    let path = cache.path(&KEY).expect("it has a build id");
    let whole = fs::read(&path).expect("it was written");
    for index in 0..whole.len() {
        let mut torn = whole.clone();
        torn[index] ^= 0x10;
        fs::write(&path, &torn).expect("the folder is ours");
        assert_eq!(cache.read(&KEY), None, "byte {index}");
        fs::write(&path, &whole[..index]).expect("the folder is ours");
        assert_eq!(cache.read(&KEY), None, "{index} bytes");
    }
    cache.write(&KEY, b"again");
    assert_eq!(cache.read(&KEY).as_deref(), Some(&b"again"[..]));
}

#[test]
fn many_writers_leave_a_whole_file() {
    let folder = Folder::new("writers");
    let cache = Cache::at(&folder.0);
    let content = vec![5; 100_000];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    cache.write(&KEY, &content);
                    if let Some(read) = cache.read(&KEY) {
                        assert_eq!(read, content);
                    }
                }
            });
        }
    });
    assert_eq!(cache.read(&KEY), Some(content));
    assert_eq!(fs::read_dir(&folder.0).expect("it is there").count(), 1);
}

#[test]
fn the_oldest_files_go_when_the_folder_is_full() {
    let folder = Folder::new("full");
    fs::create_dir(&folder.0).expect("the folder for temporary files is writable");
    let old = folder.0.join("old");
    let file = File::create(&old).expect("the folder is ours");
    // A hole: it takes no room on the disk.
    file.set_len(FOLDER_BYTES_MAX)
        .expect("files may have holes");
    file.set_modified(SystemTime::UNIX_EPOCH)
        .expect("it is ours");
    Cache::at(&folder.0).write(&KEY, b"new");
    assert!(!old.exists());
    assert!(Cache::at(&folder.0).read(&KEY).is_some());
}

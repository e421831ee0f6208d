//! Sources of programs that the tracer is measured and tested with, as Debian has them.
//!
//! apt fetches them from where this machine's packages come from, and checks them by the archive's signatures. It is told
//! of source packages in folders of ours: the machine's own lists stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step::{output_of, run, skip, step};
use crate::workspace::target;

/// Folders under one, by the name after the slash; a source that can't be had is left out, and told.
pub fn fetch(packages: &[(&str, &str)]) -> Result<PathBuf> {
    let folder = target()?.join("trace-sources");
    fs::create_dir_all(&folder)?;
    let missing: Vec<&(&str, &str)> = packages
        .iter()
        .filter(|(_, name)| !folder.join(name).is_dir())
        .collect();
    if missing.is_empty() {
        return Ok(folder);
    }
    let lists = folder.join(".lists");
    if let Err(error) = step("fetching lists of sources", || update(&lists)) {
        skip("fetching sources", &format!("{error:#}"));
        return Ok(folder);
    }
    for (package, name) in missing {
        if let Err(error) = unpack(&lists, &folder, package, name) {
            skip(&format!("fetching {package}"), &format!("{error:#}"));
        }
    }
    Ok(folder)
}

/// Copies the machine's lists, with sources instead of packages, and updates them.
fn update(lists: &Path) -> Result<()> {
    let parts = lists.join("parts");
    fs::create_dir_all(&parts)?;
    fs::create_dir_all(lists.join("lists/partial"))?;
    let single = Path::new("/etc/apt/sources.list");
    let several = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten();
    let files = several.flatten().map(|entry| entry.path());
    for file in files.chain(single.is_file().then(|| single.to_owned())) {
        let text = fs::read_to_string(&file)?;
        let text: String = match file.extension().and_then(|end| end.to_str()) {
            Some("sources") => each_line(&text, |line| match line.starts_with("Types:") {
                true => "Types: deb-src".into(),
                false => line.into(),
            }),
            Some("list") => each_line(&text, |line| match line.strip_prefix("deb ") {
                Some(rest) => format!("deb-src {rest}"),
                None => String::new(),
            }),
            Some(_) | None => continue,
        };
        let name = file.file_name().context("a file has a name")?;
        fs::write(parts.join(name), text)?;
    }
    run(apt_get(lists)?.arg("update"))
}

/// Downloads the original archive of `package` and unpacks it into `folder` as `name`.
fn unpack(lists: &Path, folder: &Path, package: &str, name: &str) -> Result<()> {
    let part = folder.join(format!(".{name}"));
    let _ = fs::remove_dir_all(&part);
    fs::create_dir_all(&part)?;
    run(apt_get(lists)?
        .args(["source", "--tar-only", "--download-only", package])
        .current_dir(&part))?;
    let archives = entries(&part)?;
    // A package may have more than one: the others carry documentation.
    let main = archives
        .iter()
        .filter(|path| path.display().to_string().contains(".orig.tar."))
        .min_by_key(|path| path.as_os_str().len())
        .with_context(|| format!("{package} has no original archive"))?;
    run(Command::new("tar")
        .arg("-C")
        .arg(&part)
        .arg("-xf")
        .arg(main))?;
    let unpacked: Vec<PathBuf> = entries(&part)?
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    let [unpacked] = &unpacked[..] else {
        bail!("the archive of {package} holds {} folders", unpacked.len());
    };
    fs::rename(unpacked, folder.join(name))?;
    Ok(fs::remove_dir_all(&part)?)
}

/// apt-get that knows sources only, and keeps what it knows in `lists`.
fn apt_get(lists: &Path) -> Result<Command> {
    let mut command = Command::new("apt-get");
    command.arg("-qq");
    let options = [
        "Dir::Etc::sourcelist=/dev/null".to_owned(),
        format!("Dir::Etc::sourceparts={}", lists.join("parts").display()),
        format!("Dir::State::lists={}", lists.join("lists").display()),
    ];
    for option in options {
        command.args(["-o", &option]);
    }
    if output_of(Command::new("id").arg("-u"))? == "0" {
        // Its user for downloads cannot write into our folders.
        command.args(["-o", "APT::Sandbox::User=root"]);
    }
    Ok(command)
}

fn each_line(text: &str, change: impl Fn(&str) -> String) -> String {
    text.lines().map(|line| change(line) + "\n").collect()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries: std::io::Result<Vec<fs::DirEntry>> = fs::read_dir(folder)?.collect();
    Ok(entries?.into_iter().map(|entry| entry.path()).collect())
}

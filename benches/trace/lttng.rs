//! LTTng's session daemon, one for each run, with nothing of the machine's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A session that records.
pub struct Lttng {
    daemon: Child,
    home: PathBuf,
    before_ns: f64,
}

impl Lttng {
    /// Starts the daemon and a session that writes into `recording`.
    pub fn start(recording: &Path) -> Result<Self> {
        // Beside the recording, so that its files don't count as stored.
        let home = std::env::temp_dir().join(format!("umbel-lttng.{}", std::process::id()));
        fs::create_dir_all(&home)?;
        let daemon = Command::new("lttng-sessiond")
            .args(["--no-kernel", "--quiet"])
            .env("LTTNG_HOME", &home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start lttng-sessiond")?;
        let mut session = Self {
            daemon,
            home,
            before_ns: 0.0,
        };
        session.wait_until_ready()?;
        let output = format!("--output={}", recording.display());
        session.lttng(&["create", SESSION, &output])?;
        session.lttng(&[
            "enable-channel",
            "-u",
            "calls",
            "--subbuf-size=16M",
            "--num-subbuf=8",
        ])?;
        session.lttng(&[
            "enable-event",
            "-u",
            "-c",
            "calls",
            "lttng_ust_cyg_profile*",
        ])?;
        session.lttng(&["start"])?;
        session.before_ns = session.cpu_ns();
        Ok(session)
    }

    /// Stops it; events lost, and processor time of the daemons in nanoseconds.
    pub fn stop(self) -> Result<(f64, f64)> {
        self.lttng(&["stop"])?;
        let cpu_ns = self.cpu_ns() - self.before_ns;
        let about = self.lttng(&["list", SESSION])?;
        let lost = about
            .lines()
            .find_map(|line| line.trim().strip_prefix("Discarded events:"))
            .and_then(|count| count.trim().parse().ok());
        self.lttng(&["destroy", SESSION])?;
        lost.map(|lost| (lost, cpu_ns))
            .context("lttng list doesn't say how many events were discarded")
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let limit = Instant::now() + READY;
        while self.lttng(&["list"]).is_err() {
            if let Some(status) = self.daemon.try_wait()? {
                bail!("lttng-sessiond ended: {status}; is another one running?");
            }
            if Instant::now() > limit {
                bail!("lttng-sessiond doesn't answer");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn lttng(&self, words: &[&str]) -> Result<String> {
        let output = Command::new("lttng")
            .args(["--no-sessiond"])
            .args(words)
            .env("LTTNG_HOME", &self.home)
            .output()
            .context("cannot run lttng")?;
        if !output.status.success() {
            bail!(
                "lttng {words:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Processor time of the daemon and of the consumer it has started.
    fn cpu_ns(&self) -> f64 {
        let daemon = self.daemon.id();
        let children = fs::read_to_string(format!("/proc/{daemon}/task/{daemon}/children"))
            .unwrap_or_default();
        let mut pids: Vec<u32> = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect();
        pids.extend(threads_children(daemon));
        pids.push(daemon);
        pids.sort_unstable();
        pids.dedup();
        pids.into_iter().map(process_ns).sum()
    }
}

impl Drop for Lttng {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.daemon.id() as i32), Signal::SIGTERM);
        let _ = self.daemon.wait();
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// Children of all threads of a process.
fn threads_children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            let pids: Vec<u32> = text
                .split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect();
            pids
        })
        .collect()
}

/// What the scheduler has given to all living threads of a process, in nanoseconds.
fn process_ns(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let ns = |task: fs::DirEntry| -> Option<f64> {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    tasks.flatten().filter_map(ns).sum()
}

/// Name of the session.
const SESSION: &str = "umbel-bench";

/// How long the daemon may take to answer.
const READY: Duration = Duration::from_secs(10);

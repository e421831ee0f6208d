//! Who makes this node's threads: not the service thread.
//!
//! pthread_create(3) holds a lock of the C library. A thread of the program that calls it may be interrupted there by a handler
//! that uses a shared object, and wait for the service thread, which must never wait for that lock. So a thread of its own makes
//! them: the *starter*. And whoever has ended his work makes one more, the *spare*, for the next: to wake that is quicker than
//! to make a thread, and nobody waits while it is made.
//!
//! ```text
//! service thread   start ─ a spare is parked ── given ──► spare runs it          (it has begun for certain)
//!                        └ none ── pending ──► starter ──► new thread runs it ── told: 0, or an error
//! ```

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::Builder;

use super::{fork, process};

/// What a new thread does.
pub struct Work {
    /// What the kernel is to call it, cut to 15 bytes.
    pub name: String,
    /// Runs on it, to its end, with signals blocked at first.
    pub run: Box<dyn FnOnce() + Send>,
    /// Whether it has begun, or why it can't: if it wasn't clear at once.
    pub told: Box<dyn FnOnce(io::Result<()>) + Send>,
}

/// Makes threads of one stack size.
pub struct Starter(Arc<Shared>);

struct Shared {
    stack_bytes: usize,
    state: Mutex<State>,
    /// For the starter.
    asked: Condvar,
    /// For the spare.
    given: Condvar,
}

#[derive(Default)]
struct State {
    /// For threads that park: there are as many of them.
    given: VecDeque<Work>,
    /// For threads that will be made.
    pending: VecDeque<Work>,
    /// Threads that park and were given nothing.
    parked: usize,
    /// How many threads the starter has to make.
    to_make: usize,
    /// Somebody makes a spare.
    makes_spare: bool,
}

impl Starter {
    /// Threads inherit where the calling thread may run.
    pub fn new(stack_bytes: usize) -> io::Result<Self> {
        let starter = Self(Arc::new(Shared {
            stack_bytes,
            state: Mutex::default(),
            asked: Condvar::new(),
            given: Condvar::new(),
        }));
        let shared = Arc::clone(&starter.0);
        let makes = Builder::new().name("umbel-starter".into());
        makes.spawn(move || shared.make_pending())?;
        Ok(starter)
    }

    /// Has a thread run this. Whether that is certain: if not, it is told. Waits for nobody but those who are in here, and
    /// they wait for nobody.
    pub fn start(&self, work: Work) -> bool {
        let shared = &self.0;
        let mut state = shared.lock();
        let has_spare = state.parked > 0;
        if has_spare {
            state.parked -= 1;
            state.given.push_back(work);
        } else {
            state.to_make += 1;
            state.pending.push_back(work);
        }
        drop(state);
        match has_spare {
            true => shared.given.notify_one(),
            false => shared.asked.notify_one(),
        }
        has_spare
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code under this lock panics")
    }

    fn make_pending(self: Arc<Self>) {
        process::block_signals();
        loop {
            let asked = self
                .asked
                .wait_while(self.lock(), |state| state.to_make == 0);
            let mut state = asked.expect("no code under this lock panics");
            state.to_make -= 1;
            drop(state);
            let Err(error) = self.make(false) else {
                continue;
            };
            // A spare that came meanwhile may have taken it.
            let refused = self.lock().pending.pop_front();
            if let Some(work) = refused {
                (work.told)(Err(error));
            }
        }
    }

    fn make(self: &Arc<Self>, is_spare: bool) -> io::Result<()> {
        let shared = Arc::clone(self);
        let builder = Builder::new()
            .name("umbel-spare".into())
            .stack_size(self.stack_bytes);
        builder.spawn(move || shared.serve(is_spare)).map(drop)
    }

    /// A new thread: it runs what waits for it, or parks until there is something.
    fn serve(self: Arc<Self>, is_spare: bool) {
        let Work { name, run, told } = {
            let mut state = self.lock();
            state.makes_spare &= !is_spare;
            match state.pending.pop_front() {
                Some(work) => work,
                None => self.park(state),
            }
        };
        told(Ok(()));
        set_name(&name);
        run();
        if !fork::is_copy() {
            self.make_spare();
        }
    }

    fn park(&self, mut state: MutexGuard<'_, State>) -> Work {
        state.parked += 1;
        let given = self.given.wait_while(state, |state| state.given.is_empty());
        let mut state = given.expect("no code under this lock panics");
        let mut work = state.given.pop_front().expect("waited for");
        // Who gave it knew at once.
        work.told = Box::new(|_| ());
        work
    }

    /// Nobody waits for the calling thread any more.
    fn make_spare(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.makes_spare || state.parked > 0 {
            return;
        }
        state.makes_spare = true;
        drop(state);
        // The spare inherits that.
        process::block_signals();
        if self.make(true).is_err() {
            self.lock().makes_spare = false;
        }
    }
}

fn set_name(name: &str) {
    // What is longer is refused by the C library, and is cut by the kernel.
    let mut bytes = [0; 16];
    let length = name.len().min(bytes.len() - 1);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    // SAFETY: a text with a zero behind it.
    unsafe { libc::prctl(libc::PR_SET_NAME, bytes.as_ptr()) };
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const STACK_BYTES: usize = 1 << 20;

    fn work(done: &mpsc::Sender<usize>, number: usize) -> Work {
        let (done, failed) = (done.clone(), done.clone());
        Work {
            name: format!("umbel-test-of-{number}"),
            run: Box::new(move || done.send(number).unwrap()),
            told: Box::new(move |result| {
                if result.is_err() {
                    failed.send(usize::MAX).unwrap();
                }
            }),
        }
    }

    #[test]
    fn each_work_runs_once_on_a_thread_of_its_own() {
        const WORKS: usize = 200;
        let starter = Starter::new(STACK_BYTES).unwrap();
        let (done, all) = mpsc::channel();
        (0..WORKS).for_each(|number| {
            starter.start(work(&done, number));
        });
        let mut ran: Vec<usize> = all.iter().take(WORKS).collect();
        ran.sort_unstable();
        assert_eq!(ran, (0..WORKS).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_finds_no_spare_and_later_ones_do() {
        let starter = Starter::new(STACK_BYTES).unwrap();
        let (done, all) = mpsc::channel();
        assert!(!starter.start(work(&done, 0)));
        assert_eq!(all.recv(), Ok(0));
        while starter.0.lock().parked == 0 {
            std::thread::yield_now();
        }
        assert!(starter.start(work(&done, 1)));
        assert_eq!(all.recv(), Ok(1));
    }

    #[test]
    fn what_no_thread_can_be_made_for_is_told() {
        // More than there are addresses.
        let starter = Starter::new(1 << 48).unwrap();
        let (done, all) = mpsc::channel();
        (0..3).for_each(|number| assert!(!starter.start(work(&done, number))));
        assert_eq!(all.iter().take(3).collect::<Vec<_>>(), [usize::MAX; 3]);
    }

    #[test]
    fn a_thread_is_called_what_its_work_says() {
        let starter = Starter::new(STACK_BYTES).unwrap();
        let (name, names) = mpsc::channel();
        starter.start(Work {
            name: "umbel-a.long.name".into(),
            run: Box::new(move || {
                let name_file = std::fs::read_to_string("/proc/thread-self/comm");
                name.send(name_file.unwrap()).unwrap();
            }),
            told: Box::new(|_| ()),
        });
        assert_eq!(names.recv().unwrap(), "umbel-a.long.na\n");
    }
}

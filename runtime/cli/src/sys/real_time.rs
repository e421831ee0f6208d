//! Whether nodes may run threads at real-time priority.

/// Tries it on the calling thread, and goes back.
pub fn is_allowed() -> bool {
    let set = |policy, priority| {
        let parameters = libc::sched_param {
            sched_priority: priority,
        };
        // SAFETY: `parameters` is a live sched_param; 0 is the calling thread.
        unsafe { libc::sched_setscheduler(0, policy, &parameters) == 0 }
    };
    let allowed = set(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, 1);
    if allowed {
        set(libc::SCHED_OTHER, 0);
    }
    allowed
}

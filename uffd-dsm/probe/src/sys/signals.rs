//! SIGSEGV and SIGBUS at the kernel's interface.

use core::arch::naked_asm;

use super::call::{call, pid};
use super::{guarded, victim};
use crate::chain::Action;

/// A handler as the kernel calls it.
pub type Handler = unsafe extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

/// `struct sigaction` of the kernel.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

const SA_RESTORER: u64 = 0x0400_0000;

/// Where handlers return to: the instructions by which unwinders know a signal's frame.
#[unsafe(naked)]
unsafe extern "C" fn restore() {
    naked_asm!(
        ".byte 0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00",
        ".byte 0x0f, 0x05"
    );
}

/// The set with `signal` alone, as the kernel has sets.
pub fn bit(signal: i32) -> u64 {
    1 << ((signal - 1) as u32 & 63)
}

fn action(signal: i32, new: Option<&KernelAction>) -> Result<KernelAction, i32> {
    let mut old = KernelAction::default();
    let new = new.map_or(0, |new| core::ptr::from_ref(new) as usize);
    let arguments = [signal as usize, new, &raw mut old as usize, 8, 0, 0];
    // SAFETY: both have the kernel's layout and live here; what the new one does is `install`'s and `reset`'s to know.
    unsafe { call(libc::SYS_rt_sigaction, arguments) }?;
    Ok(old)
}

/// Makes `handler` the one of `signal`; what it was, `None` if it was this one.
///
/// # Errors
/// The kernel refuses.
pub fn install(signal: i32, handler: Handler) -> Result<Option<Action>, i32> {
    let address = handler as usize;
    let before = action(signal, None)?;
    if before.handler == address {
        return Ok(None);
    }
    let flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    let new = KernelAction {
        handler: address,
        flags: flags as u64 | SA_RESTORER,
        restorer: restore as unsafe extern "C" fn() as usize,
        mask: 0,
    };
    let before = action(signal, Some(&new))?;
    Ok(Some(Action {
        handler: before.handler,
        flags: before.flags & !SA_RESTORER,
        mask: before.mask,
    }))
}

/// Back to what the kernel does by default.
pub fn reset(signal: i32) {
    let _ = action(signal, Some(&KernelAction::default()));
}

/// The signals that the calling thread blocks now; `None`: nobody says.
pub fn blocked() -> Option<u64> {
    let mut set = 0u64;
    let arguments = [libc::SIG_BLOCK as usize, 0, &raw mut set as usize, 8, 0, 0];
    // SAFETY: the kernel writes 8 bytes.
    unsafe { call(libc::SYS_rt_sigprocmask, arguments) }.ok()?;
    Some(set)
}

/// Blocks more signals: until the handler that calls this returns.
pub fn block(set: u64) {
    let arguments = [
        libc::SIG_BLOCK as usize,
        &raw const set as usize,
        0,
        8,
        0,
        0,
    ];
    // SAFETY: the kernel reads 8 bytes.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, arguments) };
}

/// Is this a fault of a guarded read? Then the thread goes on at the landing when the handler returns.
///
/// # Safety
/// What the kernel gave to a handler of SIGSEGV or SIGBUS.
pub unsafe fn is_ours(info: *mut libc::siginfo_t, context: *mut libc::c_void) -> bool {
    // SAFETY: the kernel's.
    let code = unsafe { (*info).si_code };
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: the kernel's, on this thread's stack, and nobody else's while the handler runs.
    let registers = unsafe { &mut (*context).uc_mcontext.gregs };
    let instruction = &mut registers[libc::REG_RIP as usize];
    // Somebody sent it: no fault.
    if code <= 0 {
        return false;
    }
    if victim::dies_at(*instruction as usize) {
        victim::die();
    }
    match guarded::landing(*instruction as usize) {
        Some(landing) => {
            *instruction = landing as i64;
            true
        }
        None => false,
    }
}

/// Was it sent by somebody, so that no instruction is to blame?
///
/// # Safety
/// What the kernel gave to a handler.
pub unsafe fn was_sent(info: *mut libc::siginfo_t) -> bool {
    // SAFETY: the kernel's.
    unsafe { (*info).si_code <= 0 }
}

/// Sends a signal again to the calling thread, as it came.
///
/// # Safety
/// What the kernel gave to a handler.
pub unsafe fn send_again(signal: i32, info: *mut libc::siginfo_t) {
    // SAFETY: touches no memory.
    let tid = unsafe { call(libc::SYS_gettid, [0; 6]) }.unwrap_or(0);
    let arguments = [pid(), tid, signal as usize, info as usize, 0, 0];
    // SAFETY: the kernel reads `info`, which is its own.
    let _ = unsafe { call(libc::SYS_rt_tgsigqueueinfo, arguments) };
}

/// Calls a handler of the program.
///
/// # Safety
/// The program gave `handler` to sigaction(2); the rest is what the kernel gave to ours.
pub unsafe fn run(
    handler: usize,
    signal: i32,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the caller's. A handler with one parameter doesn't look at the others.
    let handler: Handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
    // SAFETY: as the kernel would have.
    unsafe { handler(signal, info, context) };
}

/// The handler at an address.
pub fn handler_at(address: usize) -> Handler {
    debug_assert!(address != 0);
    // SAFETY: `crate::chain::install` stored it, a function of this type.
    unsafe { core::mem::transmute::<usize, Handler>(address) }
}

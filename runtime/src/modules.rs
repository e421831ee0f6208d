//! Loaded modules: how places in them travel between nodes.
//!
//! An address in a module is sent as (index in registration order, bytes from the ELF header). The
//! program is the same on every node, so the order is too.

use std::sync::{RwLock, RwLockWriteGuard, TryLockError};
use std::time::Duration;

use umbel_wire::thread::CodeRef;

use crate::globals;
use crate::sys::abi::{ABI_VERSION, Module, SelfPointer};
use crate::sys::fork;
use crate::sys::process::module_base;
use crate::sys::signals::Blocked;

static MODULES: RwLock<Vec<Option<Module>>> = RwLock::new(Vec::new());

/// Adds a module whose constructors run; ends the program if it was compiled for another runtime.
pub fn register(module: Module) {
    if module.abi_version != ABI_VERSION {
        crate::node::fatal(&format!(
            "a module was compiled for version {} of the runtime, this is version {ABI_VERSION}; \
             build it again with this installation's `umbel cc`",
            module.abi_version
        ));
    }
    let blocked = Blocked::new();
    let mut modules = lock();
    if modules
        .iter()
        .flatten()
        .any(|known| known.base == module.base)
    {
        return;
    }
    let index = modules.len();
    modules.push(Some(module));
    // The service thread reads the list, and globals need that thread.
    drop(modules);
    drop(blocked);
    globals::register(&module, index);
}

/// Forgets a module that is being unloaded; its index is not used again.
pub fn unregister(base: usize) {
    if fork::is_copy() {
        // The process ends, and a thread that is not here may have held the lock.
        return;
    }
    let _blocked = Blocked::new();
    let mut modules = lock();
    for entry in modules
        .iter_mut()
        .filter(|entry| entry.is_some_and(|module| module.base == base))
    {
        *entry = None;
    }
}

/// To be called with signals blocked. Who waits in `write` keeps readers out, and so the service thread while a thread that
/// reads has been interrupted by a handler that waits for that one.
fn lock() -> RwLockWriteGuard<'static, Vec<Option<Module>>> {
    loop {
        match MODULES.try_write() {
            Ok(modules) => return modules,
            Err(TryLockError::WouldBlock) => std::thread::sleep(READ_WAIT),
            Err(TryLockError::Poisoned(_)) => unreachable!("no code under this lock panics"),
        }
    }
}

/// Between two looks whether nobody reads the list.
const READ_WAIT: Duration = Duration::from_micros(50);

/// The calling thread's `umbel_self`, if any module was registered.
pub fn self_of_this_thread() -> Option<SelfPointer> {
    let modules = MODULES.read().expect("no code under this lock panics");
    modules
        .iter()
        .flatten()
        .next()
        .map(Module::self_of_this_thread)
}

/// Names an address of a registered module.
pub fn name(address: usize) -> Option<CodeRef> {
    let base = module_base(address)?;
    let modules = MODULES.read().expect("no code under this lock panics");
    let index = modules
        .iter()
        .position(|entry| entry.is_some_and(|module| module.base == base))?;
    Some(CodeRef {
        module: index as u32,
        offset: (address - base) as u64,
    })
}

/// The address with this name here.
pub fn address(code: CodeRef) -> Option<usize> {
    let modules = MODULES.read().expect("no code under this lock panics");
    let module = modules.get(code.module as usize).copied().flatten()?;
    module.base.checked_add(usize::try_from(code.offset).ok()?)
}

/// The address of the function record with this name, if there is one.
pub fn function_record(name: CodeRef) -> Option<usize> {
    let record = address(name)?;
    let modules = MODULES.read().expect("no code under this lock panics");
    let known = modules
        .iter()
        .flatten()
        .any(|module| module.has_function(record));
    known.then_some(record)
}

/// The address of the frame table with this name, if there is one.
pub fn frame_table(name: CodeRef) -> Option<usize> {
    let table = address(name)?;
    let modules = MODULES.read().expect("no code under this lock panics");
    let known = modules
        .iter()
        .flatten()
        .any(|module| module.has_frame(table));
    known.then_some(table)
}

/// The record of the thread function with this code.
pub fn function_with_code(code: usize) -> Option<usize> {
    let modules = MODULES.read().expect("no code under this lock panics");
    modules
        .iter()
        .flatten()
        .find_map(|module| module.function_with_code(code))
}

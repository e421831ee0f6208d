//! The modules of this process, as the recorder was told.

use core::ffi::CStr;

use umbel_trace_ring::Live;
use umbel_trace_ring::journal::Payload;
use umbel_trace_ring::word::Code;

use crate::journal;
use crate::process::ask;
use crate::sys::exclusive::Exclusive;
use crate::sys::loader::{Module, modules};
use crate::sys::memory::{current_folder, read_link};
use crate::sys::values::plans;
use crate::values;

/// Modules at most; calls in others are recorded, but nobody knows their names.
const MODULES_MAX: usize = 2048;

/// Bytes of a build id: SHA-1 has 20.
const BUILD_ID_BYTES: usize = 32;

/// A module that the recorder knows.
#[derive(Clone, Copy)]
struct Known {
    bias: u64,
    text: (u64, u64),
    memory_end: u64,
    build_id: [u8; BUILD_ID_BYTES],
    build_id_bytes: usize,
    /// The loader's string, while the module is there.
    path: Option<&'static CStr>,
    is_there: bool,
}

const NONE: Known = Known {
    bias: 0,
    text: (0, 0),
    memory_end: 0,
    build_id: [0; BUILD_ID_BYTES],
    build_id_bytes: 0,
    path: None,
    is_there: false,
};

struct Table {
    known: [Known; MODULES_MAX],
    count: usize,
}

static TABLE: Exclusive<Table> = Exclusive::new(Table {
    known: [NONE; MODULES_MAX],
    count: 0,
});

/// Tells the recorder which modules came and went since the last look. If some came, waits until their call sites are what the
/// filters say; where values are captured also if some went. Signals must be blocked.
pub fn look(live: &Live) {
    if TABLE.with(|table| table.look(live)) {
        ask(live);
        values::look(live);
    }
}

/// Tells the recorder all modules, for a child of fork; what another thread was about to do with the table is forgotten.
pub fn tell_all(live: &Live) {
    TABLE.reset();
    TABLE.with(|table| {
        for known in table.known.iter().take(table.count) {
            known.tell(live);
        }
    });
}

impl Table {
    /// Whether to wait for the recorder: some came; or some went, and their addresses must not bring plans to others any more.
    fn look(&mut self, live: &Live) -> bool {
        let mut came = false;
        for known in self.known.iter_mut().take(self.count) {
            known.is_there = false;
        }
        modules(&mut |module| {
            let known = self.known.iter_mut().take(self.count);
            if let Some(known) = known.into_iter().find(|known| known.is(module)) {
                known.is_there = true;
            } else if let Some(place) = self.known.get_mut(self.count) {
                *place = Known::new(module);
                self.count += 1;
                came = true;
                place.tell(live);
            }
        });
        let count = self.count;
        self.forget(live);
        came || (self.count < count && plans().is_some())
    }

    /// Those that are not there any more.
    fn forget(&mut self, live: &Live) {
        let mut index = 0;
        while let Some(known) = self
            .known
            .get(index)
            .copied()
            .filter(|_| index < self.count)
        {
            if known.is_there {
                index += 1;
                continue;
            }
            journal::write(live, Code::ModuleGone, |payload| {
                payload.word(known.bias);
            });
            self.count -= 1;
            let last = self.known.get(self.count).copied().unwrap_or(NONE);
            if let Some(place) = self.known.get_mut(index) {
                *place = last;
            }
        }
    }
}

impl Known {
    fn new(module: &Module<'_>) -> Self {
        let mut known = Self {
            bias: module.bias,
            text: module.text,
            memory_end: module.memory_end,
            path: Some(crate::sys::loader::keep(module.path)),
            is_there: true,
            ..NONE
        };
        let bytes = module.build_id.len().min(BUILD_ID_BYTES);
        for (place, &byte) in known.build_id.iter_mut().zip(module.build_id) {
            *place = byte;
        }
        known.build_id_bytes = bytes;
        known
    }

    /// The same place and the same build: a library that was closed and opened again in the meantime is the same to us.
    fn is(&self, module: &Module<'_>) -> bool {
        let id = self.build_id.get(..self.build_id_bytes).unwrap_or_default();
        self.bias == module.bias
            && self.text == module.text
            && id
                == module
                    .build_id
                    .get(..self.build_id_bytes)
                    .unwrap_or_default()
    }

    fn tell(&self, live: &Live) {
        journal::write(live, Code::Module, |payload| {
            payload
                .word(self.bias)
                .word(self.text.0)
                .word(self.text.1)
                .word(self.memory_end);
            payload.bytes(self.build_id.get(..self.build_id_bytes).unwrap_or_default());
            with_path(self.path.unwrap_or_default(), payload);
        });
    }
}

/// Adds the path, from the root.
fn with_path(path: &CStr, payload: &mut Payload<'_>) {
    let mut bytes = [0; 1024];
    if path.is_empty() {
        payload.bytes(read_link(c"/proc/self/exe", &mut bytes));
    } else if path.to_bytes().starts_with(b"/") {
        payload.bytes(path.to_bytes());
    } else {
        let folder = current_folder(&mut bytes).len();
        let rest = bytes.get_mut(folder..).unwrap_or_default();
        let mut length = folder;
        for (place, byte) in rest.iter_mut().zip(b"/".iter().chain(path.to_bytes())) {
            *place = *byte;
            length += 1;
        }
        payload.bytes(bytes.get(..length).unwrap_or_default());
    }
}

//! The static chain of a thread function: taken along at creation, made anew on the thread's node.
//!
//! A thread works on private copies of the frames, also on its creator's node: captured objects are
//! shared through the pointers in them, at addresses equal everywhere; bounds of variable-length
//! arrays are values of the moment of creation.

use uffd_dsm::window::Arena;
use umbel_agents::Reach;
use umbel_wire::limits::{FRAME_BYTES_MAX, FRAMES_MAX};
use umbel_wire::thread::{CodeRef, Frame};

use crate::modules;
use crate::node::Node;
use crate::sys::abi::{self, FieldKind};
use crate::sys::stubs;

/// Why a chain cannot be taken along, as an errno.
pub type Errno = i32;

/// Copies the frames from `chain` outwards, innermost first; `table` is the innermost one's.
pub fn capture(mut table: usize, mut chain: usize) -> Result<Vec<Frame>, Errno> {
    let mut frames = Vec::new();
    while table != 0 && chain != 0 {
        let layout = abi::frame(table);
        if frames.len() == FRAMES_MAX || layout.size > FRAME_BYTES_MAX {
            return Err(libc::E2BIG);
        }
        let bytes = abi::copy_frame(chain, layout.size);
        let Some(name) = modules::name(table) else {
            return Err(libc::EINVAL);
        };
        chain = layout.chain_offset.map_or(0, |offset| word(&bytes, offset));
        table = layout.parent;
        frames.push(Frame { table: name, bytes });
    }
    Ok(frames)
}

/// How much of `stack`'s objects the frames and the argument point at, up to the stack's tops.
pub fn reach(frames: &[Frame], argument: u64, stack: u32, tops: Reach) -> Reach {
    let mut reach = Reach::default();
    let mut add = |address: usize| {
        // A variable-length array whose declaration was not reached yet is not there: any bits.
        let Some(place) = Node::get()
            .place_at(address)
            .filter(|place| place.stack == stack)
        else {
            return;
        };
        match place.arena {
            Arena::Small(_) if place.number < tops.small => {
                reach.small = reach.small.max(place.number + 1)
            }
            Arena::Pages | Arena::Tracked if place.number < tops.pages => {
                reach.pages = reach.pages.max(place.number + 1)
            }
            Arena::Small(_) | Arena::Pages | Arena::Tracked => {}
        }
    };
    add(argument as usize);
    for frame in frames {
        let Some(table) = modules::address(frame.table) else {
            continue;
        };
        for field in abi::frame(table).fields() {
            if field.kind == FieldKind::Shared {
                add(word(&frame.bytes, field.offset));
            }
        }
    }
    reach
}

/// The code that a creator asks for, if what it sent names a thread function of this program and its frames. A
/// function without a record has no frames; it need only lie in a module.
pub fn find_code(code: CodeRef, function: CodeRef, frames: &[Frame]) -> Option<usize> {
    let address = modules::address(code)?;
    if function == CodeRef::default() {
        let plain = code.offset != 0 && frames.is_empty() && modules::name(address) == Some(code);
        return plain.then_some(address);
    }
    let record = abi::function(modules::function_record(function)?);
    let mut table = if record.has_chain { record.frame } else { 0 };
    let chained = frames.iter().all(|frame| {
        let expected = std::mem::take(&mut table);
        if expected == 0 || modules::frame_table(frame.table) != Some(expected) {
            return false;
        }
        let layout = abi::frame(expected);
        table = layout.parent;
        layout.size == frame.bytes.len()
    });
    (chained && record.code == address).then_some(address)
}

/// Frames of a thread, at addresses that stay the same until it ends.
pub struct PrivateChain {
    frames: Vec<Box<[u64]>>,
    stubs: Vec<u32>,
}

impl PrivateChain {
    /// Makes frames from what a creator sent. Fails if they do not fit this program's tables.
    pub fn rebuild(frames: &[Frame]) -> Option<Self> {
        let mut memory: Vec<Box<[u64]>> = Vec::new();
        for frame in frames {
            let layout = abi::frame(modules::frame_table(frame.table)?);
            if layout.size != frame.bytes.len() {
                return None;
            }
            // Two words more than needed: the frame may be aligned to 16.
            memory.push(vec![0; frame.bytes.len().div_ceil(8) + 2].into_boxed_slice());
        }
        let mut chain = Self {
            frames: memory,
            stubs: Vec::new(),
        };
        for (index, frame) in frames.iter().enumerate() {
            chain.fill(index, frame)?;
        }
        Some(chain)
    }

    /// What the static chain register gets.
    pub fn address(&self) -> usize {
        self.frame_address(0)
    }

    fn frame_address(&self, index: usize) -> usize {
        self.frames
            .get(index)
            .map_or(0, |words| (words.as_ptr() as usize).next_multiple_of(16))
    }

    fn fill(&mut self, index: usize, frame: &Frame) -> Option<()> {
        let own = self.frame_address(index);
        let parent = self.frame_address(index + 1);
        let mut bytes = frame.bytes.clone();
        for field in abi::frame(modules::frame_table(frame.table)?).fields() {
            if field.offset.checked_add(field.size)? > bytes.len() {
                return None;
            }
            match field.kind {
                FieldKind::Value | FieldKind::Shared | FieldKind::FrameBase => {}
                FieldKind::Chain => set_word(&mut bytes, field.offset, parent),
                FieldKind::Descriptor => {
                    set_word(&mut bytes, field.offset, own);
                    set_word(
                        &mut bytes,
                        field.offset + 8,
                        abi::function(field.reference).code,
                    );
                }
                FieldKind::Stub => {
                    let stub = stubs::take(abi::function(field.reference).code, own)?;
                    self.stubs.push(stub);
                    set_word(&mut bytes, field.offset, stubs::address(stub));
                }
                // A jump out of the thread would land on another thread's stack.
                FieldKind::NonlocalGoto => {
                    bytes[field.offset..field.offset + field.size].fill(POISON)
                }
            }
        }
        let words = &mut self.frames[index];
        let skip = (own - words.as_ptr() as usize) / 8;
        for (word, chunk) in words[skip..].iter_mut().zip(bytes.chunks(8)) {
            let mut full = [0; 8];
            full[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_ne_bytes(full);
        }
        Some(())
    }
}

impl Drop for PrivateChain {
    fn drop(&mut self) {
        stubs::put(self.stubs.drain(..));
    }
}

/// Not a canonical address: a jump to it faults at once.
const POISON: u8 = 0xA5;

fn word(bytes: &[u8], offset: usize) -> usize {
    let part = bytes
        .get(offset..offset + 8)
        .and_then(|part| part.try_into().ok());
    part.map_or(0, usize::from_ne_bytes)
}

fn set_word(bytes: &mut [u8], offset: usize, value: usize) {
    if let Some(part) = bytes.get_mut(offset..offset + 8) {
        part.copy_from_slice(&value.to_ne_bytes());
    }
}

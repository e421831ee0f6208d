//! The bytes of objects: what the machine and its messages need of them.
//!
//! An object's bytes travel behind a head of 2 bytes, little-endian, which says where in the page they belong:
//!
//! | head | meaning |
//! |---|---|
//! | below 0x1000 | offset of the bytes in the page |
//! | 0x8000 and more | the offset is 0, and the source wants pages fetched together: bits 8 to 14 count those before this one, bits 0 to 7 those after it |
//!
//! A diff counts from the first byte of the unit: the slot, or the page.

use umbel_coherence::{HomeMap, Memory, Policy};
use umbel_fault::{Error, LINE_BYTES, PAGE_BYTES, Part, Rights, Space};
use umbel_wire::codec::Put;
use umbel_wire::{NodeId, ObjectId, Operation};

use super::operate;
use super::tracked::Tracked;
use crate::diff;
use crate::heap::Directory;
use crate::ids::IdMap;
use crate::payload::Payload;
use crate::stack::Found;
use crate::twins::Twins;
use crate::window::{Arena, Homes, Place};

/// The window's memory on this node, and what is known of the objects in it.
pub(crate) struct ObjectMemory {
    pub(crate) space: Space,
    pub(super) node: NodeId,
    pub(super) homes: Homes,
    /// What lives where, of this node's objects.
    pub(crate) directory: Directory,
    pub(super) twins: Twins,
    tracked: Tracked,
    /// What the source says of an object.
    pub(super) policy_of: fn(&Found) -> Policy,
    /// How many pages of an object, from its first one on, its source wants fetched together.
    pub(super) pages_together_of: fn(&Found) -> u64,
    /// Of a foreign page: the head its bytes came with, and how many they were.
    extents: IdMap<(u16, u16)>,
    /// Whose message is being carried out.
    pub(super) sender: NodeId,
    /// Objects for which a peer sent what doesn't fit them, and who it was.
    misfits: Vec<(NodeId, ObjectId)>,
    /// The last diff that was taken: room for the next.
    diff: Vec<u8>,
}

impl ObjectMemory {
    pub(super) fn new(
        space: Space,
        node: NodeId,
        homes: Homes,
        policy_of: fn(&Found) -> Policy,
    ) -> Self {
        Self {
            space,
            node,
            homes,
            directory: Directory::default(),
            twins: Twins::default(),
            tracked: Tracked::default(),
            policy_of,
            pages_together_of: |_| 1,
            extents: IdMap::default(),
            sender: node,
            misfits: Vec::new(),
            diff: Vec::new(),
        }
    }

    pub(super) fn home(&self, object: ObjectId) -> NodeId {
        self.homes.home(object)
    }

    pub(super) fn is_own(&self, object: ObjectId) -> bool {
        self.home(object) == self.node
    }

    /// What lives at a place of this node.
    pub(super) fn find(&self, place: Place) -> Option<Found> {
        self.directory.find(place)
    }

    /// Which bytes of the place's page are the object's: (offset, length).
    pub(super) fn extent(&self, object: ObjectId) -> (usize, usize) {
        let place = place(object);
        match place.arena {
            Arena::Small(class) => (place.offset_in_page(), class.slot_bytes()),
            Arena::Pages | Arena::Tracked if self.is_own(object) => self.directory.extent(place),
            Arena::Pages | Arena::Tracked => {
                let known = self.extents.get(&object);
                known.map_or((0, PAGE_BYTES), |(head, len)| {
                    (offset_of(*head), usize::from(*len))
                })
            }
        }
    }

    /// Appends the object's bytes, as they travel: the clean ones, where there is a twin. What threads of this node
    /// have written since is not yet for others, and might be taken back before they would be told.
    pub(super) fn put(&self, object: ObjectId, out: &mut Vec<u8>) {
        let (offset, len) = self.extent(object);
        // The next node learns from an owner what the owner learnt from the home.
        let known = self.extents.get(&object).map(|(head, _)| *head);
        let head = match self.together(object).filter(|_| offset == 0) {
            Some((before, after)) => {
                IS_TOGETHER | (before.min(BEFORE_MAX) as u16) << 8 | after.min(AFTER_MAX) as u16
            }
            None => known.unwrap_or(offset as u16),
        };
        out.extend_from_slice(&head.to_le_bytes());
        let start = out.len();
        self.space
            .append(place(object).page_file_offset() + offset as u64, len, out);
        if let Some((first_byte, twin)) = self.twins.get(object) {
            let first = place(object).offset_in_page() + first_byte;
            let both = first.max(offset)..(first + twin.len()).min(offset + len);
            if !both.is_empty() {
                out[start..][both.start - offset..both.end - offset]
                    .copy_from_slice(&twin[both.start - first..both.end - first]);
            }
        }
    }

    /// As `put`, by themselves.
    pub(super) fn read(&self, object: ObjectId) -> Payload {
        let mut data = Vec::new();
        self.put(object, &mut data);
        data.into()
    }

    /// The pages before and after an own one that its source wants fetched together with it.
    fn together(&self, object: ObjectId) -> Option<(u64, u64)> {
        let place = place(object);
        if matches!(place.arena, Arena::Small(_)) || !self.is_own(object) {
            return None;
        }
        let found = self.find(place)?;
        let together = (self.pages_together_of)(&found);
        if together <= 1 {
            return None;
        }
        let first = found.page / together * together;
        let pages = found.size_bytes.div_ceil(PAGE_BYTES as u64);
        let end = (first + together).min(pages).max(found.page + 1);
        Some((found.page - first, end - found.page - 1))
    }

    /// Takes over bytes that [`ObjectMemory::put`] made on another node.
    pub(super) fn store(&mut self, object: ObjectId, data: &Payload) {
        let (Some(Travelled { offset, bytes, .. }), Some((head, _))) =
            (parse(object, data), data.split_head())
        else {
            self.misfits.push((self.sender, object));
            return;
        };
        let place = place(object);
        self.space
            .write(place.page_file_offset() + offset as u64, bytes);
        if !matches!(place.arena, Arena::Small(_)) && !self.is_own(object) {
            self.note_extent(object, head, bytes.len());
        }
    }

    /// What stood before the bytes of a foreign page, and how many there are; nothing is kept of a whole page.
    fn note_extent(&mut self, object: ObjectId, head: u16, len: usize) {
        if head != 0 || len < PAGE_BYTES {
            self.extents.insert(object, (head, len as u16));
        } else if !self.extents.is_empty() {
            self.extents.remove(&object);
        }
    }

    /// Takes over whole pages that follow one another, and gives their threads these rights; with twins, if they are
    /// to be written beside one.
    pub(super) fn fill(
        &mut self,
        first: ObjectId,
        pages: &[&[u8]],
        rights: Rights,
        with_twins: bool,
    ) -> Result<(), Error> {
        for (object, page) in (first.0..).map(ObjectId).zip(pages) {
            self.note_extent(object, 0, PAGE_BYTES);
            if with_twins {
                self.twins.insert(object, 0, page);
            }
        }
        self.space.fill(place(first).page_address(), pages, rights)
    }

    /// The bytes of a page, if `data` is one of a foreign object that can be filled.
    pub(super) fn whole_page<'a>(&self, object: ObjectId, data: &'a Payload) -> Option<&'a [u8]> {
        let travelled = parse(object, data)?;
        let is_whole = travelled.bytes.len() == PAGE_BYTES && travelled.together == (0, 0);
        (is_whole && place(object).arena == Arena::Pages && !self.is_own(object))
            .then_some(travelled.bytes)
    }

    /// Keeps a clean copy.
    pub(super) fn make_twin(&mut self, object: ObjectId) {
        let (offset, len) = self.extent(object);
        let mut bytes = [0; PAGE_BYTES];
        let place = place(object);
        self.space
            .read(place.page_file_offset() + offset as u64, &mut bytes[..len]);
        self.twins
            .insert(object, offset - place.offset_in_page(), &bytes[..len]);
        if self.tracks_writes(object) {
            self.tracked.add(object);
        }
    }

    /// Throws the clean copy away.
    pub(super) fn drop_twin(&mut self, object: ObjectId) {
        self.twins.remove(object);
        self.tracked.remove(object);
    }

    /// Gives `count` neighbouring pages these rights.
    pub(super) fn set_rights(
        &mut self,
        address: usize,
        count: usize,
        rights: Rights,
    ) -> Result<(), Error> {
        self.space.set_rights(address, count, rights)?;
        let place = Place::at(address).filter(|place| place.arena == Arena::Tracked);
        if let (Some(place), Rights::None) = (place, rights) {
            // No scan finds the stores that came before.
            let first = place.id();
            self.tracked
                .note_written(first..ObjectId(first.0 + count as u64));
        }
        Ok(())
    }

    /// Writes what another node wrote: into the twin, and into the object where it equals its twin.
    pub(super) fn merge(&mut self, object: ObjectId, diff: &Payload) {
        let diff = &*diff.bytes();
        let place = place(object);
        let unit_bytes = place.arena.unit_bytes();
        let unit = place.page_file_offset() + place.offset_in_page() as u64;
        let part = self.space.part(unit, unit_bytes);
        let mut twin = self.twins.get_mut(object);
        let mut is_good = !diff.is_empty();
        for run in diff::runs(diff, unit_bytes) {
            match (run, &mut twin) {
                (Ok(run), None) => part.write(run.offset, run.bytes),
                (Ok(run), Some((first_byte, twin))) => merge_run(part, *first_byte, twin, run),
                (Err(diff::Malformed), _) => is_good = false,
            }
        }
        if !is_good {
            self.misfits.push((self.sender, object));
        }
    }

    /// Runs an atomic operation on the object where its page is; the value before it.
    pub(super) fn operate(&mut self, object: ObjectId, operation: &Operation) -> u64 {
        let place = place(object);
        let unit = place.offset_in_page()..place.offset_in_page() + place.arena.unit_bytes();
        let offset = usize::from(operation.offset);
        let end = offset + usize::from(operation.width);
        let word = (unit.contains(&offset) && end <= unit.end)
            .then(|| {
                let file_offset = place.page_file_offset() + offset as u64;
                self.space.word(file_offset, usize::from(operation.width))
            })
            .flatten();
        match word {
            Some(word) => operate::run(word, operation),
            None => {
                self.misfits.push((self.sender, object));
                0
            }
        }
    }

    /// The copy of a foreign object is gone.
    pub(super) fn forget(&mut self, object: ObjectId) {
        self.extents.remove(&object);
        self.drop_twin(object);
    }

    /// An object for which a peer sent what doesn't fit it, and who did; each once.
    pub(super) fn take_misfit(&mut self) -> Option<(NodeId, ObjectId)> {
        self.misfits.pop()
    }
}

impl Memory<Payload> for ObjectMemory {
    fn policy(&self, object: ObjectId) -> Policy {
        self.find(place(object))
            .map_or(Policy::SEQUENTIAL, |found| (self.policy_of)(&found))
    }

    fn exists(&self, object: ObjectId) -> bool {
        self.directory.exists(place(object))
    }

    fn tracks_writes(&self, object: ObjectId) -> bool {
        self.space.tracks_writes() && place(object).arena == Arena::Tracked
    }

    fn reads_alone(&self, object: ObjectId) -> bool {
        place(object).arena == Arena::Tracked
    }

    fn written(&mut self) -> Option<Vec<ObjectId>> {
        self.tracked.scan(&self.space);
        Some(self.tracked.written())
    }

    fn take_diff(&mut self, object: ObjectId) -> Option<Payload> {
        if self.tracks_writes(object) && !self.tracked.take(object) {
            return None;
        }
        let (first_byte, twin) = self.twins.get_mut(object)?;
        let place = place(object);
        let start = place.page_file_offset() + (place.offset_in_page() + first_byte) as u64;
        let part = self.space.part(start, twin.len());
        let lines = part.changed_lines(0, twin);
        let read = |offset: usize, line: &mut [u8]| part.read(offset, line);
        diff::take(twin, first_byte, lines, read, &mut self.diff)
            .then(|| Payload::copied(&self.diff))
    }

    fn is_changed(&self, object: ObjectId) -> bool {
        if self.tracks_writes(object) {
            // It is asked for because the kernel said so.
            return true;
        }
        let Some((first_byte, twin)) = self.twins.get(object) else {
            return false;
        };
        let place = place(object);
        let start = place.page_file_offset() + (place.offset_in_page() + first_byte) as u64;
        let part = self.space.part(start, twin.len());
        let (_, tail) = twin.as_chunks::<LINE_BYTES>();
        let mut bytes = [0; LINE_BYTES];
        let bytes = &mut bytes[..tail.len()];
        part.read(twin.len() - tail.len(), bytes);
        bytes != tail || part.changed_lines(0, twin) != 0
    }

    fn differs(&self, object: ObjectId, data: &Payload) -> bool {
        parse(object, data).is_none_or(|Travelled { offset, bytes, .. }| {
            let mut own = [0; PAGE_BYTES];
            let own = &mut own[..bytes.len()];
            self.space
                .read(place(object).page_file_offset() + offset as u64, own);
            own != bytes
        })
    }
}

/// A payload for a link to write.
pub(super) struct Source<'a> {
    pub(super) memory: &'a ObjectMemory,
    pub(super) payload: &'a Payload,
}

impl Put for Source<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        match self.payload.object() {
            Some(object) => self.memory.put(object, out),
            None => out.extend_from_slice(&self.payload.bytes()),
        }
    }
}

/// The place of an object that the machine names.
pub(super) fn place(object: ObjectId) -> Place {
    Place::of(object)
        .expect("the machine names only objects that a fault or a checked message named")
}

/// What [`ObjectMemory::put`] made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Travelled<'a> {
    /// From the page's start.
    pub(super) offset: usize,
    pub(super) bytes: &'a [u8],
    /// Pages before and after this one that should be fetched with it.
    pub(super) together: (u64, u64),
}

/// What a peer sent, if it fits the object.
pub(super) fn parse(object: ObjectId, data: &Payload) -> Option<Travelled<'_>> {
    let (head, bytes) = data.split_head()?;
    let offset = offset_of(head);
    let together = if head & IS_TOGETHER == 0 {
        (0, 0)
    } else {
        let (after, before) = (head & 0xff, (head & !IS_TOGETHER) >> 8);
        (u64::from(before), u64::from(after))
    };
    let place = place(object);
    let fits = match place.arena {
        Arena::Small(class) => {
            offset == place.offset_in_page() && bytes.len() == class.slot_bytes()
        }
        Arena::Pages | Arena::Tracked => offset + bytes.len() <= PAGE_BYTES,
    };
    fits.then_some(Travelled {
        offset,
        bytes,
        together,
    })
}

/// Where the bytes behind this head belong, from the page's start.
fn offset_of(head: u16) -> usize {
    match head & IS_TOGETHER {
        0 => usize::from(head),
        _ => 0,
    }
}

/// `twin` begins at `first_byte` of the unit.
///
/// A thread may store while this compares: where both write the same byte without synchronization, the store
/// counts as the earlier of the two; it is lost here as it is at the home.
fn merge_run(unit: Part<'_>, first_byte: usize, twin: &mut [u8], run: diff::Run<'_>) {
    let end = run.offset + run.bytes.len();
    let inside = run.offset.max(first_byte)..end.min(first_byte + twin.len());
    if inside.is_empty() {
        unit.write(run.offset, run.bytes);
        return;
    }
    let (before, rest) = run.bytes.split_at(inside.start - run.offset);
    let (new, after) = rest.split_at(inside.len());
    unit.write(run.offset, before);
    unit.write(inside.end, after);
    let twin = &mut twin[inside.start - first_byte..inside.end - first_byte];
    if new.len() <= SHORT_BYTES {
        let mut now = [0; SHORT_BYTES];
        let now = &mut now[..new.len()];
        unit.read(inside.start, now);
        if ends(now) == ends(twin) {
            unit.write(inside.start, new);
            copy_short(twin, new);
            return;
        }
    }
    let offsets = (inside.start..).step_by(PIECE_BYTES);
    let pieces = new.chunks(PIECE_BYTES).zip(twin.chunks(PIECE_BYTES));
    for (offset, (new, twin)) in offsets.zip(pieces) {
        let mut now = [0; PIECE_BYTES];
        let now = &mut now[..new.len()];
        unit.read(offset, now);
        if now == twin {
            unit.write(offset, new);
            continue;
        }
        for (index, byte) in new.iter().enumerate() {
            if now[index] == twin[index] {
                unit.write(offset + index, &[*byte]);
            }
        }
    }
    twin.copy_from_slice(new);
}

/// All of at most 16 bytes, as one number: a call that compares them would cost more than the bytes.
#[inline]
fn ends(bytes: &[u8]) -> u128 {
    fn pair(first: impl Into<u64>, last: impl Into<u64>) -> u128 {
        u128::from(first.into()) << 64 | u128::from(last.into())
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        pair(u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        pair(u32::from_le_bytes(*first), u32::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        pair(u16::from_le_bytes(*first), u16::from_le_bytes(*last))
    } else {
        bytes.first().map_or(0, |byte| u128::from(*byte))
    }
}

/// Copies at most 16 bytes.
#[inline]
fn copy_short(target: &mut [u8], source: &[u8]) {
    fn copy_ends<const N: usize>(target: &mut [u8], source: &[u8]) {
        if let (Some(first), Some(last)) = (source.first_chunk::<N>(), source.last_chunk::<N>()) {
            if let Some(target) = target.first_chunk_mut::<N>() {
                *target = *first;
            }
            if let Some(target) = target.last_chunk_mut::<N>() {
                *target = *last;
            }
        }
    }
    match source.len() {
        0 => {}
        1 => copy_ends::<1>(target, source),
        2..4 => copy_ends::<2>(target, source),
        4..8 => copy_ends::<4>(target, source),
        _ => copy_ends::<8>(target, source),
    }
}

/// Runs of at most so many bytes are merged without a call.
const SHORT_BYTES: usize = 16;
/// Compared at once: most runs are words or lines.
const PIECE_BYTES: usize = 64;
/// The head counts pages.
const IS_TOGETHER: u16 = 0x8000;
const BEFORE_MAX: u64 = 0x7f;
const AFTER_MAX: u64 = 0xff;

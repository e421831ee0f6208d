//! A process's plan region: as the recorder makes it, and as the program reads it.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use super::interpret::Code;
use super::quick;
use super::{
    Desk, ENTRIES, Index, NOTHING, REGION_BYTES, REGIONS_MAX, REGIONS_OFFSET, UNASKED, hash,
};
use crate::sys::{Area, File};
use crate::{Error, Live, PAGE_BYTES, Result};

/// Words of the first two pages.
const HEAD_WORDS: usize = 2 * PAGE_BYTES / 8;

/// Words that are reserved at a time.
const STEP_WORDS: usize = 32 * 1024;

/// The logarithm of a table's entries at first.
const FIRST_TABLE: u32 = 10;

/// Where the region `index` begins in the file.
fn offset_of(index: usize) -> u64 {
    REGIONS_OFFSET + (index * REGION_BYTES) as u64
}

/// The recorder's side. It believes nothing that programs may have written: where things are it knows itself.
#[derive(Debug)]
pub struct Region {
    area: Area,
    index: usize,
    /// Words that the file has.
    reserved: usize,
    /// Words in use.
    used: usize,
    table: Range<usize>,
    /// Return addresses in the table.
    keys: usize,
}

impl Drop for Region {
    fn drop(&mut self) {
        self.area.unmap();
    }
}

impl Region {
    /// Makes a new one.
    ///
    /// # Errors
    /// There are too many; no space.
    pub fn create(live: &Live) -> Result<Self> {
        let file = live.file.as_ref().ok_or(Error::NotLive)?;
        let index = live.next_region();
        if index >= REGIONS_MAX {
            return Err(Error::NoMoreRegions);
        }
        let begin = offset_of(index);
        file.reserve(begin, begin + 8 * STEP_WORDS as u64)
            .map_err(Error::system("reserve a region for capture plans"))?;
        let area = Area::for_writing(file, begin, REGION_BYTES)
            .map_err(Error::system("map a region for capture plans"))?;
        let mut region = Self {
            area,
            index,
            reserved: STEP_WORDS,
            used: HEAD_WORDS,
            table: 0..0,
            keys: 0,
        };
        region.make_table(live, FIRST_TABLE)?;
        Ok(region)
    }

    /// What process pages call it: 1 and up.
    pub fn number(&self) -> u32 {
        self.index as u32 + 1
    }

    /// Tells the process on page `page` to capture what this region says, from its next question on.
    pub fn give_to(&self, live: &Live, page: usize) {
        // Release: what is in the region is seen with it.
        live.page(page)
            .region
            .store(self.number(), Ordering::Release);
    }

    /// Room for `words` words: where it is, for plans that say where their shapes are.
    ///
    /// # Errors
    /// The region is full; no space.
    pub fn place(&mut self, live: &Live, words: usize) -> Result<u32> {
        let begin = self.used;
        let end = begin
            .checked_add(words)
            .filter(|&end| end <= REGION_BYTES / 8)
            .ok_or(Error::NoMoreRegions)?;
        if end > self.reserved {
            let file = live.file.as_ref().ok_or(Error::NotLive)?;
            let reserved = end
                .next_multiple_of(STEP_WORDS)
                .max(self.reserved + self.reserved / 4)
                .min(REGION_BYTES / 8);
            let base = offset_of(self.index);
            file.reserve(base + 8 * self.reserved as u64, base + 8 * reserved as u64)
                .map_err(Error::system("reserve more for capture plans"))?;
            self.reserved = reserved;
        }
        self.used = end;
        Ok(begin as u32)
    }

    /// Writes words where [`Region::place`] said: before they are published.
    pub fn write(&self, offset: u32, words: &[u64]) {
        let begin = offset as usize;
        let room = self.words().get(begin..self.used).unwrap_or_default();
        for (place, &word) in room.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
    }

    /// What is captured at a return address from now on: the plan at `plan`, or nothing.
    ///
    /// # Errors
    /// The table is full and can't grow.
    pub fn publish(&mut self, live: &Live, return_address: u64, plan: Option<u32>) -> Result<()> {
        let value = match plan {
            None => NOTHING,
            Some(plan) => u64::from(plan) | u64::from(self.quick_form(live, plan)) << 32,
        };
        // Behind all words that were written so far.
        self.index_page()
            .words
            .store(self.used as u64, Ordering::Release);
        if self.keys >= self.table.len() / 2 / 4 * 3 {
            let doubled = (self.table.len() / 2).ilog2() + 2;
            self.make_table(live, doubled)?;
        }
        if return_address > 1 && insert(self.table(), return_address, value) {
            self.keys += 1;
        }
        Ok(())
    }

    /// Where the quick form of the plan at `plan` is, and [`VECTORS_WANTED`]; 0: it has none, or there is no room for it.
    fn quick_form(&mut self, live: &Live, plan: u32) -> u32 {
        let words = self.words().get(plan as usize..self.used);
        let Some(form) = words.and_then(quick::form) else {
            return 0;
        };
        let Ok(place) = self.place(live, form.words().len()) else {
            return 0;
        };
        self.write(place, form.words());
        place
            | if form.wants_vectors {
                VECTORS_WANTED
            } else {
                0
            }
    }

    /// Has everything in a range of addresses asked anew: the module that was there is gone.
    pub fn forget(&self, addresses: &Range<u64>) {
        for [key, value] in entries(self.table()) {
            if addresses.contains(&(key.load(Ordering::Relaxed) & !ENTRIES)) {
                value.store(UNASKED, Ordering::Release);
            }
        }
    }

    /// What programs ask and write.
    pub(super) fn desk(&self) -> &Desk {
        self.area.first_page()
    }

    fn index_page(&self) -> &Index {
        self.area.second_page()
    }

    fn words(&self) -> &[AtomicU64] {
        self.area.words(self.reserved)
    }

    fn table(&self) -> &[AtomicU64] {
        self.words().get(self.table.clone()).unwrap_or_default()
    }

    /// A table of `1 << log` entries with what is in the one before.
    fn make_table(&mut self, live: &Live, log: u32) -> Result<()> {
        let length = 2usize << log;
        let begin = self.place(live, length)? as usize;
        let before = self.table();
        let room = self
            .words()
            .get(begin..begin + length)
            .ok_or(Error::NoMoreRegions)?;
        for [key, value] in entries(before) {
            let key = key.load(Ordering::Relaxed);
            if key != 0 {
                insert(room, key, value.load(Ordering::Relaxed));
            }
        }
        self.table = begin..begin + length;
        let index = self.index_page();
        index.words.store(self.used as u64, Ordering::Release);
        // Release: its entries are there.
        let mask = length as u64 / 2 - 1;
        index
            .table
            .store(begin as u64 | mask << 32, Ordering::Release);
        Ok(())
    }
}

/// Keys and values.
fn entries(table: &[AtomicU64]) -> impl Iterator<Item = &[AtomicU64; 2]> {
    let (pairs, _) = table.as_chunks();
    pairs.iter()
}

/// Puts a value at a key; whether the key is new.
fn insert(table: &[AtomicU64], key: u64, value: u64) -> bool {
    let (pairs, _) = table.as_chunks::<2>();
    let mask = pairs.len().wrapping_sub(1);
    let first = hash(key) as usize;
    for step in 0..pairs.len() {
        let Some([its, place]) = pairs.get((first + step) & mask) else {
            return false;
        };
        let there = its.load(Ordering::Relaxed);
        if there == key || there == 0 {
            // Release: the plan is seen with it, and the key after it.
            place.store(value, Ordering::Release);
            its.store(key, Ordering::Release);
            return there == 0;
        }
    }
    false
}

/// Where a plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its first word.
    pub plan: u32,
    /// The first word of its quick form; 0: it has none.
    pub quick: u32,
}

impl Found {
    /// What an entry says that is neither [`NOTHING`] nor [`UNASKED`].
    #[inline]
    pub fn parse(entry: u64) -> Self {
        Self {
            plan: entry as u32,
            quick: (entry >> 32) as u32 & !VECTORS_WANTED,
        }
    }
}

/// In the upper half of an entry: the quick form wants vector registers. The hooks ask.
pub const VECTORS_WANTED: u32 = 1 << 31;

/// What the table says of a return address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// There is one.
    Plan(Found),
    /// Nothing is captured there.
    Nothing,
    /// Nobody has asked yet.
    Unasked,
}

impl Code for Plans {
    #[inline]
    fn words(&self) -> &[AtomicU64] {
        let index: &Index = self.area.second_page();
        let words = index.words.load(Ordering::Acquire);
        self.area.words(words as usize)
    }
}

/// The program's side.
#[derive(Clone, Copy, Debug)]
pub struct Plans {
    area: Area,
}

impl Plans {
    /// Maps region `number` of the shared file `file`, for as long as the program runs.
    ///
    /// # Errors
    /// No such region; the kernel refuses.
    pub fn map(file: &File, number: u32) -> Result<Self> {
        let index = (number as usize)
            .checked_sub(1)
            .filter(|&index| index < REGIONS_MAX)
            .ok_or(Error::Damaged)?;
        let begin = offset_of(index);
        let length = file
            .bytes()
            .map_err(Error::system("ask for the shared file's length"))?;
        if length < begin + 8 * STEP_WORDS as u64 {
            return Err(Error::Damaged);
        }
        let area = Area::for_reading(file, begin, REGION_BYTES)
            .map_err(Error::system("map the capture plans"))?;
        Ok(Self { area })
    }

    /// Where it is mapped.
    pub fn address(&self) -> usize {
        self.area.address()
    }

    /// The one that was mapped at `address`.
    ///
    /// # Safety
    /// [`Plans::address`] of one that was mapped.
    pub unsafe fn at(address: usize) -> Self {
        // SAFETY: the caller's.
        let area = unsafe { Area::at(address, REGION_BYTES) };
        Self { area }
    }

    /// Looks a return address up.
    #[inline]
    pub fn lookup(&self, return_address: u64) -> Lookup {
        let index: &Index = self.area.second_page();
        // Acquire: pairs with the store in `make_table`.
        let table = index.table.load(Ordering::Acquire);
        let (begin, mask) = (table as u32 as usize, (table >> 32) as usize);
        let words = self.area.words(REGION_BYTES / 8);
        let first = hash(return_address) as usize;
        for step in 0..=mask {
            let place = begin + 2 * ((first + step) & mask);
            let Some([key, value]) = words.get(place..place + 2) else {
                break;
            };
            // Acquire: the value, and the plan, were there before.
            let key = key.load(Ordering::Acquire);
            if key == return_address {
                return match value.load(Ordering::Acquire) {
                    NOTHING => Lookup::Nothing,
                    UNASKED => Lookup::Unasked,
                    plan => Lookup::Plan(Found::parse(plan)),
                };
            }
            if key == 0 {
                break;
            }
        }
        Lookup::Unasked
    }

    /// Where to ask.
    pub(super) fn desk(&self) -> &Desk {
        self.area.first_page()
    }
}

//! The engine's part in the end of heap objects: rights, bytes, memory.

use umbel_fault::{Error, PAGE_BYTES, Rights};

use super::Run;
use crate::engine::Engine;
use crate::window::Arena;

impl Engine {
    /// Takes this node's rights on freed objects: one call for each run of virtual pages, whatever objects they are.
    pub fn take_rights(&mut self, runs: &[Run]) -> Result<(), Error> {
        let mut pages: Vec<(usize, usize)> = Vec::new();
        for run in runs {
            match run.first.arena {
                Arena::Pages | Arena::Tracked => {
                    pages.push((run.first.page_address(), run.count as usize))
                }
                Arena::Small(_) => {
                    pages.extend(run.places().map(|place| (place.page_address(), 1)));
                }
            }
        }
        pages.sort_unstable();
        pages.dedup_by(|next, run| {
            let adjacent = next.0 == run.0 + run.1 * PAGE_BYTES;
            if adjacent {
                run.1 += next.1;
            }
            adjacent
        });
        for (address, count) in pages {
            self.memory.space.set_rights(address, count, Rights::None)?;
        }
        Ok(())
    }

    /// Buries freed objects of which no copy is left: zeroes their bytes, gives memory back. False as [`super::Heap::bury`].
    pub fn bury(&mut self, run: Run) -> Result<bool, Error> {
        if let Arena::Small(class) = run.first.arena {
            let zeroes = vec![0; class.slot_bytes()];
            for place in run.places() {
                let offset = place.page_file_offset() + place.offset_in_page() as u64;
                self.memory.space.write(offset, &zeroes);
            }
        }
        // Also where a request that waited for the end of life was granted rights once more.
        self.take_rights(&[run])?;
        let Some(heap) = self.memory.directory.heap() else {
            return Ok(true);
        };
        let space = &self.memory.space;
        heap.bury(run, |first, count| {
            space.discard(first.page_file_offset(), count * PAGE_BYTES as u64)
        })
    }
}

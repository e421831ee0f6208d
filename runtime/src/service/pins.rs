//! Ranges that threads of this node pin.

use std::ops::Range;

use umbel_wire::Access;

use super::{Service, Waiting};
use crate::error::Error;
use crate::request::Reply;
use crate::sys::process::now_ns;

impl Service {
    pub(super) fn on_pin(
        &mut self,
        range: Range<usize>,
        writable: bool,
        reply: Reply,
    ) -> Result<(), Error> {
        let access = if writable {
            Access::Write
        } else {
            Access::Read
        };
        let token = self.wait_for(Waiting::Reply(reply));
        let mut is_known = false;
        self.with_engine(|engine, links| {
            is_known = engine.pin(range, access, token, now_ns(), links)?;
            Ok(())
        })?;
        if is_known {
            // Answered by `Event::Pinned`.
            return Ok(());
        }
        self.answer(token, -i64::from(libc::EINVAL))
    }

    pub(super) fn on_unpin(&mut self, range: Range<usize>, reply: &Reply) -> Result<(), Error> {
        let mut was_pinned = false;
        self.with_engine(|engine, links| {
            was_pinned = engine.unpin(range, now_ns(), links)?;
            Ok(())
        })?;
        reply.send(if was_pinned {
            0
        } else {
            -i64::from(libc::EINVAL)
        });
        Ok(())
    }
}

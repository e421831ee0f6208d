//! What the taking thread tells, and what becomes of it.

use umbel_trace_ring::layout::Mode;

use super::super::clock;
use super::super::process::Process;
use super::super::taker::{self, News, Order};
use super::Session;
use crate::recording::{Ended, ProcessInfo};

/// Processes that had gone on as other programs when they were first heard of, at one time.
const PASSED_ON_MAX: usize = 4096;

impl Session {
    /// Handles all news there are.
    pub(super) fn handle_news(&mut self) {
        self.woken.clear();
        while let Ok(news) = self.news.try_recv() {
            self.handle(news);
        }
    }

    fn handle(&mut self, news: News) {
        match news {
            News::Process(info) => self.on_process(info),
            News::Module(info) => {
                self.debugger.forget();
                if let Some(mut planner) = self.shared.planner() {
                    planner.add_module(&self.shared.live, &info);
                }
                if let Some(process) = self.processes.get_mut(&info.process.0) {
                    process.add_module(info, &mut self.files);
                }
            }
            News::ModuleGone(gone) => {
                self.debugger.forget();
                self.write_names();
                if let Some(mut planner) = self.shared.planner() {
                    planner.remove_module(&gone);
                }
                if let Some(process) = self.processes.get_mut(&gone.process.0) {
                    process.remove_module(gone.bias);
                }
            }
            News::Rank(process, rank) => {
                if let Some(process) = self.processes.get_mut(&process.0) {
                    process.info.rank = Some(rank);
                    // Once more: readers take the last.
                    self.shared.output().process(&process.info);
                }
            }
            News::Question {
                page,
                serial,
                asked,
            } => {
                self.apply(serial);
                self.set_rules();
                self.shared.live.answer(page, asked);
            }
            News::Retired { page, serial } => self.on_retired(page, serial),
            News::Fired { fired, process } => self.on_fired(&fired, process),
            News::TakenAll => {}
            News::Held => self.on_held(),
            News::NotGrown(why) => self.warnings.push(format!("the buffer can't grow: {why}")),
            News::Stopped => self.taker_stopped = true,
        }
    }

    fn on_process(&mut self, info: ProcessInfo) {
        self.any_process = true;
        let serial = info.serial.0;
        let page = self.shared.live.pages().find(|page| page.serial == serial);
        let Some(page) = page else {
            // It has gone on as another program already, or it is a number that the program wrote.
            if self.passed_on.len() < PASSED_ON_MAX {
                self.passed_on.insert(info.pid, serial);
            }
            return;
        };
        if let Some(passed_on) = self.passed_on.remove(&info.pid)
            && info.began == crate::recording::Began::Exec
        {
            let passed_on = crate::recording::ProcessSerial(passed_on);
            self.shared
                .output()
                .ended(passed_on, info.ticks, Ended::Exec);
        }
        self.write_names();
        let ended = match info.began {
            crate::recording::Began::Exec => Ended::Exec,
            _ => Ended::Unknown,
        };
        self.replace_on_page(page.index, info.ticks, ended);
        if self.stopping {
            self.shared.live.set_mode(page.index, Mode::Off);
        }
        if let Some(mut planner) = self.shared.planner() {
            planner.add_process(&self.shared.live, &info, page.index);
        }
        let process = Process::new(info, &page);
        self.processes.insert(serial, process);
    }

    /// The processes that were on this page are there no more.
    fn replace_on_page(&mut self, page: usize, ticks: u64, ended: Ended) {
        let earlier = self.processes.values().filter(|known| known.page == page);
        let earlier: Vec<u64> = earlier.map(|known| known.info.serial.0).collect();
        for earlier in earlier {
            self.processes.remove(&earlier);
            self.excluded.remove(&earlier);
            if let Some(mut planner) = self.shared.planner() {
                planner.remove_process(earlier);
            }
            self.order(Order::Forget(earlier));
            let process = crate::recording::ProcessSerial(earlier);
            self.shared.output().ended(process, ticks, ended);
        }
    }

    /// A process is dead: its last words are to be taken.
    pub(super) fn on_end(&mut self, serial: u64) {
        if let Some(process) = self.processes.get_mut(&serial)
            && !process.is_dead
        {
            self.debugger.forget();
            process.is_dead = true;
            let page = process.page;
            // It may have gone on as another program, whose journal is on its way: that one has ended, then.
            let now = self.shared.live.page_now(page);
            let serial = now.map_or(serial, |now| now.serial);
            self.order(Order::Retire { page, serial });
        }
    }

    fn on_retired(&mut self, page: usize, serial: u64) {
        // Its functions' names are found while its modules are known.
        self.write_names();
        let Some(process) = self.processes.remove(&serial) else {
            // The program it went on as was killed before it told of itself.
            self.replace_on_page(page, clock::ticks(self.shared.clock), Ended::Exec);
            self.shared.live.free_page(page, serial);
            return;
        };
        self.excluded.remove(&serial);
        if let Some(mut planner) = self.shared.planner() {
            planner.remove_process(serial);
        }
        let ended = self
            .end_of_child(process.info.pid)
            .unwrap_or_else(|| process.how_it_ended());
        let ticks = clock::ticks(self.shared.clock);
        let lost = self
            .shared
            .live
            .page_now(page)
            .filter(|page| page.serial == serial)
            .map_or(0, |page| page.lost);
        let mut output = self.shared.output();
        if lost > 0 {
            output.lost(&taker::lost_at_end(serial, lost, ticks));
        }
        output.ended(process.info.serial, ticks, ended);
        drop(output);
        self.shared.live.free_page(page, serial);
    }

    /// Tells the taking thread what to do, and wakes it.
    pub(super) fn order(&self, order: Order) {
        // It ends only after it was told to.
        let _ = self.orders.send(order);
        self.shared.live.ring();
    }
}

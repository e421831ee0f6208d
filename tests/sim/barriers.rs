//! The barrier of a run: the shipping home, and the other nodes' parts. What they send departs as the runtime's does: after a
//! flush for the one node that it is news to.

use umbel_coherence::{SyncEffect, SyncHome};
use umbel_wire::sync::{Sync, SyncKey, SyncOp};
use umbel_wire::{NodeId, ThreadId, Token};

use super::cluster::{Cluster, Input};
use super::coverage::Sometimes;
use super::plan::Plan;

const BARRIER: SyncKey = SyncKey(8);

/// Fewer than the shipping trees have: eight nodes shall make a deep one.
const BRANCHES: usize = 2;

/// The home of a barrier of all threads.
pub fn of_all(plan: &Plan) -> SyncHome {
    let home = NodeId(0);
    let count: usize = plan.threads.iter().map(Vec::len).sum();
    let mut barriers = SyncHome::with_branches(home, BRANCHES);
    let init = SyncOp::BarrierInit(u32::try_from(count).expect("a few"));
    let thread = ThreadId::new(home, 1);
    barriers.on_request(home, Token(0), thread, BARRIER, init, &mut Vec::new());
    barriers
}

impl Cluster {
    pub(super) fn meet(&mut self, rank: usize, thread: usize) -> Result<(), String> {
        self.met.0 += 1;
        let node = node_id(rank);
        let (token, name) = (Token(thread as u64), ThreadId::new(node, thread as u64 + 1));
        let op = SyncOp::BarrierWait;
        let mut out = Vec::new();
        let branches = &mut self.members[rank].branches;
        if rank == 0 {
            let barriers = &mut self.barriers;
            barriers.on_request(node, token, name, BARRIER, op, &mut out);
        } else if !branches.wait(token, name, BARRIER, &mut out) {
            let message = Sync::Request {
                token,
                thread: name,
                key: BARRIER,
                op,
            };
            let to = NodeId(0);
            out.push(SyncEffect::Send { to, message });
        } else if answers(&out) {
            self.coverage.reach(Sometimes::MetAhead);
        }
        self.carry_out_sync(rank, out)
    }

    pub(super) fn take_sync(
        &mut self,
        rank: usize,
        from: usize,
        message: Sync,
    ) -> Result<(), String> {
        let mut out = Vec::new();
        match message {
            Sync::Reply { token, result } => {
                self.coverage.reach(Sometimes::MetAtHome);
                return self.go_on(rank, token, result);
            }
            Sync::Request {
                token,
                thread,
                key,
                op,
            } => {
                let barriers = &mut self.barriers;
                barriers.on_request(node_id(from), token, thread, key, op, &mut out);
            }
            Sync::Arrived { key, plan, .. } if rank == 0 => {
                let barriers = &mut self.barriers;
                barriers.on_arrived(node_id(from), key, plan, &mut out);
            }
            Sync::Withdrawn { key, plan } => {
                let barriers = &mut self.barriers;
                barriers.on_withdrawn(node_id(from), key, plan, &mut out);
            }
            message => {
                let branches = &mut self.members[rank].branches;
                branches.on_message(node_id(from), message, &mut out);
                match message {
                    Sync::Released { .. } => self.coverage.reach(Sometimes::MetAlongTree),
                    Sync::Arrived { .. } => {
                        self.coverage.reach(Sometimes::PassedOn);
                        if answers(&out) {
                            self.coverage.reach(Sometimes::MetAhead);
                        }
                    }
                    _ => {}
                }
            }
        }
        self.carry_out_sync(rank, out)
    }

    fn carry_out_sync(&mut self, rank: usize, out: Vec<SyncEffect>) -> Result<(), String> {
        for effect in out {
            let (to, message) = match effect {
                SyncEffect::Reply { to, token, result } if to == node_id(rank) => {
                    self.go_on(rank, token, result)?;
                    continue;
                }
                SyncEffect::Reply { to, token, result } => (to, Sync::Reply { token, result }),
                SyncEffect::Send { to, message } => (to, message),
            };
            let (departure, to) = (self.token(), usize::from(to.0));
            self.departing.insert(departure, (to, message));
            self.enqueue(rank, Input::Depart(departure, to));
        }
        Ok(())
    }

    fn go_on(&mut self, rank: usize, token: Token, result: i32) -> Result<(), String> {
        let count: usize = self.plan.threads.iter().map(Vec::len).sum();
        self.met.1 += 1;
        if result < 0 || self.met.1 > self.met.0 / count * count {
            return Err(format!(
                "nobody goes on from a barrier before all have come: node {rank}, {result}"
            ));
        }
        self.done(rank, token.0 as usize);
        Ok(())
    }
}

fn answers(out: &[SyncEffect]) -> bool {
    let mut out = out.iter();
    out.any(|effect| matches!(effect, SyncEffect::Reply { .. }))
}

fn node_id(rank: usize) -> NodeId {
    NodeId(u16::try_from(rank).expect("a rank"))
}

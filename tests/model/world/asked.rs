//! Requests of threads that a home answers: operations, and sequential objects.

use umbel_wire::{ObjectId, Token};

use super::{Broken, World};
use crate::model::knowledge::Versions;
use crate::model::node::home_of;
use crate::model::scenario::Scenario;

/// A request of a thread that its node's machine has not answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The thread's node.
    pub rank: usize,
    /// Its token.
    pub token: Token,
    /// Index of the object.
    pub index: usize,
    /// Its home.
    pub home: usize,
    /// What the thread knew when it asked.
    pub knew: Versions,
    /// What the operation found when it was run, and what its answer tells of.
    pub found: Option<(u8, Versions)>,
}

impl World {
    pub(super) fn ask(
        &mut self,
        scenario: &Scenario,
        rank: usize,
        object: ObjectId,
        first: u64,
    ) -> Token {
        let is_used = |token: &Token| {
            self.asked
                .iter()
                .any(|asked| asked.rank == rank && asked.token == *token)
        };
        let token = (first..).map(Token).find(|token| !is_used(token));
        let token = token.expect("tokens are many");
        self.asked.push(Asked {
            rank,
            token,
            index: scenario.index_of(object),
            home: home_of(object),
            knew: self.knowledge.known(rank).clone(),
            found: None,
        });
        token
    }

    /// An operation was run on the home's bytes.
    pub(super) fn ran(
        &mut self,
        scenario: &Scenario,
        object: ObjectId,
        from: usize,
        token: Token,
        found: u8,
    ) -> Result<(), Broken> {
        let index = scenario.index_of(object);
        if found != self.latest[index][0] {
            return Err(Broken {
                rule: "an operation finds the last store",
                detail: format!("{found}, not {}", self.latest[index][0]),
            });
        }
        self.latest[index][0] += 1;
        if self.lost == Some(from) {
            return Ok(());
        }
        let is_it = |asked: &Asked| asked.rank == from && asked.token == token;
        let place = self.asked.iter().position(is_it);
        let Some(place) = place.filter(|place| self.asked[*place].found.is_none()) else {
            return Err(Broken {
                rule: "an operation is run once",
                detail: format!("{token:?} of node {from}"),
            });
        };
        let knew = self.asked[place].knew.clone();
        self.knowledge_mut().announced(index, &knew);
        self.asked[place].found = Some((found, self.knowledge.carried(index).clone()));
        Ok(())
    }

    pub(super) fn answered(
        &mut self,
        rank: usize,
        token: Token,
        result: Option<u64>,
    ) -> Result<(), Broken> {
        let is_it = |asked: &Asked| asked.rank == rank && asked.token == token;
        let Some(place) = self.asked.iter().position(is_it) else {
            return Err(Broken {
                rule: "an answer comes once",
                detail: format!("{token:?} of node {rank}"),
            });
        };
        let asked = self.asked.remove(place);
        match (result, asked.found) {
            // Of a lost home: nothing is left to wait for.
            (None, None) if self.lost.is_some_and(|gone| gone == asked.home) => {}
            (None, None) => self.is_sequential[asked.index] = true,
            (Some(result), Some((found, versions))) if result == u64::from(found) => {
                self.knowledge_mut().learnt(rank, &versions);
            }
            (result, found) => {
                return Err(Broken {
                    rule: "a result is what the operation found",
                    detail: format!("{result:?}, not {found:?}"),
                });
            }
        }
        Ok(())
    }
}

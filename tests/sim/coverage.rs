//! The interesting paths, counted: a simulation that never takes one of them proves nothing about it.

/// Declares the paths, so that none is left out of `ALL`.
macro_rules! paths {
    ($($name:ident: $text:literal,)*) => {
        /// A path some run must take.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Sometimes { $(#[doc = $text] $name,)* }

        impl Sometimes {
            /// Every path.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The path in words.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

paths! {
    UpgradeWithoutBytes: "a reader becomes the writer without bytes on the way",
    UpgradeOvertaken: "a reader asks to write and is invalidated before it is answered",
    RecallDeferred: "a hold defers a recall",
    InvalidateDeferred: "a hold defers an invalidation",
    HomeHoldDefers: "the home's own hold defers a request",
    RecallKeepsRead: "an owner becomes a reader",
    RecallTakesAll: "an owner loses its copy",
    ManyInvalidations: "three or more readers are invalidated at once",
    RequestQueues: "a request waits behind another",
    HomeRequestRaised: "the home's waiting read becomes a write",
    FaultStale: "a fault is served that the view allows already",
    FaultUnshared: "the home faults on an object nobody else has had",
    FaultJoins: "a second thread waits for the same answer",
    WriterJoinsReader: "a thread wants to write while a read is asked for",
    OwnerReclaimed: "an object's life ends while another node owns it",
    ReadersReclaimed: "an object's life ends while others read it",
    ReclaimedAtOnce: "a life ends that nobody shares",
    WaiterOutlivesObject: "a request waits through the end of a life and begins the next",
    OwnerLost: "the owner of an object is lost",
    HomeLost: "a home is lost while a thread waits for it",
    ReaderLost: "a node is lost that an invalidation was waiting for",
    TwinMade: "a weak copy is written with a twin",
    FlushedAtOnce: "a flush finds nothing to wait for",
    FlushAgain: "a copy was written while its flush was under way, and is flushed again",
    FlushExclusive: "a flush leaves its writer with the only copy",
    FlushShared: "a flush leaves other copies",
    HomeFlushes: "the home's own stores take the copies away",
    HomeFlushUpdates: "the home's own stores are sent to the copies",
    FlushQueues: "a flush waits behind other work",
    FlushCrossesUpdate: "a flush and an update cross: the writer is sent its own diff",
    InvalidateTakesDiff: "a dirty copy is invalidated and hands its diff over",
    InvalidateTakesNothing: "a copy is invalidated that has a twin and nothing to tell",
    DiffReachesWriter: "what an invalidated copy hands over goes to the one that remains",
    UpdateMerged: "an update reaches a dirty copy",
    UpdateHides: "a copy that nobody uses loses its rights and goes on being updated",
    HiddenCopyShown: "a fault shows a hidden copy",
    UpdateLeaves: "a copy that nobody uses leaves",
    DirtyCopyRests: "a copy that was dirty for nothing is protected again",
    RecallWaitsForFlush: "an owner flushes what it wrote elsewhere before it gives a sequential object back",
    GrantWaitsForFlush: "a home flushes what it wrote before a sequential object leaves it",
    GivingBackFault: "a thread faults on an object that is being given back",
    MigratoryRead: "a read is answered with the only copy",
    EvictedClean: "a clean copy is evicted",
    EvictedDirty: "a dirty copy is evicted",
    EvictedOwner: "the only copy is evicted",
    LeavingInvalidated: "a copy that is leaving is invalidated",
    LeavingRecalled: "an owner that is leaving is recalled",
    LeavingUpdated: "a copy that is leaving is updated",
    LeavingFault: "a thread wants a copy that is leaving",
    PrefetchDenied: "a prefetch is denied",
    PrefetchDeniedWanted: "a prefetch is denied while a thread waits for it: it is asked for again",
    PrefetchJoined: "a thread waits for what was prefetched",
    Switched: "a home changes its protocol at once",
    SwitchQueued: "a switch waits for the work in progress",
    Operated: "an operation is run at the home",
    OperationQueues: "an operation waits behind other work",
    OperationFlushesFirst: "an operation waits for its node's flush",
    Strengthened: "a weak object becomes sequential",
    Forwarded: "an owner grants to a third node",
    HomePostpones: "a requester says something of its copy before the home knows that the owner granted it",
    HolderPostpones: "a home says something of a copy before the owner's grant is in",
    MetAtHome: "a barrier's home releases a thread of another node",
    MetAlongTree: "a node is released along a barrier's tree",
    MetAhead: "a node goes on from a barrier as soon as those below it have come",
    PassedOn: "a node tells its parent that a branch has arrived",
    FlushedHomeLost: "a home is lost with a flush under way to it",
}

/// How often each path was taken.
#[derive(Clone, Debug)]
pub struct Coverage(Vec<u64>);

impl Default for Coverage {
    fn default() -> Self {
        Self(vec![0; Sometimes::ALL.len()])
    }
}

impl Coverage {
    /// The path was taken.
    pub fn reach(&mut self, path: Sometimes) {
        self.0[path as usize] += 1;
    }

    /// Adds another run's counts.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    /// Paths never taken, in words.
    pub fn missed(&self) -> Vec<&'static str> {
        Sometimes::ALL
            .iter()
            .filter(|path| self.0[**path as usize] == 0)
            .map(|path| path.text())
            .collect()
    }
}

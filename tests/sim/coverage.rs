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

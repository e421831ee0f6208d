//! Makes the capture plans that hooks ask for, and keeps their descriptions in the recording.
//!
//! A process has a plan region; a forked child has its parent's until it loads or unloads something. The hooks ask for the plan of a return
//! address when they first see it; the answer may be that there's nothing to capture.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use umbel_trace_ring::Live;
use umbel_trace_ring::plan::{ENTRIES, Op, Opcode, Region, Request};
use umbel_values::debug::Error;
use umbel_values::plan::{self, Asked, Description, Site, Wishes};
use umbel_values::{DebugFile, DescribedFrame, Frame, Kept};

use super::taker::Shared;
use crate::chosen::{self, Rule};
use crate::recording::{Began, Image, ModuleGone, ModuleInfo, ProcessInfo};
use crate::trigger::{Active, At, CaseId, WatchedFunctions};

mod held;

pub use held::HeldThread;

/// How often a region is looked at for requests before words are taken again.
const ROUNDS_MAX: usize = 32;

/// Answers what hooks ask.
pub struct Planner {
    wishes: Wishes,
    files: HashMap<Image, Option<File>>,
    /// By number.
    regions: HashMap<u32, Mapped>,
    /// Number of the region and index of the page of each process.
    processes: HashMap<u64, (u32, usize)>,
    last_number: u32,
    /// Triggers that are set, and functions of each file that they speak of.
    triggers: Vec<Active>,
    watched: HashMap<Image, Arc<WatchedFunctions>>,
    /// What triggers ask and can't be judged, with why.
    refused: BTreeSet<String>,
    /// What is captured of some functions, whatever the wishes say of others.
    rules: Arc<[Rule]>,
    /// What rules name and isn't there.
    missing: BTreeSet<String>,
    /// Files that are traced and have no debug information.
    without_values: BTreeSet<String>,
    /// All threads are to stop, also those that begin later.
    wants_all: bool,
}

/// A region, and what its addresses mean.
struct Mapped {
    region: Region,
    modules: Vec<ModuleInfo>,
    /// Processes that have it.
    users: u32,
}

/// A file with debug information.
struct File {
    debug: DebugFile,
    /// Types that the recording has.
    written: usize,
}

impl Planner {
    /// Captures what `wishes` say; of functions that `rules` speak of, what those say.
    pub fn new(wishes: Wishes, rules: &[Rule]) -> Self {
        Self {
            wishes,
            files: HashMap::new(),
            regions: HashMap::new(),
            processes: HashMap::new(),
            last_number: 0,
            triggers: Vec::new(),
            watched: HashMap::new(),
            refused: BTreeSet::new(),
            rules: rules.into(),
            missing: BTreeSet::new(),
            without_values: BTreeSet::new(),
            wants_all: false,
        }
    }

    /// What the user should know when all is over: variables that rules name and that aren't there, files without values.
    pub fn warnings(&self) -> Vec<String> {
        let missing = self.missing.iter();
        let mut warnings: Vec<String> = missing.map(|why| format!("--args {why}")).collect();
        let files = self.without_values.iter().take(FILES_TOLD_MAX);
        warnings
            .extend(files.map(|file| format!("{file} was built without -g: no values, no places")));
        let more = self.without_values.len().saturating_sub(FILES_TOLD_MAX);
        if more > 0 {
            warnings.push(format!("{more} more files were built without -g"));
        }
        warnings
    }

    /// What is captured of some functions from now on; plans that were made for others are made anew when they are next needed.
    pub fn set_rules(&mut self, rules: &[Rule]) {
        self.rules = rules.into();
        for mapped in self.regions.values() {
            mapped.region.forget(&(0..u64::MAX));
        }
    }

    /// These triggers are set now, and speak of these functions. Plans that were made for others are made anew when they are next needed.
    pub fn set_triggers(
        &mut self,
        triggers: &[Active],
        watched: HashMap<Image, Arc<WatchedFunctions>>,
    ) {
        let ids = |triggers: &[Active]| triggers.iter().map(|set| set.id).collect::<Vec<_>>();
        if ids(triggers) == ids(&self.triggers) && watched == self.watched {
            return;
        }
        self.triggers = triggers.to_vec();
        self.watched = watched;
        for mapped in self.regions.values() {
            mapped.region.forget(&(0..u64::MAX));
        }
    }

    /// Why something that a trigger asks can't be judged: each reason once.
    pub fn take_refused(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.refused)
    }

    /// What triggers want judged at a site.
    fn asked(&self, image: &Image, function: Option<u64>, kind: plan::Kind) -> Vec<Asked> {
        let at = match kind {
            plan::Kind::Enter => At::Call,
            plan::Kind::Exit => At::Return,
            plan::Kind::Caller => return Vec::new(),
        };
        let cases = self
            .watched
            .get(image)
            .zip(function)
            .and_then(|(watched, function)| watched.get(&function));
        let asked = |case: &CaseId| {
            let set = self.triggers.iter().find(|set| set.id == case.trigger)?;
            let of_case = set.trigger.cases.get(case.case as usize)?;
            let holds = set.trigger.holds();
            (of_case.at == at && of_case.is_judged_inside(holds)).then(|| Asked {
                number: case.to_word() as u32,
                holds,
                values: of_case.values.clone(),
            })
        };
        cases.into_iter().flatten().filter_map(asked).collect()
    }

    /// A process begins, on this page. Before its first question is answered.
    pub fn add_process(&mut self, live: &Live, info: &ProcessInfo, page: usize) {
        if info.began == Began::Fork {
            // It has its parent's page, copied: and so its plans.
            let number = live
                .page(page)
                .region
                .load(std::sync::atomic::Ordering::Acquire);
            if let Some(mapped) = self.regions.get_mut(&number) {
                mapped.users += 1;
                self.processes.insert(info.serial.0, (number, page));
                return;
            }
        }
        self.give_own(live, info.serial.0, page, Vec::new());
    }

    /// A process is gone.
    pub fn remove_process(&mut self, serial: u64) {
        let Some((number, _)) = self.processes.remove(&serial) else {
            return;
        };
        if let Some(mapped) = self.regions.get_mut(&number) {
            mapped.users = mapped.users.saturating_sub(1);
            if mapped.users == 0 {
                self.regions.remove(&number);
            }
        }
    }

    /// A module is there. Before the question that its process asks then is answered.
    pub fn add_module(&mut self, live: &Live, info: &ModuleInfo) {
        if let Some(mapped) = self.own(live, info.process.0) {
            mapped.region.forget(&info.addresses());
            mapped
                .modules
                .retain(|known| known.bias != info.bias || known.path != info.path);
            mapped.modules.push(info.clone());
        }
    }

    /// A module is gone: its addresses may become another's.
    pub fn remove_module(&mut self, gone: &ModuleGone) {
        let Some((number, _)) = self.processes.get(&gone.process.0) else {
            return;
        };
        let Some(mapped) = self.regions.get_mut(number) else {
            return;
        };
        // Another process may still have it: what it asks for then is not known, and nothing is captured.
        for module in &mapped.modules {
            if module.bias == gone.bias {
                mapped.region.forget(&module.addresses());
            }
        }
        mapped.modules.retain(|module| module.bias != gone.bias);
    }

    /// Answers all there is.
    pub fn answer(&mut self, shared: &Shared) {
        let numbers: Vec<u32> = self.regions.keys().copied().collect();
        for number in numbers {
            // Who goes on asking is heard again when words were taken.
            for _ in 0..ROUNDS_MAX {
                if !self.answer_region(shared, number) {
                    break;
                }
            }
        }
    }

    /// Whether anybody asked.
    fn answer_region(&mut self, shared: &Shared, number: u32) -> bool {
        let Some(mut mapped) = self.regions.remove(&number) else {
            return false;
        };
        let requests: Vec<Request> = mapped.region.requests().collect();
        for request in &requests {
            let plan = self.plan(shared, &mut mapped, request);
            // A full region answers no more: hooks go on without values.
            let _ = mapped
                .region
                .publish(&shared.live, request.return_address, plan);
            mapped.region.answered(request);
        }
        self.regions.insert(number, mapped);
        !requests.is_empty()
    }

    /// Where the plan is that `request` asks for; `None`: there's nothing to capture.
    fn plan(&mut self, shared: &Shared, mapped: &mut Mapped, request: &Request) -> Option<u32> {
        let return_address = request.return_address & !ENTRIES;
        let before = return_address.checked_sub(1)?;
        let holds = |module: &&ModuleInfo| module.addresses().contains(&before);
        let module = mapped.modules.iter().rev().find(holds)?;
        let image = module.image();
        let bias = module.bias;
        let function = Some(request.function)
            .filter(|function| module.addresses().contains(function))
            .map(|function| function.wrapping_sub(bias));
        let file = self
            .files
            .entry(image.clone())
            .or_insert_with(|| File::open(&image, &mut self.without_values))
            .as_mut()?;
        let address = return_address.wrapping_sub(bias);
        let site = Site {
            address,
            kind: kind(file, address, request),
            function,
        };
        let asked = self.asked(&image, function, site.kind);
        let file = self.files.get_mut(&image)?.as_mut()?;
        let rules = Arc::clone(&self.rules);
        let choose = |frame: &Frame| chosen::of(&rules, frame);
        let debug = &mut file.debug;
        let compiled = match request.return_address & ENTRIES {
            0 => plan::compile(debug, &site, &self.wishes, bias, &asked, &choose)?,
            _ => {
                let entries = self.wishes.without_variables();
                plan::compile(debug, &site, &entries, bias, &[], &|_| None)?
            }
        };
        for missing in compiled.missing {
            if self.missing.len() < REFUSED_MAX {
                self.missing.insert(missing);
            }
        }
        for (case, why) in compiled.refused {
            if self.refused.len() < REFUSED_MAX {
                let case = CaseId::from_word(case.into());
                self.refused
                    .insert(refusal(&self.triggers, case, &compiled.description, &why));
            }
        }
        let description = compiled.description;
        if says_nothing(&description) {
            return None;
        }
        let number = self.last_number.checked_add(1)?;
        let offset = mapped
            .region
            .place(&shared.live, description.words.len())
            .ok()?;
        let words = plan::place_words(&description.words, number, offset);
        self.last_number = number;
        mapped.region.write(offset, &words);
        // Before the first event that needs it can be taken.
        let types = &file.debug.types().list;
        let mut output = shared.output();
        if let (Some(new @ [_, ..]), Ok(first)) =
            (types.get(file.written..), u32::try_from(file.written))
        {
            output.types(&image, first, new);
        }
        output.plan(
            &image,
            &Kept {
                number,
                bias,
                description,
            },
        );
        file.written = types.len();
        Some(offset)
    }

    /// The region of a process, which no other has.
    fn own(&mut self, live: &Live, serial: u64) -> Option<&mut Mapped> {
        let (number, page) = *self.processes.get(&serial)?;
        let mapped = self.regions.get_mut(&number)?;
        if mapped.users > 1 {
            mapped.users -= 1;
            let modules = mapped.modules.clone();
            self.give_own(live, serial, page, modules);
        }
        let (number, _) = self.processes.get(&serial)?;
        self.regions.get_mut(number)
    }

    /// Makes a region for a process. Without one it captures nothing.
    fn give_own(&mut self, live: &Live, serial: u64, page: usize, modules: Vec<ModuleInfo>) {
        let Ok(region) = Region::create(live) else {
            return;
        };
        region.want_all(self.wants_all);
        region.give_to(live, page);
        let number = region.number();
        self.processes.insert(serial, (number, page));
        let mapped = Mapped {
            region,
            modules,
            users: 1,
        };
        self.regions.insert(number, mapped);
    }
}

/// Files that a message tells.
const FILES_TOLD_MAX: usize = 3;

/// Reasons that are remembered until somebody asks.
const REFUSED_MAX: usize = 64;

/// Whether a plan captures nothing, and there is nothing that could be said without: such a site costs what it costs without values.
fn says_nothing(description: &Description) -> bool {
    let is_empty = |frame: &DescribedFrame| frame.arguments.is_empty() && frame.locals.is_empty();
    matches!(&*description.words, [_head, last] if *last == Op::plain(Opcode::End).pack())
        && description.result.is_none()
        && description.entries.is_empty()
        && description.frames.iter().all(is_empty)
}

fn refusal(triggers: &[Active], case: CaseId, description: &Description, why: &str) -> String {
    let trigger = triggers.iter().find(|set| set.id == case.trigger);
    let trigger = trigger.map_or_else(String::new, Active::title);
    let function = description.frames.first().map_or("?", |frame| &frame.name);
    format!("{trigger} can't be judged at {function}: {why}")
}

impl File {
    fn open(image: &Image, without_values: &mut BTreeSet<String>) -> Option<Self> {
        // Of a library that isn't traced, though a traced function may be called by it, nothing is told: its debug information may be
        // large, packed, and far away.
        let path = Path::new(&image.path);
        if !DebugFile::is_instrumented(path) {
            return None;
        }
        match DebugFile::open(path, &image.build_id) {
            Ok(debug) => Some(Self { debug, written: 0 }),
            Err(error) => {
                if matches!(error, Error::None(_)) {
                    without_values.insert(image.path.clone());
                }
                None
            }
        }
    }
}

/// What is called there. A function that ends with a jump to its exit hook has its caller's frame then.
fn kind(file: &File, address: u64, request: &Request) -> plan::Kind {
    if request.is_caller || file.debug.calls_hook(address) == Some(false) {
        return plan::Kind::Caller;
    }
    match request.is_return {
        true => plan::Kind::Exit,
        false => plan::Kind::Enter,
    }
}

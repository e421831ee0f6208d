//! What is captured of variables: options of all commands that run a program.

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use umbel_tracer::chosen::Rule;
use umbel_tracer::record::{Method, Wishes};

/// Options of values.
#[derive(Args)]
pub struct ValueOptions {
    /// Values that are captured with each call, for what was built with -g.
    #[arg(long, value_name = "WHAT", default_value = "args")]
    values: Values,

    /// Of functions that match FUNCTION capture these variables, and no others: f:a,b.c,*p[0..8]. FUNCTION is a name, a pattern
    /// (g*), /regex/ or "name", as in filters. A variable may be followed by members (.b or ->b, also through pointers) and
    /// elements ([3]); p[0..8] has 8 elements of the array p or behind the pointer p, p[0..n] as many as the variable n says.
    /// *p: what p points to; return: what is returned; *: all; p@text: a text, whatever its type says. Nothing behind the colon:
    /// nothing is captured. May be given several times, or with `;` between rules; the last that matches a function decides.
    #[arg(long = "args", value_name = "FUNCTION:VAR,VAR...")]
    rules: Vec<String>,

    /// Follow pointers N times.
    #[arg(long, value_name = "N", default_value_t = 1)]
    follow: u8,

    /// Elements of an array or container.
    #[arg(long, value_name = "N", default_value_t = 16)]
    elements: u16,

    /// Bytes of a text.
    #[arg(long, value_name = "N", default_value_t = 64)]
    text: u16,

    /// Bytes of all values of a function's call together.
    #[arg(long, value_name = "N", default_value_t = 2048, value_parser = clap::value_parser!(u16).range(64..=16384))]
    value_bytes: u16,

    /// How the program reads what pointers lead to, which may be nothing.
    #[arg(long, value_name = "HOW", default_value = "guarded")]
    probe: Probe,
}

#[derive(Clone, Copy, ValueEnum)]
enum Probe {
    /// The thread itself, while it can take SIGSEGV and SIGBUS; else the kernel
    Guarded,
    /// The kernel (process_vm_readv): slower, whatever the program does with signals
    Kernel,
    /// A thread that dies of it if need be: slowest
    Victim,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Values {
    /// None
    None,
    /// Arguments and the returned value
    Args,
    /// The function's variables too, when it returns
    Locals,
    /// Its caller's variables too, when it is called
    All,
}

impl ValueOptions {
    /// Variables that are chosen for single functions.
    pub fn chosen(&self) -> Result<Vec<Rule>> {
        let rules = self.rules.iter().map(|text| Rule::parse(text));
        let rules = rules.collect::<Result<Vec<_>, _>>().context("--args")?;
        Ok(rules.into_iter().flatten().collect())
    }

    /// How the program reads what may not be there.
    pub fn probe(&self) -> Method {
        match self.probe {
            Probe::Guarded => Method::Guarded,
            Probe::Kernel => Method::Kernel,
            Probe::Victim => Method::Victim,
        }
    }

    /// What is captured; `None`: nothing of any function.
    pub fn wishes(&self) -> Option<Wishes> {
        if self.values == Values::None {
            return (!self.rules.is_empty()).then(|| self.limits());
        }
        Some(Wishes {
            arguments: true,
            locals: matches!(self.values, Values::Locals | Values::All),
            caller: self.values == Values::All,
            ..self.limits()
        })
    }

    /// How much of it, of variables that are chosen and of others.
    fn limits(&self) -> Wishes {
        Wishes {
            depth: self.follow,
            elements: self.elements,
            text_bytes: self.text,
            payload_bytes: self.value_bytes,
            ..Wishes::nothing()
        }
    }
}

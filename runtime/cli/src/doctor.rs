//! stub
use clap::Args;
#[derive(Args)]
pub struct Options {}
pub fn run(_: &Options) -> u8 {
    1
}

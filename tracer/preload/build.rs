//! How libumbel_trace.so is linked.

fn main() {
    // Its constructor runs before all others, also before those of libraries that the program needs: their calls are recorded,
    // and filters are in force before the first.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,initfirst");
    // Everything is bound at start: no hook ever runs into the loader.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,now");
    println!("cargo:rerun-if-changed=build.rs");
}

//! How libumbel.so is linked.

fn main() {
    // The runtime's own reads and writes are this library's, and so the C library's, also in a program that has
    // functions of its own with these names.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic-functions");
    println!("cargo:rerun-if-changed=build.rs");
}

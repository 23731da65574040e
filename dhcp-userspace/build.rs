//! Where is the BPF object? It is built by `cargo xtask build` and embedded into the binary.

use std::env;
use std::path::{Path, PathBuf};
use std::process::exit;

const OBJECT: &str = "XDHCPD_BPF_OBJECT";

fn main() {
    println!("cargo:rerun-if-env-changed={OBJECT}");
    println!("cargo:rerun-if-env-changed=CARGO_TARGET_DIR");
    if env::var_os("CARGO_FEATURE_AFXDP").is_none() {
        return;
    }
    let object = env::var_os(OBJECT).map_or_else(default_object, PathBuf::from);
    println!("cargo:rerun-if-changed={}", object.display());
    if !object.is_file() {
        eprintln!(
            "error: no BPF object at {}: run `cargo xtask build` first, or name one in {OBJECT}",
            object.display()
        );
        exit(1);
    }
    println!("cargo:rustc-env={OBJECT}={}", object.display());
}

/// Where `cargo xtask build` leaves it: `bpf/xdhcpd.bpf.o` in the target directory.
fn default_object() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let object = workspace.join(target).join("bpf/xdhcpd.bpf.o");
    object.canonicalize().unwrap_or(object)
}

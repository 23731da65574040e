//! XDP program (built for the BPF target only).
fn main() {}

//! What libFuzzer calls: the target that the environment names, with one input after the other.
#![no_main]
#![expect(
    clippy::panic,
    reason = "a fuzzer without a target must say so and stop; a panic is how a fuzzer reports"
)]

use dhcp_tests::fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("XDHCPD_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("XDHCPD_FUZZ_TARGET={name:?}: there is no such target"))
});

fuzz_target!(|octets: &[u8]| (TARGET.run)(octets));

//! The crash campaigns with small counts; `cargo xtask crash` runs them with large ones.
#![allow(clippy::panic, reason = "a test that fails panics")]

use std::process::Command;

/// Runs a campaign to its end; what it complains of stands above the failure.
fn campaign(arguments: &[&str]) {
    let status = Command::new(env!("CARGO_BIN_EXE_xdhcp-crash"))
        .args(arguments)
        .status();
    let status = status.unwrap_or_else(|error| panic!("xdhcp-crash: {error}"));
    assert!(status.success(), "xdhcp-crash {}", arguments.join(" "));
}

#[test]
fn every_power_cut_recovers_on_ext4() {
    campaign(&["power", "--fs", "ext4", "--images", "500", "--rounds", "40"]);
}

#[test]
fn every_power_cut_recovers_on_xfs() {
    campaign(&["power", "--fs", "xfs", "--images", "300", "--rounds", "40"]);
}

#[test]
fn every_durable_system_call_may_be_the_last_or_fail() {
    campaign(&["calls", "--rounds", "40", "--step", "5", "--levels", "1"]);
}

#[test]
fn durability_process_survives_the_same() {
    let few = ["calls", "--rounds", "40", "--step", "5", "--levels", "1"];
    campaign(&[few.as_slice(), &["--durability", "process"]].concat());
}

#[test]
fn every_flipped_bit_is_found() {
    campaign(&["flips", "--step", "256", "--bits", "300"]);
}

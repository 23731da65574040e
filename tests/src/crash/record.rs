//! One run of the server, with all that its disk was told to do.

use super::drive::{BEGINNING, Ran};
use super::image::{Device, Image, Operation};
use super::ledger::Ledger;
use super::rig::{FileSystem, MountedFiles, Rig};
use crate::lab::process::run;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

/// What a disk went through, and what clients were promised meanwhile.
#[derive(Debug)]
pub struct Recording {
    /// On which file system.
    pub kind: FileSystem,
    /// The disk at the beginning: a file system without files.
    pub base: Image,
    /// What it was told then.
    pub log: Vec<Operation>,
    /// The promises.
    pub ledger: Ledger,
    /// The same, as it was written.
    pub ledger_text: String,
    /// Group commits of all lives.
    pub groups: u64,
    /// Barriers and groups in a stretch without checkpoints.
    pub steady: (u64, u64),
}

/// The lives of the store: it is made, grows, and is killed once in between.
const LIVES: [Life; 4] = [
    Life {
        capacity: 1024,
        end: "stop",
    },
    Life {
        capacity: 1024,
        end: "kill",
    },
    Life {
        capacity: 2048,
        end: "kill",
    },
    Life {
        capacity: 2048,
        end: "stop",
    },
];

struct Life {
    capacity: u64,
    end: &'static str,
}

impl Recording {
    /// Makes one: a file system, and a store on it through several lives of `rounds` rounds each.
    ///
    /// # Panics
    /// When something of it fails.
    pub fn make(rig: &Rig, program: &Path, kind: FileSystem, seed: u64, rounds: u64) -> Self {
        let device = Arc::new(Mutex::new(Device::new(Image::blank(kind.octets()))));
        let mut disk = rig.disk("recording", Arc::clone(&device));
        kind.make(&disk.image());
        let loop_device = disk.attach();
        let base = device.lock().unwrap().record();
        let mut ledger_text = String::new();
        let (mut groups, mut steady) = (0, (0, 0));
        let mut now = BEGINNING;
        for (number, life) in LIVES.iter().enumerate() {
            // Each life has its own mount: a clean unmount lies between, or the end of the log.
            let files = MountedFiles::new(&loop_device, kind, disk.files()).unwrap();
            let ledger_file = rig.folder().join(format!("life-{number}"));
            let report = run(Command::new(program)
                .args(["drive", "--state"])
                .arg(disk.files().join("state"))
                .arg("--position")
                .arg(disk.position())
                .arg("--ledger")
                .arg(&ledger_file)
                .args(["--capacity", &life.capacity.to_string(), "--end", life.end])
                .args(["--seed", &(seed + number as u64).to_string()])
                .args(["--rounds", &rounds.to_string(), "--now", &now.to_string()]));
            ledger_text += &std::fs::read_to_string(&ledger_file).unwrap();
            let ran = parse(&report);
            assert!(ran.is_whole, "the store failed: {report}");
            now = ran.now + 1;
            groups += ran.groups;
            steady = (steady.0 + ran.steady.0, steady.1 + ran.steady.1);
            files.end().unwrap();
        }
        drop(disk);
        let mut device = device.lock().unwrap();
        Self {
            kind,
            base,
            log: device.log.take().unwrap_or_default(),
            ledger: Ledger::parse(&ledger_text),
            ledger_text,
            groups,
            steady,
        }
    }

    /// Barriers in the log.
    pub fn barriers(&self) -> u64 {
        let barriers = self
            .log
            .iter()
            .filter(|operation| matches!(operation, Operation::Barrier));
        barriers.count() as u64
    }
}

/// The line that `drive` ends with.
pub fn report(ran: &Ran) -> String {
    let Ran {
        now,
        groups,
        steady,
        is_whole,
    } = ran;
    format!("{now} {groups} {} {} {is_whole}", steady.0, steady.1)
}

fn parse(report: &str) -> Ran {
    let words: Vec<&str> = report.split_whitespace().collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    Ran {
        now: number(0),
        groups: number(1),
        steady: (number(2), number(3)),
        is_whole: words[4] == "true",
    }
}

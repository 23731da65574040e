//! The campaign of power cuts: every image of a recording is mounted, the store opened and judged.
//!
//! The program that serves a disk must not use a file system on it: a page fault or an `fsync` that waits
//! for the disk may hold what the disk's program needs to go on. So images are opened by other processes,
//! one for each lane.

use super::cuts::{Cut, Cuts};
use super::image::{BLOCK, Device, Image};
use super::ledger::Ledger;
use super::record::Recording;
use super::rig::{FileSystem, MountedFiles, Rig};
use super::server::{self, Place};
use dhcp_lease::Journal;
use dhcp_userspace::settings::Durability;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// This program, for the processes that it needs.
    pub program: PathBuf,
    /// On which file system.
    pub kind: FileSystem,
    /// At least so many images.
    pub images: u64,
    /// From which all chance follows but that of threads and kernel.
    pub seed: u64,
    /// Rounds of each life of the store.
    pub rounds: u64,
    /// Images that are looked at at the same time.
    pub lanes: usize,
    /// Where an image that does not recover is kept, with its ledger.
    pub keep: PathBuf,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Images that were mounted and judged.
    pub images: u64,
    /// Barriers of the recording.
    pub barriers: u64,
    /// Writes of the recording.
    pub writes: u64,
    /// Group commits of the recording.
    pub groups: u64,
    /// Promises in the ledger.
    pub acknowledged: u64,
    /// Promises that were looked for in all images and found.
    pub promises: u64,
    /// Barriers and groups in stretches without checkpoints.
    pub steady: (u64, u64),
    /// Images whose file system could be mounted only after its own repair.
    pub mended: u64,
    /// What did not recover, and where it is kept.
    pub violations: Vec<String>,
}

/// A lane stops after so many violations: they are mostly the same.
const VIOLATIONS_MAX: usize = 10;

impl Campaign {
    /// Records a run and judges its images. `progress` is told how many are done, and of how many.
    ///
    /// # Panics
    /// When the machine does not play along.
    pub fn run(&self, progress: &(impl Fn(u64, u64) + Sync)) -> Outcome {
        let rig = Rig::new();
        let recording = Recording::make(&rig, &self.program, self.kind, self.seed, self.rounds);
        let ledger_file = rig.folder().join("ledger");
        std::fs::write(&ledger_file, &recording.ledger_text).unwrap();
        let barriers = recording.barriers();
        let per_barrier = self.images.div_ceil(barriers);
        let done = AtomicU64::new(0);
        let ranges: Vec<_> = (0..self.lanes as u64)
            .map(|lane| {
                let limit = |lane| lane * (barriers + 1) / self.lanes as u64;
                limit(lane)..limit(lane + 1)
            })
            .collect();
        let lanes = std::thread::scope(|scope| {
            let lanes: Vec<_> = ranges
                .into_iter()
                .enumerate()
                .map(|(number, range)| {
                    let (rig, recording, ledger, done) = (&rig, &recording, &ledger_file, &done);
                    scope.spawn(move || {
                        let mut lane = Lane::start(rig, &self.program, number, recording, ledger);
                        let mut violations = Vec::new();
                        for cut in Cuts::new(recording, range, per_barrier, self.seed) {
                            if let Err(text) = lane.judge(&cut) {
                                violations.push(self.keep(recording, &cut, &text));
                                if violations.len() >= VIOLATIONS_MAX {
                                    break;
                                }
                            }
                            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                            progress(done, self.images);
                        }
                        (lane.promises, lane.mended, violations)
                    })
                })
                .collect();
            let ended = lanes.into_iter().map(|lane| {
                lane.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            ended.collect::<Vec<_>>()
        });
        let promises = lanes.iter().map(|(promises, ..)| promises).sum();
        let mended = lanes.iter().map(|(_, mended, _)| mended).sum();
        Outcome {
            images: done.into_inner(),
            barriers,
            writes: recording.log.len() as u64 - barriers,
            groups: recording.groups,
            acknowledged: recording.ledger.promises() as u64,
            promises,
            steady: recording.steady,
            mended,
            violations: lanes
                .into_iter()
                .flat_map(|(.., violations)| violations)
                .collect(),
        }
    }

    /// Keeps an image that did not recover; says where and how to look at it again.
    fn keep(&self, recording: &Recording, cut: &Cut, text: &str) -> String {
        let name = format!(
            "{}-{}-{}-{}",
            self.kind.name(),
            self.seed,
            cut.barrier,
            cut.variant
        );
        let (image, ledger) = (
            self.keep.join(format!("{name}.img")),
            self.keep.join(format!("{name}.ledger")),
        );
        std::fs::create_dir_all(&self.keep).unwrap();
        write_image(&cut.image, &image);
        std::fs::write(&ledger, &recording.ledger_text).unwrap();
        format!(
            "{name}: {text}\nlook at it again: xdhcp-crash look --fs {} --image {} --ledger {} --barrier {}",
            self.kind.name(),
            image.display(),
            ledger.display(),
            cut.barrier
        )
    }
}

/// Writes an image to a file, with holes where it is blank.
fn write_image(image: &Image, path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(image.octets()).unwrap();
    let mut block = [0; BLOCK];
    for at in (0..image.octets()).step_by(BLOCK) {
        image.read(at, &mut block);
        if block.iter().any(|octet| *octet != 0) {
            file.write_all_at(&block, at).unwrap();
        }
    }
}

/// Reads what [`write_image`] wrote.
fn read_image(path: &Path) -> Image {
    let octets = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut image = Image::blank(octets.len() as u64);
    image.write(0, &octets);
    image
}

/// Judges one kept image.
///
/// # Errors
/// What is wrong with it.
///
/// # Panics
/// When it cannot be looked at.
pub fn look(
    program: &Path,
    kind: FileSystem,
    image: &Path,
    ledger: &Path,
    barrier: u64,
) -> Result<u64, String> {
    let rig = Rig::new();
    let image = read_image(image);
    let mut lane = Lane::open(&rig, program, 0, kind, image.clone(), ledger);
    lane.judge(&Cut {
        barrier,
        variant: 0,
        image,
    })?;
    Ok(lane.promises)
}

/// A disk and the process that opens what is put on it.
struct Lane {
    device: Arc<Mutex<Device>>,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    promises: u64,
    mended: u64,
    /// Last: the child uses it.
    _disk: super::rig::Disk,
}

impl Lane {
    fn start(
        rig: &Rig,
        program: &Path,
        number: usize,
        recording: &Recording,
        ledger: &Path,
    ) -> Self {
        let image = recording.base.clone();
        Self::open(rig, program, number, recording.kind, image, ledger)
    }

    fn open(
        rig: &Rig,
        program: &Path,
        number: usize,
        kind: FileSystem,
        image: Image,
        ledger: &Path,
    ) -> Self {
        let device = Arc::new(Mutex::new(Device::new(image)));
        let mut disk = rig.disk(&format!("lane-{number}"), Arc::clone(&device));
        let loop_device = disk.attach();
        let mut child = Command::new(program)
            .args(["judge", "--fs", kind.name(), "--device"])
            .arg(loop_device)
            .arg("--files")
            .arg(disk.files())
            .arg("--ledger")
            .arg(ledger)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            device,
            questions: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
            promises: 0,
            mended: 0,
            _disk: disk,
        }
    }

    fn judge(&mut self, cut: &Cut) -> Result<(), String> {
        self.device.lock().unwrap().image = cut.image.clone();
        writeln!(self.questions, "{}", cut.barrier).unwrap();
        let mut text = String::new();
        loop {
            let before = text.len();
            if self.answers.read_line(&mut text).unwrap() == 0 {
                return Err(format!("{text}the process that opened the store died"));
            }
            let line = &text[before..];
            if let Some(kept) = line.strip_prefix("kept ") {
                let (promises, is_mended) = kept.trim().split_once(' ').unwrap();
                self.promises += promises.parse::<u64>().unwrap();
                self.mended += u64::from(is_mended == "true");
                return Ok(());
            }
            if line == "end\n" {
                text.truncate(before);
                return Err(text);
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its mount, if it died on the way.
        let files = self._disk.files();
        let _ = rustix::mount::unmount(files, rustix::mount::UnmountFlags::DETACH);
    }
}

/// The process behind a lane: for each number of barriers on standard input it mounts the disk, opens the
/// store, judges it, and unmounts.
///
/// # Panics
/// When it cannot go on.
pub fn judge(kind: FileSystem, device: &Path, files: &Path, ledger: &Path) {
    let text = std::fs::read_to_string(ledger).unwrap();
    let ledger = Ledger::parse(&text);
    for line in std::io::stdin().lines() {
        let barrier = line.unwrap().parse().unwrap();
        match judge_one(kind, device, files, &ledger, barrier) {
            Ok((promises, is_mended)) => println!("kept {promises} {is_mended}"),
            Err(text) => println!("{}\nend", text.trim_end()),
        }
    }
}

/// Promises that were kept, and whether the file system had to be mended first.
fn judge_one(
    kind: FileSystem,
    device: &Path,
    files: &Path,
    ledger: &Ledger,
    barrier: u64,
) -> Result<(u64, bool), String> {
    let (mounted, is_mended) = match MountedFiles::new(device, kind, files) {
        Ok(mounted) => (mounted, false),
        Err(_) if kind.mend(device) => (MountedFiles::new(device, kind, files)?, true),
        Err(error) => return Err(error),
    };
    let judged = match ledger.cut(barrier) {
        // The file system was just mounted for the first time.
        None => Ok(0),
        Some(cut) => {
            let place = Place {
                directory: files.join("state"),
                capacity: cut.capacity,
                journal_octets: Journal::OCTETS_MIN,
                durability: Durability::Power,
            };
            match server::open(&place, cut.now) {
                Ok(opened) => ledger.judge(&opened, &cut).map(|kept| kept.promises),
                Err(error) => Err(format!("the store does not open: {error}")),
            }
        }
    };
    mounted.end()?;
    Ok((judged?, is_mended))
}

//! A process whose durable system calls are counted, whichever thread makes them, and one of which fails.
//!
//! strace counts for every thread by itself, so that no number names the call of a thread that lives
//! shortly, as the checkpoint's does. Here the process itself asks (by a seccomp filter) to be stopped at
//! the calls that matter, and this is the tracer. The others cost nothing.

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Calls that change what is on a disk.
const DURABLE: [i64; 19] = [
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_fdatasync,
    libc::SYS_fsync,
    libc::SYS_msync,
    libc::SYS_sync_file_range,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_openat,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_link,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
];

/// Where the first batch of a journal lies (docs/lease-format.md).
const BATCHES_FROM: u64 = 8192;
/// A process whose disk had a fault goes on for so many durable calls; then it is killed. That is a checkpoint
/// and some thirty groups.
const CALLS_AFTER: u64 = 80;
/// Programs are started one at a time, and while no store is open in this process: between fork and exec the
/// new one holds the locks of this one.
static STARTING: RwLock<()> = RwLock::new(());

/// Keeps programs from being started.
pub fn none_starts() -> RwLockReadGuard<'static, ()> {
    STARTING.read().unwrap_or_else(PoisonError::into_inner)
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed before it.
    Kill,
    /// It fails: the disk has an error.
    Eio,
    /// It fails: the disk is full.
    Enospc,
    /// It fails, and every later one on the same file.
    EioForEver,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Kill, Self::Eio, Self::Enospc, Self::EioForEver];

    fn error(self) -> Option<i32> {
        match self {
            Self::Kill => None,
            Self::Eio | Self::EioForEver => Some(libc::EIO),
            Self::Enospc => Some(libc::ENOSPC),
        }
    }
}

/// How it went.
#[derive(Clone, Debug, Default)]
pub struct Traced {
    /// Durable calls that it made.
    pub calls: u64,
    /// The call that the fault hit, in words.
    pub hit: Option<String>,
    /// Its exit code; `None`: it was killed.
    pub code: Option<i32>,
    /// Whether it was this tracer that killed it.
    pub is_killed: bool,
    /// If the fault hit a group commit: how long the ledger was then, and how long when something was next
    /// synced. In between nobody may have been promised anything.
    pub silence: Option<(u64, u64)>,
}

/// Waits until this process is traced, and asks to be stopped at durable calls from now on.
///
/// # Panics
/// When the kernel does not allow it.
pub fn ask_to_be_traced() {
    let mut go = [0];
    std::io::stdin().read_exact(&mut go).unwrap();
    let rules = DURABLE.iter().map(|call| (*call, Vec::new())).collect();
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Trace(0),
        architecture,
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

/// Runs a program that calls [`ask_to_be_traced`]; its standard output goes to `ledger`. The fault hits
/// its durable call of that number, counted from 1.
///
/// # Panics
/// When it cannot be traced.
#[expect(
    clippy::zombie_processes,
    reason = "the tracer waits for it, by waitpid"
)]
pub fn run(command: &mut Command, ledger: &Path, fault: Option<(u64, Fault)>) -> Traced {
    let output = File::create(ledger).unwrap();
    let starting = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(output.try_clone().unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(starting);
    let main = Pid::from_raw(child.id() as i32);
    let options =
        Options::PTRACE_O_TRACESECCOMP | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
    ptrace::seize(main, options).unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut tracer = Tracer {
        main,
        output,
        fault,
        traced: Traced::default(),
        last: HashMap::new(),
        failing: None,
    };
    let code = loop {
        let any = Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD);
        match waitpid(None, any) {
            Ok(WaitStatus::Exited(pid, code)) if pid == main => break Some(code),
            Ok(WaitStatus::Signaled(pid, ..)) if pid == main => break None,
            Ok(WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_SECCOMP)) => tracer.stopped(pid),
            Ok(WaitStatus::PtraceEvent(pid, ..)) => go_on(pid, None),
            Ok(WaitStatus::Stopped(pid, signal)) => go_on(pid, Some(signal)),
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => panic!("waiting for {main}: {error}"),
        }
    };
    let mut traced = tracer.traced;
    if let Some((from, to)) = &mut traced.silence
        && *to == u64::MAX
    {
        *to = tracer.output.metadata().unwrap().len().max(*from);
    }
    Traced { code, ..traced }
}

/// A thread that was killed meanwhile cannot go on, and need not.
fn go_on(pid: Pid, signal: Option<Signal>) {
    match ptrace::cont(pid, signal) {
        Ok(()) | Err(nix::Error::ESRCH) => {}
        Err(error) => panic!("letting {pid} go on: {error}"),
    }
}

struct Tracer {
    main: Pid,
    output: File,
    fault: Option<(u64, Fault)>,
    traced: Traced,
    /// The last durable call of each thread, and whether it wrote a group of changes or synced it.
    last: HashMap<Pid, (i64, bool)>,
    /// The file on which everything fails.
    failing: Option<String>,
}

impl Tracer {
    /// A thread is about to make a call.
    fn stopped(&mut self, pid: Pid) {
        let Ok(mut registers) = ptrace::getregs(pid) else {
            return;
        };
        let call = registers.orig_rax as i64;
        let Some(target) = self.target(call, registers.rdi, registers.rdx) else {
            return go_on(pid, None);
        };
        self.traced.calls += 1;
        let before = self.last.get(&pid);
        // The journal's header, which is not part of a group, lies before its first batch.
        let is_commit = match call {
            libc::SYS_pwritev | libc::SYS_pwritev2 => registers.r10 >= BATCHES_FROM,
            libc::SYS_fdatasync => {
                before.is_some_and(|(call, of_group)| *of_group && *call != libc::SYS_fdatasync)
            }
            _ => false,
        };
        self.last.insert(pid, (call, is_commit));
        let fault = self.fault.filter(|(at, _)| *at == self.traced.calls);
        let error = match fault {
            Some((_, fault)) => {
                self.hit(fault, call, is_commit, &target);
                let Some(error) = fault.error() else {
                    return self.kill();
                };
                Some(error)
            }
            None if self.failing.as_ref() == Some(&target) => Some(libc::EIO),
            None => None,
        };
        let hit_at = self.fault.map_or(u64::MAX, |(at, _)| at);
        if self.traced.calls > hit_at.saturating_add(CALLS_AFTER) {
            return self.kill();
        }
        let is_sync = call == libc::SYS_fdatasync || call == libc::SYS_fsync;
        if let Some(error) = error {
            // A call of no number is skipped, and the register has its result.
            registers.orig_rax = u64::MAX;
            registers.rax = -i64::from(error) as u64;
            let _ = ptrace::setregs(pid, registers);
        } else if is_sync
            && let Some((_, to)) = &mut self.traced.silence
            && *to == u64::MAX
        {
            *to = self.output.metadata().unwrap().len();
        }
        go_on(pid, None);
    }

    /// What a call is about, if it changes a file on the disk.
    fn target(&self, call: i64, first: u64, third: u64) -> Option<String> {
        match call {
            libc::SYS_openat => {
                (third & libc::O_CREAT as u64 != 0).then(|| "a new file".to_owned())
            }
            libc::SYS_write
            | libc::SYS_pwrite64
            | libc::SYS_pwritev
            | libc::SYS_pwritev2
            | libc::SYS_fdatasync
            | libc::SYS_fsync
            | libc::SYS_sync_file_range
            | libc::SYS_ftruncate
            | libc::SYS_fallocate => {
                let link = format!("/proc/{}/fd/{first}", self.main);
                let path = std::fs::read_link(link).ok()?;
                let path = path.to_string_lossy().into_owned();
                // Pipes and events have other names, and the ledger is not part of the store.
                (path.starts_with('/') && !path.ends_with("ledger")).then_some(path)
            }
            _ => Some("a name".to_owned()),
        }
    }

    fn kill(&mut self) {
        self.traced.is_killed = true;
        let _ = kill(self.main, Signal::SIGKILL);
    }

    fn hit(&mut self, fault: Fault, call: i64, is_commit: bool, target: &str) {
        self.traced.hit = Some(format!("{} of {target}", name(call)));
        if fault == Fault::EioForEver {
            self.failing = Some(target.to_owned());
        }
        if is_commit && fault != Fault::Kill {
            self.traced.silence = Some((self.output.metadata().unwrap().len(), u64::MAX));
        }
    }
}

fn name(call: i64) -> &'static str {
    match call {
        libc::SYS_write => "write",
        libc::SYS_pwrite64 => "pwrite64",
        libc::SYS_pwritev | libc::SYS_pwritev2 => "pwritev",
        libc::SYS_fdatasync => "fdatasync",
        libc::SYS_fsync => "fsync",
        libc::SYS_msync => "msync",
        libc::SYS_ftruncate => "ftruncate",
        libc::SYS_fallocate => "fallocate",
        libc::SYS_openat => "openat",
        libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => "rename",
        libc::SYS_unlink | libc::SYS_unlinkat => "unlink",
        libc::SYS_mkdir | libc::SYS_mkdirat => "mkdir",
        _ => "another call",
    }
}

//! Programs that a test starts: their output is kept, and none outlives the test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Runs a program to its end and gives its standard output.
///
/// # Panics
/// When it cannot be started or fails; with all that it printed.
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}{error}",
        output.status
    );
    text
}

/// Runs a program to its end: whether it succeeded, and all it printed.
pub fn try_run(command: &mut Command) -> (bool, String) {
    match command.output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            (
                output.status.success(),
                String::from_utf8_lossy(&text).into_owned(),
            )
        }
        Err(error) => (false, format!("{command:?}: {error}")),
    }
}

/// Asks again and again until there is an answer. The wait between two questions is short, so this costs
/// hardly more time than the thing itself takes.
///
/// # Panics
/// When there is none within `deadline`; `what` says what was waited for.
pub fn eventually<T>(deadline: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            start.elapsed() < deadline,
            "{what}: not within {deadline:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How long anything may take that takes no time on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    output: PathBuf,
    errors: PathBuf,
}

impl Process {
    /// Starts a program whose output goes to `NAME.out` and `NAME.log` of a folder, after what is there.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command, folder: &Path, name: &str) -> Self {
        let output = folder.join(format!("{name}.out"));
        let errors = folder.join(format!("{name}.log"));
        let open = |path: &Path| {
            File::options()
                .create(true)
                .append(true)
                .open(path)
                .unwrap()
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(open(&output))
            .stderr(open(&errors))
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            child,
            name: name.to_owned(),
            output,
            errors,
        }
    }

    /// Its process number (`ip netns exec` and `setpriv` replace themselves by the program).
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it and its predecessors of the same name printed to standard output so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// All they printed so far.
    pub fn log(&self) -> String {
        self.output() + &std::fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, signal: &str) {
        kill(signal, &self.pid().to_string());
    }

    /// Ends it as `kill -9` does, and waits for that.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within `deadline`.
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let name = self.name.clone();
        eventually(deadline, &format!("the end of {name}"), || {
            self.child.try_wait().unwrap()
        })
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Ends it in an orderly way (SIGTERM), and waits for that.
    ///
    /// # Panics
    /// When it does not end within 10 seconds.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait(Duration::from_secs(10))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let skipped = log.lines().count().saturating_sub(80);
            eprintln!("--- the last of {} ---", self.name);
            log.lines()
                .skip(skipped)
                .for_each(|line| eprintln!("{line}"));
        }
    }
}

/// A shell script in a folder of its own.
#[derive(Debug)]
pub struct Script {
    path: PathBuf,
}

impl Script {
    /// Writes it.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn new(folder: &Path, name: &str, text: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { path }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Sends a signal, by the shell's own `kill`: a small Debian has no program of that name.
pub(super) fn kill(signal: &str, pid: &str) {
    try_run(Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, pid]));
}

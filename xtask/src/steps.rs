//! Running other programs, with errors that say what failed and what to do.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// How many of a log's last lines an error shows.
const LOG_LINES_SHOWN: usize = 20;

/// Runs a command in front of the user.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| missing(what, command))?;
    if !status.success() {
        bail!(
            "{what}: {} ended with {status}; its messages stand above",
            name(command)
        );
    }
    Ok(())
}

/// Runs a command whose messages matter only when it fails; they go to `log`.
pub(crate) fn run_logged(what: &str, command: &mut Command, log: &Path) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    }
    let file = File::create(log).with_context(|| format!("{}: cannot write", log.display()))?;
    let errors = file
        .try_clone()
        .with_context(|| format!("{}", log.display()))?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .status()
        .with_context(|| missing(what, command))?;
    if status.success() {
        return Ok(());
    }
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.len().saturating_sub(LOG_LINES_SHOWN);
    let end = lines.into_iter().skip(shown).collect::<Vec<_>>().join("\n");
    bail!(
        "{what}: {} ended with {status}; {} ends so:\n{end}",
        name(command),
        log.display()
    );
}

/// Runs a command for what it prints.
pub(crate) fn output(what: &str, command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| missing(what, command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{what}: {} ended with {}: {}",
            name(command),
            output.status,
            said.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command that needs root; through sudo when this program has none.
pub(crate) fn privileged(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

/// The machine that cargo compiles for unless told otherwise, as the compiler names it.
pub(crate) fn host() -> Result<String> {
    let text = output("rustc", Command::new("rustc").arg("-vV"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc -vV names no host")
}

/// Does this program run as root?
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Is there a program of this name on the search path?
pub(crate) fn on_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    // Administrators' programs are not on everyone's path.
    let more = ["/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&folders)
        .chain(more)
        .any(|folder| folder.join(program).is_file())
}

fn missing(what: &str, command: &Command) -> String {
    format!("{what}: cannot start {}", name(command))
}

fn name(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    command
        .get_args()
        .take(4)
        .fold(program.into_owned(), |text, argument| {
            format!("{text} {}", argument.to_string_lossy())
        })
}

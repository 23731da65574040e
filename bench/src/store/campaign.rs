//! All steps, in order: what is measured, how often, and what is told of it.

use super::figures::Figures;
use super::refusal;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Leases in the store.
    pub leases: u64,
    /// How often each opening is measured.
    pub turns: usize,
    /// For how long commits are counted.
    pub seconds: f64,
    /// Whether refusals are all that is measured.
    pub is_refusal_only: bool,
}

/// Leases in the pools that are compared: few enough that the caches are the same to both.
const FULLNESS_LEASES: u64 = 100_000;
/// Pairs of measurements that stand for one turn of the others: each takes a twentieth of a second.
const FULLNESS_ROUNDS_PER_TURN: usize = 15;

/// Measures everything in `directory`, which it makes and removes.
///
/// # Errors
/// When a step fails; its own words stand above.
pub fn run(directory: &Path, extent: Extent) -> Result<Figures> {
    let mut figures = Figures::default();
    if !extent.is_refusal_only {
        measure_store(directory, extent, &mut figures)?;
    }
    refusal::measure(extent.leases, extent.turns, &mut figures)?;
    Ok(figures)
}

fn measure_store(directory: &Path, extent: Extent, figures: &mut Figures) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("{}: cannot create", directory.display()))?;
    let campaign = Campaign {
        directory: directory.to_owned(),
        extent,
    };
    let result = campaign.measure(figures);
    fs::remove_dir_all(directory)
        .with_context(|| format!("{}: cannot remove", directory.display()))?;
    result
}

struct Campaign {
    directory: PathBuf,
    extent: Extent,
}

impl Campaign {
    fn measure(&self, figures: &mut Figures) -> Result<()> {
        let leases = self.extent.leases as f64;
        let filled = self.killed(&["fill"], &[])?;
        let new = number(&filled, "/commits_per_second")?;
        figures.note("store/fill/process", "commits/s", &[new]);

        let first = self.killed(&["open"], &["die"])?;
        self.memory(figures, &first)?;
        let warm = self.turns(|| self.killed(&["open"], &["die"]))?;
        figures.note(
            "store/open/crash/warm",
            "s",
            &column(&warm, "/open_seconds")?,
        );
        let churned = self.turns(|| {
            self.killed(&["open"], &["churn-and-die"])?;
            self.killed(&["open"], &["die"])
        })?;
        figures.note(
            "store/open/crash/warm, every page dirty",
            "s",
            &column(&churned, "/open_seconds")?,
        );
        if drop_caches().is_ok() {
            let cold = self.turns(|| {
                drop_caches()?;
                self.killed(&["open"], &["die"])
            })?;
            figures.note(
                "store/open/crash/cold",
                "s",
                &column(&cold, "/open_seconds")?,
            );
        } else {
            println!("store/open/crash/cold: not permitted to drop the caches");
        }

        self.step(&["open"], &["stop"])?;
        let clean = self.turns(|| self.step(&["open"], &["stop"]))?;
        figures.note("store/open/clean", "s", &column(&clean, "/open_seconds")?);
        figures.note("store/stop", "s", &column(&clean, "/stop_seconds")?);

        for durability in ["process", "power"] {
            let seconds = self.extent.seconds.to_string();
            let measured = self.turns(|| self.step(&["commits"], &[durability, &seconds]))?;
            let name = |what: &str| format!("store/commit/{durability}/{what}");
            let of = |path| column(&measured, path);
            figures.note(&name("rate"), "commits/s", &of("/commits_per_second")?);
            figures.note(&name("batch of 64, p50"), "s", &of("/batch_p50_seconds")?);
            figures.note(&name("batch of 64, p99"), "s", &of("/batch_p99_seconds")?);
        }
        figures.note("store/leases", "leases", &[leases]);
        self.fullness(figures)
    }

    fn memory(&self, figures: &mut Figures, opened: &Value) -> Result<()> {
        let leases = self.extent.leases as f64;
        let anonymous = number(opened, "/memory/anonymous")?;
        let file = number(opened, "/memory/file")?;
        let each = |octets: f64| [octets / leases];
        figures.note("store/memory/per lease", "octets", &each(anonymous + file));
        figures.note("store/memory/per lease, tables", "octets", &each(file));
        figures.note(
            "store/memory/per lease, the rest",
            "octets",
            &each(anonymous),
        );
        Ok(())
    }

    /// The same leases in a pool that they fill nearly, and in one that they hardly fill: two stores of one
    /// process, served by turns, for the machine's speed drifts; the ratio is of each pair.
    fn fullness(&self, figures: &mut Figures) -> Result<()> {
        let directory = self.directory.join("fullness");
        let step = Step {
            directory: &directory,
            leases: FULLNESS_LEASES,
        };
        let rounds = (FULLNESS_ROUNDS_PER_TURN * self.extent.turns.max(3)).to_string();
        let measured = step.run(&["fullness"], &[&rounds])?;
        fs::remove_dir_all(&directory).context("the stores of this step")?;
        for what in ["find", "commit"] {
            let nanoseconds = |pool| numbers(&measured, &format!("/{what}/{pool}"));
            let (sparse, full) = (nanoseconds("sparse")?, nanoseconds("full")?);
            let speeds = sparse.iter().zip(&full).map(|(sparse, full)| sparse / full);
            let speeds: Vec<f64> = speeds.collect();
            figures.note(&format!("store/{what}/pool 99.99 % full"), "ns", &full);
            let name = format!("store/{what}/speed 99.99 % full to 1 % full");
            figures.note(&name, "ratio", &speeds);
        }
        Ok(())
    }

    fn turns(&self, turn: impl Fn() -> Result<Value>) -> Result<Vec<Value>> {
        (0..self.extent.turns).map(|_| turn()).collect()
    }

    fn store(&self) -> Step<'_> {
        Step {
            directory: &self.directory,
            leases: self.extent.leases,
        }
    }

    /// A step that ends by itself.
    fn step(&self, before: &[&str], after: &[&str]) -> Result<Value> {
        self.store().run(before, after)
    }

    /// A step that is killed when it has said what it measured.
    fn killed(&self, before: &[&str], after: &[&str]) -> Result<Value> {
        let mut child = self.store().start(before, after)?;
        let said = line(&mut child);
        child.kill().context("killing a step")?;
        child.wait().context("waiting for a step")?;
        said
    }
}

struct Step<'a> {
    directory: &'a Path,
    leases: u64,
}

impl Step<'_> {
    fn start(&self, before: &[&str], after: &[&str]) -> Result<Child> {
        let program = std::env::current_exe().context("this program's own file")?;
        Command::new(program)
            .arg("step")
            .args(before)
            .arg(self.directory)
            .arg(self.leases.to_string())
            .args(after)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a step")
    }

    fn run(&self, before: &[&str], after: &[&str]) -> Result<Value> {
        let mut child = self.start(before, after)?;
        let said = line(&mut child);
        let status = child.wait().context("waiting for a step")?;
        ensure!(status.success(), "step {before:?} ended with {status}");
        said
    }
}

fn line(child: &mut Child) -> Result<Value> {
    let mut text = String::new();
    let out = child.stdout.take().context("a step's output")?;
    BufReader::new(out)
        .read_line(&mut text)
        .context("a step's output")?;
    if text.is_empty() {
        bail!("a step ended without a word");
    }
    serde_json::from_str(&text).with_context(|| format!("a step said {text:?}"))
}

fn column(steps: &[Value], path: &str) -> Result<Vec<f64>> {
    steps.iter().map(|step| number(step, path)).collect()
}

fn numbers(said: &Value, path: &str) -> Result<Vec<f64>> {
    let listed = said.pointer(path).and_then(Value::as_array);
    let listed = listed.with_context(|| format!("a step did not say {path}"))?;
    let numbers: Option<Vec<f64>> = listed.iter().map(Value::as_f64).collect();
    numbers.with_context(|| format!("{path} are not all numbers"))
}

fn number(said: &Value, path: &str) -> Result<f64> {
    let number = said.pointer(path).and_then(Value::as_f64);
    number.with_context(|| format!("a step did not say {path}"))
}

/// What is dirty is written first: only clean pages can be dropped.
fn drop_caches() -> Result<()> {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").context("/proc/sys/vm/drop_caches")
}

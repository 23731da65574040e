//! Where do imported leases go? Into the running server, or into the store that it left behind.

use super::ImportArgs;
use crate::cli::Failure;
use crate::clock::{self, Begun, Clock};
use crate::commit::{self, StoreState};
use crate::config::{self, Checked};
use crate::control::message::Import;
use crate::control::{Client, ClientError};
use crate::disk::LockError;
use crate::leases::LeaseView;
use crate::leases::import::{How, Imported};
use crate::leases::places::Places;
use crate::operator::{Operator, ReleaseError, Target};
use crate::settings::{Durability, Settings};
use crate::store::{OpenError, StateDirectory, header_path};
use crate::wake::Waker;
use dhcp_core::Policy;
use dhcp_lease::{Binding, Partitions, Timestamp};
use dhcp_wire::id::Duid;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Leases in a request; half a megabyte of JSON.
const REQUEST_LEASES: usize = 2_000;
/// Leases that are handled together in a stopped store.
const BATCH_LEASES: usize = 16_384;
/// While another change is under way, the running server is asked again.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_secs(1);
/// For how long the leases of damaged records are set aside in a store that is open for an import only.
const QUARANTINE_SECONDS: u32 = 86_400;

/// Where leases go.
pub(super) enum Sink {
    Running(Client),
    Stopped(Box<Stopped>),
}

/// A store that nobody serves from, open and ours.
pub(super) struct Stopped {
    operator: Operator,
    partitions: Arc<Partitions>,
    policy: Policy,
    places: Places,
    clock: Clock,
    state: Arc<StoreState>,
    committer: JoinHandle<()>,
}

impl Sink {
    /// The running server, if there is one; else its store.
    pub(super) fn open(args: &ImportArgs) -> Result<Self, Failure> {
        let file = args.config.file();
        let (written_directory, written_socket) = config::paths(&file);
        let directory = args.state_dir.clone().or(written_directory);
        let directory = directory.unwrap_or_else(|| config::STATE_DIR.into());
        let socket = args.socket.clone().or(written_socket);
        let socket = socket.unwrap_or_else(|| config::SOCKET.into());
        if args.dry_run && !header_path(&directory).exists() {
            // Nothing is made for it.
            let checked = config::load(&file).map_err(Failure::Config)?;
            return Self::trial(checked);
        }
        match StateDirectory::open(&directory) {
            Ok(directory) => {
                let checked = config::load(&file).map_err(Failure::Config)?;
                let settings = Settings {
                    durability: Durability::Power,
                    ..checked.settings.clone()
                };
                Self::stopped(directory, checked, &settings)
            }
            Err(OpenError::Lock(LockError::InUse { .. })) => {
                Ok(Self::Running(Client::new(&socket)))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn stopped(
        directory: StateDirectory,
        checked: Checked,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let policy = policy(&checked);
        // The history takes over at the next start what is committed here.
        let Begun {
            store,
            clock,
            keeper,
            ..
        } = clock::begin(
            &directory,
            settings,
            &policy.pools,
            QUARANTINE_SECONDS,
            |_, _| {},
        )?;
        let journal = store.journal;
        Self::with(policy, store.partitions, clock, |committer| {
            // Both stay until everything is synced.
            let _directory = directory;
            let _keeper = keeper;
            committer.run(journal);
        })
    }

    /// In memory, and empty: what would become of leases without others.
    fn trial(checked: Checked) -> Result<Self, Failure> {
        let partitions = Partitions::in_memory(1, 64, dhcp_lease::Durability::Process);
        let clock = Clock::new(clock::wall(), clock::clocks().boot_seconds);
        Self::with(policy(&checked), Arc::new(partitions), clock, drop)
    }

    fn with(
        policy: Policy,
        partitions: Arc<Partitions>,
        clock: Clock,
        run: impl FnOnce(commit::Committer) + Send + 'static,
    ) -> Result<Self, Failure> {
        let failed = |what| {
            move |source| Failure::File {
                path: "import".into(),
                what,
                source,
            }
        };
        let state = Arc::new(StoreState::default());
        let waker = Arc::new(Waker::new().map_err(failed("cannot make an event"))?);
        let (mut handles, committer) = commit::connect(vec![Arc::clone(&waker)], &state);
        let handle = handles.pop().ok_or(ReleaseError::StoreFailed)?;
        let committer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || run(committer))
            .map_err(failed("cannot start the journal's thread"))?;
        Ok(Self::Stopped(Box::new(Stopped {
            operator: Operator::new(handle, waker),
            partitions,
            places: Places::new(&policy),
            policy,
            clock,
            state,
            committer,
        })))
    }

    /// How many leases go at once.
    pub(super) fn batch_leases(&self) -> usize {
        match self {
            Self::Running(_) => REQUEST_LEASES,
            Self::Stopped(_) => BATCH_LEASES,
        }
    }

    pub(super) fn import(&mut self, bindings: Vec<Binding>, how: How) -> Result<Imported, Failure> {
        match self {
            Self::Running(client) => over_socket(client, &bindings, how),
            Self::Stopped(stopped) => {
                let target = Target {
                    partitions: &stopped.partitions,
                    pools: &stopped.policy.pools,
                    places: &stopped.places,
                    now: stopped.clock.now(),
                };
                Ok(stopped.operator.import(bindings, how, target)?)
            }
        }
    }

    /// Returns when everything is on stable storage.
    pub(super) fn close(self) -> Result<(), Failure> {
        let Self::Stopped(stopped) = self else {
            return Ok(()); // each answer said so
        };
        let Stopped {
            operator,
            state,
            committer,
            ..
        } = *stopped;
        drop(operator); // with the last handle the journal's thread ends
        let is_ended = committer.join().is_ok();
        match is_ended && !state.is_suspended() {
            true => Ok(()),
            false => Err(ReleaseError::StoreFailed.into()),
        }
    }
}

/// The policy of a configuration. Nothing that an import does depends on the DUID, so none is made: the first
/// start makes one of an interface's address.
fn policy(checked: &Checked) -> Policy {
    let nobody = Duid::EMPTY;
    checked.policy(&nobody, None)
}

fn over_socket(client: &Client, bindings: &[Binding], how: How) -> Result<Imported, Failure> {
    // At the beginning of time nothing had ended: so states are shown as they are recorded.
    let now = Timestamp(0);
    let request = Import {
        rule: how.rule,
        subnets: how.subnets,
        dry_run: how.is_dry_run,
        leases: bindings.iter().map(|it| LeaseView::new(it, now)).collect(),
    };
    let busy = ReleaseError::Busy.to_string();
    for _ in 1..TRIES {
        match client.post("/v1/import", &request) {
            Err(ClientError::Refused { lines }) if lines.first() == Some(&busy) => {
                std::thread::sleep(PAUSE);
            }
            other => return Ok(other?),
        }
    }
    Ok(client.post("/v1/import", &request)?)
}

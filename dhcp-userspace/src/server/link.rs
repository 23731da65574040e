//! How is one interface served? Its sockets, its workers and its XDP program, while its device is there.

use super::status::{InterfaceStatus, LinkStatus, WorkerStatus};
use super::{Inner, StartError, system};
use crate::commit::Handle;
use crate::interface::{self, Device, Membership};
use crate::io::afxdp::{self, BindError, InForce, Socket};
use crate::settings::{InterfaceSettings, Settings};
use crate::snapshot::Shared;
use crate::wake::Waker;
use crate::worker::{self, Control, Surroundings};
use crate::xdp::{AttachError, Attached, Loading, Placed};
use dhcp_core::Interface;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// One served interface.
pub(super) struct Link {
    pub(super) settings: InterfaceSettings,
    pub(super) interface: Arc<Shared<Interface>>,
    pub(super) seats: Vec<Seat>,
    /// The program for the first time that it comes up.
    loading: Option<Loading>,
    /// While it is up.
    pub(super) up: Option<Up>,
    /// Why it is down, as last logged.
    trouble: Option<String>,
}

/// The place of one worker, which outlives its threads.
pub(super) struct Seat {
    queue: u32,
    number_on_queue: u32,
    /// Among all workers of the server.
    pub(super) number: usize,
    pub(super) control: Arc<Control>,
    /// While no thread has it.
    pub(super) handle: Option<Handle>,
    /// Gives the handle back in the end.
    thread: Option<JoinHandle<Option<Handle>>>,
}

/// What a link has while its device is there.
pub(super) struct Up {
    index: u32,
    program: Attached,
    in_force: InForce,
    /// What the program has been told; `None`: it did not take all of it.
    told: Option<(Interface, dhcp_ebpf::Settings)>,
    /// While DHCPv6 is served, and the interface has IPv6.
    membership: Option<Membership>,
    /// Whether it was logged that there is no membership.
    complained: bool,
}

/// The links of a configuration, all down, and the wakers of all their workers.
pub(super) fn links(
    settings: &Settings,
    devices: &BTreeMap<String, Device>,
) -> Result<(Vec<Link>, Vec<Arc<Waker>>), StartError> {
    let mut links = Vec::new();
    let mut wakers = Vec::new();
    for link in &settings.interfaces {
        let device = devices
            .get(&link.name)
            .ok_or_else(|| StartError::NoInterface {
                interface: link.name.clone(),
                present: format!(
                    "there are {}",
                    devices.keys().cloned().collect::<Vec<_>>().join(", ")
                ),
            })?;
        let workers = link
            .workers_per_queue
            .clamp(1, dhcp_ebpf::SOCKETS_PER_QUEUE_MAX);
        let queues = interface::receive_queues(&link.name).min(dhcp_ebpf::QUEUES_MAX);
        let mut seats = Vec::new();
        for queue in 0..queues {
            for number_on_queue in 0..workers {
                let control = Arc::new(Control::new().map_err(system("make a worker's event"))?);
                let number = wakers.len();
                wakers.push(Arc::clone(&control.waker));
                seats.push(Seat {
                    queue,
                    number_on_queue,
                    number,
                    control,
                    handle: None,
                    thread: None,
                });
            }
        }
        links.push(Link {
            settings: InterfaceSettings {
                workers_per_queue: workers,
                ..link.clone()
            },
            interface: Arc::new(Shared::new(device.interface.clone())),
            seats,
            loading: None,
            up: None,
            trouble: None,
        });
    }
    Ok((links, wakers))
}

impl Up {
    /// Tells the program what it does not know yet. What failed is tried again with the next call.
    pub(super) fn tell(
        &mut self,
        interface: &Interface,
        settings: dhcp_ebpf::Settings,
    ) -> Result<(), AttachError> {
        let is_known =
            |told: &(Interface, dhcp_ebpf::Settings)| told.0 == *interface && told.1 == settings;
        if self.told.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        self.told = None;
        self.program.configure(&interface.name, settings)?;
        self.program.serve(interface)?;
        self.told = Some((interface.clone(), settings));
        Ok(())
    }

    /// Joins the groups of DHCPv6 servers when these are served, and leaves them when not.
    fn keep_membership(&mut self, device: &Device, serves_v6: bool) {
        if !serves_v6 {
            self.membership = None;
            self.complained = false;
            return;
        }
        if self.membership.is_some() {
            return;
        }
        match Membership::join(device.index) {
            Ok(membership) => self.membership = Some(membership),
            Err(error) if !self.complained => {
                self.complained = true;
                tracing::warn!(
                    interface = device.interface.name,
                    %error,
                    "cannot join the multicast groups of DHCPv6 servers; clients behind a switch that \
                     filters multicast may not reach us: enable IPv6 on the interface"
                );
            }
            Err(_) => {}
        }
    }
}

impl Link {
    /// Begins to load the program for [`Link::bring_up`], beside whatever else a start has to do.
    pub(super) fn load_aside(&mut self, logs: bool) {
        self.loading = Some(Loading::begin(
            &self.settings.name,
            self.settings.workers_per_queue,
            logs,
        ));
    }

    /// Opens the sockets, attaches the program, starts the workers.
    pub(super) fn bring_up(&mut self, device: &Device, server: &Inner) -> Result<(), StartError> {
        let Self {
            settings, seats, ..
        } = self;
        self.interface.replace(Arc::new(device.interface.clone()));
        let sockets = open_sockets(settings, seats)?;
        let placed: Vec<_> = seats
            .iter()
            .zip(&sockets)
            .map(|(seat, socket)| Placed {
                queue: seat.queue,
                worker: seat.number_on_queue,
                socket: socket.fd(),
            })
            .collect();
        let program_settings = server.program_settings(settings.workers_per_queue);
        let loading = self.loading.take();
        let loading = loading.unwrap_or_else(|| {
            Loading::begin(
                &settings.name,
                settings.workers_per_queue,
                program_settings.logs,
            )
        });
        let program = loading.end()?.attach(
            &device.interface,
            device.index,
            settings.mode,
            program_settings,
            &placed,
        )?;
        drop(placed);
        let in_force = sockets.first().map(Socket::in_force).unwrap_or_default();
        report(settings, device, &program, in_force, seats.len());
        let up = self.up.insert(Up {
            index: device.index,
            program,
            in_force,
            told: Some((device.interface.clone(), program_settings)),
            membership: None,
            complained: false,
        });
        up.keep_membership(device, program_settings.serves_v6);
        for (seat, socket) in seats.iter_mut().zip(sockets) {
            if let Err(error) = seat.start(socket, &self.interface, server) {
                // A link with some of its workers would lose the clients of the others.
                self.take_down();
                return Err(error);
            }
        }
        self.trouble = None;
        Ok(())
    }

    /// Detaches the program, then lets the workers say what they have promised. Their seats stay.
    pub(super) fn take_down(&mut self) {
        self.let_go();
        for seat in &mut self.seats {
            seat.wait();
        }
    }

    /// Detaches the program and tells the workers to end. They do when what they promised is durable, which
    /// may take as long as the disk wants: nobody waits for that here.
    fn let_go(&mut self) {
        let Some(up) = self.up.take() else { return };
        drop(up.program);
        for seat in &self.seats {
            seat.control.stop();
        }
    }

    /// Whether a worker is still there.
    pub(super) fn is_running(&self) -> bool {
        self.seats.iter().any(Seat::is_running)
    }

    /// Compares what is with what should be.
    pub(super) fn look_after(&mut self, device: Option<&Device>, server: &Inner) {
        let is_lost = |up: &Up| {
            device.is_none_or(|device| device.index != up.index)
                || self.seats.iter().any(|seat| seat.control.is_gone())
        };
        if self.up.as_ref().is_some_and(is_lost) {
            tracing::warn!(
                interface = self.settings.name,
                "the interface went away; waiting for it"
            );
            self.let_go();
            self.trouble = Some("the interface went away".to_owned());
        }
        let Some(device) = device else { return };
        if self.up.is_none() {
            if self.is_running() {
                return self.complain("its workers wait for the journal to end".to_owned());
            }
            self.seats.iter_mut().for_each(Seat::wait);
            return match self.bring_up(device, server) {
                Ok(()) => {}
                Err(error) => self.complain(error.to_string()),
            };
        }
        let is_changed = *self.interface.load() != device.interface;
        if is_changed {
            tracing::info!(
                interface = self.settings.name,
                v4 = ?device.interface.v4,
                v6 = ?device.interface.v6,
                "the interface's addresses changed"
            );
            self.interface.replace(Arc::new(device.interface.clone()));
        }
        let Some(up) = &mut self.up else { return };
        let settings = server.program_settings(self.settings.workers_per_queue);
        up.keep_membership(device, settings.serves_v6);
        let mut result = up.tell(&device.interface, settings);
        if !up.program.is_attached() {
            tracing::warn!(
                interface = self.settings.name,
                "another program detached our XDP program; attaching it again"
            );
            result = result.and_then(|()| up.program.attach_again(&self.settings.name));
        }
        match result {
            Ok(()) => self.trouble = None,
            Err(error) => self.complain(error.to_string()),
        }
    }

    /// Logs a trouble once, not every second.
    fn complain(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::error!(
                interface = self.settings.name,
                trouble,
                "the interface is not served"
            );
            self.trouble = Some(trouble);
        }
    }

    pub(super) fn status(&self) -> InterfaceStatus {
        let workers = self.seats.iter().map(|seat| WorkerStatus {
            queue: seat.queue,
            number: seat.number_on_queue,
            totals: seat.control.counters.totals(),
        });
        let link = self.up.as_ref().map(|up| LinkStatus {
            is_native: up.program.is_native(),
            zero_copy: up.in_force.zero_copy,
            need_wakeup: up.in_force.need_wakeup,
            huge_pages: up.in_force.huge_pages,
            tx_budget: up.in_force.tx_budget,
            outcomes: up.program.counters(),
        });
        InterfaceStatus {
            name: self.settings.name.clone(),
            interface: (*self.interface.load()).clone(),
            link,
            trouble: self.trouble.clone(),
            queues: self.seats.len() as u32 / self.settings.workers_per_queue.max(1),
            workers_per_queue: self.settings.workers_per_queue,
            workers: workers.collect(),
        }
    }
}

impl Seat {
    fn start(
        &mut self,
        socket: Socket,
        interface: &Arc<Shared<Interface>>,
        server: &Inner,
    ) -> Result<(), StartError> {
        let lost =
            || io::Error::other("its predecessor panicked and took the way to the journal along");
        let handle = self
            .handle
            .take()
            .ok_or_else(lost)
            .map_err(system("start a worker"))?;
        self.control.reset();
        let control = Arc::clone(&self.control);
        // What a thread that does not start was given would be lost with it.
        let handle = Arc::new(Mutex::new(Some(handle)));
        let given = Arc::clone(&handle);
        let surroundings = Surroundings {
            policy: Arc::clone(&server.policy),
            interface: Arc::clone(interface),
            partitions: Arc::clone(&server.partitions),
            clock: server.clock,
            round: Arc::clone(&server.round),
        };
        let started = Builder::new()
            .name(format!(
                "{}-{}-{}",
                interface.load().name,
                self.queue,
                self.number_on_queue
            ))
            .spawn(move || {
                let handle = given.lock().take()?;
                Some(worker::run(socket, handle, &surroundings, &control))
            });
        if started.is_err() {
            self.handle = handle.lock().take();
        }
        self.thread = Some(started.map_err(system("start a worker's thread"))?);
        Ok(())
    }

    /// Whether its thread has not ended. One whose device is gone still gives leases back; only its end is
    /// the end.
    pub(super) fn is_running(&self) -> bool {
        let thread = self.thread.as_ref();
        thread.is_some_and(|thread| !thread.is_finished())
    }

    /// Takes back what the thread had. One that panicked has no handle to give back; the seat stays empty and
    /// the link down.
    fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.handle = thread.join().ok().flatten();
        }
    }
}

/// Sockets in the order of the seats.
fn open_sockets(settings: &InterfaceSettings, seats: &[Seat]) -> Result<Vec<Socket>, BindError> {
    let mut sockets = Vec::new();
    for queue in seats.chunk_by(|one, other| one.queue == other.queue) {
        let Some(first) = queue.first() else { continue };
        let workers = queue.len() as u32;
        sockets.extend(afxdp::open(
            &settings.name,
            first.queue,
            workers,
            settings.copy,
        )?);
    }
    Ok(sockets)
}

fn report(
    settings: &InterfaceSettings,
    device: &Device,
    program: &Attached,
    in_force: InForce,
    workers: usize,
) {
    tracing::info!(
        interface = settings.name,
        mode = if program.is_native() { "native" } else { "generic" },
        copy = if in_force.zero_copy { "zero-copy" } else { "copy" },
        huge_pages = in_force.huge_pages,
        need_wakeup = in_force.need_wakeup,
        tx_budget = in_force.tx_budget.unwrap_or(0),
        workers,
        v4 = ?device.interface.v4,
        "the interface is served"
    );
    if interface::may_hide_vlan_tags(&settings.name) {
        tracing::warn!(
            interface = settings.name,
            "if clients come with VLAN tags, the NIC must leave them in the frame: run `ethtool -K {} \
             rxvlan off txvlan off`",
            settings.name
        );
    }
    if device.interface.v4.is_empty() {
        tracing::warn!(
            interface = settings.name,
            "the interface has no IPv4 address, which is the DHCPv4 server identifier; add one"
        );
    }
}

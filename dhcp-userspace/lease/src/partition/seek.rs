//! Which live leases are there under an address, a hardware address, a Remote-Id or a client identifier?
//! What is behind `directory` and the client index, compared octet by octet.

use super::{Partition, Role, SlotNumber};
use crate::binding::{Key, Lease, LeaseKind, State, Terms, Timestamp};
use crate::context::Context;
use crate::directory::{Directory, NotFiled, Sought, remote_id};
use crate::format::ArchivedRecord;
use crate::index::Identity;
use crate::store::SLOTS_PER_VISIT;
use core::net::Ipv4Addr;
use core::ops::ControlFlow;
use dhcp_wire::id::{HardwareAddress, Iaid};

/// How many entries of one key a search looks at. A client has a few leases, a relay agent's port some; who
/// has more shows the newest ones.
pub const SEEK_ENTRIES_MAX: usize = 1024;

impl Partition {
    /// Visits the live DHCPv4 leases of this partition that were granted to whom or what is sought, in no order,
    /// until `visit` breaks off. Looks at [`SEEK_ENTRIES_MAX`] of them at most; no heap.
    ///
    /// # Errors
    /// [`NotFiled`] unless a client identifier is sought, for which no directory is needed.
    pub fn seek(
        &self,
        sought: &Sought<'_>,
        now: Timestamp,
        mut visit: impl FnMut(SlotNumber, &Terms) -> ControlFlow<()>,
    ) -> Result<(), NotFiled> {
        let mut look = |slot: u32| match self.live_terms(slot, sought, now) {
            Some(terms) => visit(SlotNumber(slot), &terms),
            None => ControlFlow::Continue(()),
        };
        let _ = match sought {
            Sought::Client(client) => {
                let key = client_key(client);
                let candidates = self.index.candidates(self.digester.of_key(&key));
                candidates.take(SEEK_ENTRIES_MAX).try_for_each(&mut look)
            }
            Sought::Address(_) | Sought::Hardware(_) | Sought::RemoteId(_) => {
                let directory = self.directory.as_deref();
                let directory = directory.filter(|it| it.is_whole()).ok_or(NotFiled)?;
                let candidates = directory.candidates(sought);
                candidates.take(SEEK_ENTRIES_MAX).try_for_each(&mut look)
            }
        };
        Ok(())
    }

    /// Visits what this partition says of a DHCPv4 address, whether the lease is live, declined or a former one,
    /// in no order. Looks at [`SEEK_ENTRIES_MAX`] bindings at most; no heap.
    ///
    /// # Errors
    /// [`NotFiled`].
    pub fn seek_address(
        &self,
        address: Ipv4Addr,
        mut visit: impl FnMut(SlotNumber, &Terms),
    ) -> Result<(), NotFiled> {
        let directory = self.directory.as_deref();
        let directory = directory.filter(|it| it.is_whole()).ok_or(NotFiled)?;
        let sought = Sought::Address(address);
        let candidates = directory.candidates(&sought);
        for slot in candidates.take(SEEK_ENTRIES_MAX) {
            let record = self.record(slot).filter(|_| self.role(slot).is_binding());
            let terms = record.and_then(ArchivedRecord::terms);
            if let Some(terms) = terms.filter(|terms| terms.lease == Lease::V4(address)) {
                visit(SlotNumber(slot), &terms);
            }
        }
        Ok(())
    }

    /// Visits the DHCPv4 leases that ended by themselves after one moment and not after another, declined ones
    /// included, in some slots from `first` on; from which one to go on. No heap.
    pub fn ended(
        &self,
        first: u32,
        after: Timestamp,
        until: Timestamp,
        mut visit: impl FnMut(Lease),
    ) -> Option<u32> {
        let slots = self.table.slots();
        let end = slots.min(first.saturating_add(SLOTS_PER_VISIT));
        for slot in (first..end).filter(|&slot| self.role(slot).is_binding()) {
            let record = self.record(slot);
            // Most are told by their end alone.
            let is_due = |record: &ArchivedRecord| {
                let expires = record.expires();
                expires > after && expires <= until
            };
            let terms = record
                .filter(|it| is_due(it))
                .and_then(ArchivedRecord::terms);
            // Whoever gave a lease back has written so.
            let ended = terms.filter(|it| it.state != State::Released);
            if let Some(terms) = ended.filter(|it| matches!(it.lease, Lease::V4(_))) {
                visit(terms.lease);
            }
        }
        (end < slots).then_some(end)
    }

    /// What a slot says, if it is a live lease of what is sought.
    fn live_terms(&self, slot: u32, sought: &Sought<'_>, now: Timestamp) -> Option<Terms> {
        let record = self
            .record(slot)
            .filter(|_| self.role(slot) == Role::Live)?;
        let terms = record
            .terms()
            .filter(|terms| matches!(terms.lease, Lease::V4(_)) && terms.is_live(now))?;
        self.is_sought(record, &terms, sought).then_some(terms)
    }

    fn is_sought(&self, record: &ArchivedRecord, terms: &Terms, sought: &Sought<'_>) -> bool {
        match sought {
            Sought::Address(address) => terms.lease == Lease::V4(*address),
            Sought::Hardware(hardware) => {
                let octets = hardware.as_slice();
                // No record's hardware address reaches beyond its own slot.
                record.htype == hardware.htype()
                    && usize::from(record.hlen) == octets.len()
                    && record.octets.get(..octets.len()) == Some(octets)
            }
            Sought::RemoteId(id) => {
                let mut context = Context::EMPTY;
                self.read_context(record, &mut context);
                remote_id(&context) == Some(id)
            }
            Sought::Client(client) => self.is_identity(record, Identity::Client(client)),
        }
    }

    /// What makes an empty directory of the right size, if there is none yet.
    pub(crate) fn directory_plan(&self) -> Option<impl FnOnce() -> Box<Directory> + use<>> {
        let (slots, checksum) = (self.table.slots(), self.checksum);
        let is_wanted = self.directory.is_none();
        is_wanted.then_some(move || Box::new(Directory::new(slots, &checksum)))
    }

    /// From now on every commit is filed.
    pub(crate) fn begin_filing(&mut self, directory: Box<Directory>) {
        self.directory.get_or_insert(directory);
    }

    /// Files what some slots hold; from which one to go on. The directory is whole when that is `None`.
    pub(crate) fn file_slots(&mut self, first: u32) -> Option<u32> {
        let mut directory = self.directory.take()?;
        let end = self
            .table
            .slots()
            .min(first.saturating_add(SLOTS_PER_VISIT));
        let mut binding = crate::Binding::default();
        for slot in first..end {
            if self.read_any(slot, &mut binding) {
                directory.file(slot, &binding, self.role(slot) == Role::Live);
            }
        }
        let is_over = end == self.table.slots();
        if is_over {
            directory.set_whole();
        }
        self.directory = Some(directory);
        (!is_over).then_some(end)
    }
}

fn client_key<'a>(client: &'a [u8]) -> Key<'a> {
    Key {
        kind: LeaseKind::V4,
        client,
        hardware: HardwareAddress::NONE,
        iaid: Iaid(0),
    }
}

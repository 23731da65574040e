//! Which addresses are the server's own? They may lie in a pool and are still no client's.

/// How many addresses of one interface on one network are kept from clients. More are unheard of.
const OWN_MAX: usize = 8;

/// The server's addresses on a client's network, owned by the query that they were looked up for.
#[derive(Clone, Debug)]
pub(crate) struct OwnAddresses<A> {
    addresses: [A; OWN_MAX],
    count: usize,
}

impl<A: Copy + PartialEq> OwnAddresses<A> {
    /// No addresses; `filler` takes the places where there is none.
    pub(crate) const fn none(filler: A) -> Self {
        Self {
            addresses: [filler; OWN_MAX],
            count: 0,
        }
    }

    /// Replaces them. Those beyond the bound are forgotten.
    pub(crate) fn set(&mut self, addresses: impl Iterator<Item = A>) {
        self.count = 0;
        for (place, address) in self.addresses.iter_mut().zip(addresses) {
            *place = address;
            self.count += 1;
        }
    }

    pub(crate) fn contains(&self, address: &A) -> bool {
        self.addresses
            .iter()
            .take(self.count)
            .any(|own| own == address)
    }
}

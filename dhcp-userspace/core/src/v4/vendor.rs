//! What is a client told by its vendor's options (option 125, RFC 3925)?

use super::query::Query;
use crate::options::{Layers, Sending};
use dhcp_wire::Octets;
use dhcp_wire::v4::{SubOptions, VendorBlocks, code};

/// CableLabs, whose devices list the sub-options that they want in a sub-option of option 125
/// (CL-SP-CANN-DHCP-Reg).
const CABLELABS: u32 = 4491;
const CABLELABS_REQUESTED: u8 = 1;

/// Bound on what all vendors together are told.
const OCTETS_MAX: usize = 1024;
/// How many vendors of one message are answered; of more, those that come first.
const VENDORS_MAX: usize = 8;

/// The data of an option 125.
pub(super) type VendorData = Octets<OCTETS_MAX>;

/// What the vendors that count for a client have for it; `None`: nothing.
///
/// RFC 3925 section 4 [vendor-unknown-ignored], RFC 2132 section 8.4 [vendor-information-ignored]: what is said to
/// a vendor that nothing is configured for is as if it were not there.
///
/// A vendor counts when the client names it in option 124 or 125, or when the configuration has an option 125
/// with its number that is sent anyway (all of this is as in Kea). Of its sub-options those are sent that are
/// always sent, and of CableLabs' those that the client lists.
pub(super) fn data(query: &Query, layers: &Layers<'_>) -> Option<VendorData> {
    if !layers.has_vendors() || layers.withholds(code::VENDOR_OPTIONS) {
        return None;
    }
    let asked = query.parameters.as_slice();
    let is_sent = asked.is_empty()
        || asked.contains(&code::VENDOR_OPTIONS)
        || layers.always().contains(code::VENDOR_OPTIONS);
    let configured = layers.short(code::VENDOR_OPTIONS).filter(|_| is_sent);
    let mut data = VendorData::EMPTY;
    let mut done = Done::default();
    for block in VendorBlocks::new(configured.unwrap_or_default()) {
        if done.is_first(block.enterprise) {
            let contents = contents(query, layers, block.enterprise, block.data);
            push_block(&mut data, block.enterprise, contents.as_slice());
        }
    }
    for enterprise in named(query) {
        if done.is_first(enterprise) {
            let contents = contents(query, layers, enterprise, &[]);
            if !contents.is_empty() {
                push_block(&mut data, enterprise, contents.as_slice());
            }
        }
    }
    (!data.is_empty()).then_some(data)
}

/// The vendors that the client names, perhaps more than once.
fn named(query: &Query) -> impl Iterator<Item = u32> + '_ {
    let options = VendorBlocks::new(query.vendor_options.as_slice());
    let classes = VendorBlocks::new(query.vendor_classes.as_slice());
    options.chain(classes).map(|block| block.enterprise)
}

/// RFC 3925 section 4 [vendor-once]: each enterprise number once; what does not fit one block is left out.
fn contents(query: &Query, layers: &Layers<'_>, enterprise: u32, fixed: &[u8]) -> Octets<255> {
    let mut contents = Octets::<255>::EMPTY;
    // 255 at most: it stood in such a block.
    let _ = contents.push_slice(fixed);
    for (option, sending) in layers.each_of(enterprise) {
        let (Ok(code), Ok(len)) = (u8::try_from(option.code), u8::try_from(option.data.len()))
        else {
            continue; // the configuration has no such
        };
        let is_sent = match sending {
            Sending::Never => false,
            Sending::Always => true,
            Sending::Asked => enterprise == CABLELABS && has_listed(query, code),
        };
        if is_sent && !SubOptions::new(fixed).any(|known| known.code == code) {
            let before = contents.len();
            let whole = contents
                .push_slice(&[code, len])
                .and_then(|()| contents.push_slice(&option.data));
            if whole.is_err() {
                contents.truncate(before);
            }
        }
    }
    contents
}

/// Whether a CableLabs device lists a sub-option.
fn has_listed(query: &Query, code: u8) -> bool {
    VendorBlocks::new(query.vendor_options.as_slice())
        .filter(|block| block.enterprise == CABLELABS)
        .flat_map(|block| SubOptions::new(block.data))
        .any(|sub| sub.code == CABLELABS_REQUESTED && sub.data.contains(&code))
}

fn push_block(data: &mut VendorData, enterprise: u32, contents: &[u8]) {
    let before = data.len();
    let len = contents.len() as u8; // 255 at most
    let whole = data
        .push_slice(&enterprise.to_be_bytes())
        .and_then(|()| data.push_slice(&[len]))
        .and_then(|()| data.push_slice(contents));
    if whole.is_err() {
        data.truncate(before);
    }
}

/// Vendors that have had their turn.
#[derive(Default)]
struct Done {
    all: [u32; VENDORS_MAX],
    count: usize,
}

impl Done {
    /// Whether it is the first time, and there is room to remember that.
    fn is_first(&mut self, enterprise: u32) -> bool {
        let known = self.all.get(..self.count).unwrap_or_default();
        if known.contains(&enterprise) {
            return false;
        }
        let Some(place) = self.all.get_mut(self.count) else {
            return false;
        };
        *place = enterprise;
        self.count += 1;
        true
    }
}

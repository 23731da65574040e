//! What does a vendor's client ask, and what is it told (options 16 and 17, RFC 8415 sections 21.16 and 21.17)?

use super::query::Query;
use crate::options::{ConfiguredOption, Layers, Sending};
use dhcp_wire::v6::{Builder, NoRoom, OptionCode, Options};

/// CableLabs, whose devices list the sub-options that they want in a sub-option of option 17
/// (CL-SP-CANN-DHCP-Reg).
const CABLELABS: u32 = 4491;
const CABLELABS_REQUESTED: u16 = 1;

/// How many vendors of one message are answered, and how many sub-options they list; of more, those that come
/// first.
const VENDORS_MAX: usize = 8;
const LISTED_MAX: usize = 32;

/// The vendors that a client names, and what it wants of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Vendors {
    enterprises: [u32; VENDORS_MAX],
    enterprise_count: usize,
    listed: [u16; LISTED_MAX],
    listed_count: usize,
}

impl Vendors {
    pub(super) fn clear(&mut self) {
        self.enterprise_count = 0;
        self.listed_count = 0;
    }

    /// Takes in an option 16 or 17. One that is too short names nobody.
    pub(super) fn take(&mut self, code: u16, data: &[u8]) {
        let Some((enterprise, rest)) = data.split_first_chunk::<4>() else {
            return;
        };
        let enterprise = u32::from_be_bytes(*enterprise);
        if !self.enterprises().contains(&enterprise)
            && let Some(place) = self.enterprises.get_mut(self.enterprise_count)
        {
            *place = enterprise;
            self.enterprise_count += 1;
        }
        if code != OptionCode::VENDOR_OPTIONS || enterprise != CABLELABS {
            return;
        }
        // What the vendor says is its own: sub-options that run out of their octets say nothing.
        let Ok(options) = Options::parse(rest) else {
            return;
        };
        let (codes, _) = options
            .find(CABLELABS_REQUESTED)
            .unwrap_or_default()
            .as_chunks::<2>();
        for &code in codes {
            if let Some(place) = self.listed.get_mut(self.listed_count) {
                *place = u16::from_be_bytes(code);
                self.listed_count += 1;
            }
        }
    }

    fn enterprises(&self) -> &[u32] {
        self.enterprises
            .get(..self.enterprise_count)
            .unwrap_or_default()
    }

    fn has_listed(&self, code: u16) -> bool {
        let listed = self.listed.get(..self.listed_count).unwrap_or_default();
        listed.contains(&code)
    }
}

/// Writes an option 17 for each vendor that counts: the one that the configuration names in `configured`, and
/// those that the client names. Of their sub-options those are sent that are always sent, and of CableLabs'
/// those that the client lists (as in Kea). What has no room is left out.
pub(super) fn options(
    builder: &mut Builder<'_>,
    query: &Query,
    layers: &Layers<'_>,
    configured: Option<&ConfiguredOption>,
) {
    let configured = configured.and_then(|option| option.data.split_first_chunk::<4>());
    let mut named = None;
    if let Some((enterprise, fixed)) = configured {
        let enterprise = u32::from_be_bytes(*enterprise);
        let _ = option(builder, query, layers, enterprise, fixed);
        named = Some(enterprise);
    }
    for &enterprise in query.vendors.enterprises() {
        let has_some = || sub_options(query, layers, enterprise).next().is_some();
        // RFC 8415 section 21.17 [vendor-options-once]: each vendor's options stand in one option.
        if named != Some(enterprise) && has_some() {
            let _ = option(builder, query, layers, enterprise, &[]);
        }
    }
}

fn option(
    builder: &mut Builder<'_>,
    query: &Query,
    layers: &Layers<'_>,
    enterprise: u32,
    fixed: &[u8],
) -> Result<(), NoRoom> {
    builder.nested(OptionCode::VENDOR_OPTIONS, |inside| {
        inside.octets(&enterprise.to_be_bytes())?;
        inside.octets(fixed)?;
        sub_options(query, layers, enterprise)
            .try_for_each(|option| inside.option(option.code, &option.data))
    })
}

/// The sub-options that a client is sent.
fn sub_options<'p>(
    query: &'p Query,
    layers: &'p Layers<'p>,
    enterprise: u32,
) -> impl Iterator<Item = &'p ConfiguredOption> {
    let is_sent = move |option: &ConfiguredOption, sending: Sending| match sending {
        Sending::Never => false,
        Sending::Always => true,
        Sending::Asked => enterprise == CABLELABS && query.vendors.has_listed(option.code),
    };
    layers
        .each_of(enterprise)
        .filter(move |(option, sending)| is_sent(option, *sending))
        .map(|(option, _)| option)
}

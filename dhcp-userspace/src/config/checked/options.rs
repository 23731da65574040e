//! What do options say? Names, codes and data of one level, with the definitions that hold there, to an
//! [`OptionSet`]: sub-options stand inside of the option that holds their space, those of vendors beside.

use super::Checker;
use crate::config::file::{ClientClass, File, OptionData, SharedNetwork};
use crate::config::notation::Family;
use crate::config::options::{
    self, Definition, Definitions, catalogue, code_max, enterprise, refusal, top_space,
};
use crate::config::reader;
use crate::config::report::At;
use dhcp_core::options::{ConfiguredOption, OptionSet, Sending, VendorOption};

/// Options whose values are blocks, one for each vendor: several of them are one (RFC 3925 section 3).
const BLOCKS_OF_VENDORS: [u16; 2] = [124, 125];

/// How deep spaces may lie in each other; those of RFC 7598 are three.
const DEPTH_MAX: usize = 4;

/// Octets up to which every client reads an option of DHCPv4.
const ONE_PIECE_OCTETS: usize = 255;

/// Bound on one option: it must fit a packet together with the rest.
const OPTION_OCTETS_MAX: usize = 1024;

/// An option whose data is known.
struct Read<'w> {
    written: &'w OptionData,
    code: u16,
    data: Vec<u8>,
    encapsulates: String,
}

impl Checker<'_> {
    /// Takes in the operator's definitions, which hold for all levels.
    pub(super) fn define(&mut self, file: &File) {
        let mut definitions = Definitions::default();
        definitions.add(Family::V4, &file.option_defs_v4, self.report);
        definitions.add(Family::V6, &file.option_defs_v6, self.report);
        self.definitions = definitions;
        // What is wrong in a network without subnets is wrong all the same.
        let empty = |network: &&SharedNetwork| network.subnets.is_empty();
        for network in file.networks.iter().filter(empty) {
            for family in [Family::V4, Family::V6] {
                self.level(&network.parameters.options, family);
            }
        }
    }

    /// The options of one protocol of one level.
    pub(super) fn level(&mut self, written: &[OptionData], family: Family) -> OptionSet {
        if written.is_empty() {
            return OptionSet::EMPTY;
        }
        let definitions = std::mem::take(&mut self.definitions);
        let set = self.set(written, family, &definitions);
        self.definitions = definitions;
        set
    }

    /// The options of a class, which may define some for itself.
    pub(super) fn class_options(&mut self, written: &ClientClass, family: Family) -> OptionSet {
        if written.option_defs.is_empty() {
            return self.level(&written.parameters.options, family);
        }
        let of_all = std::mem::take(&mut self.definitions);
        let definitions = of_all.within_class(family, &written.option_defs, self.report);
        self.definitions = of_all;
        self.set(&written.parameters.options, family, &definitions)
    }

    fn set(
        &mut self,
        written: &[OptionData],
        family: Family,
        definitions: &Definitions,
    ) -> OptionSet {
        let ours = written.iter().filter(|it| it.family == family);
        let read: Vec<_> = ours.filter_map(|it| self.option(it, definitions)).collect();
        self.same_twice(&read);
        self.spaces_without_holder(family, &read, definitions);
        let (mut all, mut vendors) = (Vec::<ConfiguredOption>::new(), Vec::new());
        for it in &read {
            let space = &it.written.space.value;
            let vendor = enterprise(space);
            if vendor.is_none() && space != top_space(family) {
                continue; // inside of another one
            }
            let data = self.with_sub_options(it, &read, 0);
            let option = ConfiguredOption {
                code: it.code,
                data: data.into_boxed_slice(),
                sending: it.written.sending,
            };
            self.length(it.written, family, vendor.is_some(), option.data.len());
            match vendor {
                Some(enterprise) => vendors.push(VendorOption { enterprise, option }),
                None => push(&mut all, family, option),
            }
        }
        OptionSet::new(all, vendors)
    }

    /// Which option, and its own data.
    fn option<'w>(
        &mut self,
        written: &'w OptionData,
        definitions: &Definitions,
    ) -> Option<Read<'w>> {
        let (family, space) = (written.family, &written.space);
        if !definitions.has_space(family, &space.value) {
            let names = definitions.space_names(family);
            let message = format!("\"{}\" is no known space; there are {names}", space.value);
            self.report.error(&space.spot, message);
            return None;
        }
        let (code, known) = self.which(written, definitions)?;
        let data = match (&written.data, &known) {
            (Some(data), _) => self.octets(written, data, code, known.as_ref())?,
            (None, Some(known)) if known.kind.may_be_empty() || !known.encapsulates.is_empty() => {
                Vec::new()
            }
            // What is sent to nobody needs none.
            (None, _) if written.sending == Sending::Never => Vec::new(),
            (None, _) => {
                let message =
                    "`data` is missing; add it (text, number, boolean, or a list of them)";
                self.report.error(&written.spot, message);
                return None;
            }
        };
        let encapsulates = known.map(|known| known.encapsulates.to_string());
        Some(Read {
            written,
            code,
            data,
            encapsulates: encapsulates.unwrap_or_default(),
        })
    }

    fn octets(
        &mut self,
        written: &OptionData,
        data: &At<Vec<String>>,
        code: u16,
        known: Option<&Definition>,
    ) -> Option<Vec<u8>> {
        let encoded = match known {
            // Kea writes an option that only holds others with empty data.
            Some(known) if !known.encapsulates.is_empty() && is_blank(&data.value) => {
                Ok(Vec::new())
            }
            _ if !written.csv_format && is_blank(&data.value) => Ok(Vec::new()),
            _ if !written.csv_format => {
                options::encode(written.family, &options::Kind::Binary, &data.value)
            }
            Some(known) => options::encode(written.family, &known.kind, &data.value),
            None => Err(format!(
                "option {code} is not among the known ones; write its octets in hexadecimal and \
                 csv-format = false, or define it with `option-def`"
            )),
        };
        // RFC 2132 section 3.5 [addresses-in-fours], section 4.3 [pairs-in-eights], section 4.7 [plateaus-in-twos].
        // What is sent to nobody needs no data, and an option that holds others none of its own.
        let needs_none = written.sending == Sending::Never
            || known.is_some_and(|known| !known.encapsulates.is_empty());
        let fits = |octets: Vec<u8>| match known.filter(|_| !written.csv_format) {
            Some(_) if needs_none && octets.is_empty() => Ok(octets),
            Some(known) => match known.kind.wrong_length(octets.len()) {
                Some(message) => Err(message),
                None => Ok(octets),
            },
            None => Ok(octets),
        };
        match encoded.and_then(fits) {
            Ok(octets) => Some(octets),
            Err(message) => {
                self.report.error(&data.spot, message);
                None
            }
        }
    }

    /// The code and, if it is known, the definition of the option that is named.
    fn which(
        &mut self,
        written: &OptionData,
        definitions: &Definitions,
    ) -> Option<(u16, Option<Definition>)> {
        let (family, space) = (written.family, written.space.value.as_str());
        let is_top = space == top_space(family);
        let by_name = match &written.key.name {
            None => None,
            Some(name) => match definitions.by_name(family, space, &name.value) {
                Some(known) => Some(known),
                None => {
                    let message = unknown(family, space, &name.value, definitions);
                    self.report.error(&name.spot, message);
                    return None;
                }
            },
        };
        let Some(code) = &written.key.code else {
            return by_name.map(|known| (known.code, Some(known)));
        };
        if let Some(known) = by_name {
            if known.code != code.value {
                let message = format!("`{}` has code {}; leave `code` out", known.name, known.code);
                self.report.error(&code.spot, message);
                return None;
            }
            return Some((known.code, Some(known)));
        }
        let (least, most) = (u16::from(is_top), code_max(family, is_top));
        if !(least..=most).contains(&code.value) {
            let message = format!("is the number {}; it must be {least} to {most}", code.value);
            self.report.error(&code.spot, message);
            return None;
        }
        if is_top && let Some(why) = refusal(family, code.value) {
            let message = format!("option {} {why}", code.value);
            self.report.error(&code.spot, message);
            return None;
        }
        let known = definitions.by_code(family, space, code.value);
        Some((code.value, known))
    }

    /// An option stands once in a level. In DHCPv6 sub-options may come again (the rules of RFC 7598 do), and
    /// what is said by vendor may be said for several.
    fn same_twice(&mut self, read: &[Read<'_>]) {
        for (at, it) in read.iter().enumerate() {
            let (family, space) = (it.written.family, &it.written.space.value);
            let is_top = *space == top_space(family);
            let may_repeat = match family {
                Family::V4 => is_top && BLOCKS_OF_VENDORS.contains(&it.code),
                Family::V6 => !is_top && enterprise(space).is_none(),
            };
            let before = read.get(..at).unwrap_or_default();
            let same =
                |other: &&Read<'_>| other.code == it.code && other.written.space.value == *space;
            if let Some(first) = before.iter().find(same).filter(|_| !may_repeat) {
                let place = self.report.name(&first.written.spot);
                let code = it.code;
                let message = match is_top {
                    true => format!("option {code} stands in {place} too; keep one"),
                    false => format!("option {code} of {space} stands in {place} too; keep one"),
                };
                self.report.error(&it.written.spot, message);
            }
        }
    }

    /// Sub-options are sent inside of an option of the same level, or not at all.
    fn spaces_without_holder(
        &mut self,
        family: Family,
        read: &[Read<'_>],
        definitions: &Definitions,
    ) {
        for it in read {
            let space = &it.written.space;
            let is_held = space.value == top_space(family)
                || enterprise(&space.value).is_some()
                || read.iter().any(|other| other.encapsulates == space.value);
            if !is_held {
                let message = match definitions.holder(family, &space.value) {
                    Some(holder) => format!(
                        "\"{}\" is sent inside of `{holder}`, which does not stand here; add \
                         {{ name = \"{holder}\" }} at this level",
                        space.value
                    ),
                    None => format!("\"{}\" is sent inside of no option", space.value),
                };
                self.report.error(&space.spot, message);
            }
        }
    }

    /// The data of an option with the options of the space that it holds, in the order of the file.
    // RFC 2132 section 8.4 [encapsulated-sub-options]: code, length, value, and no END.
    fn with_sub_options(&mut self, option: &Read<'_>, read: &[Read<'_>], depth: usize) -> Vec<u8> {
        let mut data = option.data.clone();
        if option.encapsulates.is_empty() {
            return data;
        }
        let family = option.written.family;
        if depth == DEPTH_MAX {
            let message = "lies in spaces that hold each other; define one of them otherwise";
            self.report.error(&option.written.spot, message);
            return data;
        }
        let inside = |other: &&Read<'_>| other.written.space.value == option.encapsulates;
        for sub in read.iter().filter(inside) {
            let octets = self.with_sub_options(sub, read, depth + 1);
            self.length(sub.written, family, true, octets.len());
            match family {
                Family::V4 => data.extend([sub.code as u8, octets.len() as u8]), // as checked
                Family::V6 => {
                    data.extend(sub.code.to_be_bytes());
                    data.extend((octets.len() as u16).to_be_bytes()); // as checked
                }
            }
            data.extend(octets);
        }
        data
    }

    fn length(&mut self, written: &OptionData, family: Family, is_inside: bool, len: usize) {
        let spot = written
            .data
            .as_ref()
            .map_or(&written.spot, |data| &data.spot);
        let most = match family {
            Family::V4 if is_inside => ONE_PIECE_OCTETS,
            Family::V4 | Family::V6 => OPTION_OCTETS_MAX,
        };
        if len > most {
            let message = format!("has {len} octets; at most {most} fit");
            self.report.error(spot, message);
        } else if family == Family::V4 && len > ONE_PIECE_OCTETS {
            let message = format!(
                "has {len} octets, and is sent in pieces (RFC 3396) to clients that take long \
                 messages; not every client puts them together"
            );
            self.report.warn(spot, message);
        }
    }
}

fn is_blank(data: &[String]) -> bool {
    data.iter().all(String::is_empty)
}

/// Adds an option; what is said by vendor goes on in the same one.
fn push(all: &mut Vec<ConfiguredOption>, family: Family, option: ConfiguredOption) {
    let is_by_vendor = family == Family::V4 && BLOCKS_OF_VENDORS.contains(&option.code);
    let before = all.iter_mut().find(|known| known.code == option.code);
    match before.filter(|_| is_by_vendor) {
        Some(known) => {
            known.data = [&known.data[..], &option.data].concat().into_boxed_slice();
            if option.sending != Sending::Asked {
                known.sending = option.sending;
            }
        }
        None => all.push(option),
    }
}

fn unknown(family: Family, space: &str, name: &str, definitions: &Definitions) -> String {
    if space != top_space(family) {
        let names = definitions.names(family, space);
        return match names.is_empty() {
            true => format!(
                "{name:?} is no known option of {space}; define it with `option-def`, or use `code` \
                 with csv-format = false"
            ),
            false => format!("{name:?} is no known option of {space}; there are {names}"),
        };
    }
    let refused = match (family, name) {
        (Family::V4, "dhcp-lease-time") => Some(51),
        (Family::V4, "dhcp-server-identifier") => Some(54),
        (Family::V4, "dhcp-renewal-time") => Some(58),
        (Family::V4, "dhcp-rebinding-time") => Some(59),
        (Family::V4, "rapid-commit") => Some(80),
        (Family::V6, "preference") => Some(7),
        (Family::V6, "rapid-commit") => Some(14),
        _ => None,
    };
    if let Some(why) = refused.and_then(|code| refusal(family, code)) {
        return format!("`{name}` {why}");
    }
    let (other, other_name) = match family {
        Family::V4 => (Family::V6, "DHCPv6"),
        Family::V6 => (Family::V4, "DHCPv4"),
    };
    let names = |family| catalogue(family).iter().map(|known| known.name.as_ref());
    let meant = match (family, name) {
        // The two protocols have a name each for the commonest option of all.
        (Family::V4, "dns-servers") => Some("domain-name-servers"),
        (Family::V6, "domain-name-servers") => Some("dns-servers"),
        _ => reader::similar(name, names(family)),
    };
    if let Some(meant) = meant {
        return format!("{name:?} is no known option; did you mean `{meant}`?");
    }
    if names(other).any(|known| known == name) {
        return format!("{name:?} is an option of {other_name} only");
    }
    format!(
        "{name:?} is no known option; use a name of docs/configuration.md, define it with \
         `option-def`, or use `code` with csv-format = false"
    )
}

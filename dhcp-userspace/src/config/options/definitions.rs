//! Options that the operator defines (`option-def`), beside those that we know.

use super::spaces::{self, top_space};
use super::{Definition, Field, Kind, code_max, refusal};
use crate::config::file::OptionDef;
use crate::config::notation::Family;
use crate::config::report::{Report, Spot};
use std::borrow::Cow;

/// An option of the operator's own.
#[derive(Clone, Debug)]
struct Own {
    family: Family,
    space: String,
    spot: Spot,
    definition: Definition,
}

/// What options there are: the operator's and ours.
#[derive(Debug, Default)]
pub(in crate::config) struct Definitions {
    own: Vec<Own>,
}

impl Definitions {
    /// Takes in definitions, each checked.
    pub(in crate::config) fn add(
        &mut self,
        family: Family,
        written: &[OptionDef],
        report: &mut Report,
    ) {
        for def in written {
            let Some(definition) = definition(family, def, report) else {
                continue;
            };
            let space = def.space(family).to_owned();
            let same = |own: &&Own| {
                let (code, name) = (own.definition.code, &own.definition.name);
                let alike = code == definition.code || *name == definition.name;
                own.family == family && own.space == space && alike
            };
            if let Some(twice) = self.own.iter().find(same) {
                let place = report.name(&twice.spot);
                let (code, name) = (definition.code, &definition.name);
                let message = match twice.definition.code == code {
                    true => format!("option {code} of {space} is defined in {place} too; keep one"),
                    false => format!("`{name}` is the name of {place} too; give it another"),
                };
                report.error(&def.spot, message);
                continue;
            }
            self.own.push(Own {
                family,
                space,
                spot: def.spot.clone(),
                definition,
            });
        }
    }

    /// With those that a class defines for itself, which go before the ones of all. At the top these are options that
    /// mean what the vendor or the site says, and nothing else.
    pub(in crate::config) fn within_class(
        &self,
        family: Family,
        written: &[OptionDef],
        report: &mut Report,
    ) -> Self {
        for def in written {
            let Some(code) = &def.code else {
                continue;
            };
            let is_top = def.space(family) == top_space(family);
            if is_top && code.value <= u32::from(code_max(family, true)) && !is_free(code.value) {
                let message = format!(
                    "option {} means the same for all clients; define it in [dhcp4] (a class may define 43 and \
                     224 to 254)",
                    code.value
                );
                report.error(&code.spot, message);
            }
        }
        let mut this = Self::default();
        this.add(family, written, report);
        this.own.extend(self.own.iter().cloned());
        this
    }

    /// Whether there is such a space.
    pub(in crate::config) fn has_space(&self, family: Family, space: &str) -> bool {
        let of_own = |own: &Own| own.space == space || own.definition.encapsulates == space;
        spaces::standard(family, space).is_some()
            || self
                .own
                .iter()
                .any(|own| own.family == family && of_own(own))
    }

    /// The names of all spaces of a protocol, for error messages.
    pub(in crate::config) fn space_names(&self, family: Family) -> String {
        let own = self.own.iter().filter(|own| own.family == family);
        let own = own.flat_map(|own| [own.space.as_str(), &own.definition.encapsulates]);
        let standard = spaces::standard_spaces(family)
            .iter()
            .map(|(name, _)| *name);
        let mut names = vec![top_space(family), "vendor-NUMBER"];
        for name in standard.chain(own) {
            if !name.is_empty() && !names.contains(&name) && spaces::enterprise(name).is_none() {
                names.push(name);
            }
        }
        names.join(", ")
    }

    /// All options known in a space, the operator's first.
    fn of_space<'d>(
        &'d self,
        family: Family,
        space: &'d str,
    ) -> impl Iterator<Item = &'d Definition> + Clone {
        let here = move |own: &&Own| own.family == family && own.space == space;
        let own = self.own.iter().filter(here).map(|own| &own.definition);
        own.chain(spaces::standard(family, space).unwrap_or_default())
    }

    /// The names of the options of a space, for error messages.
    pub(in crate::config) fn names(&self, family: Family, space: &str) -> String {
        let all = self.of_space(family, space);
        let names: Vec<_> = all.map(|known| known.name.as_ref()).collect();
        names.join(", ")
    }

    /// The option with a name.
    pub(in crate::config) fn by_name(
        &self,
        family: Family,
        space: &str,
        name: &str,
    ) -> Option<Definition> {
        let mut all = self.of_space(family, space);
        all.find(|known| known.name == name).cloned()
    }

    /// The option with a code.
    pub(in crate::config) fn by_code(
        &self,
        family: Family,
        space: &str,
        code: u16,
    ) -> Option<Definition> {
        let mut all = self.of_space(family, space);
        all.find(|known| known.code == code).cloned()
    }

    /// The name of the option that holds a space, for error messages.
    pub(in crate::config) fn holder(&self, family: Family, space: &str) -> Option<String> {
        let own = self.own.iter().filter(|own| own.family == family);
        let own = own.map(|own| &own.definition);
        let standard = spaces::standard_spaces(family)
            .iter()
            .flat_map(|(_, all)| *all);
        let top = spaces::standard(family, top_space(family)).unwrap_or_default();
        let mut all = own.chain(top).chain(standard);
        let found = all.find(|known| known.encapsulates == space);
        found.map(|known| known.name.to_string())
    }
}

/// Whether an option of DHCPv4 means what the vendor or the site says (RFC 2132 section 8.4, RFC 3942).
fn is_free(code: u32) -> bool {
    code == 43 || code >= 224
}

/// Checks one definition.
fn definition(family: Family, def: &OptionDef, report: &mut Report) -> Option<Definition> {
    let space = def.space(family);
    let is_top = space == top_space(family);
    let (name, code, written_type) = (def.name.as_ref()?, def.code.as_ref()?, def.kind.as_ref()?);
    let most = code_max(family, is_top);
    if code.value > u32::from(most) || (is_top && code.value == 0) {
        let least = u8::from(is_top);
        let message = format!("is the number {}; it must be {least} to {most}", code.value);
        report.error(&code.spot, message);
        return None;
    }
    let number = code.value as u16; // `most` has 16 bits
    if is_top && let Some(why) = refusal(family, number) {
        report.error(&code.spot, format!("option {number} {why}"));
        return None;
    }
    let is_free = family == Family::V4 && is_free(code.value);
    let standard = spaces::standard(family, space).unwrap_or_default();
    if let Some(known) = standard.iter().find(|known| known.code == number)
        && !(is_top && is_free)
    {
        let message = format!(
            "option {number} of {space} has its form already, as `{}`; leave the definition out",
            known.name
        );
        report.error(&code.spot, message);
        return None;
    }
    let known_name = standard.iter().find(|known| known.name == name.value);
    if known_name.is_some_and(|known| known.code != number) {
        let message = format!("`{}` is the name of another option of {space}", name.value);
        report.error(&name.spot, message);
        return None;
    }
    let kind = kind(def, &written_type.value, report)?;
    let encapsulates = def.encapsulate.as_ref();
    if let Some(inner) = encapsulates.filter(|inner| inner.value == space) {
        let message = "is the space that the option is in itself; name another";
        report.error(&inner.spot, message);
        return None;
    }
    if let (Some(inner), Kind::Array(_)) = (encapsulates, &kind) {
        let message =
            "cannot follow an array, which has no end of its own; leave one of the two out";
        report.error(&inner.spot, message);
        return None;
    }
    let encapsulates = encapsulates
        .map(|inner| inner.value.clone())
        .unwrap_or_default();
    Some(Definition {
        code: number,
        name: Cow::Owned(name.value.clone()),
        kind,
        encapsulates: Cow::Owned(encapsulates),
    })
}

fn kind(def: &OptionDef, written: &str, report: &mut Report) -> Option<Kind> {
    let spot = def
        .kind
        .as_ref()
        .map(|it| it.spot.clone())
        .unwrap_or_default();
    let is_array = def.array.as_ref().is_some_and(|it| it.value);
    let no_array = |what: &str| format!("{what} cannot be an array; leave `array` out");
    if let (Some(types), true) = (&def.record_types, written != "record") {
        report.error(
            &types.spot,
            "belongs to type = \"record\" only; leave it out",
        );
        return None;
    }
    match written {
        "empty" if is_array => {
            report.error(&spot, no_array("what is empty"));
            None
        }
        "empty" => Some(Kind::Empty),
        "binary" | "string" if is_array => {
            report.error(
                &spot,
                no_array(&format!("\"{written}\", which has no end of its own,")),
            );
            None
        }
        "binary" => Some(Kind::Binary),
        "string" => Some(Kind::Text),
        "record" => {
            let types = record_types(def, report)?;
            if is_array && types.last().is_some_and(|last| last.is_endless()) {
                report.error(&spot, no_array("a record that ends with binary or string"));
                return None;
            }
            let types = Cow::Owned(types);
            Some(match is_array {
                true => Kind::Array(types),
                false => Kind::Fields(types),
            })
        }
        simple => {
            let found = Field::NAMES.iter().find(|(name, _)| *name == simple);
            let Some((_, field)) = found else {
                report.error(&spot, unknown_type(simple, &["empty", "record"]));
                return None;
            };
            let types = Cow::Owned(vec![*field]);
            Some(match is_array {
                true => Kind::Array(types),
                false => Kind::Fields(types),
            })
        }
    }
}

fn record_types(def: &OptionDef, report: &mut Report) -> Option<Vec<Field>> {
    let Some(written) = &def.record_types else {
        let message = "`record-types` is missing; add it, as \"uint8, ipv4-address\"";
        report.error(&def.spot, message);
        return None;
    };
    let mut types = Vec::new();
    for name in written.value.split(',').map(str::trim) {
        let Some((_, field)) = Field::NAMES.iter().find(|(known, _)| *known == name) else {
            report.error(&written.spot, unknown_type(name, &[]));
            return None;
        };
        types.push(*field);
    }
    let before_last = types.split_last().map_or(&[][..], |(_, before)| before);
    if before_last.iter().any(|field| field.is_endless()) {
        let message =
            "has binary or string before the end, where nothing says how long it is; put it last";
        report.error(&written.spot, message);
        return None;
    }
    Some(types)
}

fn unknown_type(name: &str, others: &[&str]) -> String {
    if name == "internal" {
        return "\"internal\" is for options that the server knows; write the octets as \"binary\""
            .to_owned();
    }
    let fields = Field::NAMES.iter().map(|(name, _)| *name);
    let names: Vec<_> = others.iter().copied().chain(fields).collect();
    format!("\"{name}\" is no type; there are {}", names.join(", "))
}

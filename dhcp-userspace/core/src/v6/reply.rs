//! Answer to octets, over the frame of the request.

use super::answer::{Answer, Granted, IaAnswer};
use super::choose::Link;
use super::query::{IaKind, Query};
use super::vendor;
use crate::options::{ConfiguredOption, Layers, Sending};
use crate::{Discard, Policy};
use dhcp_lease::Lease;
use dhcp_wire::frame::FRAME_SIZE_MAX;
use dhcp_wire::v6::{Builder, HOP_COUNT_LIMIT, Mark, MessageType, NoRoom, OptionCode, RelayHeader};

/// Writes the whole frame of the answer, from Ethernet to the end of the payload; returns its length.
///
/// Nothing of what was in `frame` before is left in the octets of the answer.
///
/// # Errors
/// [`Discard::ReplyTooLong`], [`Discard::NoSubnet`] when `policy` is not the one of the query.
pub fn reply(
    query: &Query,
    answer: &Answer,
    policy: &Policy,
    frame: &mut [u8],
) -> Result<usize, Discard> {
    let link = Link::of(query, policy).ok_or(Discard::NoSubnet)?;
    let room = frame.len().min(FRAME_SIZE_MAX);
    let frame = frame.get_mut(..room).unwrap_or_default();
    let envelope = &query.answer_envelope;
    let payload = frame
        .get_mut(envelope.header_len()..)
        .ok_or(Discard::ReplyTooLong)?;
    let mut builder = Builder::new(payload);
    relayed(&mut builder, query, |inside| {
        message(inside, query, answer, &link)
    })
    .map_err(|NoRoom| Discard::ReplyTooLong)?;
    let payload_len = builder.len();
    envelope
        .emit(frame, payload_len)
        .map_err(|_| Discard::ReplyTooLong)
}

/// The chain of Relay-reply messages that mirrors the Relay-forward messages, around `contents`.
fn relayed(
    builder: &mut Builder<'_>,
    query: &Query,
    contents: impl FnOnce(&mut Builder<'_>) -> Result<(), NoRoom>,
) -> Result<(), NoRoom> {
    let mut marks: [Option<Mark>; HOP_COUNT_LIMIT] = Default::default();
    // RFC 8415 section 19.3 [relay-reply-mirrors]: the same relay agents in reverse order, each level
    // with the hop count and addresses of its Relay-forward.
    for (mark, (header, options)) in marks.iter_mut().zip(query.relays.outermost_first()) {
        builder.relay(&RelayHeader {
            msg_type: MessageType::RelayReply as u8,
            ..header
        })?;
        // RFC 8415 section 21.18 [interface-id-echoed]
        if let Some(interface_id) = options.find(OptionCode::INTERFACE_ID) {
            builder.option(OptionCode::INTERFACE_ID, interface_id)?;
        }
        *mark = Some(builder.begin(OptionCode::RELAY_MESSAGE)?);
    }
    contents(builder)?;
    marks
        .into_iter()
        .flatten()
        .rev()
        .try_for_each(|mark| builder.end(mark))
}

fn message(
    builder: &mut Builder<'_>,
    query: &Query,
    answer: &Answer,
    link: &Link<'_>,
) -> Result<(), NoRoom> {
    builder.message(answer.message_type, query.transaction_id)?;
    // RFC 8415 section 18.3 [both-identifiers]: our identifier always, the client's if it sent one.
    builder.option(OptionCode::SERVER_ID, link.policy.server_duid.as_slice())?;
    if !query.client.is_empty() {
        builder.option(OptionCode::CLIENT_ID, query.client.as_slice())?;
    }
    if answer.rapid_commit {
        builder.option(OptionCode::RAPID_COMMIT, &[])?;
    }
    // RFC 8415 section 18.3.9 [preference-in-advertise]: 0 is what a client assumes without it.
    if answer.message_type == MessageType::Advertise && link.selected.preference > 0 {
        builder.option(OptionCode::PREFERENCE, &[link.selected.preference])?;
    }
    if let Some(said) = answer.status {
        builder.status(said.code, said.text)?;
    }
    for ia in answer.ias() {
        self::ia(builder, ia, answer)?;
    }
    if answer.with_options {
        configured(builder, query, &layers(answer, link));
    }
    Ok(())
}

fn ia(builder: &mut Builder<'_>, ia: &IaAnswer, answer: &Answer) -> Result<(), NoRoom> {
    let said = ia.status;
    let code = match ia.kind {
        IaKind::Addresses => OptionCode::IA_NA,
        IaKind::Prefixes => OptionCode::IA_PD,
        IaKind::Temporary => {
            let (code, text) = said.map_or((0, ""), |said| (said.code, said.text));
            return builder.ia_ta(ia.iaid, code, text);
        }
    };
    builder.ia(code, ia.iaid, answer.t1, answer.t2, |inside| {
        ia.leases()
            .iter()
            .try_for_each(|granted| lease(inside, granted))?;
        said.map_or(Ok(()), |said| inside.status(said.code, said.text))
    })
}

fn lease(builder: &mut Builder<'_>, granted: &Granted) -> Result<(), NoRoom> {
    let Granted {
        lease,
        preferred,
        valid,
    } = *granted;
    match lease {
        Lease::Address(address) => builder.ia_address(address, preferred, valid),
        Lease::Prefix(prefix, len) => builder.ia_prefix(prefix, len, preferred, valid),
        Lease::V4(_) => Ok(()), // no IA has one
    }
}

/// The levels that hold for the client, the innermost first: reservation, pools of its leases, the subnet that
/// its first lease is of, shared network, classes in the order in which they were evaluated, everybody.
fn layers<'a>(answer: &Answer, link: &Link<'a>) -> Layers<'a> {
    let mut layers = Layers::new();
    if let Some((_, reservation)) = link.reserved {
        layers.push(&reservation.options);
    }
    let mut subnets = link.network.subnets.iter();
    let granting = subnets.find(|subnet| Some(subnet.id) == answer.subnet);
    let of_reservation = link.reserved.map(|(subnet, _)| subnet);
    let subnet = granting.or(of_reservation).unwrap_or(link.selected);
    for granted in answer.ias().iter().flat_map(IaAnswer::leases) {
        if granted.valid > 0
            && let Some(options) = subnet.pool_options.of(granted.lease.address())
        {
            layers.push(options);
        }
    }
    layers.push(&subnet.options);
    layers.push(&link.network.options);
    let mut granted = answer.ias().iter().flat_map(IaAnswer::leases);
    let first = granted.find(|granted| granted.valid > 0);
    let around = [&subnet.access, &link.network.access];
    let asked_for = link.policy.additional(first.map(|it| it.lease), around);
    let classes = link.classes.with_additional(asked_for);
    let classes = classes.filter_map(|class| link.policy.classes_v6.get(class));
    classes.for_each(|class| layers.push(&class.options));
    layers.push_last(&link.policy.options_v6);
    layers
}

/// What the configuration has of what the client asks for, and what is always sent. What does not fit is
/// left out, and what comes after it may still fit: the leases in front of it are committed already.
fn configured(builder: &mut Builder<'_>, query: &Query, layers: &Layers<'_>) {
    // RFC 8415 section 18.3 [requested-options]
    let wanted = |code: u16| query.has_requested(code);
    let is_information = query.message_type == MessageType::InformationRequest;
    let is_sent = |code: u16, sending: Sending| match sending {
        Sending::Never => false,
        Sending::Always => !is_max_rt(code) || wanted(code),
        Sending::Asked => wanted(code),
    };
    let chosen = || {
        layers
            .each()
            .filter(|(option, sending)| is_sent(option.code, *sending))
            .filter(|(option, _)| !is_ours_to_write(option.code))
            // RFC 8415 section 21.23 [refresh-time-in-stateless-reply]: leases have their own times.
            .filter(|(option, _)| {
                is_information || option.code != OptionCode::INFORMATION_REFRESH_TIME
            })
    };
    let is_of_vendor = |option: &ConfiguredOption| option.code == OptionCode::VENDOR_OPTIONS;
    let mut options = chosen().map(|(option, _)| option);
    let of_vendor = options.find(|option| is_of_vendor(option));
    vendor::options(builder, query, layers, of_vendor);
    for (option, _) in chosen().filter(|(option, _)| !is_of_vendor(option)) {
        let _ = builder.option(option.code, &option.data);
    }
}

/// RFC 8415 section 21.24 [max-rt-when-requested]: only to clients that ask, whatever is configured.
fn is_max_rt(code: u16) -> bool {
    matches!(code, OptionCode::SOL_MAX_RT | OptionCode::INF_MAX_RT)
}

/// Whether an option is part of the protocol, so that the configuration cannot put it into an answer.
fn is_ours_to_write(code: u16) -> bool {
    matches!(
        code,
        OptionCode::CLIENT_ID
            ..=OptionCode::INTERFACE_ID
                | OptionCode::RECONFIGURE_MESSAGE
                | OptionCode::RECONFIGURE_ACCEPT
                | OptionCode::IA_PD
                | OptionCode::IA_PREFIX
    ) && !is_vendor(code)
}

/// User Class, Vendor Class and Vendor-specific Information lie among the codes of the protocol.
fn is_vendor(code: u16) -> bool {
    matches!(code, 15..=17)
}

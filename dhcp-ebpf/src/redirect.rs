//! Which frames are the measuring tools'? The XDP program of the blaster and of the reflector.
//!
//! Every UDP datagram to one of the ports in [`REDIRECT_PORTS`] goes to the AF_XDP socket of the queue
//! that it arrived on; all else, fragments included, passes to the kernel. The server's own rule is not
//! used here on purpose: a blaster that shares it would not notice what the server steers wrongly.

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, XskMap};
use aya_ebpf::programs::XdpContext;

/// UDP destination ports that are redirected; zero stands for none.
#[map]
static REDIRECT_PORTS: Array<u32> = Array::with_max_entries(2, 0);

/// One socket per receive queue, by the queue's index.
#[map]
static REDIRECT_SOCKETS: XskMap = XskMap::with_max_entries(256, 0);

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;
const UDP: u8 = 17;

/// Sends a measured frame to its socket and everything else on its way.
#[xdp]
fn redirect(context: XdpContext) -> u32 {
    let Some(port) = destination_port(&context) else {
        return XDP_PASS;
    };
    if !is_measured(port) {
        return XDP_PASS;
    }
    // A queue without a socket passes its frames on, too: the flags hold the verdict for an empty slot.
    REDIRECT_SOCKETS
        .redirect(context.rx_queue_index(), u64::from(XDP_PASS))
        .unwrap_or(XDP_PASS)
}

fn is_measured(port: u16) -> bool {
    let port = u32::from(port);
    let first = REDIRECT_PORTS.get(0).copied().unwrap_or(0);
    let second = REDIRECT_PORTS.get(1).copied().unwrap_or(0);
    port != 0 && (port == first || port == second)
}

/// Destination port of an unfragmented UDP datagram behind at most two VLAN tags.
#[inline(always)]
fn destination_port(context: &XdpContext) -> Option<u16> {
    let (mut ethertype, mut offset) = (load_u16(context, 12)?, 14);
    for _ in 0..2 {
        if ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_SERVICE_VLAN {
            ethertype = load_u16(context, offset + 2)?;
            offset += 4;
        }
    }
    match ethertype {
        ETHERTYPE_IPV4 => {
            let fragment = load_u16(context, offset + 6)? & 0x3fff; // MF and the offset
            let [version_and_length] = load::<1>(context, offset)?;
            let [protocol] = load::<1>(context, offset + 9)?;
            let header_len = usize::from(version_and_length & 0x0f) * 4;
            if fragment != 0 || protocol != UDP {
                return None;
            }
            load_u16(context, offset + header_len + 2)
        }
        ETHERTYPE_IPV6 => {
            let [next_header] = load::<1>(context, offset + 6)?;
            (next_header == UDP).then_some(())?;
            load_u16(context, offset + 42)
        }
        _ => None,
    }
}

#[inline(always)]
fn load_u16(context: &XdpContext, offset: usize) -> Option<u16> {
    load(context, offset).map(u16::from_be_bytes)
}

/// `N` octets of the frame, or nothing where it ends before them.
#[inline(always)]
fn load<const N: usize>(context: &XdpContext, offset: usize) -> Option<[u8; N]> {
    let start = context.data() + offset;
    if start + N > context.data_end() {
        return None;
    }
    // SAFETY: the comparison above, which the verifier repeats, shows that the `N` octets lie inside the
    // frame; an array of octets has no alignment.
    Some(unsafe { *(start as *const [u8; N]) })
}

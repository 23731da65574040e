//! The XDP programs: the steering rule at the entrance of the kernel.
//!
//! The only file with kernel pointers but for `redirect.rs`, the measuring tools' own program. For any target but BPF it is empty, so that the
//! workspace builds everywhere.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]
#![deny(unsafe_code)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[expect(unsafe_code, reason = "packets are the kernel's memory")]
mod redirect;

#[cfg(target_arch = "bpf")]
#[expect(unsafe_code, reason = "packets and map values are the kernel's memory")]
mod kernel {
    use aya_ebpf::bindings::xdp_action::{XDP_PASS, XDP_REDIRECT};
    use aya_ebpf::macros::{map, xdp};
    use aya_ebpf::maps::{Array, HashMap, PerCpuArray, XskMap};
    use aya_ebpf::programs::XdpContext;
    use aya_log_ebpf::info;
    use core::arch::asm;
    use dhcp_ebpf::{
        Octets, Outcome, QUEUES_MAX, SERVED_MAX, SOCKETS_PER_QUEUE_MAX, Served, Settings, Verdict,
        socket_index, steer as rule,
    };

    // The names are those of `dhcp_ebpf::maps`; the macro takes literals only, and a test compares.

    #[map(name = "SOCKETS")]
    static SOCKETS: XskMap = XskMap::with_max_entries(QUEUES_MAX * SOCKETS_PER_QUEUE_MAX, 0);

    #[map(name = "SERVED_V4")]
    static SERVED_V4: HashMap<u32, u8> = HashMap::with_max_entries(SERVED_MAX, 0);

    #[map(name = "SERVED_V6")]
    static SERVED_V6: HashMap<[u64; 2], u8> = HashMap::with_max_entries(SERVED_MAX, 0);

    #[map(name = "SETTINGS")]
    static SETTINGS: Array<[u64; Settings::WORDS]> = Array::with_max_entries(1, 0);

    #[map(name = "COUNTERS")]
    static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Outcome::COUNT, 0);

    /// Whether clients are shared out among workers. The loader says so before the kernel verifies the program:
    /// where they are not, the verifier knows that the walk through the options is never entered, and need not
    /// follow it. Those are nearly all the instructions that it follows.
    #[unsafe(no_mangle)]
    static SHARES_OUT: u8 = 1;

    /// What the kernel asks of a module that calls the helpers which only GPL-compatible ones may.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    /// The server's program.
    #[xdp]
    fn steer(ctx: XdpContext) -> u32 {
        let mut settings = SETTINGS
            .get(0)
            .map_or(Settings::default(), |w| Settings::from_words(*w));
        // SAFETY: it is a static. The read is volatile, for the compiler must not take its value for granted.
        if unsafe { core::ptr::read_volatile(&raw const SHARES_OUT) } == 0 {
            settings.workers_per_queue = 1;
        }
        let (action, outcome) = match rule(&Frame::of(&ctx), settings, &Maps) {
            Verdict::Pass(outcome) => (XDP_PASS, outcome),
            Verdict::Take { outcome, worker } => redirect(&ctx, worker, outcome),
        };
        count(outcome);
        if settings.logs && outcome.concerns_dhcp() {
            info!(
                &ctx,
                "queue {}, outcome {}",
                ctx.rx_queue_index(),
                outcome.index()
            );
        }
        action
    }

    /// For measurements: nothing at all.
    #[xdp]
    fn pass(_: XdpContext) -> u32 {
        XDP_PASS
    }

    /// To the worker's socket; to the kernel when there is none, as when the server is gone.
    #[inline(always)]
    fn redirect(ctx: &XdpContext, worker: u32, taken: Outcome) -> (u32, Outcome) {
        // The flags are what the helper returns when the map has no socket at the index.
        match SOCKETS.redirect(socket_index(ctx.rx_queue_index(), worker), XDP_PASS.into()) {
            Ok(_) => (XDP_REDIRECT, taken),
            Err(_) => (XDP_PASS, Outcome::PassNoSocket),
        }
    }

    #[inline(always)]
    fn count(outcome: Outcome) {
        if let Some(counter) = COUNTERS.get_ptr_mut(outcome.index()) {
            // SAFETY: the pointer is to this CPU's `u64` of a map that lives as long as the program, and
            // no other program runs on this CPU meanwhile: XDP runs with migration and softirqs off.
            unsafe { *counter += 1 };
        }
    }

    struct Maps;

    impl Served for Maps {
        #[inline(always)]
        fn v4(&self, address: u32) -> bool {
            SERVED_V4.get_ptr(address.to_be()).is_some()
        }

        #[inline(always)]
        fn v6(&self, halves: [u64; 2]) -> bool {
            SERVED_V6.get_ptr(halves.map(u64::to_be)).is_some()
        }
    }

    /// A received frame. Invariant: `[start, end)` is the frame's linear part.
    struct Frame {
        start: *const u8,
        end: usize,
    }

    impl Frame {
        #[inline(always)]
        fn of(ctx: &XdpContext) -> Self {
            Self {
                start: ctx.data() as *const u8,
                end: ctx.data_end(),
            }
        }
    }

    /// Reads a number of one width by one instruction.
    ///
    /// Packets lie unaligned. For an unaligned read the compiler makes a read of each octet; when told
    /// that unaligned reads are fine (a target feature since LLVM 22), it does so on the stack, too, where
    /// the verifier wants alignment (seen on 6.18).
    macro_rules! read {
        ($name:ident, $number:ty, $instruction:literal) => {
            #[inline(always)]
            fn $name(&self, offset: usize) -> Option<$number> {
                let octets = self.at(offset, size_of::<$number>())?;
                let number: u64;
                // SAFETY: the instruction reads exactly the octets that `at` found to be in the frame.
                // The verifier proves the same once more.
                unsafe {
                    asm!(
                        $instruction,
                        number = lateout(reg) number,
                        octets = in(reg) octets,
                        options(pure, readonly, nostack)
                    );
                }
                Some(<$number>::from_be(number as $number))
            }
        };
    }

    impl Octets for Frame {
        read!(octet, u8, "{number} = *(u8 *)({octets} + 0)");
        read!(number16, u16, "{number} = *(u16 *)({octets} + 0)");
        read!(number32, u32, "{number} = *(u32 *)({octets} + 0)");
        read!(number64, u64, "{number} = *(u64 *)({octets} + 0)");
    }

    impl Frame {
        /// Where `len` octets from `offset` on lie, if they are in the frame.
        #[inline(always)]
        fn at(&self, offset: usize, len: usize) -> Option<*const u8> {
            let octets = self.start.wrapping_add(offset);
            (octets.wrapping_add(len) as usize <= self.end).then_some(octets)
        }
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }
}

//! `xdhcpd`: the DHCP server for the ISP edge.

use std::process::ExitCode;

fn main() -> ExitCode {
    dhcp_userspace::cli::main()
}

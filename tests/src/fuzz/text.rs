//! Octets that an operator wrote.

use dhcp_userspace::config;
use dhcp_wire::id::Duid;
use std::path::Path;

/// Checks a configuration, and makes a policy of it if it is one.
pub(super) fn config(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let file = Path::new("fuzz.toml");
    match config::check(file, &text) {
        Ok(checked) => {
            // Pools of any size cost memory by their addresses; the operator pays for what he asks for.
            let addresses: u64 = checked.pool_ranges().iter().map(|pool| pool.count).sum();
            if let (true, Ok(duid)) = (addresses < 1 << 20, Duid::new(&[0, 3, 0, 1, 2])) {
                let policy = checked.policy(&duid, None);
                assert_eq!(policy.pools.len(), checked.pool_ranges().len());
            }
        }
        Err(findings) => {
            assert!(findings.iter().next().is_some(), "refused without a reason");
            for finding in findings.iter() {
                assert!(
                    !findings.line(finding).contains('\n'),
                    "one finding, one line"
                );
            }
        }
    }
}

pub(super) fn config_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "interfaces = [\"eth0\"]\n[[subnet4]]\nsubnet = \"10.0.0.0/24\"\npools = [\"10.0.0.10-10.0.0.99\"]\n",
        "interfaces = [\"eth0\"]\nvalid-lifetime = 3600\n[[subnet4]]\nsubnet = \"10.0.0.0/24\"\n\
         pools = [{ pool = \"10.0.0.10 - 10.0.0.99\" }]\nreservations = [{ hw-address = \"02:00:00:00:00:01\", \
         ip-address = \"10.0.0.5\" }]\noption-data = [{ name = \"routers\", data = \"10.0.0.1\" }]\n",
        "interfaces = [\"eth0\"]\n[[subnet6]]\nsubnet = \"2001:db8::/64\"\npools = [\"2001:db8::100-2001:db8::1ff\"]\n\
         pd-pools = [{ prefix = \"2001:db8:100::\", prefix-len = 40, delegated-len = 56 }]\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

use super::*;
use crate::leases::source::{SourceFormat, read_from};
use proptest::prelude::*;
use std::net::IpAddr;

const NOW: Timestamp = Timestamp(1_795_238_100);

/// Everything in a file, with the places of what is wrong.
fn all(octets: &[u8]) -> Vec<(Spot, Result<Item, String>)> {
    let mut all = Vec::new();
    read_from(octets, SourceFormat::KeaCsv, NOW, &mut |spot, item| {
        all.push((spot, item));
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

fn bindings(octets: &[u8]) -> Vec<Binding> {
    all(octets)
        .into_iter()
        .filter_map(|(spot, item)| match item {
            Ok(Item::Lease(binding)) => Some(*binding),
            Ok(_) => None,
            Err(reason) => panic!("{spot:?}: {reason}"),
        })
        .collect()
}

fn written(bindings: &[Binding], version: KeaVersion, v6: bool) -> String {
    let mut out = Vec::new();
    write_header(v6, version, &mut out).unwrap();
    for binding in bindings {
        assert!(write_row(binding, NOW, version, &mut out).unwrap());
    }
    String::from_utf8(out).unwrap()
}

/// A line of Kea's without what we do not keep: the user's own contexts, updates of the DNS. (Kea 2.2 leaves
/// octets as they are that we, like later ones, write as escapes.)
fn without_names(line: &str, v6: bool) -> String {
    let mut cells: Vec<&str> = line.split(',').collect();
    let (fwd, hostname, context) = if v6 { (9, 11, 14) } else { (6, 8, 10) };
    for place in [fwd, fwd + 1] {
        cells[place] = "0";
    }
    let name = cells[hostname]
        .replace('\u{fffd}', "&#xe9")
        .replace('\u{7}', "&#x07");
    cells[hostname] = &name;
    cells[context] = "";
    cells.join(",")
}

/// Files that a Kea 2.2 has written, through its lease commands.
const KEA_V4: &[u8] = include_bytes!("../../../../tests/data/kea-2.2-leases4.csv");
const KEA_V6: &[u8] = include_bytes!("../../../../tests/data/kea-2.2-leases6.csv");

#[test]
fn what_kea_wrote_is_written_again_octet_by_octet() {
    for (file, v6) in [(KEA_V4, false), (KEA_V6, true)] {
        let bindings = bindings(file);
        let file = String::from_utf8_lossy(file);
        let ours = written(&bindings, KeaVersion::V2_2, v6);
        let gone = |line: &&str| !line.contains(",0,1795239449,");
        let theirs: Vec<String> = file
            .lines()
            .filter(gone)
            .enumerate()
            .map(|(number, line)| match number {
                0 => line.to_owned(),
                _ => without_names(line, v6),
            })
            .collect();
        // A declined lease is nobody's with us, as it is when Kea itself declines it.
        let nobody = |line: &str| {
            line.replace(
                "02:00:00:00:00:03,,4000,1795242026,7,0,0,,1,",
                ",,4000,1795242026,7,0,0,,1,",
            )
            .replace("00:03:00:01:02:00:00:00:00:02", "00:00:00")
        };
        let theirs: Vec<String> = theirs.iter().map(|line| nobody(line)).collect();
        let ours: Vec<&str> = ours.lines().collect();
        assert_eq!(ours, theirs);
    }
}

#[test]
fn a_name_of_any_octets_stays_in_its_cell() {
    let mut binding = bindings(KEA_V4).remove(1);
    for octet in 0..=255 {
        binding.context = Context::EMPTY;
        binding
            .context
            .insert(ItemKind::HOST_NAME, &[b'a', octet, b'b']);
        let text = written(&[binding.clone()], KeaVersion::V2_4, false);
        assert!(
            text.bytes()
                .all(|octet| octet == b'\n' || (b' '..=b'~').contains(&octet)),
            "{text}"
        );
        assert_eq!(text.lines().count(), 2);
        assert_eq!(bindings(text.as_bytes()), [binding.clone()], "{octet}");
    }
}

#[test]
fn rows_mean_what_kea_means_by_them() {
    let v6 = all(KEA_V6);
    assert!(matches!(v6.last(), Some((_, Ok(Item::Gone(_))))), "{v6:?}");
    let v6 = bindings(KEA_V6);
    assert_eq!(v6[1].expires, Timestamp::NEVER);
    assert_eq!(v6[1].last_transaction, Timestamp(1_800_000_000));
    assert_eq!(v6[1].lease.to_string(), "2001:db8:8000:100::/56");
    assert_eq!(v6[2].state, State::Declined);
    assert_eq!((v6[3].state, v6[3].is_live(NOW)), (State::Leased, false));
    let header = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,\
                  prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state\n";
    let row = |rest: &str| format!("{header}2001:db8::1,00:03:00:01,100,1795238200,1,50,{rest}\n");
    let state = |rest: &str| bindings(row(rest).as_bytes()).pop().map(|it| it.state);
    assert_eq!(
        state("0,1,128,0,0,,,2"),
        Some(State::Released),
        "reclaimed before its end"
    );
    assert_eq!(state("0,1,128,0,0,,,3"), Some(State::Released));
    let registered = all(row("0,1,128,0,0,,,4").as_bytes());
    assert_eq!(registered[0].1, Ok(Item::Registered));
}

#[test]
fn files_of_every_kea_are_read_by_their_names() {
    let v4 = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname";
    let row = "192.0.2.1,02:00:00:00:00:01,,100,1795238200,7,1,true,a&#x2cb";
    for (names, cells) in [
        ("", ""),
        (",state", ",0"),
        (",state,user_context", ",0,{}"),
        (",state,user_context,pool_id", ",0,,5"),
    ] {
        let file = format!("{v4}{names}\n{row}{cells}\n");
        let [binding] = bindings(file.as_bytes()).try_into().unwrap();
        assert_eq!(
            (binding.subnet, binding.valid_seconds),
            (SubnetId(7), 100),
            "{names}"
        );
        assert!(binding.is_live(NOW));
    }
    let later = format!("{v4},state,user_context,pool_id,colour\n{row},0,,0,blue\n");
    let unknown = all(later.as_bytes());
    assert_eq!(
        unknown[0].1,
        Ok(Item::UnknownColumns(vec!["colour".to_owned()]))
    );
    assert!(matches!(unknown[1].1, Ok(Item::Lease(_))));
    let old = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,\
               fqdn_fwd,fqdn_rev,hostname\n2001:db8::1,00:03:00:01:02,100,1795238200,8,50,0,3,128,0,0,\n";
    assert_eq!(bindings(old.as_bytes()).len(), 1);
    assert!(all(b"").is_empty());
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let header =
        "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state";
    for (row, column, reason) in [
        (
            "192.0.2.300,,,1,1,1,0,0,,0",
            1,
            "address: \"192.0.2.300\" is not an IPv4 address",
        ),
        (
            "192.0.2.3,zz,,1,1,1,0,0,,0",
            11,
            "hwaddr: \"zz\" is not hexadecimal",
        ),
        (
            "192.0.2.3,,,1,1,1,0,0,,0",
            11,
            "hwaddr: \"\" names no client, which only a declined lease may",
        ),
        (
            "192.0.2.3,02:00,,1,1,1,0,0,,9",
            29,
            "state: \"9\" is not a state that Kea is known to have",
        ),
        (
            "192.0.2.3,02:00,,1",
            18,
            "4 values where the first line has 10 names",
        ),
        (
            "192.0.2.3,02:00,,-1,1,1,0,0,,0",
            18,
            "valid_lifetime: \"-1\" is not a lifetime in seconds",
        ),
    ] {
        let file = format!("{header}\n\n{row}\n192.0.2.4,02:00,,1,1,1,0,0,,0\n");
        let all = all(file.as_bytes());
        assert_eq!(all[0], (Spot { line: 3, column }, Err(reason.to_owned())));
        assert!(all[1].1.is_ok(), "the rows after it count");
    }
    let no_kea = all(b"address,hwaddr,whatever\n1,2,3\n");
    assert!(
        no_kea[0]
            .1
            .as_ref()
            .unwrap_err()
            .contains("no column \"client_id\"")
    );
    let prefix = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,\
                  fqdn_fwd,fqdn_rev,hostname\n2001:db8::1,00:03:00:01:02,100,1795238200,8,50,2,3,56,0,0,\n";
    assert!(
        all(prefix.as_bytes())[0]
            .1
            .as_ref()
            .unwrap_err()
            .contains("bits set after /56")
    );
}

#[test]
fn identifiers_that_kea_refuses_are_left_out() {
    let mut binding = bindings(KEA_V4).remove(0);
    for (version, octets, fits) in [
        (KeaVersion::V2_2, 128, true),
        (KeaVersion::V2_2, 129, false),
        (KeaVersion::V2_4, 255, true),
        (KeaVersion::V2_4, 1, false),
        (KeaVersion::V2_4, 0, true),
    ] {
        binding.client = ClientId::new(&vec![7; octets]).unwrap();
        let mut out = Vec::new();
        assert_eq!(
            write_row(&binding, NOW, version, &mut out).unwrap(),
            fits,
            "{octets}"
        );
        assert_eq!(out.is_empty(), !fits);
    }
}

fn lease() -> impl Strategy<Value = Lease> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Lease::V4(octets.into())),
        any::<[u8; 16]>().prop_map(|octets| Lease::Address(octets.into())),
        (any::<u128>(), 1u8..=128).prop_map(|(number, length)| {
            let mask = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            Lease::Prefix(Ipv6Addr::from_bits(number & !mask), length)
        }),
    ]
}

prop_compose! {
    fn live()(
        lease in lease(),
        client in proptest::collection::vec(1u8..=255, 3..=128),
        mac in any::<[u8; 6]>(),
        iaid in any::<u32>(),
        subnet in any::<u32>(),
        last in 0u64..1 << 33,
        valid in prop_oneof![1u32..u32::MAX, Just(u32::MAX)],
        preferred in any::<u32>(),
        agent in proptest::collection::vec(any::<u8>(), 0..40),
        name in proptest::collection::vec(1u8..=255, 0..40),
    ) -> Binding {
        let v6 = !matches!(lease.address(), IpAddr::V4(_));
        Binding {
            lease,
            state: State::Leased,
            subnet: SubnetId(subnet),
            client: ClientId::new(&client).unwrap(),
            hardware: HardwareAddress::ethernet(mac),
            iaid: Iaid(if v6 { iaid } else { 0 }),
            last_transaction: Timestamp(last),
            expires: Timestamp(last).after(valid),
            valid_seconds: valid,
            preferred_seconds: if v6 { preferred } else { 0 },
            context: {
                let mut context = Context::EMPTY;
                if !v6 && !agent.is_empty() {
                    context.insert(ItemKind::AGENT, &agent);
                }
                if !name.is_empty() {
                    context.insert(ItemKind::HOST_NAME, &name);
                }
                context
            },
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(binding in live()) {
        let v6 = binding.lease.kind() != LeaseKind::V4;
        for version in [KeaVersion::V2_2, KeaVersion::V2_4] {
            let text = written(std::slice::from_ref(&binding), version, v6);
            prop_assert_eq!(bindings(text.as_bytes()), vec![binding.clone()]);
        }
    }

    #[test]
    fn no_octets_are_a_panic(
        v6 in any::<bool>(),
        octets in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b','), Just(b'\n'), b'0'..=b':'], 0..400),
    ) {
        let mut file = Vec::new();
        write_header(v6, KeaVersion::V2_4, &mut file).unwrap();
        file.extend_from_slice(&octets);
        for octets in [&octets, &file] {
            for (_, item) in all(octets) {
                if let Err(reason) = item {
                    prop_assert!(reason.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
                }
            }
        }
    }
}

use super::*;
use crate::leases::source::{SourceFormat, read_from};
use dhcp_lease::{Binding, State, Timestamp};
use proptest::prelude::*;

fn all(octets: &[u8], format: SourceFormat) -> Vec<(Spot, Result<Item, String>)> {
    let mut all = Vec::new();
    read_from(octets, format, Timestamp(0), &mut |spot, item| {
        all.push((spot, item));
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let header = COLUMNS[..NEEDED].join(",");
    let good = "192.0.2.1,v4,leased,1,,02:00:00:00:00:01,1,0,60,0,10,70";
    for (bad, column, reason) in [
        (
            "192.0.2.1,v4,leased,one,,02:00,1,0,60,0,10,70",
            21,
            "subnet-id: \"one\" is not a number",
        ),
        (
            "192.0.2.1,v6,leased,1,,02:00,1,0,60,0,10,70",
            1,
            "kind: \"v6\" of 192.0.2.1, which is v4",
        ),
        (
            "192.0.2.1,v4,mine,1,,02:00,1,0,60,0,10,70",
            1,
            "state: \"mine\" is not one of leases",
        ),
        (
            "192.0.2.1,v4,leased,1,,,1,0,60,0,10,70",
            1,
            "client: nobody holds 192.0.2.1, and it is not declined",
        ),
    ] {
        let file = format!("{header}\n{bad}\n{good}\n");
        let all = all(file.as_bytes(), SourceFormat::Csv);
        assert_eq!(all[0], (Spot { line: 2, column }, Err(reason.to_owned())));
        assert!(all[1].1.is_ok());
    }
    let json = br#"[
{"address":"192.0.2.1"},
{"address":7},
{"address":"192.0.2.1","kind":"v4","state":"leased","client":"01:02","colour":"blue"},
{"#;
    let all = all(json, SourceFormat::Json);
    assert_eq!(all[0].0.line, 2);
    assert!(
        all[0]
            .1
            .as_ref()
            .unwrap_err()
            .starts_with("lease 1 of the array: kind")
    );
    assert!(
        all[1]
            .1
            .as_ref()
            .unwrap_err()
            .starts_with("lease 2 of the array: invalid type")
    );
    assert!(all[2].1.is_ok());
    assert_eq!(all[3].0.line, 5);
    assert!(all[3].1.is_err(), "{:?}", all[3]);
}

proptest! {
    #[test]
    fn no_octets_are_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut file = Vec::new();
        write_csv_header(&mut file).unwrap();
        file.extend_from_slice(&octets);
        all(&file, SourceFormat::Csv);
        all(&octets, SourceFormat::Csv);
        all(&octets, SourceFormat::Json);
        all(&[b"[{\"address\":\"", octets.as_slice(), b"\"}]"].concat(), SourceFormat::Json);
    }

    #[test]
    fn a_view_is_its_binding(view in crate::leases::tests::view()) {
        let binding: Binding = view.binding().unwrap();
        // A quarantine that is over says nothing of anybody, and is not written.
        let now = Timestamp(0);
        prop_assume!(binding.state != State::Declined || binding.expires > now);
        let shown = LeaseView::new(&binding, now);
        prop_assert_eq!(shown.binding().unwrap(), binding.clone());
        let mut csv = Vec::new();
        write_csv_header(&mut csv).unwrap();
        write_csv(&shown, &mut csv).unwrap();
        let json = serde_json::to_vec(&[&shown]).unwrap();
        for (octets, format) in [(csv, SourceFormat::Csv), (json, SourceFormat::Json)] {
            let expected = Ok(Item::Lease(Box::new(binding.clone())));
            prop_assert_eq!(&all(&octets, format)[0].1, &expected);
        }
    }
}

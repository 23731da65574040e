//! Leases for people and for programs: table, JSON, CSV, and the lease files of Kea.

use super::LeaseView;

/// How leases are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// An array of objects.
    Json,
    /// Comma-separated values with a line of names.
    Csv,
    /// The lease file of Kea's memfile backend; one protocol at a time.
    KeaCsv,
}

/// Kea's columns for DHCPv4 (`csv_lease_file4`).
const KEA_V4: &str = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,\
                      hostname,state,user_context,pool_id";
/// Kea's columns for DHCPv6 (`csv_lease_file6`).
const KEA_V6: &str = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,\
                      prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,\
                      hwaddr_source,pool_id";
const CSV: &str = "address,kind,state,subnet-id,client,hw-address,hw-type,iaid,valid-lifetime,\
                   preferred-lifetime,last-transaction,expires,hostname,giaddr,relay-source,\
                   circuit-id,remote-id,relay-path";

/// Leases as text, with a line break at the end. `v6` says which of Kea's two files is wanted.
pub fn render(leases: &[LeaseView], format: Format, v6: bool) -> String {
    let mut lines = match format {
        Format::Json => {
            return serde_json::to_string_pretty(leases).unwrap_or_default() + "\n";
        }
        Format::Table => return table(leases),
        Format::Csv => vec![CSV.to_owned()],
        Format::KeaCsv if v6 => vec![KEA_V6.to_owned()],
        Format::KeaCsv => vec![KEA_V4.to_owned()],
    };
    lines.extend(leases.iter().map(|lease| match format {
        Format::KeaCsv if v6 => kea_v6(lease),
        Format::KeaCsv => kea_v4(lease),
        Format::Csv | Format::Table | Format::Json => csv(lease),
    }));
    lines.join("\n") + "\n"
}

fn csv(lease: &LeaseView) -> String {
    let expires = lease.expires.map(|at| at.to_string()).unwrap_or_default();
    let context = &lease.context;
    let way = match context.relay_path.is_empty() {
        true => String::new(),
        false => cell(&context.way()),
    };
    // No value up to `expires` can hold a comma or a quote: they are numbers, words and hexadecimal.
    format!(
        "{},{},{},{},{},{},{},{},{},{},{},{expires},{},{},{},{},{},{way}",
        lease.address,
        lease.kind,
        lease.state,
        lease.subnet_id,
        lease.client,
        lease.hw_address,
        lease.hw_type,
        lease.iaid,
        lease.valid_lifetime,
        lease.preferred_lifetime,
        lease.last_transaction,
        cell(&context.hostname),
        context.giaddr,
        context.relay_source,
        cell(&context.circuit_id),
        cell(&context.remote_id),
    )
}

/// A value that may hold anything printable (RFC 4180 section 2). It is no formula to a spreadsheet: it
/// begins with a letter, a digit, a colon or an apostrophe, or has no sign that a formula needs.
fn cell(value: &str) -> String {
    match value.contains([',', '"']) {
        true => format!("\"{}\"", value.replace('"', "\"\"")),
        false => value.to_owned(),
    }
}

fn kea_v4(lease: &LeaseView) -> String {
    // Kea keeps no client for a declined address.
    let (hw_address, client) = match lease.state.as_str() {
        "declined" => ("", ""),
        _ => (lease.hw_address.as_str(), lease.client.as_str()),
    };
    format!(
        "{},{hw_address},{client},{},{},{},0,0,,{},,0",
        lease.address,
        lease.valid_lifetime,
        kea_expire(lease),
        lease.subnet_id,
        kea_state(lease),
    )
}

fn kea_v6(lease: &LeaseView) -> String {
    let (address, prefix_len) = lease
        .address
        .split_once('/')
        .unwrap_or((&lease.address, "128"));
    let lease_type = if lease.kind == "pd" { 2 } else { 0 };
    // Kea's empty DUID is three zeros.
    let duid = match lease.state.as_str() {
        "declined" => "00:00:00",
        _ => lease.client.as_str(),
    };
    let hw_type = match lease.hw_address.as_str() {
        "" => String::new(),
        _ => lease.hw_type.to_string(),
    };
    format!(
        "{address},{duid},{},{},{},{},{lease_type},{},{prefix_len},0,0,,{},{},,{hw_type},,0",
        lease.valid_lifetime,
        kea_expire(lease),
        lease.subnet_id,
        lease.preferred_lifetime,
        lease.iaid,
        lease.hw_address,
        kea_state(lease),
    )
}

/// Kea reckons the last transaction from this and the valid lifetime.
fn kea_expire(lease: &LeaseView) -> u64 {
    let computed = lease
        .last_transaction
        .saturating_add(u64::from(lease.valid_lifetime));
    lease.expires.unwrap_or(computed)
}

fn kea_state(lease: &LeaseView) -> u8 {
    match lease.state.as_str() {
        "declined" => 1,
        "expired" => 2,
        "released" => 3,
        _ => 0,
    }
}

fn table(leases: &[LeaseView]) -> String {
    let heading = [
        "ADDRESS", "STATE", "SUBNET", "CLIENT", "HARDWARE", "ENDS", "NAME", "RELAY",
    ]
    .map(str::to_owned);
    let row = |lease: &LeaseView| {
        let client = match (lease.client.as_str(), lease.iaid) {
            (client, 0) => client.to_owned(),
            (client, iaid) => format!("{client} iaid {iaid}"),
        };
        [
            lease.address.clone(),
            lease.state.clone(),
            lease.subnet_id.to_string(),
            client,
            lease.hw_address.clone(),
            lease.expires.map_or_else(|| "never".to_owned(), time),
            lease.context.hostname.clone(),
            lease.context.way(),
        ]
    };
    let rows: Vec<_> = std::iter::once(heading)
        .chain(leases.iter().map(row))
        .collect();
    columns(&rows)
}

/// Rows with their columns under each other.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Seconds since 1970 as `2026-11-21T02:30:00Z`.
fn time(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // The civil calendar repeats every 400 years, which begin here on the first of March of year 0 so
    // that the leap day comes last.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = year_of_era + era * 400 + next;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease() -> LeaseView {
        LeaseView {
            address: "192.0.2.10".into(),
            kind: "v4".into(),
            state: "leased".into(),
            subnet_id: 7,
            client: "01:02:00:00:00:00:01".into(),
            hw_address: "02:00:00:00:00:01".into(),
            hw_type: 1,
            valid_lifetime: 3600,
            last_transaction: 1_000,
            expires: Some(4_600),
            ..LeaseView::default()
        }
    }

    #[test]
    fn kea_reads_what_is_exported() {
        let lines = render(&[lease()], Format::KeaCsv, false);
        assert_eq!(
            lines.lines().nth(1).unwrap(),
            "192.0.2.10,02:00:00:00:00:01,01:02:00:00:00:00:01,3600,4600,7,0,0,,0,,0"
        );
        let prefix = LeaseView {
            address: "2001:db8:1::/56".into(),
            kind: "pd".into(),
            client: "00:03:00:01".into(),
            hw_address: String::new(),
            iaid: 5,
            preferred_lifetime: 1800,
            ..lease()
        };
        let lines = render(&[prefix], Format::KeaCsv, true);
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(
            lines[1],
            "2001:db8:1::,00:03:00:01,3600,4600,7,1800,2,5,56,0,0,,,0,,,,0"
        );
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
    }

    #[test]
    fn columns_stand_under_each_other_and_csv_has_a_cell_for_each_name() {
        let table = render(&[lease()], Format::Table, false);
        assert_eq!(
            table,
            "ADDRESS     STATE   SUBNET  CLIENT                HARDWARE           ENDS                  \
             NAME  RELAY\n\
             192.0.2.10  leased  7       01:02:00:00:00:00:01  02:00:00:00:00:01  1970-01-01T01:16:40Z\n"
        );
        let csv = render(&[lease()], Format::Csv, false);
        let counts: Vec<_> = csv.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(counts, [18, 18]);
    }

    #[test]
    fn what_strangers_say_stays_in_its_cell() {
        let mut lease = lease();
        lease.context.hostname = "printer".into();
        lease.context.giaddr = "192.0.2.1".into();
        lease.context.circuit_id = "'a,\"b\"'".into();
        let csv = render(&[lease.clone()], Format::Csv, false);
        let line = csv.lines().nth(1).unwrap();
        assert!(
            line.ends_with(",4600,printer,192.0.2.1,,\"'a,\"\"b\"\"'\",,"),
            "{line}"
        );
        let table = render(&[lease], Format::Table, false);
        assert!(
            table.ends_with("  printer  192.0.2.1 circuit 'a,\"b\"'\n"),
            "{table}"
        );
    }

    #[test]
    fn times_read_as_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_228_199, "2026-11-21T02:29:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(time(seconds), text);
        }
    }
}

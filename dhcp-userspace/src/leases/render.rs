//! Leases for people and for programs: table, JSON, CSV, and the lease files of Kea.

use super::{KeaVersion, LeaseView, kea, own};
use dhcp_lease::Timestamp;

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

/// Leases as text, with a line break at the end. `v6` says which of Kea's two files is wanted.
pub fn render(leases: &[LeaseView], format: Format, v6: bool, now: Timestamp) -> String {
    let mut text = Vec::new();
    // Writing into memory does not fail.
    let _ = match format {
        Format::Json => return serde_json::to_string_pretty(leases).unwrap_or_default() + "\n",
        Format::Table => return table(leases),
        Format::Csv => own::write_csv_header(&mut text).and_then(|()| {
            leases
                .iter()
                .try_for_each(|it| own::write_csv(it, &mut text))
        }),
        Format::KeaCsv => {
            let version = KeaVersion::default();
            let mut bindings = leases.iter().filter_map(|lease| lease.binding().ok());
            kea::write_header(v6, version, &mut text).and_then(|()| {
                bindings.try_for_each(|binding| {
                    kea::write_row(&binding, now, version, &mut text).map(drop)
                })
            })
        }
    };
    String::from_utf8_lossy(&text).into_owned()
}

/// The columns of a table.
pub(super) const HEADING: [&str; 8] = [
    "ADDRESS", "STATE", "SUBNET", "CLIENT", "HARDWARE", "ENDS", "NAME", "RELAY",
];

/// A lease as a row of a table.
pub(super) fn table_row(lease: &LeaseView) -> [String; 8] {
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
}

fn table(leases: &[LeaseView]) -> String {
    let heading = HEADING.map(str::to_owned);
    let rows: Vec<_> = std::iter::once(heading)
        .chain(leases.iter().map(table_row))
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
pub(crate) fn time(seconds: u64) -> String {
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
        let now = Timestamp(2_000);
        let lines = render(&[lease()], Format::KeaCsv, false, now);
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
        let lines = render(&[prefix], Format::KeaCsv, true, now);
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(
            lines[1],
            "2001:db8:1::,00:03:00:01,3600,4600,7,1800,2,5,56,0,0,,,0,,,,0"
        );
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
    }

    #[test]
    fn columns_stand_under_each_other_and_csv_has_a_cell_for_each_name() {
        let table = render(&[lease()], Format::Table, false, Timestamp(0));
        assert_eq!(
            table,
            "ADDRESS     STATE   SUBNET  CLIENT                HARDWARE           ENDS                  \
             NAME  RELAY\n\
             192.0.2.10  leased  7       01:02:00:00:00:00:01  02:00:00:00:00:01  1970-01-01T01:16:40Z\n"
        );
        let csv = render(&[lease()], Format::Csv, false, Timestamp(0));
        let counts: Vec<_> = csv.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(counts, [19, 19]);
    }

    #[test]
    fn what_strangers_say_stays_in_its_cell() {
        let mut lease = lease();
        lease.context.hostname = "printer".into();
        lease.context.giaddr = "192.0.2.1".into();
        lease.context.circuit_id = "'a,\"b\"'".into();
        let csv = render(&[lease.clone()], Format::Csv, false, Timestamp(0));
        let line = csv.lines().nth(1).unwrap();
        assert!(
            line.ends_with(",4600,printer,192.0.2.1,,\"'a,\"\"b\"\"'\",,,"),
            "{line}"
        );
        let table = render(&[lease], Format::Table, false, Timestamp(0));
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

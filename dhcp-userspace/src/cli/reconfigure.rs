//! `xdhcpd ctl reconfigure`: have clients come for their leases, and watch them come.

use super::meter::Meter;
use super::{Failure, print, print_json};
use crate::control::{Abort, CampaignStatus, Client, DeafClient, DeafClients, Reconfigure};
use crate::leases;
use clap::{ArgGroup, Args, Subcommand};
use std::net::Ipv4Addr;
use std::time::Duration;

/// How often it is looked how far a campaign is.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whom").required(true).multiple(false)))]
pub(super) struct ReconfigureArgs {
    #[command(subcommand)]
    command: Option<ReconfigureCommand>,
    /// The holder of this address.
    #[arg(group = "whom")]
    address: Option<Ipv4Addr>,
    /// Whoever has this hardware address.
    #[arg(long, value_name = "HEX", group = "whom")]
    hw_address: Option<String>,
    /// Whoever has this client identifier.
    #[arg(long, value_name = "HEX", group = "whom")]
    client_id: Option<String>,
    /// Whoever has a lease in this prefix.
    #[arg(long, value_name = "PREFIX", group = "whom")]
    subnet: Option<String>,
    /// Whoever has a lease from the subnet with this number.
    #[arg(long, value_name = "ID", group = "whom")]
    subnet_id: Option<u32>,
    /// Whoever is behind the relay agent with this address.
    #[arg(long, value_name = "GIADDR", group = "whom")]
    relay: Option<Ipv4Addr>,
    /// Whoever is in the client class with this name, as far as leases tell that.
    #[arg(long, value_name = "NAME", group = "whom")]
    class: Option<String>,
    /// Everybody.
    #[arg(long, group = "whom")]
    all: bool,
    /// Messages per second, retries included [default: 100].
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// How long a client has to react to its first message; twice as long to each further one [default: 2].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3600))]
    timeout: Option<u32>,
    /// How many messages a client gets before it counts as deaf [default: 8].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=16))]
    tries: Option<u16>,
    /// Show how far it is until it has ended.
    #[arg(long)]
    follow: bool,
}

#[derive(Debug, Subcommand)]
enum ReconfigureCommand {
    /// How far the campaign is that is running, or was the last to run.
    #[command(after_help = "Example:\n  xdhcpd ctl reconfigure status --follow")]
    Status {
        /// Show it until it has ended.
        #[arg(long)]
        follow: bool,
    },
    /// End the campaign that is running. Clients that were told may still come.
    #[command(after_help = "Example:\n  xdhcpd ctl reconfigure abort")]
    Abort {
        /// Only if it is this one.
        #[arg(long, value_name = "NUMBER")]
        campaign: Option<u64>,
    },
    /// List the clients that did not react to any of their messages.
    #[command(after_help = "Example:\n  xdhcpd ctl reconfigure deaf --json")]
    Deaf,
}

impl ReconfigureArgs {
    fn request(&self) -> Reconfigure {
        Reconfigure {
            address: self.address.map(|address| address.to_string()),
            hw_address: self.hw_address.clone(),
            client_id: self.client_id.clone(),
            subnet: self.subnet.clone(),
            subnet_id: self.subnet_id,
            relay: self.relay,
            class: self.class.clone(),
            all: self.all,
            rate: self.rate,
            timeout_seconds: self.timeout,
            tries: self.tries,
        }
    }
}

pub(super) fn run(client: &Client, args: &ReconfigureArgs, is_json: bool) -> Result<(), Failure> {
    let (status, is_followed) = match &args.command {
        None => {
            let status: CampaignStatus = client.post("/v1/reconfigure", &args.request())?;
            (status, args.follow)
        }
        Some(ReconfigureCommand::Status { follow }) => (client.get("/v1/reconfigure")?, *follow),
        Some(ReconfigureCommand::Abort { campaign }) => {
            let abort = Abort {
                campaign: *campaign,
            };
            (client.post("/v1/reconfigure/abort", &abort)?, false)
        }
        Some(ReconfigureCommand::Deaf) => return deaf(client, is_json),
    };
    let status = match is_followed {
        true => follow(client, status, is_json)?,
        false => status,
    };
    if is_json {
        return print_json(&status);
    }
    print(&text(&status))
}

/// Shows how far it is, until it has ended.
fn follow(
    client: &Client,
    mut status: CampaignStatus,
    is_quiet: bool,
) -> Result<CampaignStatus, Failure> {
    let mut meter = Meter::new("clients", is_quiet);
    let number = status.campaign;
    while status.state == "running" && status.campaign == number {
        meter.at(u64::from(status.ended()), u64::from(status.targets));
        std::thread::sleep(LOOK_INTERVAL);
        status = client.get("/v1/reconfigure")?;
    }
    Ok(status)
}

fn text(status: &CampaignStatus) -> String {
    if status.campaign == 0 {
        return "no campaign since the start of the server\n".to_owned();
    }
    let mut text = format!(
        "campaign        {}: {}, {} after {} s\n\
         clients         {} to come, {} came, {} waiting, {} gone, {} deaf\n\
         messages        {} sent, {} a second; {} s to react, doubling, {} tries\n",
        status.campaign,
        status.whom,
        status.state,
        status.seconds,
        status.targets,
        status.renewed,
        status.waiting,
        status.gone,
        status.deaf,
        status.sent,
        status.rate,
        status.timeout_seconds,
        status.tries,
    );
    if status.unable > 0 {
        text.push_str(&format!(
            "without a nonce {}: they did not say that they can be told, and come when they would anyway\n",
            status.unable
        ));
    }
    if let Some(pause) = &status.pause {
        text.push_str(&format!("pauses          {pause}\n"));
    }
    if let Some(failure) = &status.failure {
        text.push_str(&format!(
            "not sent        {} messages; the system says: {failure}\n",
            status.failures
        ));
    }
    if status.deaf > 0 {
        text.push_str("deaf clients    `xdhcpd ctl reconfigure deaf` lists them\n");
    }
    text
}

fn deaf(client: &Client, is_json: bool) -> Result<(), Failure> {
    let mut all: Vec<DeafClient> = Vec::new();
    loop {
        let target = format!("/v1/reconfigure/deaf?first={}", all.len());
        let part: DeafClients = client.get(&target)?;
        all.extend(part.deaf);
        if !part.more {
            break;
        }
    }
    if is_json {
        return print_json(&all);
    }
    let heading = ["ADDRESS", "HARDWARE ADDRESS", "CLIENT"].map(str::to_owned);
    let row = |deaf: &DeafClient| {
        [
            deaf.address.clone(),
            deaf.hw_address.clone(),
            deaf.client.clone(),
        ]
    };
    let rows: Vec<_> = std::iter::once(heading)
        .chain(all.iter().map(row))
        .collect();
    print(&leases::columns(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_campaign_is_all_that_there_is_to_say() {
        let status = CampaignStatus {
            campaign: 3,
            whom: "subnet 7".to_owned(),
            state: "running".to_owned(),
            pause: Some("it begins with the next second".to_owned()),
            targets: 10,
            renewed: 4,
            deaf: 2,
            unable: 5,
            failures: 1,
            failure: Some("no route".to_owned()),
            ..CampaignStatus::default()
        };
        let text = text(&status);
        for part in [
            "3: subnet 7, running",
            "10 to come, 4 came",
            "2 deaf",
            "without a nonce 5",
            "pauses          it begins",
            "no route",
            "deaf` lists them",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let none = super::text(&CampaignStatus::default());
        assert!(none.starts_with("no campaign"));
    }
}

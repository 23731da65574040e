//! Option codes that the server itself reads or writes (IANA "BOOTP Vendor Extensions and DHCP
//! Options"); all others are numbers in the configuration.

/// Fills space.
pub const PAD: u8 = 0;
/// Subnet mask (RFC 2132 section 3.3).
pub const SUBNET_MASK: u8 = 1;
/// Routers (RFC 2132 section 3.5).
pub const ROUTERS: u8 = 3;
/// Domain name servers (RFC 2132 section 3.8).
pub const DOMAIN_NAME_SERVERS: u8 = 6;
/// Domain name (RFC 2132 section 3.17).
pub const DOMAIN_NAME: u8 = 15;
/// Host name (RFC 2132 section 3.14).
pub const HOST_NAME: u8 = 12;
/// Requested IP address (RFC 2132 section 9.1).
pub const REQUESTED_ADDRESS: u8 = 50;
/// IP address lease time (RFC 2132 section 9.2).
pub const LEASE_TIME: u8 = 51;
/// Option overload (RFC 2132 section 9.3).
pub const OVERLOAD: u8 = 52;
/// DHCP message type (RFC 2132 section 9.6).
pub const MESSAGE_TYPE: u8 = 53;
/// Server identifier (RFC 2132 section 9.7).
pub const SERVER_IDENTIFIER: u8 = 54;
/// Parameter request list (RFC 2132 section 9.8).
pub const PARAMETER_REQUEST_LIST: u8 = 55;
/// Message (RFC 2132 section 9.9).
pub const MESSAGE: u8 = 56;
/// Maximum DHCP message size (RFC 2132 section 9.10).
pub const MAXIMUM_MESSAGE_SIZE: u8 = 57;
/// Renewal time, T1 (RFC 2132 section 9.11).
pub const RENEWAL_TIME: u8 = 58;
/// Rebinding time, T2 (RFC 2132 section 9.12).
pub const REBINDING_TIME: u8 = 59;
/// Vendor class identifier (RFC 2132 section 9.13).
pub const VENDOR_CLASS_IDENTIFIER: u8 = 60;
/// Client identifier (RFC 2132 section 9.14).
pub const CLIENT_IDENTIFIER: u8 = 61;
/// The client's full name (RFC 4702 section 2).
pub const CLIENT_FQDN: u8 = 81;
/// Rapid Commit (RFC 4039 section 4).
pub const RAPID_COMMIT: u8 = 80;
/// Relay agent information (RFC 3046).
pub const RELAY_AGENT: u8 = 82;
/// Seconds since the client was last heard (RFC 4388 section 6.1).
pub const CLIENT_LAST_TRANSACTION_TIME: u8 = 91;
/// All addresses of a client (RFC 4388 section 6.1).
pub const ASSOCIATED_IP: u8 = 92;
/// Status code and message (RFC 6926 section 6.2.2).
pub const STATUS_CODE: u8 = 151;
/// When the message was made (RFC 6926 section 6.2.3).
pub const BASE_TIME: u8 = 152;
/// For how long the state has held (RFC 6926 section 6.2.4).
pub const START_TIME_OF_STATE: u8 = 153;
/// From when on a change counts (RFC 6926 section 6.2.5).
pub const QUERY_START_TIME: u8 = 154;
/// Until when a change counts (RFC 6926 section 6.2.6).
pub const QUERY_END_TIME: u8 = 155;
/// The state of an address (RFC 6926 section 6.2.7).
pub const DHCP_STATE: u8 = 156;
/// Where the news comes from (RFC 6926 section 6.2.8).
pub const DATA_SOURCE: u8 = 157;
/// Authentication (RFC 3118 section 2).
pub const AUTHENTICATION: u8 = 90;
/// By which algorithms the client can tell that a FORCERENEW is its server's (RFC 6704 section 3.1.1).
pub const FORCERENEW_NONCE_CAPABLE: u8 = 145;
/// Subnet selection (RFC 3011).
pub const SUBNET_SELECTION: u8 = 118;
/// Virtual subnet selection: the client's VPN (RFC 6607 section 3.1).
pub const VPN: u8 = 221;
/// Vendor-identifying vendor class (RFC 3925 section 3).
pub const VENDOR_CLASS: u8 = 124;
/// Vendor-identifying vendor-specific information (RFC 3925 section 4).
pub const VENDOR_OPTIONS: u8 = 125;
/// Ends the options of a region.
pub const END: u8 = 255;

/// Sub-option of [`RELAY_AGENT`]: link selection (RFC 3527).
pub const AGENT_LINK_SELECTION: u8 = 5;
/// Sub-option of [`RELAY_AGENT`]: circuit identifier (RFC 3046 section 3.1).
pub const AGENT_CIRCUIT_ID: u8 = 1;
/// Sub-option of [`RELAY_AGENT`]: remote identifier (RFC 3046 section 3.2).
pub const AGENT_REMOTE_ID: u8 = 2;
/// Sub-option of [`RELAY_AGENT`]: subscriber identifier (RFC 3993).
pub const AGENT_SUBSCRIBER_ID: u8 = 6;
/// Sub-option of [`RELAY_AGENT`]: authentication of one message (RFC 4030).
pub const AGENT_AUTHENTICATION: u8 = 8;
/// Sub-option of [`RELAY_AGENT`]: flags of one message (RFC 5010).
pub const AGENT_FLAGS: u8 = 10;
/// Sub-option of [`RELAY_AGENT`]: server identifier override (RFC 5107).
pub const AGENT_SERVER_OVERRIDE: u8 = 11;
/// Sub-option of [`RELAY_AGENT`]: relay agent identifier (RFC 6925).
pub const AGENT_RELAY_ID: u8 = 12;
/// Sub-option of [`RELAY_AGENT`]: the relay agent listens at the port that it sent from (RFC 8357).
pub const AGENT_SOURCE_PORT: u8 = 19;
/// Sub-option of [`RELAY_AGENT`]: the client's VPN (RFC 6607 section 3.2).
pub const AGENT_VPN: u8 = 151;
/// Sub-option of [`RELAY_AGENT`]: goes back only if [`AGENT_VPN`] was not understood (RFC 6607 section 3.3).
pub const AGENT_VPN_CONTROL: u8 = 152;

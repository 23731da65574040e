//! Does every cut recover? Power cuts on a real file system, a real process killed, a disk that fails.
//!
//! A server without a network ([`server`]) serves clients by chance ([`clients`], [`drive`]), who keep a
//! ledger of what they were promised; and whatever happens to the store, it is judged by that ([`ledger`]).
//!
//! Power cuts ([`power`]): a disk of ours ([`fuse`], [`image`], [`rig`]) writes down what it is told
//! ([`record`]); from that come the images of all moments ([`cuts`]), and each is mounted and opened.
//!
//! System calls ([`calls`]): a process is killed, or told of an error, at each that changes a file
//! ([`trace`]).
//!
//! Damage: every bit of a table flipped ([`flips`]), and bits, pages and lengths of all files ([`damage`]).

pub mod calls;
pub mod clients;
pub mod cuts;
pub mod damage;
pub mod drive;
pub mod flips;
pub mod fuse;
pub mod image;
pub mod ledger;
pub mod power;
pub mod random;
pub mod record;
pub mod rig;
pub mod server;
pub mod trace;

//! The thin IO that Rollcall's processes share. Nothing here knows of services or sessions.

mod backoff;
mod datagrams;
mod descriptors;
mod folder;
mod guard;
mod heads;
mod listener;
mod logs;
mod network;
mod patient;
mod places;
pub mod probe;
mod proof;
mod provider;
mod shutdown;
mod surroundings;
mod tls;

pub use backoff::{Backoff, Jitter};
pub use datagrams::bind_datagrams_if_present;
pub use descriptors::raise_descriptors;
pub use folder::{Folder, Found, Reads};
pub use guard::{Forbidden, check_local, loopback};
pub use listener::{Callers, Http1, bind, bind_any, bind_if_present};
pub use logs::{FILTER_BYTES_MAX, FilterError, LogFilter, LogsError, init_logs, init_logs_for_people};
pub use network::{Accept, Accepted, Kernel, Network, Stream};
pub use places::{Place, Places};
pub use proof::Proof;
pub use shutdown::{Shutdown, Trigger, shutdown};
pub use surroundings::{pretend_chance, pretend_time_of_day, time_of_day};
pub use tls::{
    ShownCertificate, TLS_NAME, TlsError, client_config, server_config, server_config_showing, server_name,
    webhook_server_config_showing,
};

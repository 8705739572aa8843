//! The zone as CoreDNS reads it: the names that the sidecar answers of.

use std::fmt::Write as _;

use rollcall_catalogue::limits::WEIGHT_DEFAULT;

use crate::{
    local::NAMESPACE,
    peers::{Data, PORT},
};

/// An address of each instance under its service, a name for it, and a port at that name. There is no NS, which CoreDNS would
/// add to each reply, and the sidecar does not.
pub(super) fn text(data: Data) -> anyhow::Result<String> {
    let mut zone = "$ORIGIN rollcall.\n@ 1 IN SOA localhost. nobody.localhost. 1 60 60 60 1\n".to_owned();
    for service in 0..data.services {
        let name = Data::service(service);
        for address in data.addresses(service) {
            let host = format!("ip-{}.{name}.{NAMESPACE}", address.replace('.', "-"));
            writeln!(zone, "{name}.{NAMESPACE} 1 IN A {address}\n{host} 1 IN A {address}")?;
            writeln!(zone, "_http._tcp.{name}.{NAMESPACE} 1 IN SRV 0 {WEIGHT_DEFAULT} {PORT} {host}")?;
        }
    }
    Ok(zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_has_its_three_records() {
        let zone = text(Data { services: 2, instances: 2 }).unwrap();
        let of_one = "order-service-1.shop 1 IN A 10.0.0.3\n\
            ip-10-0-0-3.order-service-1.shop 1 IN A 10.0.0.3\n\
            _http._tcp.order-service-1.shop 1 IN SRV 0 100 8080 ip-10-0-0-3.order-service-1.shop\n";
        assert!(zone.ends_with(of_one), "{zone}");
        assert_eq!(zone.lines().count(), 2 + 2 * 2 * 3);
    }
}

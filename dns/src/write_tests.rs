use super::*;
use crate::{
    Choice,
    testing::{many, packet, records, reply},
};

#[test]
fn smoke() {
    let records = records(&many(3), Choice::default());
    for kind in [Kind::A, Kind::AAAA, Kind::SRV, Kind::ANY] {
        let bytes = reply(&packet("Orders.Rollcall", kind), Answer::Records(&records), Carrier::Udp);
        println!("{}", bytes.escape_ascii());
    }
    let bytes = reply(&packet("Orders.Rollcall", Kind::A), Answer::NoSuchName, Carrier::Udp);
    println!("{}", bytes.escape_ascii());
}

//! What nslookup says, as a loop in a pod prints it: on one line.

use std::net::IpAddr;

/// The addresses of a name, in order; none where nobody answered. The nameserver's own has its port behind it, and so is none.
pub(crate) fn read(line: &str) -> Option<Vec<IpAddr>> {
    if !line.contains("Server:") || line.contains("timed out") {
        return None;
    }
    let words: Vec<_> = line.split_whitespace().collect();
    let pairs = words.windows(2).filter_map(|pair| match pair {
        ["Address:", address] => address.parse().ok(),
        _ => None,
    });
    let mut addresses: Vec<_> = pairs.collect();
    addresses.sort_unstable();
    Some(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_read_and_the_nameserver_is_none_of_them() {
        let said = "Server: 10.97.0.10 Address: 10.97.0.10:53 Name: a.b Address: 10.1.2.4 Name: a.b Address: 10.1.2.3";
        assert_eq!(read(said).unwrap(), ["10.1.2.3".parse::<IpAddr>().unwrap(), "10.1.2.4".parse().unwrap()]);
        assert_eq!(
            read("Server: 127.0.0.1 Address: 127.0.0.1:53 ** server can't find x: NXDOMAIN"),
            Some(vec![])
        );
        assert_eq!(read(";; connection timed out; no servers could be reached"), None);
        assert_eq!(read(""), None);
    }
}

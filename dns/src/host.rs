//! Instances by their addresses: their names, and what stands behind those.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::record::{A_BYTES, AAAA_BYTES};

/// What the name of an instance begins with. Else it could be a service's, or a version.
const PREFIX: &str = "ip-";

/// Bytes of the longest label: eight groups of an IPv6 address, and what stands before and between them.
const LABEL_BYTES_MAX: usize = PREFIX.len() + 8 * 4 + 7;

/// Holds the label that names an instance: `ip-10-1-2-3`, or the eight groups of an IPv6 address. It is written for each
/// answer, since its text takes more memory than the address, and asks for none while it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostLabel {
    bytes: [u8; LABEL_BYTES_MAX],
    length: usize,
}

/// Holds what can be called at one address: all addresses of the instances whose primary one it is.
#[derive(Debug)]
pub struct Host {
    primary: IpAddr,
    others: Box<[IpAddr]>,
}

/// Holds the hosts of a service, each once, to be found by any of their addresses.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// By their primary addresses.
    all: Box<[Host]>,
    /// Every other address, and whose it is; of several that have it, the first.
    by_other: Box<[(IpAddr, u32)]>,
}

/// The address that a label names; none where we would write it otherwise, since each has one name only.
pub(crate) fn unlabelled(label: &str) -> Option<IpAddr> {
    let mut parts = label.strip_prefix(PREFIX)?.split('-');
    let groups = parts.clone().count();
    let address = match groups {
        4 => Ipv4Addr::from(all::<u8, 4>(|| number(parts.next()?, 10))?).into(),
        8 => Ipv6Addr::from(all::<u16, 8>(|| number(parts.next()?, 16))?).into(),
        _ => return None,
    };
    Some(address)
}

/// The address of a reverse name (RFC 1035, RFC 3596): of a whole one.
pub(crate) fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(name) = name.strip_suffix(".in-addr.arpa") {
        let mut parts = name.rsplit('.');
        let octets = all(|| number(parts.next()?, 10))?;
        return parts.next().is_none().then_some(Ipv4Addr::from(octets).into());
    }
    let mut parts = name.strip_suffix(".ip6.arpa")?.rsplit('.');
    let mut nibble = || parts.next().filter(|part| part.len() == 1).and_then(|part| number::<u8>(part, 16));
    let octets: [u8; 16] = all(|| Some(nibble()? << 4 | nibble()?))?;
    parts.next().is_none().then_some(Ipv6Addr::from(octets).into())
}

/// As many as the array takes; none where one of them is none.
fn all<T: Copy + Default, const N: usize>(mut next: impl FnMut() -> Option<T>) -> Option<[T; N]> {
    let mut array = [T::default(); N];
    for place in &mut array {
        *place = next()?;
    }
    Some(array)
}

/// A number without a sign, and without zeros in front.
fn number<T: TryFrom<u32>>(text: &str, radix: u32) -> Option<T> {
    let written =
        text.chars().all(|digit| digit.is_digit(radix)) && (text.len() == 1 || !text.starts_with('0'));
    // No more than four digits of any radix are in range, so that nothing overflows.
    if !written || text.len() > 4 {
        return None;
    }
    u32::from_str_radix(text, radix).ok()?.try_into().ok()
}

// === impl HostLabel ===

impl HostLabel {
    pub(crate) fn of(address: IpAddr) -> Self {
        let mut label = Self { bytes: [0; LABEL_BYTES_MAX], length: 0 };
        PREFIX.bytes().for_each(|byte| label.put(byte));
        match address {
            IpAddr::V4(address) => label.put_parts(address.octets().map(u32::from), 10),
            IpAddr::V6(address) => label.put_parts(address.segments().map(u32::from), 16),
        }
        label
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn put_parts<const N: usize>(&mut self, parts: [u32; N], radix: u32) {
        for (place, part) in parts.into_iter().enumerate() {
            if place > 0 {
                self.put(b'-');
            }
            self.put_number(part, radix);
        }
    }

    fn put_number(&mut self, number: u32, radix: u32) {
        if number >= radix {
            self.put_number(number / radix, radix);
        }
        let digit = char::from_digit(number % radix, radix).and_then(|digit| u8::try_from(digit).ok());
        self.put(digit.unwrap_or_default());
    }

    fn put(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }
}

// === impl Host ===

impl Host {
    pub(crate) fn primary(&self) -> IpAddr {
        self.primary
    }

    /// All its addresses, the primary one first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        std::iter::once(self.primary).chain(self.others.iter().copied())
    }

    /// Bytes of all records that say so.
    pub(crate) fn record_bytes(&self) -> usize {
        self.addresses().map(|address| if address.is_ipv4() { A_BYTES } else { AAAA_BYTES }).sum()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.others)
    }
}

// === impl Hosts ===

impl Hosts {
    /// Of instances with these addresses, the primary one of each first, in the order of those.
    pub(crate) fn of<A: Iterator<Item = IpAddr>>(instances: impl Iterator<Item = A>) -> Self {
        let mut hosts: Vec<(IpAddr, Vec<IpAddr>)> = Vec::new();
        for mut addresses in instances {
            let Some(primary) = addresses.next() else { continue };
            match hosts.last_mut() {
                Some((last, others)) if *last == primary => {
                    for other in addresses {
                        if !others.contains(&other) {
                            others.push(other);
                        }
                    }
                }
                _ => hosts.push((primary, addresses.collect())),
            }
        }
        // No service has more instances than a place can name.
        let others =
            (0u32..).zip(&hosts).flat_map(|(place, (_, others))| others.iter().map(move |one| (*one, place)));
        let mut by_other: Vec<_> = others.collect();
        by_other.sort_unstable();
        by_other.dedup_by_key(|(address, _)| *address);
        let all = hosts.into_iter().map(|(primary, others)| Host { primary, others: others.into() });
        Self { all: all.collect(), by_other: by_other.into() }
    }

    pub(crate) fn find(&self, address: IpAddr) -> Option<&Host> {
        let place = self.place(address).or_else(|| {
            let found = self.by_other.binary_search_by_key(&address, |(other, _)| *other).ok()?;
            self.by_other.get(found).map(|(_, place)| *place)
        });
        self.get(place?)
    }

    /// Where the host of this primary address stands.
    pub(crate) fn place(&self, primary: IpAddr) -> Option<u32> {
        let place = self.all.binary_search_by_key(&primary, |host| host.primary).ok()?;
        u32::try_from(place).ok()
    }

    pub(crate) fn get(&self, place: u32) -> Option<&Host> {
        self.all.get(usize::try_from(place).ok()?)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.all.iter().map(Host::bytes).sum::<usize>() + size_of_val(&*self.by_other)
    }
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;

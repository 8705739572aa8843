//! What can be read off the delays of a record.

/// The delay in microseconds that this share of all (0.99) did not exceed; `delays_us` as in a record, in the order of the
/// delays. None where nothing was measured.
pub fn delay_us(delays_us: &[(u64, u64)], share: f64) -> Option<u64> {
    let all: u64 = delays_us.iter().map(|(_, times)| times).sum();
    // The last one of so many, counted from the shortest; the first one at least.
    let wanted = (all as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
    let mut seen = 0;
    delays_us
        .iter()
        .find(|(_, times)| {
            seen += times;
            seen >= wanted
        })
        .map(|(delay, _)| *delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_off_as_the_delay_that_it_did_not_exceed() {
        let delays = [(10, 50), (20, 49), (30, 0), (70, 1)];
        for (share, expected) in
            [(0.0, 10), (0.5, 10), (0.501, 20), (0.99, 20), (0.991, 70), (1.0, 70), (7.0, 70)]
        {
            assert_eq!(delay_us(&delays, share), Some(expected), "{share}");
        }
        assert_eq!(delay_us(&[], 0.5), None);
        assert_eq!(delay_us(&[(10, 0)], 0.5), None);
    }
}

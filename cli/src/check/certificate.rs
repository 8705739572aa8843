//! Certificates, as far as a check goes by them: which they are, and until when.

use x509_parser::{parse_x509_certificate, pem::Pem};

use super::facts::Certificate;

/// The certificates of a PEM bundle; what is none is passed over, as is what comes after a broken one.
pub(super) fn certificates(pem: &[u8]) -> Vec<Certificate> {
    let whole = Pem::iter_from_buffer(pem).map_while(Result::ok).filter(|block| block.label == "CERTIFICATE");
    whole
        .filter_map(|block| {
            let not_after_s =
                parse_x509_certificate(&block.contents).ok()?.1.validity().not_after.timestamp();
            Some(Certificate { der: block.contents, not_after_s })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An authority that ends with this year.
    fn pem(year: i32) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut wanted = rcgen::CertificateParams::default();
        wanted.not_after = rcgen::date_time_ymd(year, 12, 31);
        wanted.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn the_end_of_each_certificate_is_read() {
        let pem = pem(2030);
        let both = format!("some words before\n{pem}{}", self::pem(2031));
        let ends: Vec<_> = certificates(both.as_bytes()).iter().map(|one| one.not_after_s).collect();
        assert_eq!(ends, [1_924_905_600, 1_956_441_600]);
        for none in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(certificates(none.as_bytes()), []);
        }
        let key = pem.replace("CERTIFICATE", "PRIVATE KEY");
        assert_eq!(certificates(key.as_bytes()), [], "a key is no certificate");
    }
}

use std::time::Duration;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256,
};
use rollcall_net::{client_config, server_config};

use super::{
    super::{
        leaf,
        pair::{BACKDATE, dated},
        secret::{read, read_source, written},
    },
    *,
};

const PLACE: &str = "rollcall-system/rollcall-ca";

fn entry<'a>(secret: &'a Secret, name: &str) -> Option<&'a str> {
    Some(std::str::from_utf8(&secret.data.as_ref()?.get(name)?.0).unwrap())
}

fn set(secret: &mut Secret, name: &str, text: &str) {
    secret.data.as_mut().unwrap().insert(name.to_owned(), ByteString(text.as_bytes().to_vec()));
}

#[test]
fn a_state_survives_its_secret_and_what_others_put_there_stays() {
    let now = begin();
    let [old, new] = [(); 2].map(|()| authority(SHORT.authority, now));
    let state = announced(&new, &old, now, SHORT.overlap);
    let mut first = written(&State::steady(old.clone()), "rollcall-ca", None);
    first.metadata.labels = Some([("team".to_owned(), "platform".to_owned())].into());
    set(&mut first, "note", "ours");
    let secret = written(&state, "rollcall-ca", Some(first));
    assert_eq!(secret.metadata.labels.as_ref().unwrap()["team"], "platform");
    assert_eq!(entry(&secret, "note"), Some("ours"));
    assert_eq!(entry(&secret, "tls.crt"), Some(new.certificate_pem.as_str()));
    assert_eq!(entry(&secret, "ca.crt").unwrap().matches("BEGIN CERTIFICATE").count(), 2);
    let reading = read(&secret, PLACE, now, SHORT);
    assert_eq!(reading.state.as_ref(), Some(&state));
    assert!(reading.is_settled && reading.damage.is_none());

    let secret = written(&State::steady(new), "rollcall-ca", Some(secret));
    assert!(entry(&secret, "previous.crt").is_none() && entry(&secret, "previous.key").is_none());
    assert!(secret.metadata.annotations.as_ref().unwrap().is_empty());
    assert_eq!(read(&secret, PLACE, now, SHORT).state.unwrap().outgoing, None);
}

#[test]
fn it_signs_for_our_name_and_whoever_believes_it_believes_the_leaf() {
    let made = Authority::generate("rollcall-ca").unwrap();
    let leaf = made.leaf("rollcall-ca").unwrap();
    assert!(server_config(leaf.certificate_pem.as_bytes(), leaf.key_pem.as_bytes()).is_ok());
    assert!(client_config(made.certificate_pem.as_bytes()).is_ok());
    assert!(!format!("{made:?}").contains("PRIVATE"), "a key is in no log");
}

#[test]
fn a_secret_that_is_broken_is_named_with_the_remedy() {
    let now = begin();
    let [old, new, other] = [(); 3].map(|()| authority(SHORT.authority, now));
    let state = announced(&new, &old, now, SHORT.overlap);
    let whole = written(&state, "rollcall-ca", None);
    let with = |name: &str, text: &str| {
        let mut secret = whole.clone();
        set(&mut secret, name, text);
        secret
    };
    let kind = |algorithm| {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = dated(SHORT.authority, now, Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let mut secret = with("tls.crt", &params.self_signed(&key).unwrap().pem());
        set(&mut secret, "tls.key", &key.serialize_pem());
        secret
    };
    let leaf = old.leaf("test").unwrap();
    let mut no_authority = with("tls.crt", &leaf.certificate_pem);
    set(&mut no_authority, "tls.key", &leaf.key_pem);
    let mut empty = whole.clone();
    empty.data.as_mut().unwrap().remove("tls.key");
    for (secret, says) in [
        (empty, "has no tls.key"),
        (Secret::default(), "has no tls.crt"),
        (with("tls.crt", "garbage"), "tls.crt is no certificate"),
        (with("tls.key", "garbage"), "cannot be made or read"),
        (with("tls.key", &other.key_pem), "do not belong together"),
        (no_authority, "of no authority"),
        (kind(&rcgen::PKCS_ECDSA_P384_SHA384), "P-256"),
        (kind(&rcgen::PKCS_ED25519), "P-256"),
    ] {
        let reading = read(&secret, PLACE, now, SHORT);
        assert!(reading.state.is_none() && !reading.is_settled, "{says}");
        let text = reading.damage.unwrap().to_string();
        assert!(text.contains(says) && text.contains(PLACE) && text.contains("; give "), "{text}");
    }
    // No text is not nothing.
    let mut binary = whole.clone();
    for entry in ["previous.crt", "previous.key"] {
        binary.data.as_mut().unwrap().insert(entry.to_owned(), ByteString(vec![0xff, 0xfe]));
    }
    assert!(read(&binary, PLACE, now, SHORT).damage.is_some(), "it was not removed");
    // What is broken of the one before costs that alone.
    for (entry, text) in
        [("previous.crt", "garbage"), ("previous.key", "garbage"), ("previous.key", &new.key_pem)]
    {
        let reading = read(&with(entry, text), PLACE, now, SHORT);
        assert_eq!(reading.state, Some(State::steady(new.clone())), "{entry}");
        assert!(reading.damage.is_some() && !reading.is_settled);
    }
    let mut swapped = with("tls.crt", &other.certificate_pem);
    set(&mut swapped, "tls.key", &other.key_pem);
    assert!(!read(&swapped, PLACE, now, SHORT).is_settled, "somebody else's hand is seen");
    assert!(kind(&PKCS_ECDSA_P256_SHA256).data.is_some());
    assert!(read(&kind(&PKCS_ECDSA_P256_SHA256), PLACE, now, SHORT).state.is_some(), "it is no trap");
}

#[test]
fn an_authority_whose_signature_nobody_would_believe_is_none() {
    let now = begin();
    let with = |change: &dyn Fn(&mut CertificateParams)| {
        let key = KeyPair::generate().unwrap();
        let mut params = dated(SHORT.authority, now, Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap().pem();
        Authority::read(&certificate, &key.serialize_pem(), PLACE, "tls.crt")
    };
    let subtree = |name: &str| vec![GeneralSubtree::DnsName(name.to_owned())];
    let constrained = |permitted: &str, excluded: &str| {
        let [permitted_subtrees, excluded_subtrees] =
            [permitted, excluded].map(|name| if name.is_empty() { Vec::new() } else { subtree(name) });
        with(&|params| {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: permitted_subtrees.clone(),
                excluded_subtrees: excluded_subtrees.clone(),
            });
        })
    };
    let extended = |usage: ExtendedKeyUsagePurpose| {
        with(&move |params| params.extended_key_usages = vec![usage.clone()])
    };
    let long = with(&|params| {
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999], vec![5; 8 * 1024])];
    });
    // What rcgen makes of it is another name, so that nobody finds who signed.
    let twice = with(&|params| {
        params.distinguished_name.push(DnType::CommonName, "shop");
        params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), "company");
    });
    for (what, made, says) in [
        ("another domain's", constrained("company.example", ""), "nobody believes"),
        ("not for ours", constrained("", "svc"), "nobody believes"),
        ("with two names of a kind", twice, "nobody believes"),
        ("of clients", extended(ExtendedKeyUsagePurpose::ClientAuth), "of no authority"),
        ("more than is told", long, "longer than 8192 bytes"),
    ] {
        let text = made.map(drop).expect_err(what).to_string();
        assert!(text.contains(says) && text.contains("; give "), "{what}: {text}");
    }
    for (what, made) in [
        ("ours", constrained("rollcall-system.svc", "")),
        ("of servers", extended(ExtendedKeyUsagePurpose::ServerAuth)),
        ("of anything", extended(ExtendedKeyUsagePurpose::Any)),
    ] {
        assert!(made.is_ok(), "{what}: {made:?}");
    }
}

#[test]
fn a_date_that_makes_no_sense_gives_everyone_time_to_hear() {
    let now = begin();
    let [old, new] = [(); 2].map(|()| authority(SHORT.authority, now));
    let whole = written(&announced(&new, &old, now, SHORT.overlap), "rollcall-ca", None);
    for date in [None, Some(""), Some("tomorrow"), Some("2024-13-01T00:00:00Z"), Some("9999-12-31T23:59:59Z")]
    {
        let mut secret = whole.clone();
        let annotations = secret.metadata.annotations.as_mut().unwrap();
        annotations.clear();
        annotations.extend(date.map(|date| ("rollcall.dev/sign-from".to_owned(), date.to_owned())));
        let reading = read(&secret, PLACE, now, SHORT);
        assert!(reading.damage.is_some_and(|damage| damage.to_string().contains("sign-from")), "{date:?}");
        let state = reading.state.unwrap();
        assert_eq!(state.signer(now + SHORT.hand_over() - seconds(1)), &old, "{date:?}");
        assert_eq!(state.signer(now + SHORT.hand_over()), &new, "{date:?}");
    }
}

/// As Vault and cert-manager give one: an authority under another one, with the chain below it.
#[test]
fn of_a_chain_the_first_certificate_is_the_authority() {
    let now = begin();
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = rcgen::Issuer::new(root.clone(), &root_key);
    let key = KeyPair::generate().unwrap();
    let mut params = dated(SHORT.authority, now, Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let own = params.signed_by(&key, &issuer).unwrap().pem();
    let mut secret = written(&State::steady(authority(SHORT.authority, now)), "source", None);
    set(&mut secret, "tls.crt", &format!("{own}{}", root.self_signed(&root_key).unwrap().pem()));
    set(&mut secret, "tls.key", &key.serialize_pem());
    let given = read_source(&secret, PLACE, now).unwrap();
    assert_eq!(given.certificate_pem.matches("BEGIN").count(), 1);
    assert!(client_config(given.certificate_pem.as_bytes()).is_ok());
    let late = read_source(&secret, PLACE, now + SHORT.authority).unwrap_err();
    assert!(late.to_string().contains("has ended"), "{late}");
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    set(&mut secret, "tls.crt", &params.signed_by(&key, &issuer).unwrap().pem());
    assert!(read_source(&secret, PLACE, now).unwrap_err().to_string().contains("of no authority"));
}

#[test]
fn a_leaf_is_renewed_after_two_thirds_and_when_another_signs_or_the_clock_goes_back() {
    let now = begin();
    let [signer, other] = [(); 2].map(|()| Authority::made("test", SHORT.authority, now).unwrap());
    let leaf = signer.leaf("test").unwrap();
    let held = leaf::Held {
        leaf: super::super::Leaf { made: now, ends: now + seconds(72), ..leaf },
        signer: signer.clone(),
    };
    for (by, moment, due) in [
        (&signer, now, false),
        (&signer, now + seconds(47), false),
        (&signer, now + seconds(48), true),
        (&signer, now + Duration::from_secs(1_000_000), true),
        (&signer, now - BACKDATE / 2, false),
        (&signer, now - 2 * BACKDATE, true),
        (&other, now, true),
    ] {
        assert_eq!(held.is_due(by, moment), due, "{moment:?}");
    }
}

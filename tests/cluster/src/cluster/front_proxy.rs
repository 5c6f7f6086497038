//! How the API server says to aggregated APIs, such as metrics-server's, who it is and whom it speaks for.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::{Error, Result};

/// The name in the certificate of the API server as a client.
const NAME: &str = "front-proxy-client";

/// Writes the authority, and the API server's certificate by it.
pub(super) fn write(dir: &Path) -> Result<()> {
    let err = |e: rcgen::Error| Error::new("make the front proxy's certificates", e);
    let mut params = named("front-proxy-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().map_err(err)?;
    let authority = params.self_signed(&key).map_err(err)?;
    let issuer = Issuer::new(params, key);
    let mut params = named(NAME);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().map_err(err)?;
    let client = params.signed_by(&key, &issuer).map_err(err)?;
    let files = [
        ("front-proxy-ca.crt", authority.pem()),
        ("front-proxy.crt", client.pem()),
        ("front-proxy.key", key.serialize_pem()),
    ];
    for (name, text) in files {
        fs::write(dir.join(name), text).map_err(|e| Error::new(format!("write {name}"), e))?;
    }
    Ok(())
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// The flags of the API server.
pub(super) fn flags(dir: &Path) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    vec![
        format!("--requestheader-client-ca-file={}", file("front-proxy-ca.crt")),
        format!("--requestheader-allowed-names={NAME}"),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        format!("--proxy-client-cert-file={}", file("front-proxy.crt")),
        format!("--proxy-client-key-file={}", file("front-proxy.key")),
    ]
}

//! Prometheus behind TLS: who is trusted, who is let in, and what is said where it fails.

use std::collections::BTreeMap;
use std::time::Duration;

use homeostat::core::sample::Reading;
use homeostat::edge::prometheus::batch::alone;
use homeostat::edge::prometheus::client::{Auth, PrometheusClient, Secret, ServerConfig};
use homeostat::edge::prometheus::tls::{Identity, Tls};

use crate::private::{Authority, Issued, Server};

fn client(port: u16, tls: Tls) -> Result<PrometheusClient, String> {
    let config = ServerConfig {
        name: "default".into(),
        url: format!("https://127.0.0.1:{port}"),
        timeout: Duration::from_secs(10),
        auth: Auth::None,
        tls: Some(tls),
        headers: BTreeMap::new(),
    };
    PrometheusClient::new(&config).map_err(|error| error.to_string())
}

fn identity(own: &Issued) -> Identity {
    Identity {
        certificate: Secret(own.certificate.clone()),
        key: Secret(own.key.clone()),
    }
}

async fn answer(port: u16, tls: Tls) -> String {
    format!("{:?}", alone(&client(port, tls).unwrap(), "up").await)
}

#[tokio::test]
async fn a_server_of_a_private_authority_is_trusted_and_lets_its_own_in() {
    let authority = Authority::new();
    let server = Server::start(&authority, "127.0.0.1").await;
    server.set(7.0);
    let tls = Tls {
        ca: Some(Secret(authority.pem.clone())),
        identity: Some(identity(&authority.issue("homeostat"))),
        server_name: None,
    };
    let client = client(server.port, tls).unwrap();
    let reading = alone(&client, "up").await;
    assert!(matches!(reading, Reading::Value { .. }), "{reading:?}");

    server.renew(&Authority::new(), "127.0.0.1");
    let reading = alone(&client, "up").await;
    assert!(matches!(reading, Reading::Failed { .. }), "{reading:?}");
}

#[tokio::test]
async fn whoever_is_not_trusted_gives_no_value_and_what_to_do_is_said() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = Server::start(&authority, "prometheus.example.com").await;
    let own = authority.issue("homeostat");
    let with = |ca: Option<&Authority>, identity, server_name: Option<&str>| Tls {
        ca: ca.map(|ca| Secret(ca.pem.clone())),
        identity,
        server_name: server_name.map(str::to_owned),
    };
    let name = Some("prometheus.example.com");
    let cases = [
        (
            "the system's authorities",
            with(None, Some(identity(&own)), name),
            "tls.caSecretRef",
        ),
        (
            "another authority",
            with(Some(&stranger), Some(identity(&own)), name),
            "tls.caSecretRef",
        ),
        (
            "another name",
            with(Some(&authority), Some(identity(&own)), None),
            "tls.serverName",
        ),
        (
            "no certificate",
            with(Some(&authority), None, name),
            "tls.clientCertificateSecretRef",
        ),
        (
            "a certificate of somebody else",
            with(Some(&authority), Some(identity(&stranger.issue("homeostat"))), name),
            "tls.clientCertificateSecretRef",
        ),
    ];
    for (what, tls, word) in cases {
        let said = answer(server.port, tls).await;
        assert!(said.contains("Unreachable") && said.contains(word), "{what}: {said}");
    }
    let said = answer(server.port, with(Some(&authority), Some(identity(&own)), name)).await;
    assert!(said.contains("Value"), "{said}");
}

#[tokio::test]
async fn what_is_no_pem_is_named_and_never_shown() {
    let authority = Authority::new();
    let (own, other) = (authority.issue("homeostat"), authority.issue("homeostat"));
    let pair = |certificate: &str, key: &str| Tls {
        identity: Some(Identity {
            certificate: Secret(certificate.into()),
            key: Secret(key.into()),
        }),
        ..Tls::default()
    };
    let cases = [
        (
            Tls {
                ca: Some(Secret("c2VjcmV0".into())),
                ..Tls::default()
            },
            "tls.caSecretRef holds no certificate in PEM",
        ),
        (pair("c2VjcmV0", &own.key), "tls.crt holds no certificate in PEM"),
        (
            pair(&own.certificate, "c2VjcmV0"),
            "tls.key holds no private key in PEM",
        ),
        (
            pair(&own.certificate, &other.key),
            "tls.crt and tls.key cannot be used together",
        ),
        (
            Tls {
                server_name: Some("not..a name".into()),
                ..Tls::default()
            },
            "tls.serverName",
        ),
    ];
    for (tls, words) in cases {
        let shown = format!("{tls:?}");
        assert!(!shown.contains("c2VjcmV0") && !shown.contains("BEGIN"), "{shown}");
        let said = client(1, tls).err().unwrap_or_default();
        assert!(said.contains(words) && !said.contains("c2VjcmV0"), "{words}: {said}");
    }
}

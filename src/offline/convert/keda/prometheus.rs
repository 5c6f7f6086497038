//! The `prometheus` scaler.
//!
//! `ignoreNullValues`, which is KEDA's default, reads an empty answer as 0, yet an error never. The policy says just that in
//! its query (`… or on() vector(0)`), and keeps `onMissing` for what is really missing: an outage does not scale in.

use std::collections::BTreeMap;

use super::auth::Auth;
use super::servers::Servers;
use super::types::{AuthSpec, Metadata, ScaleTrigger};
use super::{Notes, positive};
use crate::api::common::{SecretKeyRef, SecretRef};
use crate::api::operator_config::{PrometheusAuth, PrometheusServer};
use crate::api::scalar::QuantityText;
use crate::api::scaling_trigger::{MetricTarget, PrometheusTrigger, Trigger};
use crate::core::quantity::Milli;

const LONGEST_QUERY: usize = 4096;

pub(super) fn trigger(
    field: &str,
    written: &ScaleTrigger,
    auth: Auth<'_>,
    servers: &mut Servers,
    notes: &mut Notes,
) -> Result<Trigger, String> {
    let mut metadata = written.metadata();
    let metadata_field = format!("{field}.metadata");
    let query = metadata.take("query").ok_or("it has no query")?;
    let threshold = metadata.take("threshold").ok_or("it has no threshold")?;
    let target = number(&threshold).and_then(|text| positive(&text))?;
    let activation = match metadata.take("activationThreshold") {
        None => None,
        Some(text) => activation(&text, &format!("{metadata_field}.activationThreshold"), notes)?,
    };
    let ignore = metadata.flag("ignoreNullValues", true);
    // Of old, and without meaning since: the name of the metric in KEDA's adapter.
    metadata.take("metricName");
    let server = server(&metadata_field, &mut metadata, auth, notes)?;
    metadata.unread(field, notes);
    let query = if ignore { or_zero(&query) } else { query };
    if query.chars().count() > LONGEST_QUERY {
        return Err(format!(
            "its query has more than {LONGEST_QUERY} characters: make it a recording rule"
        ));
    }
    if ignore {
        notes.differs(
            &format!("{metadata_field}.ignoreNullValues"),
            "true: an empty answer is 0, as with KEDA, by `or on() vector(0)` in the query, so that a lost scrape scales in; \
             take that out where an empty answer means that something is broken. NaN and infinity are missing, not 0; errors \
             never were",
        );
    }
    let mut aim = MetricTarget::default();
    match written.metric_type.as_deref().unwrap_or("AverageValue") {
        "AverageValue" | "" => aim.average_value = Some(target),
        "Value" => aim.value = Some(target),
        other => return Err(format!("its metricType {other} is neither AverageValue nor Value")),
    }
    Ok(Trigger {
        prometheus: Some(PrometheusTrigger {
            query,
            server: Some(servers.name(server)),
            ..PrometheusTrigger::default()
        }),
        target: aim,
        activation,
        ..Trigger::default()
    })
}

/// The query, or 0 where it has no result. `on()` lets any labels count as a result.
fn or_zero(query: &str) -> String {
    let query = query.trim();
    // A comment would swallow the bracket.
    let end = if query.contains('#') { "\n" } else { "" };
    format!("({query}{end}) or on() vector(0)")
}

/// A number of KEDA's as a quantity: as it is written where that is one, otherwise in thousandths.
fn number(text: &str) -> Result<String, String> {
    let text = text.trim();
    let value: f64 = text.parse().map_err(|_| format!("{text} is no number"))?;
    if text.parse::<Milli>().is_ok() {
        return Ok(text.to_owned());
    }
    let milli = Milli::from_f64(value).ok_or_else(|| format!("{text} is out of range"))?;
    Ok(format!("{}m", (milli.as_f64() * 1000.0).round()))
}

fn activation(text: &str, field: &str, notes: &mut Notes) -> Result<Option<QuantityText>, String> {
    let text = number(text)?;
    if text.starts_with('-') {
        notes.differs(
            field,
            format!("{text} is below 0: every value is active; left out, so that 0 is not"),
        );
        return Ok(None);
    }
    let zero = text.parse::<Milli>().is_ok_and(|m| m == Milli::default());
    Ok((!zero).then(|| text.as_str().into()))
}

fn server(field: &str, metadata: &mut Metadata, auth: Auth<'_>, notes: &mut Notes) -> Result<PrometheusServer, String> {
    let address = metadata.take("serverAddress").ok_or("it has no serverAddress")?;
    let (url, rest) = address.split_once(['?', '#']).unwrap_or((&address, ""));
    let web = url.starts_with("http://") || url.starts_with("https://");
    let host = url
        .split_once("://")
        .map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    if !web || host.is_empty() || url.contains(char::is_whitespace) || url.len() > 2048 {
        return Err(format!("its serverAddress {url} is no URL with http or https"));
    }
    if host.contains('@') {
        return Err(
            "its serverAddress has credentials in it: put them into a Secret and name it in the OperatorConfig".into(),
        );
    }
    if !rest.is_empty() {
        notes.by_hand(&format!("{field}.serverAddress"), NO_PARAMETERS);
    }
    for name in ["namespace", "queryParameters"] {
        if let Some(value) = metadata.take(name) {
            notes.by_hand(&format!("{field}.{name}"), format!("{value}: {NO_PARAMETERS}"));
        }
    }
    if metadata.flag("unsafeSsl", false) {
        let text = "not carried over: certificates are always checked";
        notes.by_hand(&format!("{field}.unsafeSsl"), text);
    }
    let timeout = metadata.take("timeout").and_then(|text| {
        // A bare number is milliseconds.
        let text = text.parse::<u64>().map_or(text, |millis| format!("{millis}ms"));
        let fits = text
            .parse::<crate::core::time::Span>()
            .is_ok_and(|s| (1000..=300_000).contains(&s.as_millis()));
        if !fits {
            notes.differs(
                &format!("{field}.timeout"),
                format!("{text} is not from 1s to 5m: the default of 10s"),
            );
        }
        fits.then(|| text.as_str().into())
    });
    let modes = metadata.take("authModes").unwrap_or_default();
    let headers = metadata
        .take("customHeaders")
        .map_or_else(BTreeMap::new, |t| headers(field, &t, notes));
    Ok(PrometheusServer {
        url: url.trim_end_matches('/').to_owned(),
        timeout,
        auth: credentials(field, &modes, auth, notes),
        headers,
        ..PrometheusServer::default()
    })
}

const NO_PARAMETERS: &str = "parameters of a query are not carried over: name a server in the OperatorConfig whose address \
                             needs none, such as a proxy that adds them";

/// `name=value,name=value`.
fn headers(field: &str, text: &str, notes: &mut Notes) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for pair in text.split(',') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (name.trim(), value.trim());
        let secret = ["authorization", "cookie", "host", "proxy-authorization"];
        let allowed = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if !allowed || secret.contains(&name.to_ascii_lowercase().as_str()) {
            // The value may be a credential: it is not said.
            let text = format!("{name} is not carried over: put credentials into a Secret and name it in auth");
            notes.by_hand(&format!("{field}.customHeaders"), text);
        } else {
            headers.insert(name.to_owned(), value.to_owned());
        }
    }
    headers
}

/// Credentials are those of Secrets in the operator's own namespace: somebody has to bring them there.
fn credentials(field: &str, modes: &str, auth: Auth<'_>, notes: &mut Notes) -> Option<PrometheusAuth> {
    let field = format!("{field}.authModes");
    let modes: Vec<&str> = modes.split(',').map(str::trim).filter(|m| !m.is_empty()).collect();
    let spec = match auth {
        Auth::Known(spec) => spec,
        Auth::None if modes.is_empty() => return None,
        Auth::None => {
            notes.by_hand(
                &field,
                "it names no authenticationRef: add auth to the server in the OperatorConfig",
            );
            return None;
        }
        Auth::NotGiven(name) => {
            let text =
                format!("{name} was not given: give its file too, or add auth to the server in the OperatorConfig");
            notes.by_hand(&field, text);
            return None;
        }
        Auth::Unreadable(reason) => {
            notes.by_hand(
                &field,
                format!("{reason}: add auth to the server in the OperatorConfig"),
            );
            return None;
        }
    };
    for (name, value) in &spec.rest {
        if !(name == "podIdentity" && value["provider"] == "none") {
            let text =
                format!("{name} of its authentication is not carried over: use a Secret in the OperatorConfig's auth");
            notes.by_hand(&field, text);
        }
    }
    let mut found = None;
    for mode in modes {
        match mode {
            "bearer" => found = bearer(spec),
            "basic" => found = basic(spec),
            _ => {}
        }
        match (&found, mode) {
            (Some(_), "bearer" | "basic") => {
                let text = format!(
                    "{mode}: copy the Secret {} into the operator's namespace",
                    secret_names(spec)
                );
                notes.by_hand(&field, text);
            }
            (_, "bearer" | "basic") => {
                let text = format!(
                    "{mode}: its authentication does not name one Secret for it: make one in the operator's namespace, with \
                     the keys username and password for basic, and name it in the OperatorConfig's auth"
                );
                notes.by_hand(&field, text);
            }
            (_, other) => {
                let text =
                    format!("{other} is not carried over: add what it needs to the server in the OperatorConfig");
                notes.by_hand(&field, text);
            }
        }
    }
    found
}

fn bearer(spec: &AuthSpec) -> Option<PrometheusAuth> {
    let secret = spec.secret_target_ref.iter().find(|s| s.parameter == "bearerToken")?;
    Some(PrometheusAuth {
        bearer_token_secret_ref: Some(SecretKeyRef {
            name: secret.name.clone(),
            key: secret.key.clone(),
        }),
        ..PrometheusAuth::default()
    })
}

/// Only where the Secret has the keys by which it will be read.
fn basic(spec: &AuthSpec) -> Option<PrometheusAuth> {
    let named = |parameter: &str| {
        let secret = spec.secret_target_ref.iter().find(|s| s.parameter == parameter)?;
        (secret.key == parameter).then(|| secret.name.clone())
    };
    let name = named("username").filter(|name| named("password").as_ref() == Some(name))?;
    Some(PrometheusAuth {
        basic_auth_secret_ref: Some(SecretRef { name }),
        ..PrometheusAuth::default()
    })
}

fn secret_names(spec: &AuthSpec) -> String {
    let mut names: Vec<&str> = spec.secret_target_ref.iter().map(|s| s.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

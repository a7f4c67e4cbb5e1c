//! `revoke`: client certificates of the gateway's authority are taken back.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulkhead_cluster::{Cluster, RevocationCache};
use bulkhead_model::{Serial, labels};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::prelude::parse_x509_pem;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
pub(super) struct Arguments {
    /// The certificate's serial number, in hexadecimal: it stands at the top of a kubeconfig that
    /// `bulkhead tenant kubeconfig` wrote, and in the gateway's audit log.
    #[arg(long, value_name = "SERIAL", group = "which")]
    serial: Vec<String>,
    /// A kubeconfig with the certificate, or the certificate itself (PEM).
    #[arg(long, value_name = "FILE", group = "which")]
    certificate: Vec<PathBuf>,
}

/// A certificate to be taken back. What is said of it is for people; the number decides.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Revoked {
    pub(super) serial: Serial,
    pub(super) user: Option<String>,
    pub(super) ends: Option<OffsetDateTime>,
}

pub(super) async fn run(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<()> {
    let mut revoked = Vec::new();
    for serial in &arguments.serial {
        revoked.push(Revoked {
            serial: Serial::parse(serial)?,
            user: None,
            ends: None,
        });
    }
    for path in &arguments.certificate {
        let named = || format!("`{}`", path.display());
        let text = std::fs::read_to_string(path).with_context(named)?;
        revoked.push(read(&text).with_context(named)?);
    }
    let now = OffsetDateTime::now_utc();
    let reference = RevocationCache::reference();
    let mut list = cluster.get(&reference).await?;
    if list.is_none() {
        let empty = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": labels::REVOKED_CERTIFICATES, "namespace": labels::SYSTEM_NAMESPACE},
        });
        match cluster.create(&empty).await {
            Ok(made) => list = Some(made),
            // Another administrator was faster.
            Err(error) if error.is_already_exists() => list = cluster.get(&reference).await?,
            Err(error) => return Err(error.into()),
        }
    }
    let data = change(
        list.as_ref().and_then(|list| list.get("data")),
        &revoked,
        now,
    )?;
    cluster
        .merge_patch(&reference, &json!({"data": data}))
        .await?;
    for one in &revoked {
        let whose = one
            .user
            .as_deref()
            .map_or(String::new(), |user| format!(" of `{user}`"));
        anstream::println!("revoked the certificate {}{whose}", one.serial);
    }
    anstream::println!(
        "the gateways hear of it at once, and let nobody in by what is older than 30 s"
    );
    Ok(())
}

/// What changes in the list's `data`: new entries, and those whose certificates have ended anyway.
fn change(
    data: Option<&Value>,
    revoked: &[Revoked],
    now: OffsetDateTime,
) -> anyhow::Result<Map<String, Value>> {
    let mut changed = Map::new();
    let old = data.and_then(Value::as_object);
    for (key, entry) in old.into_iter().flatten() {
        let entry: Option<Value> = entry
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok());
        let ends = entry.as_ref().and_then(|entry| entry.get("ends")?.as_str());
        let ends = ends.and_then(|ends| OffsetDateTime::parse(ends, &Rfc3339).ok());
        // Clocks differ by less than a day.
        if ends.is_some_and(|ends| ends + time::Duration::DAY < now) {
            changed.insert(key.clone(), Value::Null);
        }
    }
    for one in revoked {
        let mut entry = Map::new();
        entry.insert("revoked".into(), now.format(&Rfc3339)?.into());
        if let Some(user) = &one.user {
            entry.insert("user".into(), user.as_str().into());
        }
        if let Some(ends) = one.ends {
            entry.insert("ends".into(), ends.format(&Rfc3339)?.into());
        }
        let text = Value::Object(entry).to_string();
        changed.insert(one.serial.to_string(), text.into());
    }
    Ok(changed)
}

/// The client certificate in a kubeconfig, or in PEM.
pub(super) fn read(text: &str) -> anyhow::Result<Revoked> {
    let pem = match text.trim_start().starts_with("-----BEGIN") {
        true => text.to_owned(),
        false => from_kubeconfig(text)?,
    };
    let (_, pem) = parse_x509_pem(pem.as_bytes()).context("expected a certificate in PEM")?;
    ensure!(
        pem.label == "CERTIFICATE",
        "expected a certificate, found a `{}`",
        pem.label
    );
    let certificate = pem.parse_x509().context("expected a certificate")?;
    let user = certificate.subject().iter_common_name().next();
    let ends = certificate.validity().not_after.timestamp();
    Ok(Revoked {
        serial: Serial::of_bytes(certificate.raw_serial()),
        user: user.and_then(|user| user.as_str().ok()).map(str::to_owned),
        ends: OffsetDateTime::from_unix_timestamp(ends).ok(),
    })
}

fn from_kubeconfig(text: &str) -> anyhow::Result<String> {
    let config: Value = serde_norway::from_str(text).context("expected a kubeconfig or PEM")?;
    let users = config.get("users").and_then(Value::as_array);
    let [user] = users.map_or(&[][..], Vec::as_slice) else {
        bail!("expected a kubeconfig with one user, or the certificate itself");
    };
    let data = user
        .pointer("/user/client-certificate-data")
        .and_then(Value::as_str);
    let data = data.context("the kubeconfig's user has no `client-certificate-data`")?;
    let pem = STANDARD
        .decode(data)
        .context("`client-certificate-data` is no Base64")?;
    String::from_utf8(pem).context("`client-certificate-data` is no PEM")
}

#[cfg(test)]
mod tests {
    use bulkhead_sandbox::pki::{Authority, AuthorityName, Subject};

    use super::*;

    #[test]
    fn a_certificate_is_found_in_a_kubeconfig_or_alone() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::create(AuthorityName::GatewayClients, directory.path()).unwrap();
        let ends = OffsetDateTime::from_unix_timestamp(1_900_000_000).unwrap();
        let subject = Subject {
            name: "alice",
            group: None,
            hosts: &[],
            ends: Some(ends),
        };
        let issued = authority.issue(&subject).unwrap();
        let alone = read(&issued.certificate).unwrap();
        assert_eq!(
            (alone.user.as_deref(), alone.ends),
            (Some("alice"), Some(ends))
        );
        assert!(alone.serial.as_str().len() > 30, "{}", alone.serial);
        let user = json!({"client-certificate-data": STANDARD.encode(&issued.certificate)});
        let config = json!({"users": [{"name": "alice", "user": user}]});
        assert_eq!(read(&config.to_string()).unwrap(), alone);
        for (bad, says) in [
            (issued.key.as_str(), "found a `PRIVATE KEY`"),
            ("users: []", "with one user"),
            (
                "users: [{user: {token: x}}]",
                "no `client-certificate-data`",
            ),
            (
                "users: [{user: {client-certificate-data: '*'}}]",
                "no Base64",
            ),
            ("{", "a kubeconfig or PEM"),
        ] {
            let error = format!("{:#}", read(bad).unwrap_err());
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn entries_go_when_their_certificates_have_ended() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let at = |days: i64| (now + time::Duration::days(days)).format(&Rfc3339).unwrap();
        let entry = |days: i64| json!({"ends": at(days)}).to_string();
        let data = json!({"a": entry(-2), "b": entry(0), "c": entry(3), "d": "{}", "e": "by hand"});
        let one = Revoked {
            serial: Serial::parse("0F").unwrap(),
            user: Some("alice".into()),
            ends: Some(now + time::Duration::HOUR),
        };
        let changed = Value::Object(change(Some(&data), &[one], now).unwrap());
        let entry =
            r#"{"revoked":"2027-01-15T08:00:00Z","user":"alice","ends":"2027-01-15T09:00:00Z"}"#;
        let sorted =
            r#"{"ends":"2027-01-15T09:00:00Z","revoked":"2027-01-15T08:00:00Z","user":"alice"}"#;
        assert!(changed["f"] == entry || changed["f"] == sorted, "{changed}");
        assert_eq!(changed["a"], Value::Null);
        assert_eq!(changed.as_object().unwrap().len(), 2, "{changed}");
    }
}

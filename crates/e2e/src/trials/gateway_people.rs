//! People at the gateway by other credentials than a certificate.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bulkhead_attack::Kubeconfig;
use bulkhead_attack::wire::{Client, Request, Response};
use serde_json::{Value, json};

use crate::Check;
use crate::bed::{Bed, eventually};
use crate::client::{refused, succeeded, text};
use crate::guest::Guest;
use crate::issuer::{Issuer, Signer};
use crate::own_gateway::{OwnGateway, configs};

pub(super) const TRIALS: &[(&str, Check)] = &[
    (
        "gateway::people_of_an_issuer_work_as_their_groups_may",
        issuer,
    ),
    (
        "gateway::a_certificate_that_was_taken_back_opens_and_keeps_nothing",
        revocation,
    ),
];

/// With the commands that an administrator uses, at the sandbox's own gateway.
fn revocation(bed: &Bed) -> anyhow::Result<()> {
    let guest = Guest::arrive(bed, "e2e-revoked", &json!({}))?;
    let administrator = bed.layout.admin_kubeconfig().display().to_string();
    let tenant = |arguments: &[&str]| -> anyhow::Result<String> {
        let mut command = Command::new(&bed.binary);
        command.args(["tenant", "--kubeconfig", &administrator]);
        let output = command.args(arguments).output()?;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{arguments:?}: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let sandbox = bed.layout.root().display().to_string();
    let person = |file: &str| -> anyhow::Result<(String, Client)> {
        let path = bed.scratch().join(file).display().to_string();
        tenant(&[
            "kubeconfig",
            "e2e-revoked",
            "--user",
            "e2e-revoked-admin",
            "--sandbox",
            &sandbox,
            "--output",
            &path,
        ])?;
        let client = Kubeconfig::read(path.as_ref())?.client()?;
        Ok((path, client))
    };
    let (lost, thief) = person("lost.kubeconfig")?;
    let (kept, owner) = person("kept.kubeconfig")?;
    let ask = configs(&guest.namespace);
    succeeded(&bed.send(&thief, &ask)?)?;
    let watch = Request::get(format!("{}?watch=true&timeoutSeconds=120", ask.target()));
    let began = Instant::now();
    let watched = std::thread::scope(|scope| {
        let watching = scope.spawn(|| bed.send(&thief, &watch));
        // The watch is open before the certificate is taken back.
        std::thread::sleep(Duration::from_millis(500));
        tenant(&["revoke", "--certificate", &lost])?;
        watching
            .join()
            .map_err(|_| anyhow::anyhow!("a thread has failed"))?
    })?;
    ensure!(
        watched.status == 200 && !watched.unfinished,
        "the watch goes on: {} after {:?}",
        watched.status,
        began.elapsed()
    );
    eventually("the certificate opens nothing", || {
        Ok(refused(&bed.send(&thief, &ask)?, 401, &["it has been revoked"]).ok())
    })?;
    // The person's other certificate is as good as before, until it goes by its number.
    succeeded(&bed.send(&owner, &ask)?)?;
    let text = std::fs::read_to_string(kept)?;
    let serial = text
        .strip_prefix("# Certificate ")
        .and_then(|rest| rest.split_once(','))
        .context("the kubeconfig does not say its certificate's number")?;
    tenant(&["revoke", "--serial", &serial.0.to_uppercase()])?;
    eventually("the other certificate opens nothing", || {
        Ok(refused(&bed.send(&owner, &ask)?, 401, &["it has been revoked"]).ok())
    })?;
    guest.leave()
}

fn issuer(bed: &Bed) -> anyhow::Result<()> {
    let members = json!({"members": [
        {"kind": "User", "name": "e2e-oidc-admin", "role": "Admin"},
        {"kind": "Group", "name": "oidc-builders", "role": "Developer"},
    ]});
    let guest = Guest::arrive(bed, "e2e-oidc", &members)?;
    let (old, new) = (Signer::new("old")?, Signer::new("new")?);
    let issuer = Issuer::start(bed, &old)?;
    let configuration = bed.scratch().join("authentication.yaml");
    std::fs::write(&configuration, issuer.configuration(bed)?)?;
    let flags = [
        "--authentication-config",
        &configuration.display().to_string(),
    ];
    let gateway = OwnGateway::start(bed, "gateway-oidc", &flags)?;
    let ask = |token: &str| -> anyhow::Result<Response> {
        bed.send(&gateway.bearing(token)?, &configs(&guest.namespace))
    };
    let claims = issuer.claims("dana@login.example", "oidc-builders")?;
    let good = old.sign(&claims)?;
    eventually("the gateway knows the guest", || {
        succeeded(&ask(&good)?).map(Some)
    })?;
    // The person stands in the API server's audit log, and in ours.
    let line = eventually("the request is in the audit log", || {
        let lines = gateway.lines()?;
        Ok(lines
            .into_iter()
            .find(|line| text(line, "/user") == "dana@login.example" && line["status"] == 200))
    })?;
    ensure!(
        text(&line, "/role") == "developer" && text(&line, "/tenant") == guest.name,
        "{line}"
    );
    ensure!(
        !line.to_string().contains(&good),
        "a token is in the audit log"
    );
    // Whoever has no such group is nobody's member.
    let stranger = issuer.claims("dana@login.example", "others")?;
    refused(
        &ask(&old.sign(&stranger)?)?,
        403,
        &["a member of no tenant"],
    )?;
    let changed = |field: &str, value: Value| -> anyhow::Result<String> {
        let mut claims = claims.clone();
        if let Some(claims) = claims.as_object_mut() {
            claims.insert(field.to_owned(), value);
        }
        old.sign(&claims)
    };
    refused(&ask(&changed("exp", json!(1))?)?, 401, &["has expired"])?;
    refused(
        &ask(&changed("aud", json!("kubernetes"))?)?,
        401,
        &["another audience"],
    )?;
    refused(
        &ask(&changed("email", json!("system:admin"))?)?,
        401,
        &["`system:`"],
    )?;
    refused(
        &ask(&changed("groups", json!(["system:masters"]))?)?,
        401,
        &["system:masters"],
    )?;
    // Of another issuer, it goes to the API server, which does not know it either.
    refused(
        &ask(&changed("iss", json!("https://else.example"))?)?,
        401,
        &["the token is refused"],
    )?;
    refused(
        &ask(&Signer::new("old")?.sign(&claims)?)?,
        401,
        &["its signature is not"],
    )?;
    // Keys rotate under way; then the issuer is away.
    issuer.show(&[&old, &new]);
    let by_new = new.sign(&claims)?;
    succeeded(&ask(&by_new)?)?;
    issuer.be_down(true);
    succeeded(&ask(&by_new)?)?;
    refused(
        &ask(&Signer::new("unknown")?.sign(&claims)?)?,
        503,
        &["cannot be fetched"],
    )?;
    guest.leave()
}

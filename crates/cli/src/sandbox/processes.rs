//! How webhook, controller and gateway are run in a sandbox: three processes of this program, each
//! with its own identity, the gateway with two.

use bulkhead_controls::PodTemplate;
use bulkhead_model::labels;
use bulkhead_sandbox::Launch;
use bulkhead_sandbox::control_plane::{ControlPlane, https, stop_rank};
use bulkhead_sandbox::pki::AuthorityName;
use bulkhead_sandbox::protocol::{Health, THIS_PROGRAM};

/// The ServiceAccounts in Bulkhead's namespace that the processes are.
pub(super) const IDENTITIES: [&str; 4] = [
    "webhook",
    "controller",
    "gateway-reader",
    "gateway-forwarder",
];

pub(super) fn webhook(plane: &ControlPlane<'_>, kinds: &[PodTemplate]) -> Launch {
    let port = plane.ports.webhook;
    let mut args = vec![];
    pair(
        &mut args,
        "--kubeconfig",
        plane.layout.identity_kubeconfig("webhook").display(),
    );
    named(&mut args, kinds);
    serving(plane, &mut args, "webhook", port);
    launch(plane, "webhook", args, https_health(plane, port))
}

pub(super) fn gateway(plane: &ControlPlane<'_>, kinds: &[PodTemplate]) -> Launch {
    let port = plane.ports.gateway;
    let client_ca = AuthorityName::GatewayClients.certificate(&plane.layout.pki());
    let mut args = vec![];
    pair(
        &mut args,
        "--reader-kubeconfig",
        plane.layout.identity_kubeconfig("gateway-reader").display(),
    );
    pair(
        &mut args,
        "--forwarder-kubeconfig",
        plane
            .layout
            .identity_kubeconfig("gateway-forwarder")
            .display(),
    );
    pair(&mut args, "--client-ca", client_ca.display());
    pair(&mut args, "--audience", labels::AUDIENCE);
    // None can be good here, and attackers try.
    args.push("--aws-iam-tokens".to_owned());
    // The attacks come as fast as they can, and must not fail for that.
    for whose in ["tenant", "person"] {
        pair(&mut args, &format!("--{whose}-requests-per-second"), 5000);
        pair(&mut args, &format!("--{whose}-burst"), 10_000);
        pair(&mut args, &format!("--{whose}-calls"), 500);
    }
    named(&mut args, kinds);
    serving(plane, &mut args, "gateway", port);
    launch(plane, "gateway", args, https_health(plane, port))
}

pub(super) fn controller(plane: &ControlPlane<'_>) -> Launch {
    let address = format!("127.0.0.1:{}", plane.ports.controller);
    let mut args = vec![];
    pair(
        &mut args,
        "--kubeconfig",
        plane.layout.identity_kubeconfig("controller").display(),
    );
    pair(&mut args, "--health", &address);
    // Nobody waits long for the place of a controller that was killed.
    pair(&mut args, "--lease-duration", 5);
    pair(&mut args, "--renew-deadline", 4);
    pair(&mut args, "--retry-period", 1);
    let health = Health {
        url: format!("http://{address}/readyz"),
        authority: None,
    };
    launch(plane, "controller", args, health)
}

fn named(args: &mut Vec<String>, kinds: &[PodTemplate]) {
    for kind in kinds {
        pair(args, "--pod-template", kind);
    }
}

fn serving(plane: &ControlPlane<'_>, args: &mut Vec<String>, name: &str, port: u16) {
    let pki = plane.layout.pki();
    pair(
        args,
        "--tls-cert",
        pki.join(format!("{name}.crt")).display(),
    );
    pair(args, "--tls-key", pki.join(format!("{name}.key")).display());
    pair(args, "--listen", format_args!("127.0.0.1:{port}"));
}

fn https_health(plane: &ControlPlane<'_>, port: u16) -> Health {
    let authority = AuthorityName::Servers.certificate(&plane.layout.pki());
    Health {
        url: format!("{}/readyz", https(port)),
        authority: Some(authority),
    }
}

fn pair(args: &mut Vec<String>, flag: &str, value: impl std::fmt::Display) {
    args.extend([flag.to_owned(), value.to_string()]);
}

fn launch(plane: &ControlPlane<'_>, name: &str, args: Vec<String>, health: Health) -> Launch {
    Launch {
        name: name.to_owned(),
        program: THIS_PROGRAM.into(),
        args: [vec![name.to_owned()], args].concat(),
        log: plane.layout.log(name),
        stop_rank: stop_rank(name),
        grace_ms: 3000,
        health: Some(health),
    }
}

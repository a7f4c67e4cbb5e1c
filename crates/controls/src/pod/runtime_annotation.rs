//! Annotations by which container runtimes and network plugins are told what no field of the pod
//! says, and no other control sees.

use bulkhead_model::view::Pod;

use crate::context::{Context, Findings, is};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "runtime-annotation",
    guide: Section::Appendix,
    severity: Severity::High,
    profiles: Profiles::Confined,
    why: "the node's runtime obeys it: devices, host files, networks and kernels, past every field that is judged",
    remedy: "remove the annotation",
    page: include_str!("runtime_annotation.md"),
    rule: Rule::Pod(check),
    cel: Some(
        r#"variables.annotations.all(k, !k.matches('^(cdi[.]k8s[.]io/|dev[.]gvisor[.]|io[.]cilium[.]|io[.]containerd[.]'
        + '|io[.]katacontainers[.]|io[.]kubernetes[.]cri-o[.]|io[.]kubernetes[.]cri[.]|kubernetes[.]io/config[.]|org[.]systemd[.]property[.]|run[.]oci[.])')
        && !k.matches('^([^/]*[.])?(cilium[.]io|cri-o[.]io|crio[.]io|egress[.]projectcalico[.]org|image-policy[.]k8s[.]io'
        + '|ipam[.]antrea[.]io|ipam[.]spidernet[.]io|networking[.]gke[.]io|nri[.]io|nri[.]containerd[.]io|noderesource[.]dev|resources[.]beta[.]kubernetes[.]io)(/.*)?$')
        && !(k in ['cni.projectcalico.org/allowedSourcePrefixes', 'cni.projectcalico.org/floatingIPs',
        'cni.projectcalico.org/hwAddr', 'cni.projectcalico.org/ipAddrs', 'cni.projectcalico.org/ipAddrsNoIpam',
        'cni.projectcalico.org/ipv4pools', 'cni.projectcalico.org/ipv6pools',
        'k8s.ovn.org/routing-namespaces', 'k8s.v1.cni.cncf.io/networks', 'module.wasm.image/variant',
        'org.criu.config', 'v1.multus-cni.io/default-network']))"#,
    ),
    mend: Mend::ByHand,
};

/// What the keys start with: Container Device Interface, Kata, gVisor, containerd, CRI-O, crun, the
/// Node Resource Interface, properties of systemd units (CRI-O hands every annotation of a pod to the
/// runtime, which sets them as root, programs to be started among them), and what makes a pod a mirror of a kubelet's static one.
const PREFIXES: [&str; 10] = [
    "cdi.k8s.io/",
    "dev.gvisor.",
    // Ports whose traffic Cilium does not track, and so not judge.
    "io.cilium.",
    "io.containerd.",
    "io.katacontainers.",
    "io.kubernetes.cri-o.",
    "io.kubernetes.cri.",
    "kubernetes.io/config.",
    "org.systemd.property.",
    "run.oci.",
];

/// Domains whose keys count, with their subdomains: CRI-O's (the seccomp profile among them, which
/// beats the field), NRI plugins, containerd's classes of cache and disk, gateways and pools of network
/// plugins, and what breaks the glass of an image policy.
const DOMAINS: [&str; 12] = [
    "cilium.io",
    "cri-o.io",
    "crio.io",
    "egress.projectcalico.org",
    "image-policy.k8s.io",
    "ipam.antrea.io",
    "ipam.spidernet.io",
    "networking.gke.io",
    "nri.io",
    "nri.containerd.io",
    "noderesource.dev",
    "resources.beta.kubernetes.io",
];

/// Single keys: more networks (Multus), addresses of one's own choice (Calico, OVN, AWS), checkpoint
/// and WebAssembly switches of runtimes. Not what plugins write back, such as
/// `cni.projectcalico.org/podIP`: `network-annotation-forged` speaks of that.
const KEYS: [&str; 12] = [
    "cni.projectcalico.org/allowedSourcePrefixes",
    "cni.projectcalico.org/floatingIPs",
    "cni.projectcalico.org/hwAddr",
    "cni.projectcalico.org/ipAddrs",
    "cni.projectcalico.org/ipAddrsNoIpam",
    "cni.projectcalico.org/ipv4pools",
    "cni.projectcalico.org/ipv6pools",
    "k8s.ovn.org/routing-namespaces",
    "k8s.v1.cni.cncf.io/networks",
    "module.wasm.image/variant",
    "org.criu.config",
    "v1.multus-cni.io/default-network",
];

fn check(pod: &Pod<'_>, _: &Context<'_>, findings: &mut Findings) {
    for (key, value) in pod.metadata().at("annotations").iter() {
        if obeyed(key) {
            findings.add(pod.path("metadata.annotations").key(key), is(value));
        }
    }
}

fn obeyed(key: &str) -> bool {
    let domain = key.split_once('/').map_or(key, |(domain, _)| domain);
    let below = |known: &&str| {
        domain
            .strip_suffix(*known)
            .is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
    };
    PREFIXES.iter().any(|prefix| key.starts_with(prefix))
        || DOMAINS.iter().any(below)
        || KEYS.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runtimes_read_is_told_from_what_people_write() {
        for (key, expected) in [
            ("io.katacontainers.config.hypervisor.kernel", true),
            ("cdi.k8s.io/gpu", true),
            ("cpu-load-balancing.crio.io", true),
            ("io.kubernetes.cri-o.Devices", true),
            ("kubernetes.io/config.mirror", true),
            ("devices.nri.io/container.main", true),
            ("ulimits.nri.containerd.io/container.main", true),
            ("org.systemd.property.ExecStartPost", true),
            ("org.systemd.properties", false),
            ("seccomp-profile.kubernetes.cri-o.io/main", true),
            ("blockio.resources.beta.kubernetes.io/pod", true),
            ("platform.image-policy.k8s.io/ticket", true),
            ("policy.cilium.io/no-track-port", true),
            ("io.cilium.no-track-port", true),
            ("egress.projectcalico.org/selector", true),
            ("cni.projectcalico.org/ipv4pools", true),
            ("notcilium.io/x", false),
            ("resources.beta.kubernetes.io.example/x", false),
            ("k8s.v1.cni.cncf.io/networks", true),
            ("k8s.v1.cni.cncf.io/network-status", false),
            ("cni.projectcalico.org/podIP", false),
            ("prometheus.io/scrape", false),
            ("notcrio.io/x", false),
            ("kubernetes.io/description", false),
        ] {
            assert_eq!(obeyed(key), expected, "{key}");
        }
    }
}

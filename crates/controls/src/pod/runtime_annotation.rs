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
        r#"variables.annotations.all(k, !k.matches('^(cdi[.]k8s[.]io/|dev[.]gvisor[.]|io[.]containerd[.]'
        + '|io[.]katacontainers[.]|io[.]kubernetes[.]cri-o[.]|io[.]kubernetes[.]cri[.]|kubernetes[.]io/config[.]|org[.]systemd[.]property[.]|run[.]oci[.])')
        && !k.matches('^([^/]*[.])?(crio[.]io|nri[.]io|nri[.]containerd[.]io|noderesource[.]dev)(/.*)?$')
        && !(k in ['cni.projectcalico.org/allowedSourcePrefixes', 'cni.projectcalico.org/floatingIPs',
        'cni.projectcalico.org/hwAddr', 'cni.projectcalico.org/ipAddrs', 'cni.projectcalico.org/ipAddrsNoIpam',
        'k8s.ovn.org/routing-namespaces', 'k8s.v1.cni.cncf.io/networks', 'module.wasm.image/variant',
        'org.criu.config', 'v1.multus-cni.io/default-network']))"#,
    ),
    mend: Mend::ByHand,
};

/// What the keys start with: Container Device Interface, Kata, gVisor, containerd, CRI-O, crun, the
/// Node Resource Interface, properties of systemd units (CRI-O hands every annotation of a pod to the
/// runtime, which sets them as root, programs to be started among them), and what makes a pod a mirror of a kubelet's static one.
const PREFIXES: [&str; 9] = [
    "cdi.k8s.io/",
    "dev.gvisor.",
    "io.containerd.",
    "io.katacontainers.",
    "io.kubernetes.cri-o.",
    "io.kubernetes.cri.",
    "kubernetes.io/config.",
    "org.systemd.property.",
    "run.oci.",
];

/// Domains whose keys count, with their subdomains: CRI-O's newer ones, NRI plugins.
const DOMAINS: [&str; 4] = ["crio.io", "nri.io", "nri.containerd.io", "noderesource.dev"];

/// Single keys: more networks (Multus), addresses of one's own choice (Calico, OVN, AWS), checkpoint
/// and WebAssembly switches of runtimes. Not what plugins write back, such as
/// `cni.projectcalico.org/podIP`.
const KEYS: [&str; 10] = [
    "cni.projectcalico.org/allowedSourcePrefixes",
    "cni.projectcalico.org/floatingIPs",
    "cni.projectcalico.org/hwAddr",
    "cni.projectcalico.org/ipAddrs",
    "cni.projectcalico.org/ipAddrsNoIpam",
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

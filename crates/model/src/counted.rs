//! Which resources a tenant's quota may limit, and which kind of object uses them.

/// A kind of object that uses limited resources: API group and plural name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountedKind {
    /// Empty for the core group.
    pub group: String,
    /// The plural name in URLs.
    pub resource: String,
}

impl CountedKind {
    /// A kind by group and plural name.
    #[must_use]
    pub fn new(group: &str, resource: &str) -> Self {
        Self {
            group: group.to_owned(),
            resource: resource.to_owned(),
        }
    }

    /// Every kind that is counted.
    pub fn all() -> impl Iterator<Item = Self> {
        let using = USING.map(|(resource, _)| Self::new("", resource));
        let numbered = NUMBERED.map(|(group, resource, _)| Self::new(group, resource));
        using.into_iter().chain(numbered)
    }

    /// How the API server calls it: `apiVersion` and `kind`. None if it is not counted.
    #[must_use]
    pub fn served(&self) -> Option<(String, &'static str)> {
        let using = USING.map(|(resource, kind)| ("", resource, kind));
        let mut known = using.into_iter().chain(NUMBERED);
        let (group, _, kind) = known
            .find(|(group, resource, _)| *group == self.group && *resource == self.resource)?;
        let version = match group {
            "" => "v1".to_owned(),
            group => format!("{group}/v1"),
        };
        Some((version, kind))
    }

    /// Whether objects of this kind use nothing but their own number.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !(self.group.is_empty() && USING.iter().any(|(using, _)| *using == self.resource))
    }
}

impl std::fmt::Display for CountedKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// Kinds whose objects are counted, and nothing else of them: those that the webhook is asked about
/// anyway. Each further kind would cost every tenant's every write of it a call.
const NUMBERED: [(&str, &str, &str); 7] = [
    ("", "replicationcontrollers", "ReplicationController"),
    ("apps", "daemonsets", "DaemonSet"),
    ("apps", "deployments", "Deployment"),
    ("apps", "replicasets", "ReplicaSet"),
    ("apps", "statefulsets", "StatefulSet"),
    ("batch", "cronjobs", "CronJob"),
    ("batch", "jobs", "Job"),
];

/// Kinds whose objects use more than their own number.
const USING: [(&str, &str); 3] = [
    ("persistentvolumeclaims", "PersistentVolumeClaim"),
    ("pods", "Pod"),
    ("services", "Service"),
];

/// What a storage class's resources end in.
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";

/// The kind whose objects use a resource, as ResourceQuota names resources.
///
/// # Errors
/// Why it cannot be limited, as it follows the name.
pub fn kind_of(resource: &str) -> Result<CountedKind, &'static str> {
    let core = |resource| Ok(CountedKind::new("", resource));
    match resource {
        "pods" | "cpu" | "memory" | "ephemeral-storage" => return core("pods"),
        "services" | "services.loadbalancers" | "services.nodeports" => return core("services"),
        "persistentvolumeclaims" | "requests.storage" => return core("persistentvolumeclaims"),
        "secrets" | "count/secrets" => {
            return Err(
                "cannot be limited over all namespaces: Bulkhead reads nobody's Secrets, so it cannot count them",
            );
        }
        "replicationcontrollers" => return core("replicationcontrollers"),
        _ => {}
    }
    if let Some(counted) = resource.strip_prefix("count/") {
        let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
        let kind = CountedKind::new(group, plural);
        return match CountedKind::all().any(|known| known == kind) {
            true => Ok(kind),
            false => Err(
                "is not counted over all namespaces; expected `count/` and one of pods, services, persistentvolumeclaims, replicationcontrollers, daemonsets.apps, deployments.apps, replicasets.apps, statefulsets.apps, cronjobs.batch, jobs.batch",
            ),
        };
    }
    if let Some((class, used)) = resource.split_once(OF_CLASS) {
        let known = matches!(used, "requests.storage" | "persistentvolumeclaims");
        return match known && is_domain(class) {
            true => core("persistentvolumeclaims"),
            false => Err(
                "is not of the form `<class>.storageclass.storage.k8s.io/requests.storage` or `…/persistentvolumeclaims`",
            ),
        };
    }
    let requested = resource.strip_prefix("requests.");
    match (requested, resource.strip_prefix("limits.")) {
        (Some("cpu" | "memory" | "ephemeral-storage"), _)
        | (_, Some("cpu" | "memory" | "ephemeral-storage")) => core("pods"),
        (Some(name), _) if is_huge_page(name) || is_extended(name) => core("pods"),
        (None, None) if is_huge_page(resource) => core("pods"),
        _ => Err(
            "is no resource that can be limited; expected such as `pods`, `requests.cpu`, `limits.memory`, `requests.storage`, `requests.nvidia.com/gpu`, `services.loadbalancers`, `count/deployments.apps`",
        ),
    }
}

fn is_huge_page(name: &str) -> bool {
    name.strip_prefix("hugepages-")
        .is_some_and(|size| !size.is_empty() && size.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// A resource of a device plugin: `nvidia.com/gpu`.
fn is_extended(name: &str) -> bool {
    let native = |domain: &str| domain == "kubernetes.io" || domain.ends_with(".kubernetes.io");
    name.split_once('/').is_some_and(|(domain, device)| {
        is_domain(domain)
            && !native(domain)
            && !device.is_empty()
            && device.len() <= 63
            && device
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    })
}

fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    text.len() <= 63
        && bytes.iter().all(|&b| alnum(b) || b == b'-')
        && bytes.first().copied().is_some_and(alnum)
        && bytes.last().copied().is_some_and(alnum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_have_the_kind_that_uses_them() {
        for (resource, kind) in [
            ("pods", "pods"),
            ("count/pods", "pods"),
            ("requests.cpu", "pods"),
            ("limits.ephemeral-storage", "pods"),
            ("requests.nvidia.com/gpu", "pods"),
            ("hugepages-2Mi", "pods"),
            ("requests.hugepages-1Gi", "pods"),
            ("services.nodeports", "services"),
            ("requests.storage", "persistentvolumeclaims"),
            (
                "gp3.storageclass.storage.k8s.io/requests.storage",
                "persistentvolumeclaims",
            ),
            ("replicationcontrollers", "replicationcontrollers"),
            ("count/deployments.apps", "deployments.apps"),
            ("count/jobs.batch", "jobs.batch"),
        ] {
            assert_eq!(kind_of(resource).unwrap().to_string(), kind);
        }
    }

    #[test]
    fn what_cannot_be_limited_is_refused() {
        for bad in [
            "",
            "pod",
            "requests.",
            "requests.gpu",
            "limits.nvidia.com/gpu",
            "requests.kubernetes.io/x",
            "count/",
            "count/a/b",
            "count/UPPER",
            "count/events",
            "count/widgets.example.com",
            "configmaps",
            "namespaces",
            "count/leases.coordination.k8s.io",
            "secrets",
            "count/secrets",
            "gp3.storageclass.storage.k8s.io/pods",
            "requests.storage.x",
            "hugepages-",
        ] {
            assert!(kind_of(bad).is_err(), "{bad}");
        }
    }
}

//! What an object uses, counted as Kubernetes' ResourceQuota counts it.

use bulkhead_model::counted::CountedKind;
use bulkhead_model::quantity::{Amount, Amounts, add, raise};
use bulkhead_model::view::{Fields, Tree};
use serde_json::Value;

/// What an object uses of everything that could be limited.
///
/// # Errors
/// A quantity that cannot be read, by its place. What cannot be counted is not let in.
pub fn usage<T: Tree>(kind: &CountedKind, object: &T) -> Result<Amounts, String> {
    let fields = Fields::of(Some(object));
    let mut used = Amounts::new();
    count(&mut used, &format!("count/{kind}"), 1);
    if !kind.group.is_empty() {
        return Ok(used);
    }
    match kind.resource.as_str() {
        "pods" => pod(fields, &mut used)?,
        "services" => service(fields, &mut used),
        "persistentvolumeclaims" => claim(fields, &mut used)?,
        plain => count(&mut used, plain, 1),
    }
    Ok(used)
}

fn count(used: &mut Amounts, resource: &str, number: usize) {
    if number > 0 {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        used.insert(resource.to_owned(), Amount::whole(number));
    }
}

/// A pod that has ended uses nothing but its own object.
fn pod<T: Tree>(pod: Fields<'_, T>, used: &mut Amounts) -> Result<(), String> {
    if matches!(pod.at("status").str("phase"), Some("Succeeded" | "Failed")) {
        return Ok(());
    }
    count(used, "pods", 1);
    for (resource, amount) in compute(pod, "requests")? {
        match resource.as_str() {
            "cpu" | "memory" | "ephemeral-storage" => {
                used.insert(resource.clone(), amount);
                used.insert(format!("requests.{resource}"), amount);
            }
            huge if huge.starts_with("hugepages-") => {
                used.insert(resource.clone(), amount);
                used.insert(format!("requests.{resource}"), amount);
            }
            _ => {
                used.insert(format!("requests.{resource}"), amount);
            }
        }
    }
    for (resource, amount) in compute(pod, "limits")? {
        if matches!(resource.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            used.insert(format!("limits.{resource}"), amount);
        }
    }
    Ok(())
}

/// The requests or limits of a whole pod: the larger of what its containers need together and
/// what the hungriest moment of its start needs; what the pod itself says instead, where it says
/// it; and what its runtime adds.
fn compute<T: Tree>(pod: Fields<'_, T>, which: &str) -> Result<Amounts, String> {
    let spec = pod.at("spec");
    let mut running = Amounts::new();
    for container in spec.list("containers") {
        let status = status_of(pod, "containerStatuses", container);
        add(&mut running, &of_container(container, status, which)?);
    }
    let (mut sidecars, mut starting) = (Amounts::new(), Amounts::new());
    for container in spec.list("initContainers") {
        let status = status_of(pod, "initContainerStatuses", container);
        let mut needs = of_container(container, status, which)?;
        let stays = Fields::of(Some(container)).str("restartPolicy") == Some("Always");
        if stays {
            add(&mut running, &needs);
            add(&mut sidecars, &needs);
            needs = sidecars.clone();
        } else {
            add(&mut needs, &sidecars);
        }
        raise(&mut starting, &needs);
    }
    let mut sum = running;
    raise(&mut sum, &starting);
    for (resource, amount) in amounts(spec.at("resources").at(which), "spec.resources")? {
        sum.insert(resource, amount);
    }
    for (resource, amount) in amounts(spec.at("overhead"), "spec.overhead")? {
        // A container without a limit is not limited by what its runtime needs.
        if which == "requests" || sum.contains_key(&resource) {
            let sum = sum.entry(resource).or_default();
            *sum = sum.plus(amount);
        }
    }
    Ok(sum)
}

/// What a container is to have; while it is being resized, the larger of that and what it has.
fn of_container<T: Tree>(
    container: &T,
    status: Fields<'_, T>,
    which: &str,
) -> Result<Amounts, String> {
    let wanted = Fields::of(Some(container)).at("resources").at(which);
    let mut needs = amounts(wanted, which)?;
    raise(
        &mut needs,
        &amounts(status.at("resources").at(which), "status")?,
    );
    if which == "requests" {
        raise(
            &mut needs,
            &amounts(status.at("allocatedResources"), "status")?,
        );
    }
    Ok(needs)
}

fn status_of<'a, T: Tree>(pod: Fields<'a, T>, list: &str, container: &T) -> Fields<'a, T> {
    let name = Fields::of(Some(container)).str("name");
    let mut statuses = pod.at("status").list(list).iter();
    Fields::of(statuses.find(|status| Fields::of(Some(*status)).str("name") == name))
}

fn service<T: Tree>(service: Fields<'_, T>, used: &mut Amounts) {
    count(used, "services", 1);
    let spec = service.at("spec");
    let ports = spec.list("ports");
    match spec.str("type") {
        Some("NodePort") => count(used, "services.nodeports", ports.len()),
        Some("LoadBalancer") => {
            count(used, "services.loadbalancers", 1);
            let given = |port: &&T| Fields::of(Some(*port)).get("nodePort").is_some();
            let number = match spec.get("allocateLoadBalancerNodePorts") {
                Some(allocate) if allocate.is_false() => ports.iter().filter(given).count(),
                _ => ports.len(),
            };
            count(used, "services.nodeports", number);
        }
        _ => {}
    }
}

/// A claim that is being made larger uses the larger size at once.
fn claim<T: Tree>(claim: Fields<'_, T>, used: &mut Amounts) -> Result<(), String> {
    count(used, "persistentvolumeclaims", 1);
    let spec = claim.at("spec");
    let mut sizes = amounts(
        spec.at("resources").at("requests"),
        "spec.resources.requests",
    )?;
    let given = amounts(claim.at("status").at("allocatedResources"), "status")?;
    raise(&mut sizes, &given);
    let size = sizes.get("storage").copied();
    if let Some(size) = size {
        used.insert("requests.storage".to_owned(), size);
    }
    let annotated = claim.at("metadata").at("annotations").str(CLASS_ANNOTATION);
    let class = annotated.or(spec.str("storageClassName"));
    if let Some(class) = class.filter(|class| !class.is_empty()) {
        let of_class = |what: &str| format!("{class}.storageclass.storage.k8s.io/{what}");
        count(used, &of_class("persistentvolumeclaims"), 1);
        if let Some(size) = size {
            used.insert(of_class("requests.storage"), size);
        }
    }
    Ok(())
}

/// The old way of naming a class, which goes before the field.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Quantities by resource. The API server writes each as a string.
fn amounts<T: Tree>(fields: Fields<'_, T>, place: &str) -> Result<Amounts, String> {
    fields
        .iter()
        .map(|(resource, quantity)| {
            let amount = quantity
                .text()
                .and_then(|text| Amount::of(&Value::String(text.to_owned())));
            let amount =
                amount.ok_or_else(|| format!("`{place}` has no quantity for `{resource}`"))?;
            Ok((resource.to_owned(), amount))
        })
        .collect()
}

/// What a change needs beyond what the object used before, resource by resource.
#[must_use]
pub fn growth(before: &Amounts, after: &Amounts) -> Amounts {
    let mut more: Amounts = after
        .iter()
        .map(|(resource, amount)| {
            let had = before.get(resource).copied().unwrap_or_default();
            (resource.clone(), amount.minus(had))
        })
        .collect();
    more.retain(|_, amount| *amount > Amount::ZERO);
    more
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn used(resource: &str, object: &Value) -> Vec<String> {
        let kind = CountedKind::new("", resource);
        let used = usage(&kind, object).unwrap();
        used.iter().map(|(r, a)| format!("{r}={a}")).collect()
    }

    #[test]
    fn a_pods_start_and_its_sidecars_count() {
        let container = |cpu: &str| json!({"name": cpu, "resources": {"requests": {"cpu": cpu}}});
        let sidecar = |cpu: &str| {
            let mut container = container(cpu);
            container["restartPolicy"] = json!("Always");
            container
        };
        let cpu = |spec: Value| {
            let used = usage(&CountedKind::new("", "pods"), &json!({"spec": spec})).unwrap();
            used["requests.cpu"].to_string()
        };
        assert_eq!(
            cpu(json!({"containers": [container("1"), container("2")]})),
            "3"
        );
        let starts = json!({"initContainers": [container("5")], "containers": [container("1")]});
        assert_eq!(cpu(starts), "5");
        // The sidecar runs beside the init container that comes after it.
        let beside = json!({"initContainers": [container("7"), sidecar("2"), container("6")], "containers": [container("1")]});
        assert_eq!(cpu(beside), "8");
        let whole = json!({"resources": {"requests": {"cpu": "9"}}, "overhead": {"cpu": "250m"}, "containers": [container("1")]});
        assert_eq!(cpu(whole), "9250m");
    }

    #[test]
    fn objects_use_what_resource_quota_says() {
        let pod = json!({"spec": {"containers": [{"name": "a", "resources": {
            "requests": {"memory": "1Ki", "nvidia.com/gpu": "2", "hugepages-2Mi": "4Mi"},
            "limits": {"cpu": "1", "nvidia.com/gpu": "2"}}}],
            "overhead": {"cpu": "1", "memory": "1"}}});
        assert_eq!(
            used("pods", &pod),
            [
                "count/pods=1",
                "cpu=1",
                "hugepages-2Mi=4194304",
                "limits.cpu=2",
                "memory=1025",
                "pods=1",
                "requests.cpu=1",
                "requests.hugepages-2Mi=4194304",
                "requests.memory=1025",
                "requests.nvidia.com/gpu=2",
            ]
        );
        let ended = json!({"status": {"phase": "Failed"}, "spec": pod["spec"]});
        assert_eq!(used("pods", &ended), ["count/pods=1"]);
        let ports = json!([{"port": 1}, {"port": 2, "nodePort": 30000}]);
        let service = |kind: &str, allocate: Value| json!({"spec": {"type": kind, "ports": ports, "allocateLoadBalancerNodePorts": allocate}});
        let plain = ["count/services=1", "services=1"];
        assert_eq!(used("services", &service("ClusterIP", Value::Null)), plain);
        assert_eq!(
            used("services", &service("NodePort", Value::Null)),
            ["count/services=1", "services=1", "services.nodeports=2"]
        );
        for (allocate, ports) in [(json!(true), 2), (json!(false), 1)] {
            assert_eq!(
                used("services", &service("LoadBalancer", allocate)),
                [
                    "count/services=1".to_owned(),
                    "services=1".to_owned(),
                    "services.loadbalancers=1".to_owned(),
                    format!("services.nodeports={ports}"),
                ]
            );
        }
        let claim = json!({"spec": {"storageClassName": "gp3", "resources": {"requests": {"storage": "1Gi"}}},
            "status": {"allocatedResources": {"storage": "2Gi"}}});
        assert_eq!(
            used("persistentvolumeclaims", &claim),
            [
                "count/persistentvolumeclaims=1",
                "gp3.storageclass.storage.k8s.io/persistentvolumeclaims=1",
                "gp3.storageclass.storage.k8s.io/requests.storage=2147483648",
                "persistentvolumeclaims=1",
                "requests.storage=2147483648",
            ]
        );
        let kind = CountedKind::new("apps", "deployments");
        assert_eq!(usage(&kind, &json!({})).unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for cpu in [json!("-1"), json!("1e400"), json!({}), json!("x")] {
            let pod = json!({"spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]}});
            assert!(usage(&CountedKind::new("", "pods"), &pod).is_err(), "{pod}");
        }
    }

    #[test]
    fn only_what_grows_is_charged() {
        let of = |n: u64, m: u64| {
            Amounts::from([
                ("a".to_owned(), Amount::whole(n)),
                ("b".to_owned(), Amount::whole(m)),
            ])
        };
        assert_eq!(
            growth(&of(1, 5), &of(3, 2)),
            Amounts::from([("a".to_owned(), Amount::whole(2))])
        );
    }

    /// The same, said moment by moment: each init container runs with the sidecars before it, then all
    /// containers run with all sidecars; the pod needs what its worst moment needs.
    fn moments(init: &[(u64, bool)], ordinary: &[u64], overhead: u64) -> u64 {
        let sidecars = |n: usize| init[..n].iter().filter(|i| i.1).map(|i| i.0).sum::<u64>();
        let starting = init.iter().enumerate().map(|(n, i)| i.0 + sidecars(n));
        let running = ordinary.iter().sum::<u64>() + sidecars(init.len());
        starting.chain([running]).max().unwrap_or_default() + overhead
    }

    proptest! {
        #[test]
        fn a_pod_needs_what_its_worst_moment_needs(
            init in proptest::collection::vec((0..9u64, any::<bool>()), 0..6),
            ordinary in proptest::collection::vec(0..9u64, 1..5),
            overhead in 0..3u64,
        ) {
            let needs = |n: u64| json!({"requests": {"cpu": n.to_string()}});
            let pod = json!({"spec": {
                "initContainers": init.iter().map(|(n, stays)| match stays {
                    true => json!({"resources": needs(*n), "restartPolicy": "Always"}),
                    false => json!({"resources": needs(*n)}),
                }).collect::<Vec<_>>(),
                "containers": ordinary.iter().map(|n| json!({"resources": needs(*n)})).collect::<Vec<_>>(),
                "overhead": {"cpu": overhead.to_string()},
            }});
            let used = usage(&CountedKind::new("", "pods"), &pod).unwrap();
            prop_assert_eq!(used["requests.cpu"], Amount::whole(moments(&init, &ordinary, overhead)));
        }
    }
}

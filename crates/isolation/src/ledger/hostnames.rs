//! Hostnames: each is one tenant's, and a wildcard takes the names below it.
//!
//! `www.apps.example` and `*.apps.example` are two names that exclude each other between tenants. So
//! a name is claimed in steps, from its domain's top down: each domain above notes that the tenant
//! has something below, then the name itself is taken. A wildcard and a name below it meet in the
//! entry of the wildcard's domain, whichever comes first, and one of them hears that it is taken.

use std::collections::BTreeSet;

use bulkhead_model::Holder;
use serde_json::{Map, Value, json};

/// What is claimed in one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The domain itself.
    Name,
    /// All names below it that nobody has.
    Wildcard,
    /// Something below it: no claim of the domain's, but in the way of others' wildcards.
    Below,
}

const NAME: &str = "name";
const WILDCARD: &str = "wildcard";
const BELOW: &str = "below";
/// Set by whoever found the entry without use, taken away by whoever claims in it again.
const IDLE: &str = "idle";

/// The entries in which a hostname is claimed, by key, in this order.
#[must_use]
pub fn steps(host: &str) -> Vec<(String, Part)> {
    let (name, last) = match host.strip_prefix("*.") {
        Some(domain) => (domain, Part::Wildcard),
        None => (host, Part::Name),
    };
    let labels: Vec<&str> = name.split('.').collect();
    let above = (1..labels.len()).rev();
    let mut steps: Vec<(String, Part)> = above
        .filter_map(|start| Some((labels.get(start..)?.join("."), Part::Below)))
        .collect();
    steps.push((name.to_owned(), last));
    steps
}

/// Somebody else has it, or what stands in the way cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken(pub Option<Holder>);

/// An entry's data once the holder has this part; none if they are so already.
///
/// # Errors
/// [`Taken`] if it is another's.
pub fn claim(
    data: &Map<String, Value>,
    part: Part,
    holder: &Holder,
) -> Result<Option<Map<String, Value>>, Taken> {
    let mut next = data.clone();
    next.remove(IDLE);
    match part {
        Part::Name => free(data.get(NAME), holder)?,
        Part::Wildcard => {
            free(data.get(WILDCARD), holder)?;
            for other in below(data)?.values() {
                free(Some(other), holder)?;
            }
        }
        Part::Below => free(data.get(WILDCARD), holder)?,
    }
    match part {
        Part::Name => drop(next.insert(NAME.to_owned(), json!(holder))),
        Part::Wildcard => drop(next.insert(WILDCARD.to_owned(), json!(holder))),
        Part::Below => {
            let mut all = below(data)?;
            all.insert(holder.uid.to_string(), json!(holder));
            next.insert(BELOW.to_owned(), Value::Object(all));
        }
    }
    Ok((next != *data).then_some(next))
}

/// What becomes of an entry that is looked at without hurry.
#[derive(Debug, Clone, PartialEq)]
pub enum Collected {
    /// All of it is in use.
    Used,
    /// Some of it seems to be without use: these are the data that say so.
    Idle(Map<String, Value>),
    /// It said so before, and this is left of it; nothing if it is empty.
    Left(Map<String, Value>),
}

/// Gives back what nobody uses. `uses` says whether a tenant's object answers for a name below, or
/// for exactly, a host; it must come from a reading that is later than any request which could still
/// land when the entry was found idle.
#[must_use]
pub fn collect(
    key: &str,
    data: &Map<String, Value>,
    uses: &BTreeSet<(String, String)>,
) -> Collected {
    let has = |holder: &Value, fits: &dyn Fn(&str) -> bool| {
        let uid = holder.get("uid").and_then(Value::as_str);
        uses.iter()
            .any(|(by, host)| Some(by.as_str()) == uid && fits(host))
    };
    let end = format!(".{key}");
    let wild = format!("*{end}");
    let mut left = data.clone();
    left.remove(IDLE);
    if data
        .get(NAME)
        .is_some_and(|it| !has(it, &|host| host == key))
    {
        left.remove(NAME);
    }
    if data
        .get(WILDCARD)
        .is_some_and(|it| !has(it, &|host| host == wild))
    {
        left.remove(WILDCARD);
    }
    if let Some(Value::Object(all)) = left.get_mut(BELOW) {
        all.retain(|_, it| has(it, &|host| host.ends_with(&end) && host != wild));
        if all.is_empty() {
            left.remove(BELOW);
        }
    }
    let mut idle = data.clone();
    let marked = idle.insert(IDLE.to_owned(), json!(true)).is_some();
    let mut same = data.clone();
    same.remove(IDLE);
    match (left == same, marked) {
        (true, _) => Collected::Used,
        (false, false) => Collected::Idle(idle),
        (false, true) => Collected::Left(left),
    }
}

fn free(held: Option<&Value>, holder: &Holder) -> Result<(), Taken> {
    let Some(held) = held else {
        return Ok(());
    };
    match serde_json::from_value::<Holder>(held.clone()) {
        Ok(by) if by == *holder => Ok(()),
        Ok(by) => Err(Taken(Some(by))),
        Err(_) => Err(Taken(None)),
    }
}

fn below(data: &Map<String, Value>) -> Result<Map<String, Value>, Taken> {
    match data.get(BELOW) {
        None => Ok(Map::new()),
        Some(Value::Object(all)) => Ok(all.clone()),
        Some(_) => Err(Taken(None)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bulkhead_model::{TenantName, Uid};
    use proptest::prelude::*;

    use super::*;

    fn holder(name: &str) -> Holder {
        Holder {
            tenant: TenantName::parse(name).unwrap(),
            uid: Uid::parse(format!("u-{name}")).unwrap(),
        }
    }

    type Ledger = BTreeMap<String, Map<String, Value>>;

    /// Claims a whole name; what was noted on the way stays if the end is taken.
    fn take(ledger: &mut Ledger, host: &str, by: &Holder) -> bool {
        steps(host).into_iter().all(|(key, part)| {
            let data = ledger.entry(key).or_default();
            match claim(data, part, by) {
                Ok(Some(next)) => {
                    *data = next;
                    true
                }
                Ok(None) => true,
                Err(_) => false,
            }
        })
    }

    fn overlap(a: &str, b: &str) -> bool {
        let covers = |wild: &str, host: &str| {
            wild.strip_prefix('*')
                .is_some_and(|end| host.ends_with(end) && host.len() > end.len())
        };
        a == b || covers(a, b) || covers(b, a)
    }

    const HOSTS: [&str; 8] = [
        "example",
        "*.example",
        "a.example",
        "*.a.example",
        "x.a.example",
        "y.a.example",
        "*.x.a.example",
        "b.example",
    ];

    proptest! {
        #[test]
        fn no_two_tenants_have_names_that_overlap(
            order in prop::collection::vec((0_usize..3, prop::sample::select(HOSTS.to_vec())), 0..24),
        ) {
            let tenants = ["acme", "globex", "initech"].map(holder);
            let mut ledger = Ledger::new();
            let mut had: Vec<(usize, &str)> = Vec::new();
            for (tenant, host) in order {
                if take(&mut ledger, host, &tenants[tenant]) {
                    had.push((tenant, host));
                    // Asked again, the answer is the same.
                    prop_assert!(take(&mut ledger, host, &tenants[tenant]));
                }
            }
            for (a, x) in &had {
                for (b, y) in &had {
                    prop_assert!(a == b || !overlap(x, y), "{x} and {y} are two tenants'");
                }
            }
            // With no use at all, everything is free again after two looks; with all of it, nothing.
            let uses: BTreeSet<(String, String)> = had
                .iter()
                .map(|(tenant, host)| (tenants[*tenant].uid.to_string(), (*host).to_owned()))
                .collect();
            for (key, data) in &ledger {
                if let Collected::Idle(idle) = collect(key, data, &uses) {
                    // What a claim that failed has noted.
                    let Collected::Left(left) = collect(key, &idle, &uses) else { panic!() };
                    prop_assert_eq!(left.get(NAME), data.get(NAME));
                    prop_assert_eq!(left.get(WILDCARD), data.get(WILDCARD));
                }
                if data.is_empty() {
                    continue;
                }
                let Collected::Idle(idle) = collect(key, data, &BTreeSet::new()) else { panic!() };
                prop_assert_eq!(collect(key, &idle, &BTreeSet::new()), Collected::Left(Map::new()));
            }
        }
    }

    #[test]
    fn who_claims_again_is_no_longer_idle() {
        let acme = holder("acme");
        let Ok(Some(data)) = claim(&Map::new(), Part::Name, &acme) else {
            panic!()
        };
        let Collected::Idle(idle) = collect("a.example", &data, &BTreeSet::new()) else {
            panic!()
        };
        assert_eq!(claim(&idle, Part::Name, &acme), Ok(Some(data.clone())));
        assert_eq!(claim(&data, Part::Name, &acme), Ok(None));
        assert_eq!(
            claim(&data, Part::Name, &holder("globex")),
            Err(Taken(Some(acme)))
        );
        let odd = json!({"name": 1}).as_object().cloned().unwrap();
        assert_eq!(claim(&odd, Part::Name, &holder("globex")), Err(Taken(None)));
    }

    #[test]
    fn names_are_claimed_from_the_top_down() {
        assert_eq!(
            steps("*.a.example"),
            [
                ("example".to_owned(), Part::Below),
                ("a.example".to_owned(), Part::Wildcard)
            ]
        );
        assert_eq!(steps("example"), [("example".to_owned(), Part::Name)]);
    }
}

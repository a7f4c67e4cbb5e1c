//! Names that exclude each other.
//!
//! Most names are claimed by making the entry that is called like them. Prefixes are not: `acme-`
//! and `acme-prod-` are two names, and yet only one tenant may have them. Any two prefixes that
//! overlap start with the same word, so all prefixes of one word stand in one entry.

use bulkhead_model::{Holder, Prefix};
use serde_json::{Map, Value, json};

/// The key of the entry that holds a prefix: its first word with the `-` behind it.
#[must_use]
pub fn root(prefix: &Prefix) -> &str {
    let text = prefix.as_str();
    text.find('-')
        .and_then(|end| text.get(..=end))
        .unwrap_or(text)
}

/// Why a prefix cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The prefix that stands in the way.
    pub prefix: String,
    /// Whose it is; none if that cannot be read. What cannot be read keeps everybody out.
    pub holder: Option<Holder>,
}

/// The entry's data once the holder has the prefix; none if it has it already.
///
/// # Errors
/// [`Taken`] if somebody else has one that overlaps.
pub fn claim(
    data: &Map<String, Value>,
    prefix: &Prefix,
    holder: &Holder,
) -> Result<Option<Map<String, Value>>, Taken> {
    let (wanted, mut ours) = (prefix.as_str(), false);
    for (held, value) in data {
        let by: Option<Holder> = serde_json::from_value(value.clone()).ok();
        if by.as_ref() == Some(holder) {
            ours |= held == wanted;
        } else if held.starts_with(wanted) || wanted.starts_with(held) {
            return Err(Taken {
                prefix: held.clone(),
                holder: by,
            });
        }
    }
    if ours {
        return Ok(None);
    }
    let mut data = data.clone();
    data.insert(wanted.to_owned(), json!(holder));
    Ok(Some(data))
}

/// The entry's data once the holder has nothing in it; none if it has nothing already.
#[must_use]
pub fn release(data: &Map<String, Value>, holder: &Holder) -> Option<Map<String, Value>> {
    let held = json!(holder);
    let mut left = data.clone();
    left.retain(|_, by| *by != held);
    (left.len() < data.len()).then_some(left)
}

/// Everybody who has something in an entry of this kind.
pub fn holders(data: &Map<String, Value>) -> impl Iterator<Item = Holder> + '_ {
    data.values()
        .filter_map(|value| serde_json::from_value(value.clone()).ok())
}

#[cfg(test)]
mod tests {
    use bulkhead_model::{TenantName, Uid};

    use super::*;

    fn holder(name: &str) -> Holder {
        Holder {
            tenant: TenantName::parse(name).unwrap(),
            uid: Uid::parse(format!("u-{name}")).unwrap(),
        }
    }

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).unwrap()
    }

    /// Two claims one after the other: whether the second is had too.
    fn both(first: &str, second: &str) -> bool {
        let data = claim(&Map::new(), &prefix(first), &holder("a"))
            .unwrap()
            .unwrap();
        claim(&data, &prefix(second), &holder("b")).is_ok()
    }

    #[test]
    fn overlapping_prefixes_meet_in_one_entry_and_exclude_each_other() {
        let all = [
            "acme-",
            "acme-prod-",
            "acme-prod-eu-",
            "acme-dev-",
            "acmes-",
            "a-",
        ];
        for first in all {
            for second in all {
                let (a, b) = (prefix(first), prefix(second));
                if a.overlaps(&b) {
                    assert_eq!(root(&a), root(&b));
                }
                assert_eq!(both(first, second), !a.overlaps(&b), "{first} {second}");
            }
        }
    }

    #[test]
    fn a_claim_repeated_is_one_and_a_release_gives_it_up() {
        let acme = prefix("acme-");
        let data = claim(&Map::new(), &acme, &holder("a")).unwrap().unwrap();
        assert_eq!(claim(&data, &acme, &holder("a")), Ok(None));
        let taken = claim(&data, &prefix("acme-x-"), &holder("b")).unwrap_err();
        assert_eq!(taken.prefix, "acme-");
        assert_eq!(taken.holder, Some(holder("a")));
        assert_eq!(release(&data, &holder("b")), None);
        assert_eq!(release(&data, &holder("a")), Some(Map::new()));
        assert_eq!(holders(&data).collect::<Vec<_>>(), [holder("a")]);
    }

    #[test]
    fn what_cannot_be_read_keeps_others_out() {
        let data = json!({"acme-": 7}).as_object().unwrap().clone();
        let taken = claim(&data, &prefix("acme-x-"), &holder("b")).unwrap_err();
        assert_eq!(taken.holder, None);
    }
}

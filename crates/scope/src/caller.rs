//! Who asks, and what is theirs.

use std::collections::BTreeSet;

use bulkhead_model::tenant::Person;
use bulkhead_model::{NamespaceName, Prefix, Role, SyntheticUser, Tenant, TenantName, Uid};

use crate::sight::Usable;

/// Somebody outside with all that they may act for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The person's name for the API server's audit log.
    pub person: String,
    /// One for each tenant that the person is a member of, by the tenant's name.
    pub memberships: Vec<Membership>,
}

/// One tenant of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The tenant.
    pub tenant: TenantName,
    /// The UID of its object.
    pub uid: Uid,
    /// The synthetic user that stands for the caller's role.
    pub user: SyntheticUser,
    /// What the names of its namespaces start with.
    pub prefix: Prefix,
    /// Whether it may change nothing now.
    pub cordoned: bool,
    /// The namespaces that are its own.
    pub namespaces: BTreeSet<NamespaceName>,
    /// What it may use of the cluster's.
    pub usable: Usable,
}

/// A Namespace with what its labels claim.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The Namespace.
    pub namespace: &'a NamespaceName,
    /// Its tenant label.
    pub tenant: &'a TenantName,
    /// Its tenant UID label.
    pub uid: &'a Uid,
}

impl Membership {
    /// What a person is to a tenant; none for those who are no members, and for a tenant that is
    /// being deleted. A namespace counts if it carries the tenant's name and UID, both guarded. Its
    /// name need not have the prefix: an administrator may hand over one that was there before.
    #[must_use]
    pub fn of<'a>(
        tenant: &Tenant,
        person: &Person<'_>,
        claims: impl IntoIterator<Item = Claim<'a>>,
    ) -> Option<Self> {
        let role = tenant.role_of(person).filter(|_| !tenant.deleting)?;
        Some(Self {
            tenant: tenant.name.clone(),
            uid: tenant.uid.clone(),
            user: tenant.user(&role),
            prefix: tenant.prefix.clone(),
            cordoned: tenant.cordoned,
            usable: Usable::of(tenant),
            namespaces: claims
                .into_iter()
                .filter(|claim| *claim.tenant == tenant.name && *claim.uid == tenant.uid)
                .map(|claim| claim.namespace.clone())
                .collect(),
        })
    }
}

impl Membership {
    /// Whether the role makes namespaces: the right that vouches for new ones is the
    /// administrators' alone.
    #[must_use]
    pub fn creates_namespaces(&self) -> bool {
        self.user.role == Role::Admin.name()
    }
}

impl Caller {
    /// The membership whose namespace this is.
    #[must_use]
    pub fn owner(&self, namespace: &str) -> Option<&Membership> {
        self.memberships
            .iter()
            .find(|m| m.namespaces.iter().any(|n| n.as_str() == namespace))
    }

    /// Every namespace of the caller's, in order.
    #[must_use]
    pub fn namespaces(&self) -> BTreeSet<&NamespaceName> {
        self.memberships
            .iter()
            .flat_map(|m| &m.namespaces)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_model::Network;
    use bulkhead_model::tenant::{Member, PodSecurity, Subject};

    use super::*;

    #[test]
    fn a_namespace_counts_by_its_tenants_name_and_uid_together() {
        let tenant = Tenant {
            name: TenantName::parse("acme").unwrap(),
            uid: Uid::parse("u-1").unwrap(),
            generation: 1,
            deleting: false,
            tier: bulkhead_model::Tier::Pool,
            members: vec![Member {
                subject: Subject::User("alice".into()),
                role: Role::Developer,
            }],
            roles: vec![],
            prefix: Prefix::parse("acme-").unwrap(),
            nodes: Default::default(),
            priority_classes: Default::default(),
            device_classes: Default::default(),
            service_accounts: bulkhead_model::ServiceAccounts::default(),
            network: Network::default(),
            pod_security: PodSecurity::default(),
            images: bulkhead_model::Images::default(),
            exposure: Default::default(),
            limits: vec![],
            quota: Default::default(),
            cordoned: false,
            granted: bulkhead_model::Granted::default(),
        };
        let rows = [
            ("acme-app", "acme", "u-1", true),
            ("acme-old", "acme", "u-0", false),
            ("acme-other", "globex", "u-1", false),
            ("handed-over", "acme", "u-1", true),
        ];
        let parsed: Vec<_> = rows
            .iter()
            .map(|(n, t, u, _)| {
                (
                    NamespaceName::parse(*n).unwrap(),
                    TenantName::parse(*t).unwrap(),
                    Uid::parse(*u).unwrap(),
                )
            })
            .collect();
        let claims = || {
            parsed.iter().map(|(namespace, tenant, uid)| Claim {
                namespace,
                tenant,
                uid,
            })
        };
        let alice = Person::User {
            name: "alice",
            groups: &[],
        };
        let membership = Membership::of(&tenant, &alice, claims()).unwrap();
        assert_eq!(
            membership.user.to_string(),
            "bulkhead:tenant:acme:developer"
        );
        for (name, _, _, ours) in rows {
            assert_eq!(
                membership.namespaces.iter().any(|n| n.as_str() == name),
                ours,
                "{name}"
            );
        }
        assert_eq!(
            Membership::of(
                &tenant,
                &Person::User {
                    name: "bob",
                    groups: &[]
                },
                claims()
            ),
            None
        );
        let deleting = Tenant {
            deleting: true,
            ..tenant
        };
        assert_eq!(Membership::of(&deleting, &alice, claims()), None);
    }
}

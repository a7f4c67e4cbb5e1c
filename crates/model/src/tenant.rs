//! The Tenant as the rest of Bulkhead knows it: parsed, checked, free of wire forms.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::classes::ClassList;
use crate::exposure::Exposure;
use crate::host_path::HostPathPrefix;
use crate::identity::ServiceAccounts;
use crate::ids::{IdRange, IdRules, McsPair, PodField, SelinuxLevel, UserNamespaces};
use crate::image::Images;
use crate::names::{Prefix, RoleName, ServiceAccountRef, SyntheticUser, TenantName, Uid};
use crate::network::Network;
use crate::nodes::Nodes;
use crate::profile::{Profile, StandardsVersion, Tier};
use crate::quantity::{Amounts, nanos};
use crate::rules::{Capability, TenantRules};
use crate::view::Fields;

/// Of what every container must have a limit: what one lets run out, all others on the node lack.
pub const MUST_BE_LIMITED: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];

/// One tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Its name, from the object's metadata.
    pub name: TenantName,
    /// The UID of its object: a Tenant of the same name that is made anew is another tenant.
    pub uid: Uid,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether the object is being deleted: nothing of the tenant may be reachable any more.
    pub deleting: bool,
    /// Whose cluster its pods run in.
    pub tier: Tier,
    /// Who may act for it.
    pub members: Vec<Member>,
    /// Roles beside the three built-in ones.
    pub roles: Vec<CustomRole>,
    /// What the names of its namespaces start with.
    pub prefix: Prefix,
    /// What its pods are held to.
    pub pod_security: PodSecurity,
    /// Where its pods run.
    pub nodes: Nodes,
    /// PriorityClasses that its pods may name.
    pub priority_classes: ClassList,
    /// DeviceClasses that its claims may name.
    pub device_classes: ClassList,
    /// Which images they may run.
    pub images: Images,
    /// What its ServiceAccounts may be outside the cluster's own API.
    pub service_accounts: ServiceAccounts,
    /// Which traffic reaches its pods.
    pub network: Network,
    /// Which doors and disks of the platform it may name.
    pub exposure: Exposure,
    /// The `spec.limits` of the LimitRange in each namespace.
    pub limits: Vec<Value>,
    /// What it may use over all its namespaces together; empty: no limit.
    pub quota: Amounts,
    /// A cordoned tenant keeps what it has and makes nothing new.
    pub cordoned: bool,
    /// What the ledger has granted it and the cluster can do. A Tenant that was just read has
    /// nothing yet; whoever makes rules of it asks the ledger first.
    pub granted: Granted,
}

/// What no spec says: what the ledger has granted to a tenant, and what the cluster can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Granted {
    /// Users and groups that are the tenant's alone.
    pub ids: Option<IdRange>,
    /// The SELinux level that is the tenant's alone, if it is to have one.
    pub selinux: Option<McsPair>,
    /// Fields of pods that the API server drops.
    pub unserved: BTreeSet<PodField>,
}

impl Tenant {
    /// The rules that go into the guarded annotation of each namespace.
    #[must_use]
    pub fn rules(&self) -> TenantRules {
        TenantRules {
            tenant: self.name.clone(),
            uid: self.uid.clone(),
            profile: self.pod_security.profile,
            standards: StandardsVersion::PINNED,
            allowed_capabilities: self.pod_security.allowed_capabilities.clone(),
            nodes: self.nodes.clone(),
            priority_classes: self.priority_classes.clone(),
            device_classes: self.device_classes.clone(),
            runtime_classes: self.pod_security.runtime_classes.clone(),
            network: self.network.clone(),
            allowed_host_paths: self.pod_security.allowed_host_paths.clone(),
            allowed_seccomp_profiles: self.pod_security.allowed_seccomp_profiles.clone(),
            images: self.images.clone(),
            exposure: self.exposure.clone(),
            service_accounts: self.service_accounts.clone(),
            cluster_roles: self
                .roles
                .iter()
                .map(|role| role.cluster_role.clone())
                .collect(),
            ids: self.id_rules(),
            without_default_limit: self.without_default_limit(),
            limited: !self.quota.is_empty(),
        }
    }

    /// A default of nothing counts as none: runtimes read a limit of zero as no limit.
    fn without_default_limit(&self) -> BTreeSet<String> {
        let gives = |resource: &str| {
            self.limits.iter().any(|limit| {
                let limit = Fields::of(Some(limit));
                let default = limit.at("default").get(resource);
                limit.str("type") == Some("Container")
                    && default.and_then(nanos).is_some_and(|amount| amount > 0)
            })
        };
        let lacking = MUST_BE_LIMITED.iter().filter(|resource| !gives(resource));
        lacking.map(|resource| (*resource).to_owned()).collect()
    }

    /// A tenant that is to have a level of its own and has none yet gets no range either: without
    /// a range no pod is let in.
    fn id_rules(&self) -> IdRules {
        let (range, selinux) = match (self.pod_security.selinux, self.granted.selinux) {
            (SelinuxChoice::Runtime, _) => (self.granted.ids, SelinuxLevel::Runtime),
            (SelinuxChoice::PerTenant, Some(pair)) => {
                (self.granted.ids, SelinuxLevel::PerTenant(pair))
            }
            (SelinuxChoice::PerTenant, None) => (None, SelinuxLevel::Runtime),
        };
        IdRules {
            range,
            user_namespaces: self.pod_security.user_namespaces,
            selinux,
            unserved: self.granted.unserved.clone(),
        }
    }

    /// The synthetic user that stands for a role of this tenant.
    #[must_use]
    pub fn user(&self, role: &Role) -> SyntheticUser {
        SyntheticUser {
            tenant: self.name.clone(),
            role: role.name(),
        }
    }

    /// Every role that this tenant has, the built-in ones first.
    pub fn all_roles(&self) -> impl Iterator<Item = Role> + '_ {
        [Role::Admin, Role::Developer, Role::Viewer]
            .into_iter()
            .chain(
                self.roles
                    .iter()
                    .map(|role| Role::Custom(role.name.clone())),
            )
    }

    /// The strongest role of a person, if the person is a member. Built-in roles come before
    /// custom ones, then the order of the list decides.
    #[must_use]
    pub fn role_of(&self, person: &Person<'_>) -> Option<Role> {
        let mut roles: Vec<&Role> = self
            .members
            .iter()
            .filter(|member| member.subject.matches(person))
            .map(|member| &member.role)
            .collect();
        roles.sort_by_key(|role| role.rank());
        roles.first().copied().cloned()
    }
}

/// Somebody outside, as the gateway has authenticated them.
#[derive(Debug, Clone, Copy)]
pub enum Person<'a> {
    /// A user of our certificate authority or of an identity provider.
    User {
        /// Name of the user.
        name: &'a str,
        /// Groups that the authenticator vouches for.
        groups: &'a [String],
    },
    /// A ServiceAccount. Groups of ServiceAccounts make nobody a member.
    ServiceAccount(&'a ServiceAccountRef),
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub subject: Subject,
    /// As what.
    pub role: Role,
}

/// Whom a membership names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A user by name.
    User(String),
    /// Everybody in a group.
    Group(String),
    /// A ServiceAccount by namespace and name.
    ServiceAccount(ServiceAccountRef),
}

impl Subject {
    fn matches(&self, person: &Person<'_>) -> bool {
        match (self, person) {
            (Self::User(user), Person::User { name, .. }) => user == name,
            (Self::Group(group), Person::User { groups, .. }) => groups.contains(group),
            (Self::ServiceAccount(ours), Person::ServiceAccount(theirs)) => ours == *theirs,
            _ => false,
        }
    }
}

/// A role inside a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Works with everything in the tenant's namespaces, and makes and deletes namespaces.
    Admin,
    /// Works with workloads, configuration and Services.
    Developer,
    /// Reads, but no Secrets.
    Viewer,
    /// A role of `spec.roles`.
    Custom(RoleName),
}

impl Role {
    /// The last part of the synthetic user's name.
    #[must_use]
    pub fn name(&self) -> RoleName {
        match self {
            Self::Custom(name) => name.clone(),
            builtin => {
                let name = builtin.builtin_name().unwrap_or_default();
                // INVARIANT: the built-in names are DNS labels (test `builtin_roles_have_names`).
                #[expect(clippy::expect_used, reason = "three constants, tested")]
                RoleName::parse(name).expect("a built-in role name is a DNS label")
            }
        }
    }

    /// The name of a built-in role, lower case; none for a custom role.
    #[must_use]
    pub fn builtin_name(&self) -> Option<&'static str> {
        match self {
            Self::Admin => Some("admin"),
            Self::Developer => Some("developer"),
            Self::Viewer => Some("viewer"),
            Self::Custom(_) => None,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Admin => 0,
            Self::Developer => 1,
            Self::Viewer => 2,
            Self::Custom(_) => 3,
        }
    }
}

/// A role of `spec.roles`: its name, and the ClusterRole that it means inside each namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomRole {
    /// Name, none of the built-in ones.
    pub name: RoleName,
    /// The ClusterRole to bind.
    pub cluster_role: String,
}

/// What a tenant's pods are held to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodSecurity {
    /// Which controls apply.
    pub profile: Profile,
    /// Capabilities that containers may add.
    pub allowed_capabilities: BTreeSet<Capability>,
    /// RuntimeClasses.
    pub runtime_classes: RuntimeClasses,
    /// Folders of the node that pods may mount read-only.
    pub allowed_host_paths: Vec<HostPathPrefix>,
    /// Seccomp profiles on the nodes that `Strict` pods may name.
    pub allowed_seccomp_profiles: BTreeSet<String>,
    /// Whether they have user namespaces of their own.
    pub user_namespaces: UserNamespaces,
    /// Who chooses their SELinux levels.
    pub selinux: SelinuxChoice,
}

/// `spec.podSecurity.selinuxLevel`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum SelinuxChoice {
    /// The container runtime.
    #[default]
    Runtime,
    /// One level for all pods of the tenant.
    PerTenant,
}

/// RuntimeClasses that a tenant's pods may name, or must.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuntimeClasses {
    /// Which ones.
    #[serde(default, skip_serializing_if = "ClassList::is_empty")]
    pub classes: ClassList,
    /// Whether every pod must name one: containers alone do not keep such a tenant in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

impl RuntimeClasses {
    /// Whether nothing is permitted and nothing asked for.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(members: Vec<Member>) -> Tenant {
        Tenant {
            name: TenantName::parse("acme").unwrap(),
            uid: Uid::parse("u-1").unwrap(),
            generation: 1,
            deleting: false,
            tier: Tier::Pool,
            members,
            roles: vec![],
            prefix: Prefix::parse("acme-").unwrap(),
            nodes: Nodes::default(),
            priority_classes: ClassList::default(),
            device_classes: ClassList::default(),
            service_accounts: ServiceAccounts::default(),
            network: Network::default(),
            pod_security: PodSecurity::default(),
            images: Images::default(),
            exposure: Exposure::default(),
            limits: vec![],
            quota: Amounts::new(),
            cordoned: false,
            granted: Granted::default(),
        }
    }

    #[test]
    fn a_limit_range_gives_what_is_more_than_nothing() {
        let mut acme = tenant(vec![]);
        let lacks = |acme: &Tenant| {
            acme.rules()
                .without_default_limit
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(lacks(&acme), MUST_BE_LIMITED);
        acme.limits = vec![
            serde_json::json!({"type": "Pod", "max": {"memory": "1Gi"}, "default": {"memory": "1Gi"}}),
            serde_json::json!({"type": "Container", "default": {"cpu": "0", "ephemeral-storage": 1}}),
        ];
        assert_eq!(lacks(&acme), ["cpu", "memory"]);
    }

    #[test]
    fn without_a_level_that_it_is_to_have_a_tenant_has_no_ids() {
        let mut acme = tenant(vec![]);
        assert_eq!(
            acme.rules().ids,
            IdRules::default(),
            "nothing is granted yet"
        );
        acme.granted.ids = IdRange::new(1_000_000_000, 1_000_009_999);
        assert_eq!(acme.rules().ids.range, acme.granted.ids);
        acme.pod_security.selinux = SelinuxChoice::PerTenant;
        assert_eq!(acme.rules().ids.range, None);
        acme.granted.selinux = McsPair::nth(7);
        let rules = acme.rules().ids;
        assert_eq!(rules.range, acme.granted.ids);
        assert_eq!(
            Some(rules.selinux),
            McsPair::nth(7).map(SelinuxLevel::PerTenant)
        );
    }

    #[test]
    fn builtin_roles_have_names() {
        let names: Vec<String> = tenant(vec![])
            .all_roles()
            .map(|role| role.name().to_string())
            .collect();
        assert_eq!(names, ["admin", "developer", "viewer"]);
    }

    #[test]
    fn a_service_account_is_keyed_by_its_namespace() {
        let sa = |s: &str| ServiceAccountRef::parse(s).unwrap();
        let acme = tenant(vec![Member {
            subject: Subject::ServiceAccount(sa("acme-ci/deployer")),
            role: Role::Admin,
        }]);
        assert_eq!(
            acme.role_of(&Person::ServiceAccount(&sa("acme-ci/deployer"))),
            Some(Role::Admin)
        );
        assert_eq!(
            acme.role_of(&Person::ServiceAccount(&sa("evil/deployer"))),
            None
        );
        let lookalike = Person::User {
            name: "system:serviceaccount:acme-ci:deployer",
            groups: &[],
        };
        assert_eq!(acme.role_of(&lookalike), None);
    }

    #[test]
    fn the_strongest_role_wins() {
        let user = || Subject::User("alice".into());
        let acme = tenant(vec![
            Member {
                subject: user(),
                role: Role::Viewer,
            },
            Member {
                subject: Subject::Group("ops".into()),
                role: Role::Admin,
            },
        ]);
        let groups = ["ops".to_owned()];
        assert_eq!(
            acme.role_of(&Person::User {
                name: "alice",
                groups: &groups
            }),
            Some(Role::Admin)
        );
        assert_eq!(
            acme.role_of(&Person::User {
                name: "alice",
                groups: &[]
            }),
            Some(Role::Viewer)
        );
        assert_eq!(
            acme.role_of(&Person::User {
                name: "bob",
                groups: &[]
            }),
            None
        );
    }
}

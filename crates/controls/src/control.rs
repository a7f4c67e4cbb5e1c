//! What a control is made of.

use std::fmt;

use bulkhead_model::view::{Fields, Pod};

use crate::claim::Claim;
use crate::context::{Context, Findings};
use crate::fills::Fills;
use crate::object::Object;
use crate::profiles::Profiles;
use crate::service::Service;

/// One bad pattern, and everything that Bulkhead knows about it.
#[derive(Debug)]
pub struct Control {
    /// The bad pattern's name in kebab case. Users write it, so it never changes.
    pub name: &'static str,
    /// The section of the guide that asks for it.
    pub guide: Section,
    /// What is lost without it.
    pub severity: Severity,
    /// Which tenants are held to it.
    pub profiles: Profiles,
    /// Why the pattern is refused: a clause, as it follows "because".
    pub why: &'static str,
    /// What the author of the manifest has to do: a clause in the imperative.
    pub remedy: &'static str,
    /// The page that people read, and that the tests run.
    pub page: &'static str,
    /// Who judges.
    pub rule: Rule,
    /// The same rule in CEL, for the API server's own policy; none where CEL cannot say it, and
    /// then the page says why.
    pub cel: Option<&'static str>,
    /// Who mends.
    pub mend: Mend,
}

/// Who judges an object by a control.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// This function, over every pod wherever it stands.
    Pod(fn(&Pod<'_>, &Context<'_>, &mut Findings)),
    /// This function, over every Service.
    Service(fn(&Service<'_>, &Context<'_>, &mut Findings)),
    /// This function, over every PersistentVolumeClaim and every template of one.
    Claim(fn(&Claim<'_>, &Context<'_>, &mut Findings)),
    /// This function, over every object, whatever its kind.
    Object(fn(&Object<'_>, &Context<'_>, &mut Findings)),
    /// This function, over every Dockerfile ([`crate::judge_dockerfile`]). Admission sees none.
    Dockerfile(fn(Fields<'_>, &mut Findings)),
    /// A policy inside the API server ([`crate::guards`]), because it must hold without us.
    Guard,
}

/// Who mends what a control refuses.
#[derive(Debug, Clone, Copy)]
pub enum Mend {
    /// The author: the wrong value was written down, and we do not override what people write.
    ByHand,
    /// This function names the safe values of fields that nobody has set.
    Fill(fn(&Pod<'_>, &Context<'_>, &mut Fills<'_>)),
}

/// A section of the guide, in the guide's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Nodes that are one tenant's.
    Nodes,
    /// No access of tenants' own to the Kubernetes and EKS APIs.
    DirectAccess,
    /// Namespaces that are one tenant's.
    Namespaces,
    /// Capabilities and privileged containers.
    ContainerPrivileges,
    /// Users and groups of containers.
    NonRoot,
    /// Volumes of the node.
    HostFilesystem,
    /// The node's network and its metadata service.
    HostNetworkAndMetadata,
    /// Services with foreign addresses, and writes of status.
    ExternalAddresses,
    /// System calls.
    Seccomp,
    /// Labels of processes and files.
    Selinux,
    /// What an admission controller asks beyond the rest.
    AdmissionControllers,
    /// The strict policy for tenants that nobody trusts.
    Appendix,
    /// What Kubernetes has learnt since the guide was written.
    Since,
}

impl Section {
    /// The section's heading, word for word.
    #[must_use]
    pub fn chinese(self) -> &'static str {
        match self {
            Self::Nodes => "使用租户专用的工作节点",
            Self::DirectAccess => "不提供 Kubernetes 或 EKS API 的直接访问权限",
            Self::Namespaces => "使用命名空间隔离租户工作负载",
            Self::ContainerPrivileges => "限制容器特权",
            Self::NonRoot => "禁止以 root 用户身份运行租户容器",
            Self::HostFilesystem => "限制挂载主机文件系统",
            Self::HostNetworkAndMetadata => "限制使用主机网络并阻止访问实例元数据服务",
            Self::ExternalAddresses => "限制使用外部 IP 地址创建服务",
            Self::Seccomp => "应用 Seccomp 配置文件至容器",
            Self::Selinux => "将 SELinux 配置文件应用至容器",
            Self::AdmissionControllers => "使用准入控制器执行安全策略",
            Self::Appendix => "附录:面向不受信任租户的严格 Pod 安全策略",
            Self::Since => "指南发布之后新增",
        }
    }

    /// The heading in English.
    #[must_use]
    pub fn english(self) -> &'static str {
        match self {
            Self::Nodes => "Use worker nodes that are dedicated to a tenant",
            Self::DirectAccess => "Give no direct access to the Kubernetes and EKS APIs",
            Self::Namespaces => "Isolate tenants' workloads by namespaces",
            Self::ContainerPrivileges => "Limit the privileges of containers",
            Self::NonRoot => "Do not run tenants' containers as root",
            Self::HostFilesystem => "Limit mounts of the host's file system",
            Self::HostNetworkAndMetadata => {
                "Limit the host's network and block the instance metadata service"
            }
            Self::ExternalAddresses => "Limit Services with external IP addresses",
            Self::Seccomp => "Apply a seccomp profile to containers",
            Self::Selinux => "Apply an SELinux profile to containers",
            Self::AdmissionControllers => "Enforce security policies by admission controllers",
            Self::Appendix => "Appendix: a strict pod security policy for untrusted tenants",
            Self::Since => "Added since the guide",
        }
    }
}

/// What is lost if a control is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A wall of several is gone: a second mistake is needed to get through.
    Medium,
    /// Something of another tenant, or a limit, is within reach.
    High,
    /// The node or the cluster is the tenant's, and every other tenant on it.
    Critical,
}

impl Severity {
    /// The word for it in Chinese.
    #[must_use]
    pub fn chinese(self) -> &'static str {
        match self {
            Self::Medium => "中",
            Self::High => "高",
            Self::Critical => "严重",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

//! `foreign-namespace`: the control plane's namespaces and ours never become a tenant's, not
//! even by an administrator's slip: the webhook would then stand in the control plane's way.

use super::{Guard, Rule, Validation};

pub(super) fn guard() -> Guard {
    Guard {
        name: "bulkhead-system-namespaces",
        rule: Rule {
            groups: &[""],
            resources: &["namespaces", "namespaces/status", "namespaces/finalize"],
            operations: &["CREATE", "UPDATE"],
            scope: "Cluster",
        },
        in_tenants_only: false,
        only_if: Some("labels(object).exists(k, k.matches('^(.*[.])?bulkhead[.]dev/'))"),
        variables: &[],
        validations: vec![
            Validation::new(
                "!('$TENANT' in labels(object))
                 || !(object.metadata.?name.orValue('') in ['academy', 'aero', 'agency', 'amazon', 'android', 'app', 'apple', 'arpa', 'art', 'asia', 'aws', 'azure', 'bank', 'bio', 'biz', 'blog', 'build', 'cat', 'chat', 'click', 'cloud', 'club', 'cluster', 'code', 'com', 'company', 'coop', 'corp', 'design', 'dev', 'digital', 'edu', 'email', 'email', 'example', 'finance', 'fun', 'games', 'global', 'google', 'gov', 'group', 'health', 'home', 'host', 'icu', 'info', 'int', 'internal', 'intranet', 'invalid', 'jobs', 'lan', 'life', 'link', 'live', 'local', 'localhost', 'media', 'microsoft', 'mil', 'mobi', 'money', 'museum', 'name', 'net', 'network', 'news', 'one', 'onion', 'online', 'org', 'page', 'pay', 'plus', 'pod', 'post', 'private', 'pro', 'run', 'security', 'services', 'shop', 'site', 'social', 'software', 'solutions', 'space', 'store', 'support', 'svc', 'systems', 'team', 'tech', 'tel', 'test', 'today', 'tools', 'top', 'travel', 'vip', 'website', 'wiki', 'work', 'works', 'world', 'xyz', 'youtube', 'zone'])
                 && !object.metadata.?name.orValue('').startsWith('xn--')
                 && (object.metadata.?name.orValue('').size() != 2 || object.metadata.name.matches('[0-9]'))",
                "namespace-shadows-domain: a Service in a namespace called like a domain answers for names of that domain, in every pod of the cluster",
            ),
            Validation::new(
                "!(object.metadata.?name.orValue('') in ['default', '$SYSTEM']) && !object.metadata.?name.orValue('kube-').startsWith('kube-')",
                "foreign-namespace: the namespaces of Kubernetes and Bulkhead cannot be a tenant's",
            ),
        ],
    }
}

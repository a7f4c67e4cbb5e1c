//! What must hold of every control.

use std::collections::BTreeSet;

use bulkhead_controls::{Language, Mend, REGISTRY, Rule, by_name, docs, explain};

use crate::pages::blocks;

#[test]
fn names_are_unique_and_kebab_case() {
    let names: BTreeSet<&str> = REGISTRY.iter().map(|control| control.name).collect();
    assert_eq!(names.len(), REGISTRY.len());
    for name in names {
        let words: Vec<&str> = name.split('-').collect();
        let plain = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        assert!(words.iter().all(plain), "{name}");
        assert_eq!(by_name(name).map(|control| control.name), Some(name));
    }
    assert!(by_name("no-such-control").is_none());
}

#[test]
fn the_registry_has_the_guides_order() {
    let order: Vec<_> = REGISTRY
        .iter()
        .map(|control| (control.guide, control.name))
        .collect();
    assert!(order.is_sorted(), "{order:#?}");
}

#[test]
fn every_page_speaks_both_languages() {
    let han = |text: &str| {
        text.chars()
            .filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c))
            .count()
    };
    for control in REGISTRY {
        let english = explain(control, Language::English);
        let chinese = explain(control, Language::Chinese);
        for (text, language) in [(&english, "English"), (&chinese, "Chinese")] {
            assert!(
                !text.contains("## "),
                "{}: {language} is not taken apart",
                control.name
            );
            assert!(
                text.starts_with(&format!("{}: ", control.name)),
                "{}",
                control.name
            );
        }
        assert!(english.contains("\nMend: "), "{}", control.name);
        assert!(chinese.contains("\n修正:"), "{}", control.name);
        assert!(
            chinese.contains(control.guide.chinese()),
            "{}",
            control.name
        );
        assert!(
            han(&chinese) > han(&english) + 100,
            "{}: too little Chinese",
            control.name
        );
    }
}

#[test]
fn every_page_shows_what_is_refused_and_what_passes() {
    for control in REGISTRY {
        let blocks = blocks(control.page);
        let shows =
            |block: &&crate::pages::Block| block.marks.iter().any(|(_, name)| name == control.name);
        assert!(
            blocks.iter().any(|b| shows(&b)),
            "{}: no failing block",
            control.name
        );
        let passes = blocks
            .iter()
            .any(|b| b.marks.is_empty() && b.role.is_empty());
        assert!(passes, "{}: no passing block", control.name);
        let mends = blocks.iter().any(|block| block.role == "before");
        assert_eq!(
            mends,
            matches!(control.mend, Mend::Fill(_)),
            "{}",
            control.name
        );
    }
}

#[test]
fn reasons_and_remedies_are_clauses() {
    for control in REGISTRY {
        for clause in [control.why, control.remedy] {
            assert!(!clause.ends_with('.') && !clause.contains('\n'), "{clause}");
            assert!(
                clause.starts_with(|c: char| c.is_lowercase() || c == '`'),
                "{clause}"
            );
            assert!(clause.chars().count() < 140, "{clause}");
        }
    }
}

#[test]
fn a_guard_says_its_name_in_the_policy_that_judges() {
    let policies = serde_json::to_string(&bulkhead_controls::guards::policies()).unwrap();
    for control in REGISTRY
        .iter()
        .filter(|control| matches!(control.rule, Rule::Guard))
    {
        assert!(
            policies.contains(&format!("\"{}: ", control.name)),
            "{}",
            control.name
        );
    }
}

#[test]
fn there_is_a_document_for_each_control_and_an_index() {
    let docs = docs();
    assert_eq!(docs.len(), REGISTRY.len() + 1);
    for control in REGISTRY {
        let page = &docs[&format!("{}.md", control.name)];
        assert!(page.contains(control.guide.chinese()), "{}", control.name);
        assert!(
            docs["README.md"].contains(&format!("({}.md)", control.name)),
            "{}",
            control.name
        );
    }
}

/// What the guide asks for at admission, and what has been added to it since: each has a page.
#[test]
fn every_control_that_the_guide_asks_for_is_explained() {
    #[rustfmt::skip]
    let asked = [
        "shared-node", "foreign-toleration", "node-name-set", "missing-node-selector", "foreign-namespace",
        "tenant-label-change", "rbac-beyond-tenant", "privileged-container", "forbidden-capability",
        "capabilities-kept", "privilege-escalation", "runs-as-root", "id-outside-tenant-range",
        "missing-fs-group", "host-path-volume", "writable-host-path", "unsafe-volume-type", "host-network",
        "host-port", "host-pid", "host-ipc", "service-external-ip", "status-write", "foreign-endpoint",
        "seccomp-unconfined", "selinux-label-shared", "selinux-label-chosen", "untrusted-registry",
        "missing-runtime-class", "host-process", "unmasked-proc", "unsafe-sysctl", "apparmor-unconfined",
        "no-resource-limit", "node-exhaustion", "tenant-extends-api",
        "probe-host", "cross-namespace-affinity", "priority-class-unlisted", "host-user-namespace",
        "runtime-annotation", "device-admin-access", "certificate-signer-unlisted", "network-policy-widened",
        "hostname-taken", "cross-namespace-reference", "namespace-shadows-domain", "token-audience-chosen",
        "legacy-token-secret", "iam-role-chosen", "foreign-owner-reference", "impersonation-unconstrained",
        "volume-preclaimed", "drain-blocked",
    ];
    for name in asked {
        let control = by_name(name).unwrap_or_else(|| panic!("{name} is missing"));
        for (language, mend) in [(Language::English, "Mend: "), (Language::Chinese, "修正:")] {
            let text = explain(control, language);
            assert!(text.contains(mend), "{name}: {text}");
        }
    }
}

use proptest::prelude::*;

use super::*;

#[test]
fn references_read_as_runtimes_read_them() {
    let digest = format!("sha256:{}", "a1".repeat(32));
    for (reference, expect) in [
        ("nginx", Some("docker.io/library/nginx".to_owned())),
        ("nginx:1", Some("docker.io/library/nginx:1".to_owned())),
        ("team/app", Some("docker.io/team/app".to_owned())),
        (
            "docker.io/nginx",
            Some("docker.io/library/nginx".to_owned()),
        ),
        (
            "index.docker.io/nginx",
            Some("docker.io/library/nginx".to_owned()),
        ),
        ("localhost/app", Some("localhost/app".to_owned())),
        ("registry:5000/app", Some("registry:5000/app".to_owned())),
        (
            "registry:5000",
            Some("docker.io/library/registry:5000".to_owned()),
        ),
        (
            "registry.example/a/b:t",
            Some("registry.example/a/b:t".to_owned()),
        ),
        ("Foo/bar", Some("Foo/bar".to_owned())),
        ("[fd00::1]:5000/app", Some("[fd00::1]:5000/app".to_owned())),
        ("[fd00::1]/app", Some("[fd00::1]/app".to_owned())),
        ("10.0.0.1/a__b-.c", None),
        ("a/b--c__d.e_f", Some("docker.io/a/b--c__d.e_f".to_owned())),
        (
            &format!("r.example/a:t@{digest}"),
            Some(format!("r.example/a:t@{digest}")),
        ),
        (
            &format!("r.example/a@{digest}"),
            Some(format!("r.example/a@{digest}")),
        ),
        ("", None),
        ("/app", None),
        ("r.example/", None),
        ("r.example//app", None),
        ("r.example/../app", None),
        ("r.example/App", None),
        ("r.example/app:", None),
        ("r.example/app@sha256:12", None),
        ("r.example/app@", None),
        ("r.example/app:t:u", None),
        ("https://r.example/app", None),
        ("r.example/app ", None),
        ("-r.example/app", None),
        ("r.example:x/app", None),
        ("r.example/a%2fb", None),
        (&"a".repeat(64), None),
        (
            &"a".repeat(65),
            Some(format!("docker.io/library/{}", "a".repeat(65))),
        ),
        (&"x".repeat(300), None),
    ] {
        let parsed = ImageRef::parse(reference).map(|image| image.to_string());
        assert_eq!(parsed, expect, "{reference}");
    }
}

#[test]
fn a_registry_has_what_is_below_it_and_nothing_beside() {
    for (registry, image, expect) in [
        ("registry.example", "registry.example/app", true),
        ("registry.example", "REGISTRY.example/app", true),
        ("registry.example", "registry.example:443/app", false),
        ("registry.example", "registry.example.evil.com/app", false),
        ("registry.example", "evil.com/registry.example/app", false),
        ("registry.example", "registry/example/app", false),
        ("registry.example", "app", false),
        ("registry.example/team", "registry.example/team", true),
        ("registry.example/team", "registry.example/team/app:1", true),
        (
            "registry.example/team",
            "registry.example/team-b/app",
            false,
        ),
        (
            "registry.example/team",
            "registry.example/other/team/app",
            false,
        ),
        ("registry.example/a/b", "registry.example/a", false),
        ("docker.io/library", "nginx", true),
        ("docker.io/library", "docker.io/nginx", true),
        ("docker.io/library", "team/nginx", false),
        ("docker.io/team", "team/nginx", true),
        ("localhost:5000", "localhost:5000/app", true),
        ("localhost:5000", "localhost/app", false),
    ] {
        let registry = Registry::parse(registry).unwrap();
        let image = ImageRef::parse(image).unwrap();
        assert_eq!(registry.has(&image), expect, "{registry} {image}");
    }
    for bad in [
        "",
        "registry",
        "team/app",
        "Registry.example",
        "r.example/",
        "r.example/*",
        "*.example",
        "https://r.example",
        "index.docker.io",
    ] {
        assert!(Registry::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_nobody_says_is_what_the_api_server_fills_in() {
    let digest = format!("a@sha256:{}", "0".repeat(64));
    for (image, policy) in [
        ("a", PullPolicy::Always),
        ("a:latest", PullPolicy::Always),
        ("a:1", PullPolicy::IfNotPresent),
        (&digest, PullPolicy::IfNotPresent),
    ] {
        assert_eq!(
            ImageRef::parse(image).unwrap().default_policy(),
            policy,
            "{image}"
        );
    }
    assert!(!Images::default().pull_policies.contains(&PullPolicy::Never));
}

/// References by the grammar, with their parts.
fn written() -> impl Strategy<Value = (Option<String>, String, String)> {
    let label = "[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?";
    let host = format!(r"{label}(\.{label}){{1,3}}(:[0-9]{{1,5}})?");
    let part = "[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}";
    let path = format!("{part}(/{part}){{0,3}}");
    let end = r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,8})?(@sha256:[0-9a-f]{64})?";
    let matching = |regex: &str| proptest::string::string_regex(regex).unwrap();
    (
        proptest::option::of(matching(&host)),
        matching(&path),
        matching(end),
    )
}

proptest! {
    #[test]
    fn what_the_grammar_makes_is_read_with_its_parts((host, path, end) in written()) {
        let reference = match &host {
            Some(host) => format!("{host}/{path}{end}"),
            None => format!("{path}{end}"),
        };
        // A first part with a dot is a host, and another grammar's.
        let first = path.split('/').next().unwrap_or_default();
        prop_assume!(host.is_some() || !path.contains('/') || !(first.contains('.') || first == "localhost"));
        let image = ImageRef::parse(&reference).unwrap();
        let full = image.to_string();
        let expect = match (&host, path.contains('/')) {
            (Some(_), _) => reference.clone(),
            (None, true) => format!("docker.io/{reference}"),
            (None, false) => format!("docker.io/library/{reference}"),
        };
        prop_assert_eq!(&full, &expect);
        // Written in full it is the same image.
        prop_assert_eq!(ImageRef::parse(&full).unwrap().to_string(), full);
    }

    #[test]
    fn any_text_gets_an_answer_and_is_no_other_registrys(text in "[a-zA-Z0-9.:/@_\\[\\] -]{0,40}") {
        let registry = Registry::parse("registry.example/team").unwrap();
        if let Some(image) = ImageRef::parse(&text)
            && registry.has(&image)
        {
            let full = image.to_string().to_ascii_lowercase();
            prop_assert!(
                full == "registry.example/team"
                    || ["/", ":", "@"].iter().any(|next| full.starts_with(&format!("registry.example/team{next}"))),
                "{}", full
            );
        }
    }

    #[test]
    fn a_prefix_of_an_image_has_it((host, path, end) in written(), parts in 0_usize..4) {
        let Some(host) = host else { return Ok(()) };
        let reference = format!("{host}/{path}{end}");
        let image = ImageRef::parse(&reference).unwrap();
        let prefix: Vec<&str> = path.split('/').take(parts).collect();
        let registry = Registry::parse([vec![host.as_str()], prefix].concat().join("/")).unwrap();
        prop_assert!(host == "index.docker.io" || registry.has(&image));
    }
}

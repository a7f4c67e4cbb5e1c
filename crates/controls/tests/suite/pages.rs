//! Every YAML block of every page is a test. `# error: NAME` stands on the lines that are wrong,
//! and on no other; a block without a mark passes every rule; `before` is mended into `after`. The
//! objects of a block `known` are in the cluster for the blocks that follow, a Tenant among them says
//! what their author is held to; on a page without one nobody looks anything up.

use std::collections::BTreeSet;

use bulkhead_controls::{
    Control, Fact, Facts, LOOKED_UP, ObjectKey, REGISTRY, Rule, Unjudged, judge, judge_dockerfile,
};
use bulkhead_manifests::parse_dockerfile;
use bulkhead_model::{AdmissionRequest, TenantRules};
use serde_json::json;

use crate::admission::{admit_with, create, mended_by, strict, update};
use crate::yaml::Manifest;

pub struct Block {
    /// Whether it is a Dockerfile; else it is YAML.
    pub dockerfile: bool,
    /// `before`, `after`, `known`, or empty.
    pub role: String,
    /// The subresource that the block comes through.
    pub subresource: Option<String>,
    pub text: String,
    /// What is known of the cluster.
    pub facts: Facts,
    /// What the author is held to.
    pub rules: TenantRules,
    /// Line and control of each mark.
    pub marks: BTreeSet<(usize, String)>,
}

impl Block {
    pub fn manifest(&self) -> Manifest {
        Manifest::parse(&self.text)
    }

    pub fn request(&self) -> AdmissionRequest<'static> {
        let object = self.manifest().value;
        match &self.subresource {
            None => create(object),
            Some(name) => {
                let mut old = object.clone();
                old["spec"]["ephemeralContainers"] = json!(null);
                update(old, object, Some(name))
            }
        }
    }
}

/// The rules of a tenant that has one setting more, as the line above a block has it:
/// `allowedHostPaths=/srv/models`.
fn with_setting(rules: TenantRules, field: &str, value: &str) -> TenantRules {
    let list: Vec<&str> = value.split(',').collect();
    let mut rules = json!(rules);
    match field {
        "profile" => rules["profile"] = json!(value),
        "allowedHostPaths" | "allowedSeccompProfiles" => rules[field] = json!(list),
        "allowedRegistries" | "pullPolicies" => rules["images"][field] = json!(list),
        "userNamespaces" => rules["ids"][field] = json!(value),
        "selinuxLevel" if value == "PerTenant" => {
            rules["ids"]["selinux"] = json!({"PerTenant": "s0:c1,c2"});
        }
        "selinuxLevel" => rules["ids"]["selinux"] = json!(value),
        "unserved" => rules["ids"]["unserved"] = json!(list),
        _ => panic!("no tenant has `{field}`"),
    }
    serde_json::from_value(rules).unwrap()
}

pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut facts, mut rules) = (Facts::NONE.clone(), strict());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let mut words = info.split(' ');
        let language = words.next().unwrap_or_default();
        assert!(["yaml", "dockerfile"].contains(&language), "{line}");
        let mut block = Block {
            dockerfile: language == "dockerfile",
            role: String::new(),
            subresource: None,
            text: String::new(),
            facts: facts.clone(),
            rules: rules.clone(),
            marks: BTreeSet::new(),
        };
        for word in words {
            if let Some((field, value)) = word.split_once('=') {
                block.rules = with_setting(block.rules, field, value);
                continue;
            }
            match word.split_once('/') {
                Some(("pods", name)) => block.subresource = Some(name.into()),
                _ => block.role = word.into(),
            }
        }
        for (number, line) in lines.by_ref().take_while(|line| *line != "```").enumerate() {
            for name in line
                .split_once("# error: ")
                .into_iter()
                .flat_map(|(_, n)| n.split(", "))
            {
                // A Dockerfile has no comments behind its instructions: there they stand above.
                let line = number + 1 + usize::from(block.dockerfile);
                block.marks.insert((line, name.to_owned()));
            }
            block.text.push_str(line);
            block.text.push('\n');
        }
        if block.role == "known" {
            (facts, rules) = known(&block.text);
        }
        blocks.push(block);
    }
    blocks
}

/// The facts that the documents of a block are; what is not among them could not be read. A block
/// with a Tenant alone says nothing of the cluster.
fn known(text: &str) -> (Facts, TenantRules) {
    let (mut facts, mut rules) = (Facts::NONE.clone(), strict());
    for mut object in Manifest::parse_all(text).into_iter().map(|it| it.value) {
        if object["kind"] == "Tenant" {
            object["metadata"]["uid"] = json!("u-1");
            let mut tenant = bulkhead_api::parse_tenant(&object).unwrap();
            tenant.granted.ids = strict().ids.range;
            rules = tenant.rules();
            continue;
        }
        if facts.object(&nothing()) == Fact::Later {
            facts = Facts::default();
        }
        let kind = object["kind"].as_str().unwrap();
        let known = LOOKED_UP
            .iter()
            .find(|known| known.kind == kind)
            .unwrap_or_else(|| panic!("{kind}: no rule looks it up"));
        let text = |key: &str| object["metadata"][key].as_str().map(str::to_owned);
        let key = ObjectKey {
            group: known.group,
            resource: known.resource,
            namespace: text("namespace"),
            name: text("name").unwrap(),
        };
        // `spec: absent` says that there is none of this name.
        let there = object["spec"] != "absent";
        facts.learn(key, there.then_some(object.into()));
    }
    (facts, rules)
}

/// The key of an object that is not there.
fn nothing() -> ObjectKey {
    ObjectKey {
        group: "",
        resource: "namespaces",
        namespace: None,
        name: String::new(),
    }
}

/// Guards judge inside the API server, so here their wrong blocks only have to be marked right.
fn is_guards_refusal(control: &Control, block: &Block) -> bool {
    matches!(control.rule, Rule::Guard) && !block.marks.is_empty()
}

fn in_dockerfile(text: &str) -> BTreeSet<(usize, String)> {
    let parsed = parse_dockerfile(text);
    let dockerfile = parsed.documents.first().expect("a Dockerfile");
    let line = |path| {
        let start = dockerfile.locate(path).span.start;
        text[..start].matches('\n').count() + 1
    };
    judge_dockerfile(&dockerfile.to_json())
        .iter()
        .map(|finding| (line(&finding.path), finding.control.to_owned()))
        .collect()
}

#[test]
fn every_block_is_judged_as_it_is_marked() {
    for control in REGISTRY {
        for block in blocks(control.page) {
            if block.role == "known" {
                continue;
            }
            if block.dockerfile {
                assert_eq!(in_dockerfile(&block.text), block.marks, "{}", block.text);
                continue;
            }
            let manifest = block.manifest();
            if is_guards_refusal(control, &block) {
                assert!(block.marks.iter().all(|(_, name)| name == control.name));
                continue;
            }
            if block.role == "before" {
                continue;
            }
            let findings = match admit_with(block.request(), &block.rules, &block.facts) {
                Ok(findings) => findings,
                // A passing block of a guard's page may show what no rule looks at.
                Err(Unjudged::UnknownKind { .. }) if matches!(control.rule, Rule::Guard) => {
                    continue;
                }
                Err(error) => panic!("{}: {error}\n{}", control.name, block.text),
            };
            let found: BTreeSet<(usize, String)> = findings
                .iter()
                .map(|finding| (manifest.line(&finding.path), finding.control.to_owned()))
                .collect();
            assert_eq!(
                found, block.marks,
                "{}: {findings:#?}\n{}",
                control.name, block.text
            );
        }
    }
}

/// Controls that give what they do not demand.
const GIFTS: [&str; 1] = ["priority-class-unlisted"];

#[test]
fn every_before_is_mended_into_its_after() {
    for control in REGISTRY {
        let blocks = blocks(control.page);
        for (index, before) in blocks
            .iter()
            .enumerate()
            .filter(|(_, b)| b.role == "before")
        {
            let after = &blocks[index + 1];
            assert_eq!(after.role, "after", "{}", control.name);
            let once = mended_by(&before.request(), &before.rules, &before.facts);
            assert_eq!(once, Some(after.manifest().value), "{}", control.name);
            assert_eq!(
                mended_by(&after.request(), &after.rules, &after.facts),
                None,
                "{}",
                control.name
            );
            let unmended = judge(&before.request(), &before.rules, &before.facts).unwrap();
            assert!(
                GIFTS.contains(&control.name) || unmended.iter().any(|f| f.control == control.name),
                "{}",
                control.name
            );
        }
    }
}

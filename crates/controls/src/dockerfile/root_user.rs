//! An image says which user its containers run as. Root is what it says if it says nothing.

use bulkhead_model::view::Fields;
use bulkhead_model::{FieldPath, Json};

use crate::context::{Findings, shown};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "dockerfile-root-user",
    guide: Section::NonRoot,
    severity: Severity::Medium,
    profiles: Profiles::Confined,
    why: "an image that runs as root starts nowhere that `runAsNonRoot` holds, and runs as root everywhere else",
    remedy: "end the last stage with `USER` and a number above 0",
    page: include_str!("root_user.md"),
    rule: Rule::Dockerfile(check),
    cel: None,
    mend: Mend::ByHand,
};

fn check(dockerfile: Fields<'_>, findings: &mut Findings) {
    let stages = dockerfile.list("stages");
    let Some(last) = stages.len().checked_sub(1) else {
        return;
    };
    // A base is an earlier stage, so this ends.
    let mut at = last;
    loop {
        let stage = Fields::of(stages.get(at));
        let path = FieldPath::of("stages").index(at).then("user");
        if let Some(user) = stage.get("user") {
            if let Some(detail) = is_root(user) {
                findings.add(path, detail);
            }
            return;
        }
        match stage
            .get("base")
            .and_then(Json::as_u64)
            .and_then(|base| usize::try_from(base).ok())
        {
            Some(base) if base < at => at = base,
            _ => {
                let detail = match stage.get("from") {
                    Some(from) if at == last => {
                        format!("is unset, and {} may run as root", shown(from))
                    }
                    Some(from) => format!(
                        "is unset in this stage and in those on top of it, and {} may run as root",
                        shown(from)
                    ),
                    None => "is unset".to_owned(),
                };
                findings.add(path, detail);
                return;
            }
        }
    }
}

/// What is wrong with a user, if it is root or may be.
fn is_root(user: &Json<'_>) -> Option<String> {
    let Some(text) = user.as_str() else {
        let variable = Fields::of(Some(user)).str("variable").unwrap_or_default();
        return Some(format!(
            "is the variable `{variable}`, which has no value here"
        ));
    };
    let name = text.split(':').next().unwrap_or_default().trim();
    let number = name.parse::<i64>();
    let root = match number {
        Ok(id) => id <= 0,
        Err(_) => {
            let windows = name.rsplit('\\').next().unwrap_or_default();
            [
                "",
                "root",
                "containeradministrator",
                "administrator",
                "system",
            ]
            .iter()
            .any(|root| root.eq_ignore_ascii_case(windows))
        }
    };
    root.then(|| format!("is {}", shown(user)))
}

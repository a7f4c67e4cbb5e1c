//! Administrators look into devices that are in use. Tenants would look into each other's.

use super::device_requests;
use crate::context::{Context, Findings};
use crate::control::{Control, Mend, Rule, Section, Severity};
use crate::object::Object;
use crate::profiles::Profiles;

pub(crate) const CONTROL: Control = Control {
    name: "device-admin-access",
    guide: Section::Since,
    severity: Severity::Critical,
    profiles: Profiles::Every,
    why: "administrative access is given to devices that others are using, whoever they are",
    remedy: "remove `adminAccess`, and claim a device of the tenant's own",
    page: include_str!("device_admin_access.md"),
    rule: Rule::Object(check),
    cel: None,
    mend: Mend::ByHand,
};

fn check(object: &Object<'_>, _: &Context<'_>, findings: &mut Findings) {
    for request in device_requests(object) {
        if request.fields.flag("adminAccess") {
            findings.add(request.path.then("adminAccess"), "is on");
        }
    }
}

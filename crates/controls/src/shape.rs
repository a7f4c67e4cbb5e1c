//! The shape that the views rely on. A view reads a list that is no list as empty, so what has
//! another shape than Kubernetes' own must be refused before any rule looks at it.

use bulkhead_model::FieldPath;
use bulkhead_model::Json;
use bulkhead_model::view::{Astray, TemplatePath};

use crate::carriers::{self, Carrier, Holds};

enum Shape {
    Object(&'static [(&'static str, &'static Shape)]),
    List(&'static Shape),
    Anything,
}

use Shape::{Anything, List, Object};

static MAP: Shape = Object(&[]);
static VALUES: Shape = List(&Anything);
static METADATA: Shape = Object(&[
    ("annotations", &MAP),
    ("finalizers", &VALUES),
    ("labels", &MAP),
]);
/// Lists that rules over objects read, wherever a kind has them.
static OBJECT: Shape = Object(&[
    ("metadata", &METADATA),
    (
        "spec",
        &Object(&[
            ("rules", &List(&MAP)),
            ("tls", &List(&Object(&[("hosts", &VALUES)]))),
            ("hostnames", &VALUES),
            ("listeners", &List(&MAP)),
            ("devices", &DEVICES),
            ("spec", &Object(&[("devices", &DEVICES)])),
        ]),
    ),
]);
static DEVICES: Shape = Object(&[(
    "requests",
    &List(&Object(&[
        ("exactly", &MAP),
        ("firstAvailable", &List(&MAP)),
    ])),
)]);
static ROLE: Shape = Object(&[
    ("metadata", &METADATA),
    (
        "rules",
        &List(&Object(&[
            ("apiGroups", &VALUES),
            ("resources", &VALUES),
            ("verbs", &VALUES),
        ])),
    ),
]);
static ROLE_BINDING: Shape = Object(&[
    ("metadata", &METADATA),
    ("roleRef", &MAP),
    ("subjects", &List(&MAP)),
]);
static TOKEN_REQUEST: Shape = Object(&[
    ("metadata", &METADATA),
    ("spec", &Object(&[("audiences", &VALUES)])),
]);

/// The shapes of kinds that rules over objects read into, beyond their metadata.
static KINDS: &[(&str, &Shape)] = &[
    ("Role", &ROLE),
    ("RoleBinding", &ROLE_BINDING),
    ("TokenRequest", &TOKEN_REQUEST),
];
static SECURITY: Shape = Object(&[
    (
        "capabilities",
        &Object(&[("add", &VALUES), ("drop", &VALUES)]),
    ),
    ("seLinuxOptions", &MAP),
    ("seccompProfile", &MAP),
    ("appArmorProfile", &MAP),
    ("sysctls", &List(&MAP)),
    ("windowsOptions", &MAP),
    ("supplementalGroups", &VALUES),
]);
static CONTAINERS: Shape = List(&Object(&[
    ("securityContext", &SECURITY),
    ("ports", &List(&MAP)),
    (
        "resources",
        &Object(&[("requests", &MAP), ("limits", &MAP)]),
    ),
    ("volumeMounts", &List(&MAP)),
    ("livenessProbe", &CALL),
    ("readinessProbe", &CALL),
    ("startupProbe", &CALL),
    (
        "lifecycle",
        &Object(&[("postStart", &CALL), ("preStop", &CALL)]),
    ),
]));
/// A probe, or a handler of a container's life: whom to call.
static CALL: Shape = Object(&[("httpGet", &MAP), ("tcpSocket", &MAP)]);
static CLAIM: Shape = Object(&[
    ("metadata", &METADATA),
    ("spec", &Object(&[("dataSourceRef", &MAP)])),
]);
static VOLUMES: Shape = List(&Object(&[
    ("emptyDir", &MAP),
    ("hostPath", &MAP),
    ("image", &MAP),
    ("persistentVolumeClaim", &MAP),
    (
        "projected",
        &Object(&[("sources", &List(&Object(&[("serviceAccountToken", &MAP)])))]),
    ),
    ("ephemeral", &Object(&[("volumeClaimTemplate", &CLAIM)])),
]));
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
static NODE_TERM: Shape = Object(&[("matchFields", &VALUES)]);
static POD_TERM: Shape = Object(&[
    ("namespaces", &VALUES),
    ("namespaceSelector", &Object(&[("matchLabels", &MAP)])),
]);
static POD_AFFINITY: Shape = Object(&[
    (REQUIRED, &List(&POD_TERM)),
    (PREFERRED, &List(&Object(&[("podAffinityTerm", &POD_TERM)]))),
]);
static AFFINITY: Shape = Object(&[
    (
        "nodeAffinity",
        &Object(&[
            (
                REQUIRED,
                &Object(&[("nodeSelectorTerms", &List(&NODE_TERM))]),
            ),
            (PREFERRED, &List(&Object(&[("preference", &NODE_TERM)]))),
        ]),
    ),
    ("podAffinity", &POD_AFFINITY),
    ("podAntiAffinity", &POD_AFFINITY),
]);
static POD: Shape = Object(&[
    (
        "metadata",
        &Object(&[("annotations", &MAP), ("ownerReferences", &List(&MAP))]),
    ),
    (
        "spec",
        &Object(&[
            ("os", &MAP),
            (
                "resources",
                &Object(&[("requests", &MAP), ("limits", &MAP)]),
            ),
            ("nodeSelector", &MAP),
            ("tolerations", &List(&MAP)),
            ("affinity", &AFFINITY),
            ("securityContext", &SECURITY),
            ("initContainers", &CONTAINERS),
            ("containers", &CONTAINERS),
            ("ephemeralContainers", &CONTAINERS),
            ("volumes", &VOLUMES),
        ]),
    ),
]);
static SERVICE: Shape = Object(&[
    ("metadata", &METADATA),
    (
        "spec",
        &Object(&[("ports", &List(&MAP)), ("externalIPs", &VALUES)]),
    ),
]);

/// Something that is not what Kubernetes has in its place.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) path: FieldPath,
    pub(crate) expected: &'static str,
    pub(crate) missing: bool,
}

/// Checks everything that the carrier holds.
pub(crate) fn check(carrier: &Carrier, object: &Json<'_>) -> Result<(), Misfit> {
    carrier
        .templates
        .iter()
        .try_for_each(|path| named(object, path))?;
    carrier.holds.iter().try_for_each(|held| match *held {
        Holds::Pod => whole(object, "", &POD),
        Holds::Template(at) => whole(object, at, &POD),
        Holds::Service => whole(object, "", &SERVICE),
        Holds::Claim => whole(object, "", &CLAIM),
        Holds::Object => {
            fits(object, of_kind(&carrier.kind)).map_err(|wrong| wrong.below(FieldPath::of("")))
        }
        Holds::ClaimTemplates(at) => {
            let (list, path) = carriers::at(object, at);
            list.map_or(Ok(()), |list| {
                fits(list, &List(&CLAIM)).map_err(|wrong| wrong.below(path))
            })
        }
    })
}

/// In a kind that a configuration names, what is missing is none.
fn named(object: &Json<'_>, path: &TemplatePath) -> Result<(), Misfit> {
    let templates = path
        .templates(object)
        .map_err(|Astray { path, expected }| Misfit {
            path,
            expected,
            missing: false,
        })?;
    templates
        .into_iter()
        .try_for_each(|(path, value)| fits(value, &POD).map_err(|wrong| wrong.below(path)))
}

fn of_kind(kind: &str) -> &'static Shape {
    KINDS
        .iter()
        .find(|(name, _)| *name == kind)
        .map_or(&OBJECT, |(_, shape)| shape)
}

/// What is judged must be there, and have a spec.
fn whole(object: &Json<'_>, at: &'static str, shape: &Shape) -> Result<(), Misfit> {
    let (value, path) = carriers::at(object, at);
    let missing = |path| {
        Err(Misfit {
            path,
            expected: "object",
            missing: true,
        })
    };
    let Some(value) = value else {
        return missing(path);
    };
    fits(value, shape).map_err(|wrong| wrong.below(path.clone()))?;
    match value.get("spec") {
        None | Some(Json::Null) => missing(path.then("spec")),
        Some(_) => Ok(()),
    }
}

/// A misfit on its way up: the steps from the leaf to the root.
struct Wrong {
    steps: Vec<Step>,
    expected: &'static str,
}

enum Step {
    Key(&'static str),
    Index(usize),
}

impl Wrong {
    fn new(expected: &'static str) -> Self {
        Self {
            steps: Vec::new(),
            expected,
        }
    }

    fn under(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn below(self, root: FieldPath) -> Misfit {
        let path = self
            .steps
            .iter()
            .rev()
            .fold(root, |path, step| match *step {
                Step::Key(key) => path.then(key),
                Step::Index(index) => path.index(index),
            });
        Misfit {
            path,
            expected: self.expected,
            missing: false,
        }
    }
}

fn fits(value: &Json<'_>, shape: &Shape) -> Result<(), Wrong> {
    match shape {
        Anything => Ok(()),
        List(element) => {
            let list = value.as_array().ok_or_else(|| Wrong::new("list"))?;
            list.iter().enumerate().try_for_each(|(index, value)| {
                fits(value, element).map_err(|wrong| wrong.under(Step::Index(index)))
            })
        }
        Object(fields) => {
            let object = value.as_object().ok_or_else(|| Wrong::new("object"))?;
            fields
                .iter()
                .try_for_each(|(key, shape)| match object.get(key) {
                    None | Some(Json::Null) => Ok(()),
                    Some(value) => fits(value, shape).map_err(|wrong| wrong.under(Step::Key(key))),
                })
        }
    }
}

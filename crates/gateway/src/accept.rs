//! In which forms a client takes an answer, and in which of them we ask for it. Bodies come as
//! JSON, whatever else the client would take: every client that speaks protobuf reads JSON.

use bulkhead_scope::{Denial, Document, Path};

/// What goes into the `Accept` header upstream.
///
/// # Errors
/// 406 if the client takes none of our forms.
pub(crate) fn negotiate(accepted: &[&str], path: &Path) -> Result<String, Denial> {
    let forms: fn(&Media<'_>) -> Option<String> = match path {
        // Plain text, or a Status in JSON.
        Path::Resource(r) if r.subresource.as_deref() == Some("log") => return Ok(ANY.into()),
        // The header travels on to the kubelet, which answers in no form.
        Path::Resource(r) if r.connection().is_some() => return Ok("*/*".into()),
        Path::Document(Document::Version | Document::Health(_)) => return Ok(ANY.into()),
        Path::Document(Document::OpenApiV2) => schemas,
        Path::Document(Document::OpenApiV3(_)) => json,
        Path::Document(_) => discovery,
        Path::Resource(_) => object,
    };
    let mut ours: Vec<String> = Vec::new();
    let ranges = accepted
        .iter()
        .flat_map(|value| value.split(','))
        .map(str::trim);
    let mut any = false;
    for range in ranges.filter(|range| !range.is_empty()) {
        any = true;
        match Media::parse(range).and_then(|media| forms(&media)) {
            Some(form) if !ours.contains(&form) => ours.push(form),
            _ => {}
        }
    }
    match ours.is_empty() {
        false => Ok(ours.join(",")),
        true if !any => Ok(JSON.into()),
        true => Err(Denial::not_acceptable(
            "the gateway answers in `application/json`: the `Accept` header names no form of it",
        )),
    }
}

const JSON: &str = "application/json";
const ANY: &str = "application/json, */*";

/// One media range, lower case.
struct Media<'a> {
    kind: String,
    parameters: Vec<(String, &'a str)>,
}

impl<'a> Media<'a> {
    fn parse(range: &'a str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next()?.to_ascii_lowercase();
        let parameters: Option<Vec<(String, &str)>> = parts
            .map(|part| {
                part.split_once('=')
                    .map(|(k, v)| (k.trim().to_ascii_lowercase(), v.trim()))
            })
            .collect();
        let media = Self {
            kind,
            parameters: parameters?,
        };
        // A weight of zero means `not this`.
        let unwanted = matches!(media.get("q"), Some(q) if q.trim_matches(['0', '.']).is_empty());
        (!unwanted).then_some(media)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| *value)
    }

    fn is_json_or_any(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "application/json" | "application/*" | "*/*"
        )
    }
}

fn object(media: &Media<'_>) -> Option<String> {
    let protobuf = media.kind == "application/vnd.kubernetes.protobuf";
    match (media.get("as"), media.get("g"), media.get("v")) {
        (Some(shape), Some("meta.k8s.io"), Some(version)) if protobuf || media.kind == JSON => {
            let shape = [
                "Table",
                "PartialObjectMetadata",
                "PartialObjectMetadataList",
            ]
            .into_iter()
            .find(|known| *known == shape)?;
            let version = ["v1", "v1beta1"]
                .into_iter()
                .find(|known| *known == version)?;
            Some(format!("{JSON};as={shape};v={version};g=meta.k8s.io"))
        }
        (None, ..) if media.is_json_or_any() => Some(JSON.into()),
        _ => None,
    }
}

fn discovery(media: &Media<'_>) -> Option<String> {
    match (media.get("as"), media.get("g"), media.get("v")) {
        (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some(version)) => {
            let version = ["v2", "v2beta1"]
                .into_iter()
                .find(|known| *known == version)?;
            (media.kind == JSON).then(|| {
                format!("{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList")
            })
        }
        (None, ..) if media.is_json_or_any() => Some(JSON.into()),
        _ => None,
    }
}

/// Of the second version, clients that take protobuf take nothing else.
fn schemas(media: &Media<'_>) -> Option<String> {
    const FORMS: [&str; 2] = [
        "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
        "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    ];
    match FORMS.into_iter().find(|form| *form == media.kind) {
        Some(form) => Some(form.into()),
        None => json(media),
    }
}

fn json(media: &Media<'_>) -> Option<String> {
    media.is_json_or_any().then(|| JSON.into())
}

#[cfg(test)]
mod tests {
    use bulkhead_scope::parse;

    use super::*;

    fn ask(accepted: &[&str], target: &str) -> Result<String, u16> {
        let request = parse("GET", target).unwrap();
        negotiate(accepted, request.path()).map_err(|denial| denial.status)
    }

    #[test]
    fn forms_are_rebuilt_from_those_that_we_know() {
        let pods = "/api/v1/namespaces/a/pods";
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        for (accepted, target, expected) in [
            (&[][..], pods, Ok("application/json")),
            (&["*/*"], pods, Ok("application/json")),
            (&["application/json"], pods, Ok("application/json")),
            (
                &[
                    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                ],
                pods,
                Ok(
                    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                ),
            ),
            (
                &["application/json;g=meta.k8s.io;as=Table;v=v1"],
                pods,
                Ok(table),
            ),
            (
                &["application/vnd.kubernetes.protobuf,application/json"],
                pods,
                Ok("application/json"),
            ),
            (
                &[
                    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
                    "application/json",
                ],
                pods,
                Ok("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"),
            ),
            (&["application/vnd.kubernetes.protobuf"], pods, Err(406)),
            (&["application/yaml"], pods, Err(406)),
            (&["application/cbor"], pods, Err(406)),
            (&["application/json;q=0"], pods, Err(406)),
            (
                &["application/json;as=Secret;v=v1;g=meta.k8s.io"],
                pods,
                Err(406),
            ),
            (&["application/json;as=Table;v=v1;g=other"], pods, Err(406)),
            (&["application/json;as"], pods, Err(406)),
            (
                &["application/json, */*"],
                "/api/v1/namespaces/a/pods/x/log",
                Ok(ANY),
            ),
            (&[], "/api/v1/namespaces/a/pods/x/exec", Ok("*/*")),
            (&["text/plain"], "/version", Ok(ANY)),
            (
                &[
                    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
                ],
                "/apis",
                Ok(
                    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
                ),
            ),
            (
                &["application/com.github.proto-openapi.spec.v2@v1.0+protobuf"],
                "/openapi/v2",
                Ok("application/com.github.proto-openapi.spec.v2@v1.0+protobuf"),
            ),
            (
                &["application/com.github.proto-openapi.spec.v3.v1.0+protobuf"],
                pods,
                Err(406),
            ),
        ] {
            assert_eq!(
                ask(accepted, target),
                expected.map(str::to_owned),
                "{accepted:?} {target}"
            );
        }
    }
}

//! What kind of volume a volume is.

use bulkhead_model::Json;

use crate::pod::{Malformed, Map};

/// The sources of volumes, by their field, and what policies call them; in the order in which the
/// original looks for them.
const SOURCES: [(&str, &str); 29] = [
    ("hostPath", HOST_PATH),
    ("emptyDir", "emptyDir"),
    ("gcePersistentDisk", "gcePersistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("gitRepo", "gitRepo"),
    ("secret", "secret"),
    ("nfs", "nfs"),
    ("iscsi", "iscsi"),
    ("glusterfs", "glusterfs"),
    ("persistentVolumeClaim", "persistentVolumeClaim"),
    ("rbd", "rbd"),
    ("flexVolume", FLEX),
    ("cinder", "cinder"),
    ("cephfs", "cephFS"),
    ("flocker", "flocker"),
    ("downwardAPI", "downwardAPI"),
    ("fc", "fc"),
    ("azureFile", "azureFile"),
    ("configMap", "configMap"),
    ("vsphereVolume", "vsphereVolume"),
    ("quobyte", "quobyte"),
    ("azureDisk", "azureDisk"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("storageos", "storageos"),
    ("projected", PROJECTED),
    ("portworxVolume", "portworxVolume"),
    ("scaleIO", "scaleIO"),
    ("csi", CSI),
    ("ephemeral", "ephemeral"),
];
pub(crate) const HOST_PATH: &str = "hostPath";
pub(crate) const FLEX: &str = "flexVolume";
pub(crate) const CSI: &str = "csi";
pub(crate) const PROJECTED: &str = "projected";

/// What policies may call volumes, sorted; `*` is not among them.
pub(crate) fn kinds() -> Vec<&'static str> {
    let mut kinds: Vec<&str> = SOURCES.iter().map(|(_, kind)| *kind).collect();
    kinds.sort_unstable();
    kinds
}

/// The fields that hold volumes of a kind, by what policies call it.
pub(crate) fn fields_of(kind: &str) -> impl Iterator<Item = &'static str> {
    let named = SOURCES.iter().filter(move |(_, name)| *name == kind);
    named.map(|(field, _)| *field)
}

/// A volume.
#[derive(Debug, Clone)]
pub(crate) struct Volume<'a> {
    pub(crate) name: &'a str,
    /// What policies call it; none for a source that came after them.
    pub(crate) kind: Option<&'static str>,
    /// The path of a `hostPath`, the driver of a `flexVolume` or `csi`.
    pub(crate) detail: &'a str,
    /// Whether it holds nothing but what a ServiceAccount's token comes with.
    pub(crate) only_token: bool,
}

pub(crate) fn volume<'a>(value: &'a Json<'a>) -> Result<Volume<'a>, Malformed> {
    let map = Map::of(value, || "spec.volumes".to_owned())?;
    let name = map.text("name")?.unwrap_or_default();
    let mut volume = Volume {
        name,
        kind: None,
        detail: "",
        only_token: false,
    };
    let Some((field, kind)) = SOURCES.iter().find(|(field, _)| map.value(field).is_some()) else {
        let fields = value
            .as_object()
            .into_iter()
            .flat_map(|fields| fields.iter());
        let mut others = fields.filter(|(key, value)| *key != "name" && !value.is_null());
        // The API server makes an `emptyDir` of a volume without a source.
        volume.kind = others.next().is_none().then_some("emptyDir");
        return Ok(volume);
    };
    volume.kind = Some(*kind);
    let source = map.map(field)?;
    let detail = match *kind {
        HOST_PATH => source.text("path")?,
        FLEX | CSI => source.text("driver")?,
        _ => None,
    };
    volume.detail = detail.unwrap_or_default();
    volume.only_token = *kind == PROJECTED && only_token(source)?;
    Ok(volume)
}

fn only_token(projected: Map<'_>) -> Result<bool, Malformed> {
    for source in projected.list("sources")? {
        let source = Map::of(source, || "spec.volumes.projected.sources".to_owned())?;
        let token = source.map("serviceAccountToken")?;
        let config = source.map("configMap")?;
        let downward = source.map("downwardAPI")?;
        if !(token.is_set() || config.is_set() || downward.is_set()) {
            return Ok(false);
        }
        let foreign_token = token.is_set()
            && (token.text("path")? != Some("token")
                || !token.text("audience")?.unwrap_or_default().is_empty());
        let foreign_config = config.is_set() && config.text("name")? != Some("kube-root-ca.crt");
        if foreign_token || foreign_config {
            return Ok(false);
        }
        for item in downward.list("items")? {
            let item = Map::of(item, || {
                "spec.volumes.projected.sources.downwardAPI".to_owned()
            })?;
            let reference = item.map("fieldRef")?;
            // The API server fills the version in.
            let version = match reference.text("apiVersion")? {
                None | Some("") => "v1",
                Some(version) => version,
            };
            if item.text("path")? != Some("namespace")
                || version != "v1"
                || reference.text("fieldPath")? != Some("metadata.namespace")
            {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

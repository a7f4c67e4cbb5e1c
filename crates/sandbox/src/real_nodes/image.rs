//! The images of real nodes: one static file in a layer, in the format that container runtimes
//! import. Nothing is fetched, and the same file always makes the same images.

use std::io::{self, Write};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The image of workloads: its tools are those of `control-plane/node/probe`.
pub const PROBE: &str = "localhost/bulkhead-probe:1";
/// The image of the container that holds a pod's namespaces.
pub const PAUSE: &str = "localhost/bulkhead-pause:1";

/// The names by which kubectl and people call the probe.
const LINKS: [&str; 9] = [
    "cat", "echo", "get", "ls", "pause", "serve", "sleep", "tar", "test",
];

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Writes an archive with both images.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write(probe: &[u8], to: &mut impl Write) -> io::Result<()> {
    let layer = Blob::new(LAYER, layer(probe)?);
    let mut blobs = Vec::new();
    let mut manifests = Vec::new();
    for (name, command) in [(PROBE, "serve"), (PAUSE, "pause")] {
        let config = Blob::json(CONFIG, &config(&layer, command));
        let manifest = Blob::json(
            MANIFEST,
            &json!({
                "schemaVersion": 2, "mediaType": MANIFEST,
                "config": config.descriptor(), "layers": [layer.descriptor()],
            }),
        );
        let mut entry = manifest.descriptor();
        if let Some(entry) = entry.as_object_mut() {
            entry.insert(
                "annotations".to_owned(),
                json!({"io.containerd.image.name": name}),
            );
        }
        manifests.push(entry);
        blobs.extend([config, manifest]);
    }
    blobs.push(layer);

    let mut archive = Archive(to);
    archive.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    archive.file("index.json", 0o644, index.to_string().as_bytes())?;
    for blob in &blobs {
        archive.file(&format!("blobs/sha256/{}", blob.digest), 0o644, &blob.bytes)?;
    }
    archive.end()
}

fn config(layer: &Blob, command: &str) -> Value {
    json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Entrypoint": ["/bin/probe"], "Cmd": [command], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", layer.digest)]},
    })
}

fn layer(probe: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut archive = Archive(&mut bytes);
    archive.folder("bin/", 0o755)?;
    archive.folder("tmp/", 0o1777)?;
    archive.file("bin/probe", 0o755, probe)?;
    for link in LINKS {
        archive.link(&format!("bin/{link}"), "probe")?;
    }
    archive.end()?;
    Ok(bytes)
}

/// Something that is known by its digest.
struct Blob {
    media_type: &'static str,
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        let digest = Sha256::digest(&bytes);
        Self {
            media_type,
            digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes,
        }
    }

    fn json(media_type: &'static str, value: &Value) -> Self {
        Self::new(media_type, value.to_string().into_bytes())
    }

    fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": format!("sha256:{}", self.digest),
            "size": self.bytes.len(),
        })
    }
}

/// A tar archive (POSIX ustar), everything in it owned by root and of no time.
struct Archive<'a, W: Write>(&'a mut W);

impl<W: Write> Archive<'_, W> {
    const BLOCK: usize = 512;

    fn file(&mut self, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        self.header(name, mode, bytes.len(), b'0', "")?;
        self.0.write_all(bytes)?;
        let rest = bytes.len().next_multiple_of(Self::BLOCK) - bytes.len();
        self.0.write_all(&vec![0; rest])
    }

    fn folder(&mut self, name: &str, mode: u32) -> io::Result<()> {
        self.header(name, mode, 0, b'5', "")
    }

    fn link(&mut self, name: &str, target: &str) -> io::Result<()> {
        self.header(name, 0o777, 0, b'2', target)
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.write_all(&[0; 2 * 512])
    }

    fn header(
        &mut self,
        name: &str,
        mode: u32,
        size: usize,
        kind: u8,
        target: &str,
    ) -> io::Result<()> {
        let mut header = Vec::with_capacity(Self::BLOCK);
        let mut field = |text: &str, width: usize| {
            header.extend(text.as_bytes().iter().copied().take(width));
            let rest = width.saturating_sub(text.len());
            header.extend(std::iter::repeat_n(0, rest));
        };
        field(name, 100);
        field(&format!("{mode:07o}"), 8);
        field("0000000", 8);
        field("0000000", 8);
        field(&format!("{size:011o}"), 12);
        field("00000000000", 12);
        // The sum is made with blanks in its own place.
        field("        ", 8);
        field(&char::from(kind).to_string(), 1);
        field(target, 100);
        field("ustar", 6);
        field("00", 2);
        field("", 247);
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        let sum = format!("{sum:06o}\0 ");
        for (place, byte) in header.iter_mut().skip(148).zip(sum.bytes()) {
            *place = byte;
        }
        self.0.write_all(&header)
    }
}

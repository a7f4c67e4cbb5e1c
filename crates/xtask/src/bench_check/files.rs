//! Manifests as repositories hold them: most have something that is unset, some are long, some hold
//! several objects, and many are of kinds that no rule looks at.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// Writes this many files, a hundred to a folder; how many bytes they are.
pub(super) fn write(folder: &Path, count: usize) -> Result<u64> {
    let mut bytes = 0;
    for number in 0..count {
        let folder = folder.join(format!("{:04}", number / 100));
        fs::create_dir_all(&folder)?;
        let text = manifest(number);
        bytes += text.len() as u64;
        fs::write(folder.join(format!("{number:05}.yaml")), text)?;
    }
    Ok(bytes)
}

fn manifest(number: usize) -> String {
    // The first has findings, whatever comes after it.
    match number % 5 {
        0 => workload(number, "Deployment"),
        1 => format!(
            "{}---\n{}",
            service(number),
            workload(number, "StatefulSet")
        ),
        2 => config(number),
        3 => pod(number),
        _ => format!(
            "{}---\n{}---\n{}",
            account(number),
            service(number),
            workload(number, "DaemonSet")
        ),
    }
}

fn metadata(number: usize) -> String {
    format!(
        "metadata:
  name: app-{number}
  namespace: team-{}
  labels:
    app.kubernetes.io/name: app-{number}
    app.kubernetes.io/managed-by: Helm
",
        number % 40
    )
}

fn workload(number: usize, kind: &str) -> String {
    format!(
        "# Source: app/templates/{kind}.yaml
apiVersion: apps/v1
kind: {kind}
{}spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: app-{number}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: app-{number}
    spec:
      serviceAccountName: app-{number}
      securityContext:
        fsGroup: 2000
      containers:
        - name: app
          image: registry.example/team/app:{number}
          args: [\"--listen\", \":8080\"]
          ports:
            - name: http
              containerPort: 8080
          env:
            - name: LOG_LEVEL
              value: info
            - name: POD_NAME
              valueFrom:
                fieldRef:
                  fieldPath: metadata.name
          resources:
            requests: {{cpu: 100m, memory: 128Mi}}
            limits: {{memory: 256Mi}}
          readinessProbe:
            httpGet: {{path: /ready, port: http}}
          volumeMounts:
            - name: config
              mountPath: /etc/app
        - name: metrics
          image: registry.example/team/metrics:1
          securityContext:
            allowPrivilegeEscalation: false
            runAsNonRoot: true
      volumes:
        - name: config
          configMap:
            name: app-{number}
",
        metadata(number)
    )
}

fn service(number: usize) -> String {
    format!(
        "apiVersion: v1\nkind: Service\n{}spec:\n  selector:\n    app.kubernetes.io/name: app-{number}\n  ports:\n    - port: 80\n      targetPort: http\n",
        metadata(number)
    )
}

fn account(number: usize) -> String {
    format!("apiVersion: v1\nkind: ServiceAccount\n{}", metadata(number))
}

fn pod(number: usize) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\n{}spec:\n  hostNetwork: true\n  containers:\n    - name: app\n      image: registry.example/tool:{number}\n      ports:\n        - containerPort: 9100\n",
        metadata(number)
    )
}

fn config(number: usize) -> String {
    let lines: String = (0..20)
        .map(|line| format!("    key-{line} = value of {number}\n"))
        .collect();
    format!(
        "apiVersion: v1\nkind: ConfigMap\n{}data:\n  app.conf: |\n{lines}",
        metadata(number)
    )
}

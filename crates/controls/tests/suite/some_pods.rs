//! Pods by the thousand, of the kind that the API server would store: right types, and values from
//! both sides of every rule. Each run makes the same ones.

use serde_json::{Map, Value, json};

/// A generator of pods.
pub struct Pods {
    state: u64,
    /// How many of a hundred fields are set, and of set ones how many take any value at all. Most
    /// pods have little wrong with them: a pod in which everything is wrong proves nothing.
    wild: usize,
}

impl Pods {
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            wild: 0,
        }
    }

    /// SplitMix64: as random as a generator of pods has to be.
    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.bits() % end as u64).unwrap()
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Sets a field now and then, mostly to the first of the values, which breaks no rule.
    fn set(&mut self, map: &mut Map<String, Value>, key: &str, values: &[Value]) {
        if self.chance(60) {
            let any = self.chance(self.wild);
            let value = if any { self.one(values) } else { &values[0] };
            map.insert(key.to_owned(), value.clone());
        }
    }

    pub fn next_pod(&mut self) -> Value {
        self.wild = *self.one(&[0, 2, 5, 20, 50]);
        let windows = self.chance(self.wild / 4);
        let mut spec = Map::new();
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            self.set(&mut spec, key, &[json!(false), json!(true), Value::Null]);
        }
        self.set(
            &mut spec,
            "hostUsers",
            &[json!(true), json!(false), json!(false)],
        );
        self.set(
            &mut spec,
            "shareProcessNamespace",
            &[json!(false), json!(true)],
        );
        if windows {
            spec.insert("os".into(), json!({"name": "windows"}));
        } else if self.chance(20) {
            spec.insert("os".into(), json!({"name": "linux"}));
        }
        // A pod that the API server stores has the common part right often enough.
        if self.chance(80) {
            let context = self.context(true, windows);
            spec.insert("securityContext".into(), context);
        }
        let mut names = 0;
        for (list, most) in [
            ("containers", 3),
            ("initContainers", 2),
            ("ephemeralContainers", 2),
        ] {
            let count = self.below(most) + usize::from(list == "containers");
            let containers: Vec<Value> = (0..count)
                .map(|_| {
                    names += 1;
                    self.container(&format!("c{names}"), windows)
                })
                .collect();
            if count > 0 {
                spec.insert(list.into(), containers.into());
            }
        }
        let volumes: Vec<Value> = (0..self.below(3)).map(|i| self.volume(i)).collect();
        spec.insert("volumes".into(), volumes.into());
        let mut metadata = json!({"name": "web"});
        if self.chance(30) {
            metadata["annotations"] = self.annotations();
        }
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    }

    fn context(&mut self, of_pod: bool, windows: bool) -> Value {
        let mut map = Map::new();
        // The first lies in the range of ids that the tests' tenant has.
        let user = [json!(1_000_000_000), json!(1000), json!(0), json!(65534)];
        if self.chance(50) {
            map.insert("runAsNonRoot".into(), json!(true));
        }
        self.set(
            &mut map,
            "runAsNonRoot",
            &[json!(true), json!(false), Value::Null],
        );
        self.set(&mut map, "runAsUser", &user);
        self.set(&mut map, "runAsGroup", &user);
        let seccomp = [
            json!({"type": "RuntimeDefault"}),
            json!({"type": "Localhost", "localhostProfile": "a.json"}),
            json!({"type": "Unconfined"}),
            json!({}),
            Value::Null,
        ];
        if self.chance(50) {
            map.insert("seccompProfile".into(), seccomp[0].clone());
        }
        self.set(&mut map, "seccompProfile", &seccomp);
        let apparmor = [
            json!({"type": "RuntimeDefault"}),
            json!({"type": "Localhost", "localhostProfile": "a"}),
            json!({"type": "Unconfined"}),
            json!({"type": ""}),
        ];
        self.set(&mut map, "appArmorProfile", &apparmor);
        let process = [
            json!({}),
            json!({"hostProcess": false}),
            json!({"hostProcess": true}),
        ];
        self.set(&mut map, "windowsOptions", &process);
        // The API server refuses these for pods of Windows.
        if !windows && self.chance(30) {
            let selinux = self.selinux();
            map.insert("seLinuxOptions".into(), selinux);
        }
        if of_pod {
            let sysctls: Vec<Value> = (0..self.below(3)).map(|_| self.sysctl()).collect();
            if self.chance(30) {
                map.insert("sysctls".into(), sysctls.into());
            }
            self.set(&mut map, "fsGroup", &user);
            self.set(
                &mut map,
                "supplementalGroups",
                &[json!([1_000_000_001]), json!([0]), json!([])],
            );
            return map.into();
        }
        if self.chance(70) {
            map.insert("allowPrivilegeEscalation".into(), json!(false));
        }
        self.set(
            &mut map,
            "allowPrivilegeEscalation",
            &[json!(false), json!(true), Value::Null],
        );
        self.set(&mut map, "privileged", &[json!(false), json!(true)]);
        self.set(
            &mut map,
            "procMount",
            &[json!("Default"), json!("Unmasked"), json!("")],
        );
        if self.chance(80) {
            let capabilities = self.capabilities();
            map.insert("capabilities".into(), capabilities);
        }
        map.into()
    }

    fn selinux(&mut self) -> Value {
        let mut map = Map::new();
        let kinds = [
            "",
            "container_t",
            "container_init_t",
            "container_kvm_t",
            "container_engine_t",
            "spc_t",
        ];
        if self.chance(self.wild) {
            let kind = *self.one(&kinds);
            map.insert("type".into(), json!(kind));
        }
        for key in ["user", "role"] {
            self.set(&mut map, key, &[json!(""), json!("sysadm_u")]);
        }
        self.set(&mut map, "level", &[json!(""), json!("s0:c1,c2")]);
        map.into()
    }

    fn sysctl(&mut self) -> Value {
        let names = [
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.ip_local_reserved_ports",
            "net.ipv4.tcp_keepalive_time",
            "net.ipv4.tcp_rmem",
            "net.ipv4.tcp_notsent_lowat",
            "kernel.core_pattern",
            "net.ipv4.ip_forward",
            "net/ipv4/tcp_syncookies",
        ];
        let name = if self.chance(self.wild) {
            *self.one(&names)
        } else {
            names[0]
        };
        json!({"name": name, "value": "1"})
    }

    fn capabilities(&mut self) -> Value {
        let mut map = Map::new();
        let drops = [
            json!(["ALL"]),
            json!(["all"]),
            json!(["NET_RAW"]),
            json!([]),
            json!(["KILL", "ALL"]),
        ];
        self.set(&mut map, "drop", &drops);
        if self.chance(60) {
            map.insert("drop".into(), drops[0].clone());
        }
        let adds = [
            json!([]),
            json!(["NET_BIND_SERVICE"]),
            json!(["net_bind_service"]),
            json!(["CAP_CHOWN"]),
            json!(["CHOWN", "SETUID"]),
            json!(["SYS_ADMIN"]),
            json!(["NET_RAW", "KILL"]),
            json!(["ALL"]),
        ];
        self.set(&mut map, "add", &adds);
        map.into()
    }

    fn container(&mut self, name: &str, windows: bool) -> Value {
        let mut map = Map::new();
        map.insert("name".into(), json!(name));
        map.insert("image".into(), json!("registry.example/web:1"));
        if self.chance(90) {
            let context = self.context(false, windows);
            map.insert("securityContext".into(), context);
        }
        let ports = [
            json!([]),
            json!([{"containerPort": 80, "hostPort": 0}]),
            json!([{"containerPort": 80, "hostPort": 8080}]),
        ];
        self.set(&mut map, "ports", &ports);
        let call = |key: &str, host: Value| json!({key: {"port": 80, "host": host}});
        let calls = [
            json!({"httpGet": {"port": 80}}),
            call("httpGet", json!("")),
            call("tcpSocket", json!("")),
            call("httpGet", json!("127.0.0.1")),
            call("tcpSocket", json!("10.0.0.1")),
            json!({"exec": {"command": ["true"]}}),
            json!({"grpc": {"port": 80}}),
        ];
        for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
            self.set(&mut map, key, &calls);
        }
        let mut lifecycle = Map::new();
        for key in ["postStart", "preStop"] {
            self.set(&mut lifecycle, key, &calls[..6]);
        }
        map.insert("lifecycle".into(), lifecycle.into());
        map.into()
    }

    fn volume(&mut self, index: usize) -> Value {
        let sources = [
            ("emptyDir", json!({})),
            ("configMap", json!({"name": "a"})),
            ("secret", json!({"secretName": "a"})),
            ("projected", json!({"sources": [{"secret": {"name": "a"}}]})),
            (
                "projected",
                json!({"sources": [{"clusterTrustBundle": {"path": "a"}}]}),
            ),
            ("downwardAPI", json!({})),
            ("persistentVolumeClaim", json!({"claimName": "a"})),
            ("ephemeral", json!({})),
            ("csi", json!({"driver": "a"})),
            ("image", json!({"reference": "a"})),
            ("hostPath", json!({"path": "/"})),
            ("nfs", json!({"server": "a", "path": "/"})),
            ("iscsi", json!({"targetPortal": "a", "iqn": "b", "lun": 0})),
            ("gitRepo", json!({"repository": "a"})),
            ("flexVolume", json!({"driver": "a"})),
            ("awsElasticBlockStore", json!({"volumeID": "a"})),
        ];
        let name = format!("v{index}");
        let end = if self.chance(self.wild) {
            sources.len()
        } else {
            4
        };
        if self.chance(10) {
            return json!({"name": name});
        }
        let (kind, source) = &sources[self.below(end)];
        json!({"name": name, *kind: source})
    }

    fn annotations(&mut self) -> Value {
        let mut map = Map::new();
        let seccomp = [
            "runtime/default",
            "docker/default",
            "localhost/a",
            "unconfined",
            "",
        ];
        let apparmor = ["runtime/default", "localhost/a", "", "unconfined", "other"];
        for (prefix, values) in [
            ("seccomp.security.alpha.kubernetes.io/pod", &seccomp),
            (
                "container.seccomp.security.alpha.kubernetes.io/c1",
                &seccomp,
            ),
            // There is no such container, so nobody is meant.
            (
                "container.seccomp.security.alpha.kubernetes.io/gone",
                &seccomp,
            ),
            (
                "container.apparmor.security.beta.kubernetes.io/c1",
                &apparmor,
            ),
            (
                "container.apparmor.security.beta.kubernetes.io/gone",
                &apparmor,
            ),
        ] {
            let values: Vec<Value> = values.iter().map(|value| json!(value)).collect();
            if self.chance(50) {
                self.set(&mut map, prefix, &values);
            }
        }
        map.into()
    }
}

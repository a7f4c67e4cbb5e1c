"""The Python client's day with a tenant: what it does by default, through the gateway.

Arguments: the kubeconfig, the tenant's namespace, a pod there that can be connected to, a namespace of
somebody else. Ends with 0 and one line for each thing that worked.
"""

import sys
import threading

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import portforward, stream

kubeconfig, namespace, pod, foreign = sys.argv[1:]
config.load_kube_config(kubeconfig)
core, apps = client.CoreV1Api(), client.AppsV1Api()


def done(what):
    print("python:", what, flush=True)


def must(condition, what):
    if not condition:
        raise SystemExit(f"python: {what}")


# Objects: created, read, listed in pages, patched in each way, replaced, deleted.
meta = client.V1ObjectMeta(name="e2e-python", labels={"e2e": "python"})
core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=meta, data={"a": "1"}))
read = core.read_namespaced_config_map("e2e-python", namespace)
must(read.data == {"a": "1"}, f"read {read.data}")
page = core.list_namespaced_config_map(namespace, limit=1)
while page.metadata._continue:
    page = core.list_namespaced_config_map(namespace, limit=1, _continue=page.metadata._continue)
listed = core.list_namespaced_config_map(namespace, label_selector="e2e=python", watch=False)
must([m.metadata.name for m in listed.items] == ["e2e-python"], "the list holds something else")
core.patch_namespaced_config_map("e2e-python", namespace, {"data": {"b": "2"}})
core.patch_namespaced_config_map(
    "e2e-python", namespace, [{"op": "add", "path": "/data/c", "value": "3"}]
)
read = core.read_namespaced_config_map("e2e-python", namespace)
must(read.data == {"a": "1", "b": "2", "c": "3"}, f"patched to {read.data}")
read.data = {"d": "4"}
core.replace_namespaced_config_map("e2e-python", namespace, read)
done("objects")

# A watch sees what another thread does, and is stopped from here.
watcher, seen = watch.Watch(), []
version = core.list_namespaced_config_map(namespace).metadata.resource_version


def change():
    core.patch_namespaced_config_map("e2e-python", namespace, {"data": {"e": "5"}})
    core.delete_namespaced_config_map("e2e-python", namespace)


threading.Timer(0.2, change).start()
for event in watcher.stream(
    core.list_namespaced_config_map,
    namespace,
    label_selector="e2e=python",
    resource_version=version,
    timeout_seconds=30,
):
    seen.append(event["type"])
    if event["type"] == "DELETED":
        watcher.stop()
must(seen == ["MODIFIED", "DELETED"], f"the watch saw {seen}")
done("watch")

# Connections.
out = stream(
    core.connect_get_namespaced_pod_exec,
    pod,
    namespace,
    command=["sh", "-c", "echo $((6 * 7)); echo oops >&2"],
    stderr=True,
    stdin=False,
    stdout=True,
    tty=False,
)
must(sorted(out.split()) == ["42", "oops"], f"exec said {out!r}")
done("exec")
forward = portforward(core.connect_get_namespaced_pod_portforward, pod, namespace, ports="8080")
socket = forward.socket(8080)
socket.settimeout(20)
socket.sendall(b"hello")
must(socket.recv(5) == b"hello", "nothing came back through the port")
socket.close()
done("port-forward")

# What is not the tenant's is not there, in the client's own exceptions.
try:
    core.list_namespaced_pod(foreign)
    must(False, "another tenant's pods were listed")
except ApiException as refused:
    must(refused.status == 404 and "not found" in refused.body, f"refused by {refused.status}")
names = [n.metadata.name for n in core.list_namespace().items]
must(namespace in names and foreign not in names, f"the namespaces are {names}")
done("refusals")

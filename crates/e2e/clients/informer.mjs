// The JavaScript client's day with a tenant, through the gateway: objects, an informer over one
// namespace and one over all, exec.
//
// Arguments: the kubeconfig, the tenant's namespace, a pod there that can be connected to, a namespace
// of somebody else. Ends with 0 and one line for each thing that worked.

import { createRequire } from "node:module";
import { PassThrough, Writable } from "node:stream";

// Where it is installed is no place that imports are looked for in.
const require = createRequire(process.env.BULKHEAD_CLIENT + "/");
const k8s = require("@kubernetes/client-node");

const [kubeconfig, namespace, pod, foreign] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromFile(kubeconfig);
const core = config.makeApiClient(k8s.CoreV1Api);
const name = "e2e-javascript";

const done = (what) => console.log("javascript:", what);
const must = (condition, what) => {
  if (!condition) {
    console.error("javascript:", what);
    process.exit(1);
  }
};
const within = (promise, what) =>
  Promise.race([
    promise,
    new Promise((_, reject) => setTimeout(() => reject(new Error(`${what} takes too long`)), 30000).unref()),
  ]);

// An informer over all namespaces sees what happens in one.
const heard = [];
let settled;
let stopping = false;
const all = new Promise((resolve) => (settled = resolve));
const list = () => core.listConfigMapForAllNamespaces();
const informer = k8s.makeInformer(config, "/api/v1/configmaps", list);
for (const event of ["add", "update", "delete"]) {
  informer.on(event, (object) => {
    must(object.metadata.namespace !== foreign, "an object of somebody else's was told of");
    if (object.metadata.name === name) {
      heard.push(event);
      if (event === "delete") settled();
    }
  });
}
// Some versions tell of their own end as of an error.
informer.on("error", (error) => must(stopping, `the informer failed: ${error}`));
await within(informer.start(), "the start of the informer");
done("informer over all namespaces started");

const body = { metadata: { name }, data: { a: "1" } };
await core.createNamespacedConfigMap({ namespace, body });
const read = await core.readNamespacedConfigMap({ namespace, name });
must(read.data.a === "1", "it read something else");
read.data = { a: "2" };
await core.replaceNamespacedConfigMap({ namespace, name, body: read });
await core.deleteNamespacedConfigMap({ namespace, name });
done("objects");
await within(all, "what the informer is to hear");
stopping = true;
await informer.stop();
must(heard.join() === "add,update,delete", `the informer heard ${heard}`);
done("informer");

let said = "";
const out = new Writable({
  write(chunk, _, next) {
    said += chunk;
    next();
  },
});
const status = await within(
  new Promise((resolve, reject) => {
    new k8s.Exec(config)
      .exec(namespace, pod, undefined, ["sh", "-c", "echo $((6 * 7))"], out, new PassThrough(), null, false, resolve)
      .catch(reject);
  }),
  "exec",
);
must(status.status === "Success" && said.trim() === "42", `exec said ${said} and ${JSON.stringify(status)}`);
done("exec");

try {
  await core.listNamespacedPod({ namespace: foreign });
  must(false, "another tenant's pods were listed");
} catch (refused) {
  must(refused.code === 404, `refused by ${refused.code}`);
}
done("refusals");
process.exit(0);

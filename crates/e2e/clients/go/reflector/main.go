// A reflector of client-go over all of a tenant's namespaces, through the gateway.
//
// Arguments: the kubeconfig, the tenant's namespace, a namespace of somebody else. Ends with 0 and one
// line for each thing that worked.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func must(err error, what string) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "client-go:", what+":", err)
		os.Exit(1)
	}
}

func main() {
	kubeconfig, namespace, foreign := os.Args[1], os.Args[2], os.Args[3]
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	must(err, "kubeconfig")
	// What typed clients of controllers ask for.
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	must(err, "client")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Core().V1().ConfigMaps().Informer()
	const name = "e2e-client-go"
	heard := make(chan string, 16)
	tell := func(event string, object any) {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		config := object.(*corev1.ConfigMap)
		if config.Namespace == foreign {
			must(fmt.Errorf("%s/%s", config.Namespace, config.Name), "somebody else's")
		}
		if config.Name == name {
			heard <- event
		}
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { tell("add", object) },
		UpdateFunc: func(_, object any) { tell("update", object) },
		DeleteFunc: func(object any) { tell("delete", object) },
	})
	must(err, "handler")
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		must(ctx.Err(), "the cache does not sync")
	}
	fmt.Println("client-go: synced over all namespaces")

	configs := client.CoreV1().ConfigMaps(namespace)
	made, err := configs.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	must(err, "create")
	made.Data = map[string]string{"a": "1"}
	_, err = configs.Update(ctx, made, metav1.UpdateOptions{})
	must(err, "update")
	must(configs.Delete(ctx, name, metav1.DeleteOptions{}), "delete")
	for _, expected := range []string{"add", "update", "delete"} {
		select {
		case event := <-heard:
			if event != expected {
				must(fmt.Errorf("%s, not %s", event, expected), "heard")
			}
		case <-ctx.Done():
			must(ctx.Err(), "waiting for "+expected)
		}
	}
	fmt.Println("client-go: informer")
}

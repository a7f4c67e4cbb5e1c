package main

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// groups are the groups and versions that a kube-apiserver serves unless told otherwise.
var groups = []func(*runtime.Scheme) error{
	admissionregistrationv1.AddToScheme,
	appsv1.AddToScheme,
	authenticationv1.AddToScheme,
	authorizationv1.AddToScheme,
	autoscalingv1.AddToScheme,
	autoscalingv2.AddToScheme,
	batchv1.AddToScheme,
	certificatesv1.AddToScheme,
	coordinationv1.AddToScheme,
	corev1.AddToScheme,
	discoveryv1.AddToScheme,
	eventsv1.AddToScheme,
	flowcontrolv1.AddToScheme,
	networkingv1.AddToScheme,
	nodev1.AddToScheme,
	policyv1.AddToScheme,
	rbacv1.AddToScheme,
	resourcev1.AddToScheme,
	schedulingv1.AddToScheme,
	storagev1.AddToScheme,
}

// notBodies are kinds that no request carries as its body: they travel as query parameters, or
// only the API server sends them. Lists end in `List` and are left out by that.
var notBodies = []string{
	"APIGroup", "APIVersions", "CreateOptions", "GetOptions", "ListOptions", "NodeProxyOptions",
	"PatchOptions", "PodAttachOptions", "PodExecOptions", "PodLogOptions",
	"PodPortForwardOptions", "PodProxyOptions", "PodStatusResult", "RangeAllocation",
	"SerializedReference", "ServiceProxyOptions", "UpdateOptions", "WatchEvent",
}

type kind struct {
	schema.GroupVersionKind
	object reflect.Type
}

type message interface {
	Unmarshal([]byte) error
}

var messageType = reflect.TypeFor[message]()

// newScheme registers every group, and DeleteOptions under meta.k8s.io/v1 too, where clients
// without a group of their own encode them.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range groups {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Group: "meta.k8s.io", Version: "v1"})
	return scheme, nil
}

// bodies are the kinds that may be a request's body, in a fixed order.
func bodies(scheme *runtime.Scheme) []kind {
	var kinds []kind
	for gvk, object := range scheme.AllKnownTypes() {
		if gvk.Version == runtime.APIVersionInternal ||
			strings.HasSuffix(gvk.Kind, "List") ||
			slices.Contains(notBodies, gvk.Kind) ||
			!reflect.PointerTo(object).Implements(messageType) {
			continue
		}
		kinds = append(kinds, kind{gvk, object})
	}
	slices.SortFunc(kinds, func(a, b kind) int {
		return cmp.Or(
			cmp.Compare(a.GroupVersion().String(), b.GroupVersion().String()),
			cmp.Compare(a.Kind, b.Kind),
		)
	})
	return kinds
}

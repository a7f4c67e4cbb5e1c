// The PodSecurityPolicy plugin's verdicts. Each line of the input is a question, each line of the
// output its answer; `question` and `answer` say what stands in them. Pods and policies are read
// and defaulted as the API server reads them, and mutated pods are written as it writes them.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1beta1 "k8s.io/api/policy/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	"k8s.io/kubernetes/pkg/apis/policy/validation"
	"k8s.io/kubernetes/plugin/pkg/admission/security/podsecuritypolicy"
)

// grant is a policy that somebody may `use`, in an API group.
type grant struct {
	Group string `json:"group"`
	Name  string `json:"name"`
}

type question struct {
	// Validate asks for the API server's complaints about a policy, and nothing else.
	Validate *policyv1beta1.PodSecurityPolicy `json:"validate"`

	Policies []*policyv1beta1.PodSecurityPolicy `json:"policies"`
	Pod      *corev1.Pod                        `json:"pod"`
	// Old is the pod before an update; without it the operation is CREATE.
	Old       *corev1.Pod `json:"old"`
	Namespace string      `json:"namespace"`
	// Admit asks the pass that may mutate; else it is the one that only validates.
	Admit bool `json:"admit"`
	// User and Account are what the user, and the pod's ServiceAccount, may use.
	User    []grant `json:"user"`
	Account []grant `json:"account"`
	// Repeat measures: the question is answered as often, and the answer says how long one took.
	Repeat int `json:"repeat"`
}

type answer struct {
	// Complaints are the errors of a validated policy.
	Complaints []string `json:"complaints,omitempty"`
	// Denial is the whole message, if the pod is refused.
	Denial string `json:"denial,omitempty"`
	// Pod is the pod as it left the plugin.
	Pod *corev1.Pod `json:"pod,omitempty"`
	// Audit are the audit annotations.
	Audit map[string]string `json:"audit,omitempty"`
	// Nanoseconds is what one evaluation took, if asked.
	Nanoseconds int64 `json:"nanoseconds,omitempty"`
}

const someone = "someone"

// rights answers `use` by the lists of one question.
type rights struct{ user, account map[grant]bool }

func (r *rights) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetVerb() != "use" || a.GetResource() != "podsecuritypolicies" {
		return authorizer.DecisionNoOpinion, "", nil
	}
	granted := r.account
	if a.GetUser().GetName() == someone {
		granted = r.user
	}
	if granted[grant{a.GetAPIGroup(), a.GetName()}] {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func set(grants []grant) map[grant]bool {
	held := map[grant]bool{}
	for _, one := range grants {
		held[one] = true
	}
	return held
}

type oracle struct {
	plugin *podsecuritypolicy.Plugin
	store  cache.Store
	rights *rights
}

// wire gives the plugin what its initializers would.
type wire struct {
	informers informers.SharedInformerFactory
	rights    *rights
}

func (w wire) Initialize(plugin admission.Interface) {
	psp := plugin.(*podsecuritypolicy.Plugin)
	psp.SetAuthorizer(w.rights)
	psp.SetExternalKubeInformerFactory(w.informers)
}

func newOracle() (*oracle, error) {
	plugins := admission.NewPlugins()
	podsecuritypolicy.Register(plugins)
	wire := wire{informers.NewSharedInformerFactory(nil, 0), &rights{}}
	made, err := plugins.InitPlugin(podsecuritypolicy.PluginName, nil, wire)
	if err != nil {
		return nil, err
	}
	store := wire.informers.Policy().V1beta1().PodSecurityPolicies().Informer().GetStore()
	return &oracle{made.(*podsecuritypolicy.Plugin), store, wire.rights}, nil
}

func internal(pod *corev1.Pod) (*core.Pod, error) {
	if pod == nil {
		return nil, nil
	}
	legacyscheme.Scheme.Default(pod)
	out := &core.Pod{}
	return out, legacyscheme.Scheme.Convert(pod, out, nil)
}

func (o *oracle) validate(psp *policyv1beta1.PodSecurityPolicy) (*answer, error) {
	legacyscheme.Scheme.Default(psp)
	out := &policy.PodSecurityPolicy{}
	if err := legacyscheme.Scheme.Convert(psp, out, nil); err != nil {
		return nil, err
	}
	complaints := []string{}
	for _, err := range validation.ValidatePodSecurityPolicy(out) {
		complaints = append(complaints, err.Error())
	}
	return &answer{Complaints: complaints}, nil
}

func (o *oracle) answer(asked *question) (*answer, error) {
	if asked.Validate != nil {
		return o.validate(asked.Validate)
	}
	policies := []interface{}{}
	for _, psp := range asked.Policies {
		legacyscheme.Scheme.Default(psp)
		policies = append(policies, psp)
	}
	if err := o.store.Replace(policies, ""); err != nil {
		return nil, err
	}
	o.rights.user, o.rights.account = set(asked.User), set(asked.Account)
	pod, err := internal(asked.Pod)
	if err != nil {
		return nil, err
	}
	// An interface that holds a nil pointer is not nil.
	var old runtime.Object
	operation := admission.Create
	if asked.Old != nil {
		before, err := internal(asked.Old)
		if err != nil {
			return nil, err
		}
		old, operation = before, admission.Update
	}
	attributes := admission.NewAttributesRecord(
		pod, old, schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, asked.Namespace, pod.Name,
		schema.GroupVersionResource{Version: "v1", Resource: "pods"}, "", operation, nil, false,
		&user.DefaultInfo{Name: someone},
	)
	pass := o.plugin.Validate
	if asked.Admit {
		pass = o.plugin.Admit
	}
	given := &answer{}
	if asked.Repeat > 0 {
		started := time.Now()
		for i := 0; i < asked.Repeat; i++ {
			*pod = *pod.DeepCopy()
			_ = pass(context.Background(), attributes, nil)
		}
		given.Nanoseconds = time.Since(started).Nanoseconds() / int64(asked.Repeat)
		return given, nil
	}
	noted := &audit{Attributes: attributes, notes: map[string]string{}}
	if err := pass(context.Background(), noted, nil); err != nil {
		given.Denial = err.Error()
		return given, nil
	}
	given.Audit = noted.notes
	given.Pod = &corev1.Pod{}
	return given, legacyscheme.Scheme.Convert(pod, given.Pod, nil)
}

// audit keeps the annotations that the plugin leaves in the audit log.
type audit struct {
	admission.Attributes
	notes map[string]string
}

func (a *audit) AddAnnotation(key, value string) error {
	a.notes[key] = value
	return nil
}

func run(in io.Reader, to io.Writer) error {
	oracle, err := newOracle()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(to)
	questions, answers := json.NewDecoder(bufio.NewReaderSize(in, 1<<20)), json.NewEncoder(out)
	for {
		var asked question
		if err := questions.Decode(&asked); errors.Is(err, io.EOF) {
			return out.Flush()
		} else if err != nil {
			return err
		}
		given, err := oracle.answer(&asked)
		if err != nil {
			return err
		}
		if err := answers.Encode(given); err != nil {
			return err
		}
	}
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Gatekeeper's admission without a cluster, for measurements: its constraint client with its Rego
// driver, asked as its webhook asks it, behind the AdmissionReview handler of controller-runtime that
// its webhook uses. What is left out is what the comparison leaves out on the other side as well: a
// cluster to look Namespaces up in, logs and metrics of denials.
//
// webhook TEMPLATES-AND-CONSTRAINTS.json CERTIFICATE KEY
//
// It prints its address, serves `/v1/admit` by TLS, and ends when its input does.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/reviews"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/gator/reader"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/types"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/util"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"bulkhead.dev/oracles/rego/gatekeeper"
)

type policies struct {
	Templates   []unstructured.Unstructured `json:"templates"`
	Constraints []unstructured.Unstructured `json:"constraints"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 3 {
		return fmt.Errorf("usage: webhook POLICIES CERTIFICATE KEY")
	}
	judge, err := load(arguments[0])
	if err != nil {
		return err
	}
	handler := &admission.Webhook{Handler: admission.HandlerFunc(
		func(ctx context.Context, request admission.Request) admission.Response {
			return answer(ctx, judge, &request)
		},
	)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	routes := http.NewServeMux()
	routes.Handle("/v1/admit", handler)
	return http.ServeTLS(listener, routes, arguments[1], arguments[2])
}

func load(path string) (*client.Client, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var given policies
	if err := json.Unmarshal(text, &given); err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := apis.AddToScheme(scheme); err != nil {
		return nil, err
	}
	judge, err := gatekeeper.NewClient()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	for i := range given.Templates {
		template, err := reader.ToTemplate(scheme, &given.Templates[i])
		if err != nil {
			return nil, err
		}
		if _, err := judge.AddTemplate(ctx, template); err != nil {
			return nil, err
		}
	}
	for i := range given.Constraints {
		if _, err := judge.AddConstraint(ctx, &given.Constraints[i]); err != nil {
			return nil, err
		}
	}
	return judge, nil
}

// answer does what Gatekeeper's handler does with a request, and joins messages as it does.
func answer(ctx context.Context, judge *client.Client, request *admission.Request) admission.Response {
	review := &target.AugmentedReview{
		AdmissionRequest: &request.AdmissionRequest,
		Source:           types.SourceTypeOriginal,
		IsAdmission:      true,
	}
	responses, err := judge.Review(ctx, review, reviews.EnforcementPoint(util.WebhookEnforcementPoint))
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	var denials, warnings []string
	for _, result := range responses.Results() {
		message := fmt.Sprintf("[%s] %s", result.Constraint.GetName(), result.Msg)
		switch result.EnforcementAction {
		case "deny":
			denials = append(denials, message)
		case "warn":
			warnings = append(warnings, message)
		}
	}
	if len(denials) > 0 {
		return admission.Denied(strings.Join(denials, "\n")).WithWarnings(warnings...)
	}
	return admission.Allowed("").WithWarnings(warnings...)
}

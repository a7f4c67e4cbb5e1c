package main

import (
	"context"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/reviews"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/gator/reader"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/types"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/util"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"bulkhead.dev/oracles/rego/gatekeeper"
)

type gatekeeperCase struct {
	Templates   []unstructured.Unstructured `json:"templates"`
	Constraints []unstructured.Unstructured `json:"constraints"`
	Inventory   []unstructured.Unstructured `json:"inventory"`
	Reviews     []review                    `json:"reviews"`
}

type review struct {
	Request   admissionv1.AdmissionRequest `json:"request"`
	Namespace *corev1.Namespace            `json:"namespace"`
	// The namespace as text has it, which is what policies see.
	NamespaceObject map[string]any `json:"namespaceObject"`
}

type gatekeeperAnswer struct {
	// For each template, for each constraint, why it is refused; empty if it is not.
	Templates   []string `json:"templates"`
	Constraints []string `json:"constraints"`
	// One for each review.
	Answers []verdict `json:"answers"`
}

type verdict struct {
	Error      string      `json:"error,omitempty"`
	Violations []violation `json:"violations"`
}

type violation struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Action string `json:"action"`
	Msg    string `json:"msg"`
}

func (c *gatekeeperCase) answer() gatekeeperAnswer {
	ctx := context.Background()
	scheme := runtime.NewScheme()
	if err := apis.AddToScheme(scheme); err != nil {
		panic(err)
	}
	judge, err := gatekeeper.NewClient()
	if err != nil {
		panic(err)
	}
	given := gatekeeperAnswer{}
	for i := range c.Templates {
		template, err := reader.ToTemplate(scheme, &c.Templates[i])
		if err == nil {
			_, err = judge.AddTemplate(ctx, template)
		}
		given.Templates = append(given.Templates, text(err))
	}
	for i := range c.Constraints {
		_, err := judge.AddConstraint(ctx, &c.Constraints[i])
		given.Constraints = append(given.Constraints, text(err))
	}
	for i := range c.Inventory {
		if _, err := judge.AddData(ctx, &c.Inventory[i]); err != nil {
			panic(err)
		}
	}
	for _, asked := range c.Reviews {
		given.Answers = append(given.Answers, reviewed(ctx, judge, &asked))
	}
	return given
}

func reviewed(ctx context.Context, judge *client.Client, asked *review) verdict {
	augmented := &target.AugmentedReview{
		AdmissionRequest: &asked.Request,
		Namespace:        asked.Namespace,
		Source:           types.SourceTypeOriginal,
		IsAdmission:      true,
	}
	options := []reviews.ReviewOpt{reviews.EnforcementPoint(util.WebhookEnforcementPoint)}
	if asked.NamespaceObject != nil {
		options = append(options, reviews.Namespace(asked.NamespaceObject))
	}
	responses, err := judge.Review(ctx, augmented, options...)
	given := verdict{Error: text(err), Violations: []violation{}}
	if responses == nil {
		return given
	}
	for _, result := range responses.Results() {
		given.Violations = append(given.Violations, violation{
			Kind:   result.Constraint.GetKind(),
			Name:   result.Constraint.GetName(),
			Action: result.EnforcementAction,
			Msg:    result.Msg,
		})
	}
	return given
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

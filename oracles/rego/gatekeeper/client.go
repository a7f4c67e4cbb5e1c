// Package gatekeeper makes Gatekeeper's constraint client as its webhook has it.
package gatekeeper

import (
	"github.com/open-policy-agent/frameworks/constraint/pkg/client"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/drivers/rego"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/util"
)

// NewClient gives a client without policies, whose driver is the one for Rego.
func NewClient() (*client.Client, error) {
	driver, err := rego.New()
	if err != nil {
		return nil, err
	}
	return client.NewClient(
		client.Targets(&target.K8sValidationTarget{}),
		client.Driver(driver),
		client.EnforcementPoints(util.WebhookEnforcementPoint),
	)
}

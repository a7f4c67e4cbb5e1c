package main

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/util"
)

type opaCase struct {
	// Text by file name.
	Modules map[string]string `json:"modules"`
	// 0 or 1.
	Version int               `json:"version"`
	Query   string            `json:"query"`
	Data    json.RawMessage   `json:"data"`
	Inputs  []json.RawMessage `json:"inputs"`
}

type opaAnswer struct {
	// Why the program does not compile.
	Error string `json:"error,omitempty"`
	// One for each input.
	Answers []opaValue `json:"answers"`
}

type opaValue struct {
	Error     string `json:"error,omitempty"`
	Undefined bool   `json:"undefined,omitempty"`
	Value     any    `json:"value,omitempty"`
}

func (c *opaCase) answer() opaAnswer {
	version := ast.RegoV1
	if c.Version == 0 {
		version = ast.RegoV0
	}
	options := []func(*rego.Rego){rego.Query(c.Query), rego.SetRegoVersion(version)}
	for name, text := range c.Modules {
		options = append(options, rego.Module(name, text))
	}
	if len(c.Data) > 0 {
		var data map[string]any
		if err := util.UnmarshalJSON(c.Data, &data); err != nil {
			return opaAnswer{Error: err.Error()}
		}
		options = append(options, rego.Store(inmem.NewFromObject(data)))
	}
	prepared, err := rego.New(options...).PrepareForEval(context.Background())
	if err != nil {
		return opaAnswer{Error: err.Error()}
	}
	answers := make([]opaValue, 0, len(c.Inputs))
	for _, input := range c.Inputs {
		answers = append(answers, evaluate(&prepared, input))
	}
	return opaAnswer{Answers: answers}
}

func evaluate(prepared *rego.PreparedEvalQuery, text json.RawMessage) opaValue {
	input, err := ast.ValueFromReader(bytes.NewReader(text))
	if err != nil {
		return opaValue{Error: err.Error()}
	}
	results, err := prepared.Eval(context.Background(), rego.EvalParsedInput(input))
	switch {
	case err != nil:
		return opaValue{Error: err.Error()}
	case len(results) == 0:
		return opaValue{Undefined: true}
	}
	return opaValue{Value: results[0].Expressions[0].Value}
}

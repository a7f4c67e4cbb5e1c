// Pod Security Admission's verdicts. Each line of the input is a pod and the policies to hold it
// to (`{"policies": ["restricted:v1.34"], "pod": {}}`); each line of the output is, for each
// policy, the reasons to refuse the pod (`[["privileged"]]`).
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

type question struct {
	Policies []string   `json:"policies"`
	Pod      corev1.Pod `json:"pod"`
}

func main() {
	if err := answer(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(in io.Reader, to io.Writer) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(to)
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var asked question
		if err := questions.Decode(&asked); errors.Is(err, io.EOF) {
			return out.Flush()
		} else if err != nil {
			return err
		}
		verdicts := make([][]string, 0, len(asked.Policies))
		for _, name := range asked.Policies {
			level, version, _ := strings.Cut(name, ":")
			var at api.LevelVersion
			if at.Level, err = api.ParseLevel(level); err != nil {
				return err
			}
			if at.Version, err = api.ParseVersion(version); err != nil {
				return err
			}
			results := evaluator.EvaluatePod(at, &asked.Pod.ObjectMeta, &asked.Pod.Spec)
			reasons := policy.AggregateCheckResults(results).ForbiddenReasons
			verdicts = append(verdicts, append([]string{}, reasons...))
		}
		if err := answers.Encode(verdicts); err != nil {
			return err
		}
	}
}

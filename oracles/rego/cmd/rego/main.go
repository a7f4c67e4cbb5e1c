// OPA's and Gatekeeper's verdicts. Each line of the input is a case, each line of the output the
// answer to it.
//
// A case for OPA is a program, what to ask of it, and inputs; a case for Gatekeeper is templates,
// constraints, objects for the inventory, and reviews. Many inputs share one program because
// compiling is most of the work.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

type question struct {
	OPA        *opaCase        `json:"opa"`
	Gatekeeper *gatekeeperCase `json:"gatekeeper"`
}

func main() {
	if err := answer(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(in io.Reader, to io.Writer) error {
	out := bufio.NewWriter(to)
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	answers.SetEscapeHTML(false)
	for {
		var asked question
		if err := questions.Decode(&asked); errors.Is(err, io.EOF) {
			return out.Flush()
		} else if err != nil {
			return err
		}
		var given any
		switch {
		case asked.OPA != nil:
			given = asked.OPA.answer()
		case asked.Gatekeeper != nil:
			given = asked.Gatekeeper.answer()
		default:
			return errors.New("a case is for `opa` or for `gatekeeper`")
		}
		if err := answers.Encode(given); err != nil {
			return err
		}
		// Whoever asks may want to read before asking on.
		if err := out.Flush(); err != nil {
			return err
		}
	}
}

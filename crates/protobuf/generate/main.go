// Command generate reads Kubernetes' Go types by reflection, for the decoder in ../src.
//
//	go run .                       the table of all types, for ../src/table.json
//	go run . fixtures              objects in protobuf and JSON, for ../tests/fixtures.jsonl
//	go run . fuzz SEED COUNT       COUNT random objects of every kind, in the fixtures' form
//	go run . mutants SEED COUNT    the same, with bytes damaged after encoding
//
// Everything is a function of the arguments. The Kubernetes version is in go.mod.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	err := run(os.Args[1:], out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	switch {
	case len(args) == 0:
		return writeTable(out)
	case len(args) == 1 && args[0] == "fixtures":
		return writeFixtures(out)
	case len(args) == 3 && (args[0] == "fuzz" || args[0] == "mutants"):
		seed, err := strconv.ParseUint(args[1], 10, 64)
		if err != nil {
			return err
		}
		count, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return writeFuzz(out, seed, count, args[0] == "mutants")
	default:
		return fmt.Errorf("expected no argument, `fixtures`, `fuzz SEED COUNT` or `mutants SEED COUNT`, found %q", args)
	}
}

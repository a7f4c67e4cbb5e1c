// Command probe is all that is in the images of real nodes. It is one static file, so that an image
// needs nothing else, and has the few tools that people and kubectl run in containers. Which one it
// is says the name that it is run by, or its first argument.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

var tools = map[string]func(args []string) error{
	"cat":   cat,
	"echo":  echo,
	"get":   get,
	"ls":    ls,
	"pause": pause,
	"serve": serve,
	"sleep": sleep,
	"tar":   tar,
	"test":  test,
}

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	if tools[name] == nil && len(args) > 0 {
		name, args = args[0], args[1:]
	}
	tool := tools[name]
	if tool == nil {
		var names []string
		for known := range tools {
			names = append(names, known)
		}
		sort.Strings(names)
		fmt.Fprintf(os.Stderr, "probe: no tool `%s`: expected one of %s\n", name, strings.Join(names, ", "))
		os.Exit(127)
	}
	if err := tool(args); err != nil {
		if !errors.Is(err, errNo) {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		}
		os.Exit(1)
	}
}

// errNo is a plain no, of which nothing is to be said.
var errNo = errors.New("no")

// cat writes files, or what it reads, to its output.
func cat(args []string) error {
	if len(args) == 0 {
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	}
	for _, path := range args {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(os.Stdout, file)
		file.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func echo(args []string) error {
	_, err := fmt.Println(strings.Join(args, " "))
	return err
}

func ls(args []string) error {
	if len(args) == 0 {
		args = []string{"."}
	}
	for _, path := range args {
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			fmt.Println(entry.Name())
		}
	}
	return nil
}

// pause does nothing until it is told to end. As the first process of a pod it also buries what others
// leave behind.
func pause([]string) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for number := range signals {
		if number != syscall.SIGCHLD {
			return nil
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
	return nil
}

// sleep waits for a number of seconds, and ends early if it is told to.
func sleep(args []string) error {
	if len(args) != 1 {
		return errors.New("expected a number of seconds")
	}
	duration, err := time.ParseDuration(args[0] + "s")
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-signals:
	case <-time.After(duration):
	}
	return nil
}

// test answers `test -d PATH`, which kubectl asks before it copies, and `test -e PATH`.
func test(args []string) error {
	if len(args) != 2 || (args[0] != "-d" && args[0] != "-e") {
		return errors.New("expected `-d PATH` or `-e PATH`")
	}
	info, err := os.Stat(args[1])
	if err != nil || (args[0] == "-d" && !info.IsDir()) {
		return errNo
	}
	return nil
}

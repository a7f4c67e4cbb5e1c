package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// serve answers every request with its host's name, and writes a line for each.
func serve(args []string) error {
	address := ":8080"
	if len(args) > 0 {
		address = ":" + args[0]
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
		<-signals
		os.Exit(0)
	}()
	fmt.Printf("%s serves on %s\n", host, address)
	return http.ListenAndServe(address, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		fmt.Printf("%s %s\n", request.Method, request.URL.Path)
		fmt.Fprintln(writer, host)
	}))
}

// get writes what is found at an address, if it is there within two seconds.
func get(args []string) error {
	if len(args) != 1 {
		return errors.New("expected an address")
	}
	client := http.Client{Timeout: 2 * time.Second}
	answer, err := client.Get(args[0])
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

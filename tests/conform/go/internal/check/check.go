// Package check runs named checks; each prints one line: "ok NAME" or "not ok NAME: WHY".
package check

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Limit is how long anything may take that waits for others.
const Limit = 30 * time.Second

type failure string

type named struct {
	name string
	run  func()
}

var all []named

func Add(name string, run func()) { all = append(all, named{name, run}) }

// RunAndExit ends the process: clients of failed checks may still run.
func RunAndExit() {
	code := 0
	for _, one := range all {
		if why := outcome(one.run); why != "" {
			fmt.Printf("not ok %s: %s\n", one.name, strings.ReplaceAll(why, "\n", " "))
			code = 1
		} else {
			fmt.Printf("ok %s\n", one.name)
		}
	}
	os.Exit(code)
}

func outcome(run func()) (why string) {
	done := make(chan string, 1)
	go func() {
		defer func() {
			if thrown := recover(); thrown != nil {
				done <- fmt.Sprint(thrown)
			} else {
				done <- ""
			}
		}()
		run()
	}()
	select {
	case why = <-done:
		return why
	case <-time.After(3 * Limit):
		return fmt.Sprintf("not within %s", 3*Limit)
	}
}

func That(condition bool, format string, args ...any) {
	if !condition {
		panic(failure("not so: " + fmt.Sprintf(format, args...)))
	}
}

func Equal[T comparable](wanted, got T) {
	if wanted != got {
		panic(failure(fmt.Sprintf("wanted %v, got %v", wanted, got)))
	}
}

func OK(err error) {
	if err != nil {
		panic(failure(err.Error()))
	}
}

// Must is for calls that return a value and an error.
func Must[T any](value T, err error) T {
	OK(err)
	return value
}

func Until(what string, condition func() bool) {
	deadline := time.Now().Add(Limit)
	for !condition() {
		if time.Now().After(deadline) {
			panic(failure(fmt.Sprintf("not within %s: %s", Limit, what)))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

var topics int

// Topic names a topic, queue or group that no other check uses.
func Topic() string {
	topics++
	return fmt.Sprintf("go-%d-%d", os.Getpid(), topics)
}

// Again starts this program once more with more arguments, as a group member that can be killed.
func Again(args ...string) *exec.Cmd {
	command := exec.Command(os.Args[0], args...)
	OK(command.Start())
	return command
}

func Kill(command *exec.Cmd) {
	_ = command.Process.Kill()
	_ = command.Wait()
}

// Must2 is for calls that return two values and an error.
func Must2[A, B any](first A, second B, err error) (A, B) {
	OK(err)
	return first, second
}

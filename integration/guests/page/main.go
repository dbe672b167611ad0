// Command page runs a command, the tests of software in a VPS, and writes the results
// that it prints to the tables of a document. It ends as the command does.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"croft/integration/guests"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: page DOCUMENT COMMAND [ARGUMENT]...")
		os.Exit(2)
	}
	results, failure := watch(os.Args[2:])
	err := write(os.Args[1], results)
	if err == nil {
		err = failure
	}
	if err == nil {
		return
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode())
	}
	fmt.Fprintln(os.Stderr, "page:", err)
	os.Exit(1)
}

// watch runs a command, prints what it prints, and returns the results in it.
func watch(command []string) (results []guests.Result, err error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	for {
		line, end := lines.ReadString('\n')
		fmt.Print(line)
		if r, found := guests.ReadLine(line); found {
			results = append(results, r)
		}
		if end != nil {
			return results, cmd.Wait()
		}
	}
}

func write(path string, results []guests.Result) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	updated, err := guests.Update(string(text), guests.Names(), results)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(updated), 0o644)
}

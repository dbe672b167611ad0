package look

import (
	"context"
	"fmt"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime"
)

// DoctorVerb returns the command doctor.
func DoctorVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "doctor", Group: command.GroupLook, Args: "[NAME...]", Words: command.VPSNames,
		Query:    true,
		Summary:  "say what is wrong with VPSs, why, and what helps",
		Examples: []string{"croft doctor web", "croft doctor", "croft doctor --json web"},
		About: `Without names, looks at every VPS. Prints a line for each thing that is wrong: what
does not work, its cause, and a command that helps. A failure does not work now. A
warning is about to fail, or did fail and works again.

It looks at failed units of systemd and what they wrote, the console, processes
that were killed for lack of memory, the limits of the VPS and of the host's
kernel, packets that the host dropped, and whether the addresses and the DNS
servers of the VPS answer. Of a stopped VPS it tells why it ended and what keeps it
from starting. A line without a name is about the host: "croft host check" tells
more.

It runs systemctl and journalctl inside the VPS, for at most 10 seconds, and
changes nothing.

The exit status is 12 if there is a failure, and 0 otherwise.`,
		Options:  command.TableOptions("print a JSON array"),
		Synonyms: []string{"diagnose", "check", "troubleshoot"},
		Run:      a.Run(printFindings),
	}
}

// managersAtOnce is the number of VPSs that doctor looks at together: mostly it waits for
// their answers.
const managersAtOnce = 8

func printFindings(ctx context.Context, i *command.Invocation) error {
	o := command.OutputOf[runtime.Finding](i)
	m, names, err := chosenOrAll(i)
	if err != nil {
		return err
	}
	found, err := m.DoctorHost(ctx)
	if err != nil {
		return err
	}
	each, first := findingsOf(ctx, i, m, names)
	found = append(found, each...)
	if ctx.Err() != nil {
		return first
	}
	if err := printRemedies(o, found); err != nil {
		return err
	}
	switch {
	case first != nil:
		return first
	case runtime.Failures(found):
		return fail.New(fail.Unwell, "%s", failuresIn(found))
	case len(found) == 0 && o.Name == display.FormatTable:
		i.Screen.Line("nothing is wrong")
	}
	return nil
}

// chosenOrAll returns the VPSs on the line, or every VPS if there is none.
func chosenOrAll(i *command.Invocation) (command.Manager, []vps.Name, error) {
	names, err := command.ParseNames(i.Words)
	if err != nil {
		return nil, nil, err
	}
	m, err := i.Manager()
	if err == nil && len(names) == 0 {
		names, err = m.Names()
	}
	return m, names, err
}

// findingsOf looks at VPSs, several at the same time, and returns what it finds in the
// order of their names. It prints each error, and returns the first one.
func findingsOf(ctx context.Context, i *command.Invocation, m command.Manager, names []vps.Name) ([]runtime.Finding, error) {
	managers := []command.Manager{m}
	for len(managers) < min(managersAtOnce, len(names)) {
		m, err := i.Manager() // each has its own connections to the network of the host
		if err != nil {
			return nil, err
		}
		managers = append(managers, m)
	}
	results := make(chan []runtime.Finding, len(names))
	err := command.AtOnce(ctx, i, managers, names, "examine", func(ctx context.Context, m command.Manager, name vps.Name) error {
		found, err := m.Doctor(ctx, name)
		if err == nil {
			results <- found
		}
		return err
	})
	close(results)
	byName := map[vps.Name][]runtime.Finding{}
	for found := range results {
		for _, f := range found {
			byName[f.Name] = append(byName[f.Name], f)
		}
	}
	var all []runtime.Finding
	for _, name := range names {
		all = append(all, byName[name]...)
		delete(byName, name) // named twice
	}
	return all, err
}

// failuresIn counts the failures among findings.
func failuresIn(all []runtime.Finding) string {
	n := 0
	for _, f := range all {
		if runtime.Failures([]runtime.Finding{f}) {
			n++
		}
	}
	if n == 1 {
		return "1 failure found"
	}
	return fmt.Sprintf("%d failures found", n)
}

// printRemedies prints findings. Causes and remedies are for reading and copying as a
// whole: if the terminal is too narrow for the table, each finding has three lines.
func printRemedies(o command.Output, all []runtime.Finding) error {
	t := display.Table{{"NAME", "SEVERITY", "WHAT", "CAUSE", "REMEDY"}}
	var lines strings.Builder
	for _, f := range all {
		t = append(t, []string{string(f.Name), string(f.Severity), f.What, f.Cause, f.Remedy})
		of := string(f.Name)
		if of == "" {
			of = "the host"
		}
		fmt.Fprintf(&lines, "%s: %s: %s\n  cause:  %s\n  remedy: %s\n", of, f.Severity, display.OneLine(f.What), display.OneLine(f.Cause), display.OneLine(f.Remedy))
	}
	if o.Name == display.FormatTable && len(all) == 0 && !o.Is("no-header") {
		return nil
	}
	if o.Name != display.FormatTable || o.Room() == 0 || display.Width(widest(t.String())) <= o.Room() {
		return command.PrintAll(o, all, t)
	}
	return o.Print(lines.String())
}

// widest returns the widest line of text.
func widest(text string) string {
	most := ""
	for line := range strings.Lines(text) {
		if display.Width(line) > display.Width(most) {
			most = strings.TrimSuffix(line, "\n")
		}
	}
	return most
}

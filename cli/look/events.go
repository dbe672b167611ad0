package look

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/values"
	"croft/runtime"
)

// EventsVerb returns the command events.
func EventsVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "events", Group: command.GroupLook, Args: "[NAME...]", Words: command.VPSNames,
		Query:   true,
		Summary: "show what happened to VPSs",
		Examples: []string{
			"croft events --since 24h web", "croft events --follow --json", "croft events --filter event=oom --filter event=limit",
			"croft events --filter event=stopped -o '{{.name}} {{.attributes.detail}}'",
		},
		About: `Prints the events of the named VPSs, or of all: also of those that were destroyed. An
event is a line: the time, what happened, the name of the VPS, and attributes such as
"reason=killed". The events are

  ` + wrapWords(runtime.EventTypes(), 76) + `

docs/guide/events.md describes them and their attributes. croft and the monitors of VPSs
record them in a log that outlives a reboot of the host. It has a limit of size: the
oldest events are removed first.

A filter is KEY=VALUE, where KEY is event, name, uuid or an attribute. VALUE may be a
pattern with * and ?. An event must match every filter; of several filters with the
same KEY it must match one.

--json prints an object for each event, on a line of its own.`,
		Options: []cmdline.Option{
			{Name: "follow", Short: "f", Usage: "print new events too, until interrupted"},
			{Name: "since", Placeholder: "TIME", Usage: "only events of this last time, for example 24h or 7d; 0: only new ones (default: all)"},
			{Name: "filter", Placeholder: "KEY=VALUE", Many: true, Usage: "print only events that match; may be repeated"},
			command.JsonOption("print a JSON object for each event"),
			{
				Name: "format", Also: "output", Short: "o", Placeholder: "FORMAT", Choices: []string{display.FormatJSON},
				Usage: "json, or a Go template for each event, for example '{{.name}}' (default: plain text)",
			},
		},
		Synonyms: []string{"event", "history"},
		Run:      a.Run(showEvents),
	}
}

// wrapWords returns the words with commas, in lines of this width.
func wrapWords(words []string, width int) string {
	var lines []string
	line := ""
	for n, w := range words {
		if n < len(words)-1 {
			w += ","
		}
		if line != "" && len(line)+1+len(w) > width-2 {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + w)
	}
	return strings.Join(append(lines, line), "\n  ")
}

func showEvents(ctx context.Context, i *command.Invocation) error {
	follow, filters := i.Is("follow"), command.GetMany(i, "filter", parseEventFilter)
	var from time.Time
	if since := command.Get(i, "since", values.Keep); i.Has("since") {
		from = i.Now().Add(-since)
	}
	o := command.OutputOf[runtime.Event](i)
	if i.Err == nil && o.Name == display.FormatCSV || i.Has("format") && o.Name == display.FormatTable {
		i.Err = command.UsageError("--format: there is no %s here: use json or a Go template such as '{{.name}}'", o.Name)
	}
	names, err := command.ParseNames(i.Words)
	if err != nil {
		return err
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	tell := func(e runtime.Event) error {
		if e.Time.Before(from) || len(names) > 0 && !slices.Contains(names, e.Name) || !eventMatches(e, filters) {
			return nil
		}
		return printEvent(o, e)
	}
	if !follow {
		return m.Events(ctx, false, tell)
	}
	return i.WhileRead(ctx, func(ctx context.Context) error { return m.Events(ctx, true, tell) })
}

// printEvent prints one event as the options say.
func printEvent(o command.Output, e runtime.Event) error {
	switch o.Name {
	case display.FormatJSON:
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("print event: %w", err)
		}
		return o.Print(string(line) + "\n")
	case "":
		return command.PrintFilled(o, []runtime.Event{e})
	}
	return o.Print(eventLine(e))
}

// eventLine is an event in plain text. Values that a shell would not take as one word
// are quoted.
func eventLine(e runtime.Event) string {
	line := fmt.Sprintf("%s  %-15s  %-20s", display.Time(e.Time), e.Event, e.Name)
	for _, key := range attributesOf(e) {
		value := e.Attributes[key]
		if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == '"' || !strconv.IsPrint(r) }) {
			value = strconv.Quote(value)
		}
		line += "  " + key + "=" + value
	}
	return strings.TrimRight(line, " ") + "\n"
}

// attributesOf returns the attributes of an event, sorted, with the longest text last.
func attributesOf(e runtime.Event) []string {
	var keys []string
	for key := range e.Attributes {
		if key != detailKey {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if _, ok := e.Attributes[detailKey]; ok {
		keys = append(keys, detailKey)
	}
	return keys
}

const detailKey = "detail"

// An eventFilter is one --filter of events.
type eventFilter struct{ key, pattern string }

func parseEventFilter(s string) (eventFilter, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" || value == "" {
		return eventFilter{}, fmt.Errorf("invalid filter %q: use KEY=VALUE", s)
	}
	if known := slices.Concat([]string{"event", "name", "uuid"}, runtime.EventAttributes()); !slices.Contains(known, key) {
		return eventFilter{}, fmt.Errorf("unknown key %q: use %s", key, strings.Join(known, ", "))
	}
	pattern := slashless(value)
	if _, err := path.Match(pattern, ""); err != nil {
		return eventFilter{}, fmt.Errorf("invalid pattern %q", value)
	}
	matches := func(e string) bool { ok, _ := path.Match(pattern, e); return ok }
	if key == "event" && !slices.ContainsFunc(runtime.EventTypes(), matches) {
		return eventFilter{}, fmt.Errorf("unknown event %q: %s", value, strings.Join(runtime.EventTypes(), ", "))
	}
	return eventFilter{key, pattern}, nil
}

// eventMatches reports whether e passes one filter at least of each key.
func eventMatches(e runtime.Event, filters []eventFilter) bool {
	passed := map[string]bool{}
	for _, f := range filters {
		fact := e.Attributes[f.key]
		switch f.key {
		case "event":
			fact = e.Event
		case "name":
			fact = string(e.Name)
		case "uuid":
			fact = e.UUID
		}
		ok, _ := path.Match(f.pattern, slashless(fact))
		passed[f.key] = passed[f.key] || ok
	}
	for _, ok := range passed {
		if !ok {
			return false
		}
	}
	return true
}

package cli

import (
	"reflect"

	"croft/cli/cmdline"
	"croft/cli/display"
)

// An output is the way in which a verb prints its results.
type output struct {
	*invocation
	display.Format
}

// jsonOption is --json, which is short for --format json.
func jsonOption(usage string) cmdline.Option { return cmdline.Option{Name: "json", Usage: usage} }

// formatOption is --format for verbs that print tables.
func formatOption() cmdline.Option {
	return cmdline.Option{
		Name: "format", Also: "output", Short: "o", Placeholder: "FORMAT", Choices: []string{display.FormatTable, display.FormatJSON, display.FormatCSV},
		Usage: "table, json, csv, or a Go template for each JSON object, for example '{{.name}}' (default: table)",
	}
}

// objectFormatOption is --format for verbs that print JSON by default.
func objectFormatOption() cmdline.Option {
	return cmdline.Option{
		Name: "format", Also: "output", Short: "o", Placeholder: "FORMAT", Choices: []string{display.FormatJSON},
		Usage: "json, or a Go template for each JSON object, for example '{{.name}}' (default: json)",
	}
}

// tableOptions are the options of a verb that prints a table, or JSON.
func tableOptions(json string) []cmdline.Option {
	return []cmdline.Option{
		jsonOption(json), formatOption(),
		{Name: "no-header", Usage: "omit the header line"},
		{Name: "wide", Usage: "shorten nothing and omit no column on a terminal"},
	}
}

// outputOf reads the options for printing objects of type T. Some of them
// contradict others. An error is in i.Err.
func outputOf[T any](i *invocation) output { return outputWith[T](i, display.ParseFormat) }

// outputWith is outputOf for a verb that parses --format on its own.
func outputWith[T any](i *invocation, parse func(string) (display.Format, error)) output {
	o := output{i, get(i, "format", parse)}
	i.NotBoth("json", "format")
	i.NotBoth("quiet", "format")
	switch {
	case i.Is("json"):
		o.Name = display.FormatJSON
	case !i.Has("format"):
		o.Name = display.FormatTable
	}
	if err := o.Check(reflect.TypeFor[T]()); err != nil && i.Err == nil {
		i.Err = usageError("--format: %w", err)
	}
	for _, option := range []string{"columns", "quiet", "no-header", "wide"} {
		if i.Err == nil && i.Has(option) && o.Name != display.FormatTable && o.Name != display.FormatCSV {
			i.Err = usageError("--%s: only with a table or CSV: JSON and other formats have no columns", option)
		}
	}
	i.NotBoth("wide", "quiet")
	return o
}

// objectsOf is outputOf for a verb that prints JSON by default.
func objectsOf[T any](i *invocation) output {
	o := outputOf[T](i)
	if !i.Has("format") {
		o.Name = display.FormatJSON
	}
	if i.Err == nil && (o.Name == display.FormatTable || o.Name == display.FormatCSV) {
		i.Err = usageError("--format: there is no %s here: use json or a Go template such as '{{.name}}'", o.Name)
	}
	return o
}

// printAll prints all as the options say: as objects, or as the table t. The
// table may leave out the columns with the titles spare if it does not fit.
func printAll[T any](o output, all []T, t display.Table, spare ...string) error {
	switch o.Name {
	case display.FormatJSON:
		if all == nil {
			all = []T{} // an empty list is [], not null
		}
		return o.printJSON(all)
	case "":
		return printFilled(o, all)
	}
	return o.printTable(t, spare...)
}

// printOne is printAll for one object.
func printOne[T any](o output, one T, t display.Table, spare ...string) error {
	if o.Name == display.FormatJSON {
		return o.printJSON(one)
	}
	return printAll(o, []T{one}, t, spare...)
}

// printOneOrMany prints all as JSON, or each by the template. JSON is an object if
// the line has one name, and else an array.
func printOneOrMany[T any](o output, all []T) error {
	if len(o.Words) == 1 && o.Name == display.FormatJSON {
		return o.printJSON(all[0])
	}
	return printAll(o, all, nil)
}

// printFilled prints the template for each of all. If one fails, it prints nothing.
func printFilled[T any](o output, all []T) error {
	var out string
	for _, one := range all {
		text, err := o.Fill(one)
		if err != nil {
			return usageError("--format: %w", err)
		}
		out += text
	}
	return o.print(out)
}

// printTable prints t as the options say.
func (o output) printTable(t display.Table, spare ...string) error {
	bare := o.Is("no-header")
	switch {
	case o.Name == display.FormatCSV:
		return o.print(t.Csv(bare))
	case o.Is("quiet"):
		for n := range t {
			t[n] = t[n][:1]
		}
		return o.print(t.Text(display.Layout{Bare: true}))
	}
	return o.print(t.Text(display.Layout{Width: o.room(), Bare: bare, Spare: spare}))
}

// room returns the largest width of a table; 0 is unlimited. On a terminal, without
// --wide, a table must not be wider than the terminal.
func (i *invocation) room() int {
	if i.Is("wide") {
		return 0
	}
	return display.TerminalWidth(i.stdio.Out)
}

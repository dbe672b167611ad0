package command

import (
	"reflect"

	"croft/cli/cmdline"
	"croft/cli/display"
)

// An Output is the way in which a verb prints its results.
type Output struct {
	*Invocation
	display.Format
}

// JsonOption is --json, which is short for --format json.
func JsonOption(usage string) cmdline.Option { return cmdline.Option{Name: "json", Usage: usage} }

// formatOption is --format for verbs that print tables.
func formatOption() cmdline.Option {
	return cmdline.Option{
		Name: "format", Also: "output", Short: "o", Placeholder: "FORMAT", Choices: []string{display.FormatTable, display.FormatJSON, display.FormatCSV},
		Usage: "table, json, csv, or a Go template for each JSON object, for example '{{.name}}' (default: table)",
	}
}

// ObjectFormatOption is --format for verbs that print JSON by default.
func ObjectFormatOption() cmdline.Option {
	return cmdline.Option{
		Name: "format", Also: "output", Short: "o", Placeholder: "FORMAT", Choices: []string{display.FormatJSON},
		Usage: "json, or a Go template for each JSON object, for example '{{.name}}' (default: json)",
	}
}

// TableOptions are the options of a verb that prints a table, or JSON.
func TableOptions(json string) []cmdline.Option {
	return []cmdline.Option{
		JsonOption(json), formatOption(),
		{Name: "no-header", Usage: "omit the header line"},
		{Name: "wide", Usage: "shorten nothing and omit no column on a terminal"},
	}
}

// OutputOf reads the options for printing objects of type T. Some of them
// contradict others. An error is in i.Err.
func OutputOf[T any](i *Invocation) Output { return OutputWith[T](i, display.ParseFormat) }

// OutputWith is OutputOf for a verb that parses --format on its own.
func OutputWith[T any](i *Invocation, parse func(string) (display.Format, error)) Output {
	o := Output{i, Get(i, "format", parse)}
	i.NotBoth("json", "format")
	i.NotBoth("quiet", "format")
	switch {
	case i.Is("json"):
		o.Name = display.FormatJSON
	case !i.Has("format"):
		o.Name = display.FormatTable
	}
	if err := o.Check(reflect.TypeFor[T]()); err != nil && i.Err == nil {
		i.Err = UsageError("--format: %w", err)
	}
	for _, option := range []string{"columns", "quiet", "no-header", "wide"} {
		if i.Err == nil && i.Has(option) && o.Name != display.FormatTable && o.Name != display.FormatCSV {
			i.Err = UsageError("--%s: only with a table or CSV: JSON and other formats have no columns", option)
		}
	}
	i.NotBoth("wide", "quiet")
	return o
}

// ObjectsOf is OutputOf for a verb that prints JSON by default.
func ObjectsOf[T any](i *Invocation) Output {
	o := OutputOf[T](i)
	if !i.Has("format") {
		o.Name = display.FormatJSON
	}
	if i.Err == nil && (o.Name == display.FormatTable || o.Name == display.FormatCSV) {
		i.Err = UsageError("--format: there is no %s here: use json or a Go template such as '{{.name}}'", o.Name)
	}
	return o
}

// PrintAll prints all as the options say: as objects, or as the table t. The
// table may leave out the columns with the titles spare if it does not fit.
func PrintAll[T any](o Output, all []T, t display.Table, spare ...string) error {
	switch o.Name {
	case display.FormatJSON:
		if all == nil {
			all = []T{} // an empty list is [], not null
		}
		return o.PrintJSON(all)
	case "":
		return PrintFilled(o, all)
	}
	return o.printTable(t, spare...)
}

// PrintOne is PrintAll for one object.
func PrintOne[T any](o Output, one T, t display.Table, spare ...string) error {
	if o.Name == display.FormatJSON {
		return o.PrintJSON(one)
	}
	return PrintAll(o, []T{one}, t, spare...)
}

// PrintOneOrMany prints all as JSON, or each by the template. JSON is an object if
// the line has one name, and else an array.
func PrintOneOrMany[T any](o Output, all []T) error {
	if len(o.Words) == 1 && o.Name == display.FormatJSON {
		return o.PrintJSON(all[0])
	}
	return PrintAll(o, all, nil)
}

// PrintFilled prints the template for each of all. If one fails, it prints nothing.
func PrintFilled[T any](o Output, all []T) error {
	var out string
	for _, one := range all {
		text, err := o.Fill(one)
		if err != nil {
			return UsageError("--format: %w", err)
		}
		out += text
	}
	return o.Print(out)
}

// printTable prints t as the options say.
func (o Output) printTable(t display.Table, spare ...string) error {
	bare := o.Is("no-header")
	switch {
	case o.Name == display.FormatCSV:
		return o.Print(t.Csv(bare))
	case o.Is("quiet"):
		for n := range t {
			t[n] = t[n][:1]
		}
		return o.Print(t.Text(display.Layout{Bare: true}))
	}
	return o.Print(t.Text(display.Layout{Width: o.Room(), Bare: bare, Spare: spare}))
}

// Room returns the largest width of a table; 0 is unlimited. On a terminal, without
// --wide, a table must not be wider than the terminal.
func (i *Invocation) Room() int {
	if i.Is("wide") {
		return 0
	}
	return display.TerminalWidth(i.Stdio.Out)
}

package main

import (
	"context"
	"croft/integration/scratch"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
)

func main() {
	load()
	stage()
	// The box sees the death of the thread that started it.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := options{}
	flag.StringVar(&o.croft, "croft", "./croft", "the croft to measure")
	flag.StringVar(&o.goPath, "go", "go", "the go command, which builds runc")
	flag.StringVar(&o.cache, "cache", "/var/cache/croft-bench", "where to keep runc, templates and their files for later runs")
	flag.StringVar(&o.rows, "rows", "", "measure only rows of which this regular expression matches the name; -list prints the names")
	flag.IntVar(&o.rounds, "rounds", 12, "how many turns each side of a row has")
	flag.IntVar(&o.vpss, "vpss", 20, "how many VPSs the rows about many VPSs have")
	flag.StringVar(&o.json, "json", "", "also write all samples as JSON to this file; - is standard output, without the table then")
	flag.BoolVar(&o.list, "list", false, "print the names of the rows")
	flag.Parse()
	if err := o.run(ctx); err != nil {
		say("%v", err)
		os.Exit(1)
	}
}

type options struct {
	croft, goPath, cache, rows string
	json                       string
	rounds, vpss               int
	list                       bool
}

func (o options) run(ctx context.Context) error {
	rows, err := chosen((&bench{}).rows(), o.rows)
	if err != nil {
		return err
	}
	if o.list {
		for _, r := range rows {
			fmt.Printf("%-16s %s\n", r.name, r.what)
		}
		return nil
	}
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument: %s", flag.Arg(0))
	case o.rounds < 1:
		return fmt.Errorf("-rounds %d: the least is 1", o.rounds)
	case o.vpss < 2:
		return fmt.Errorf("-vpss %d: the least is 2", o.vpss)
	case os.Geteuid() != 0:
		return errors.New("this needs root: it makes namespaces, cgroups, VPSs and containers. Type: sudo make bench")
	}
	unlock, err := o.open()
	if err != nil {
		return err
	}
	defer unlock()
	p, err := o.prepare(ctx, rows)
	if err == nil {
		err = o.report(ctx, p)
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	return errors.Join(err, o.sweep())
}

// chosen returns the rows that a regular expression matches.
func chosen(all []row, pattern string) ([]row, error) {
	pick, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("-rows: %w", err)
	}
	var rows []row
	for _, r := range all {
		if pick.MatchString(r.name) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("-rows %s: no row has such a name; -list prints them", pattern)
	}
	return rows, nil
}

// open makes the cache, and keeps other runs away from it.
func (o *options) open() (unlock func(), err error) {
	for _, p := range []*string{&o.croft, &o.cache} {
		if *p, err = filepath.Abs(*p); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(o.croft); err != nil {
		return nil, fmt.Errorf("%w; type: make bench", err)
	}
	return scratch.LockCache(o.cache)
}

// report runs the plan, and prints each comparison as soon as it is there.
func (o options) report(ctx context.Context, p plan) error {
	r := report{Machine: describe(ctx, p.Croft, p.Runc), Rounds: o.rounds, Rows: []comparison{}}
	if r.Machine.Load > busy {
		say("warning: the load average is %.2f: ratios of a busy machine are worth less", r.Machine.Load)
	}
	show := func(text string) {
		if o.json != "-" {
			fmt.Print(text, "\n")
		}
	}
	show(r.Machine.text(o.rounds))
	show(heading())
	broken := 0
	err := p.box(ctx, func(c comparison) {
		r.Rows = append(r.Rows, c)
		if c.Outcomes[0].Error != "" {
			broken++
		}
		show(c.table())
	})
	if err == nil && broken > 0 {
		err = fmt.Errorf("croft failed in %d rows", broken)
	}
	return errors.Join(err, r.write(o.json))
}

// A report is a run as JSON.
type report struct {
	Machine machine      `json:"machine"`
	Rounds  int          `json:"rounds"`
	Rows    []comparison `json:"rows"`
}

// write writes the report to a file, to standard output if that is "-", or not at all if it is "".
func (r report) write(file string) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if file == "-" {
		_, err = os.Stdout.Write(text)
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

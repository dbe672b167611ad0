package oci

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"croft/cli/cmdline"

	"golang.org/x/sys/unix"
)

// understood returns the input of the verb of a command line: its options and
// words, and the options of all verbs.
func understood(words []string) (string, error) {
	p := &program{name: "runc"}
	table := p.table()
	typed, err := cmdline.Read(table, words)
	if err != nil {
		return "", err
	}
	said := options(table, func(name string) []string {
		if value, given := typed.Global(name); given {
			return []string{value}
		}
		return nil
	})
	if typed.Verb == table || typed.Help {
		if typed.Verb != table {
			said += typed.Verb.Name + " "
		}
		if said += "|"; typed.Help {
			said += " (help)"
		}
		return said, nil
	}
	typed.Verb.Run = func(_ context.Context, i *cmdline.Invocation) error {
		said += i.Verb.Name + " " + options(i.Verb, func(name string) []string {
			if !i.Has(name) {
				return nil
			}
			if o, _ := i.Verb.Option(name); o.Many {
				return i.Texts(name)
			} else if !o.TakesValue() {
				return []string{strconv.FormatBool(i.Is(name))}
			}
			return []string{i.Text(name)}
		}) + strings.Join(append([]string{"|"}, i.Words...), " ")
		return nil
	}
	return said, typed.Run(context.Background(), table)
}

// options lists the given options of v by name, each as NAME=VALUE,VALUE.
func options(v *cmdline.Verb, values func(name string) []string) string {
	var given []string
	sorted := slices.SortedFunc(slices.Values(v.Options), func(a, b cmdline.Option) int { return strings.Compare(a.Name, b.Name) })
	for _, o := range sorted {
		if all := values(o.Name); all != nil {
			given = append(given, o.Name+"="+strings.Join(all, ",")+" ")
		}
	}
	return strings.Join(given, "")
}

// These are lines that engines use, and others that runc accepts.
func TestParse(t *testing.T) {
	for typed, want := range map[string]string{
		"":                          "|",
		"--version":                 "version=true |",
		"-v":                        "version=true |",
		"--root /r --debug list":    "debug=true root=/r list |",
		"--root=/r list -q -f json": "root=/r list format=json quiet=true |",
		"--log-format=json --log F create --bundle B --pid-file P ID":                     "log=F log-format=json create bundle=B pid-file=P | ID",
		"--log-format=json --log F exec --pid-file P --process X --detach --tty ID":       "log=F log-format=json exec detach=true pid-file=P process=X tty=true | ID",
		"restore --image-path D --work-path D --detach --pid-file P -no-subreaper -b B C": "restore bundle=B detach=true image-path=D no-subreaper=true pid-file=P work-path=D | C",
		"kill --all ID 15":           "kill all=true | ID 15",
		"kill ID -9":                 "kill | ID -9",
		"kill ID --all KILL":         "kill all=true | ID KILL",
		"delete ID --force":          "delete force=true | ID",
		"delete --force=false ID":    "delete force=false | ID",
		"delete -- --force":          "delete | --force",
		"run -d ID --keep":           "run detach=true keep=true | ID",
		"exec ID ls -l --tty":        "exec | ID ls -l --tty",
		"exec -t -e A=b -e C=d,e ID": "exec env=A=b,C=d,e tty=true | ID",
		"exec ID -- ls":              "exec | ID -- ls",
		"exec -- ID ls":              "exec | ID ls",
		"ps -f json ID -aux":         "ps format=json | ID -aux",
		"update --resources - ID":    "update resources=- | ID",
		"events --interval=1s ID":    "events interval=1s | ID",
		"checkpoint --help":          "checkpoint | (help)",
		"create -h":                  "create | (help)",
		"-h":                         "| (help)",
		"help start":                 "start | (help)",
		"--log F -h":                 "log=F | (help)",
	} {
		if got, err := understood(strings.Fields(typed)); err != nil || got != want {
			t.Errorf("%s:\n %s, %v\nwant\n %s", typed, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for typed, want := range map[string]struct {
		message string
		status  int
	}{
		"foo -h":               {"No help topic for 'foo'", 3},
		"create":               {`runc: "create" requires exactly 1 argument(s)`, 1},
		"create a b":           {`runc: "create" requires exactly 1 argument(s)`, 1},
		"kill":                 {`runc: "kill" requires a minimum of 1 argument(s)`, 1},
		"kill a 9 c":           {`runc: "kill" requires a maximum of 2 argument(s)`, 1},
		"list x":               {`runc: "list" requires exactly 0 argument(s)`, 1},
		"create --nonsense a":  {"flag provided but not defined: -nonsense", 1},
		"--nonsense list":      {"flag provided but not defined: -nonsense", 1},
		"create --bundle":      {"flag needs an argument: -bundle", 1},
		"delete --force=x a":   {`invalid boolean value "x" for -force`, 1},
		"run --log F a":        {"flag provided but not defined: -log", 1},
		"exec --interactive a": {"flag provided but not defined: -interactive", 1},
	} {
		err := refused(strings.Fields(typed))
		if err == nil || err.Error() != want.message || exitStatus(err) != want.status {
			t.Errorf("%s: %v, status %d, want %s, %d", typed, err, exitStatus(err), want.message, want.status)
		}
	}
	if err := refused([]string{"start", ""}); err == nil {
		t.Error("an empty id is accepted")
	}
}

// refused runs a command line that must be refused before its verb acts.
func refused(words []string) error {
	table := (&program{name: "runc"}).table()
	typed, err := cmdline.Read(table, words)
	if err != nil {
		return err
	}
	return typed.Run(context.Background(), table)
}

// Any line is parsed or refused.
func FuzzParse(f *testing.F) {
	f.Add("--root /r exec -t ID ls -l")
	f.Add("kill -- -9 - --= -=")
	f.Fuzz(func(t *testing.T, typed string) {
		table := (&program{name: "runc"}).table()
		if l, err := cmdline.Read(table, strings.Split(typed, " ")); err == nil && l.Verb == table && len(l.Words()) > 0 {
			t.Errorf("words without a verb: %q", l.Words())
		}
	})
}

func TestVerbsAreComplete(t *testing.T) {
	for _, v := range Table().Verbs {
		if v.Name == "" || v.Summary == "" || v.Run == nil || len(v.Examples) == 0 {
			t.Errorf("verb %q is not complete", v.Name)
		}
		names := map[string]bool{"h": true, "help": true}
		for _, o := range v.Options {
			for _, n := range []string{o.Name, o.Short} {
				if n != "" && names[n] {
					t.Errorf("%s: two options %s", v.Name, n)
				}
				names[n] = true
			}
			if o.Usage == "" && !o.Hidden || o.Placeholder == "value" {
				t.Errorf("%s: option %s is not complete", v.Name, o.Name)
			}
		}
	}
}

func TestCalled(t *testing.T) {
	for name, want := range map[string]bool{
		"croft-oci": true, "/usr/bin/croft-oci": true, "runc": true, "croft": false, "/runc/croft": false, "oci": false, "": false,
	} {
		if Called(name) != want {
			t.Errorf("Called(%q) is not %v", name, want)
		}
	}
}

func TestParseSignal(t *testing.T) {
	for text, want := range map[string]unix.Signal{"9": 9, "KILL": 9, "SIGKILL": 9, "term": 15, "sigusr1": 10, "-9": -9, "RTMIN": 34, "": 0, "x": 0} {
		got, err := parseSignal(text)
		if got != want || (err == nil) == (want == 0) {
			t.Errorf("parseSignal(%q) = %d, %v", text, got, err)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "512": 512, "1k": 1024, "1K": 1024, "1.5m": 3 << 19, "2g": 2 << 30, "64MiB": 64 << 20, "64mb": 64 << 20,
		"3 G": 3 << 30, "1t": 1 << 40, "7b": 7, "-1": -1,
	} {
		if got, err := parseBytes(text); err != nil || got != want {
			t.Errorf("parseBytes(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "k", "-2", "1x", "1kk", "1mk", "NaN", "1e99", "10000000000g", "m1"} {
		if got, err := parseBytes(text); err == nil {
			t.Errorf("parseBytes(%q) = %d", text, got)
		}
	}
}

func TestParseCgroups(t *testing.T) {
	for typed, want := range map[string]string{
		"":                       "map[]",
		"/sub":                   "map[:/sub]",
		"cpu,cpuacct:a memory:b": "map[cpu:a cpuacct:a memory:b]",
		"a b":                    "invalid --cgroup argument: a (missing <controller>: prefix)",
		"cpu:a b":                "invalid --cgroup argument: b (missing <controller>: prefix)",
		",cpu:a":                 "invalid --cgroup argument: ,cpu:a (empty <controller> prefix)",
		"cpu:a cpu:b":            "invalid --cgroup argument(s): controller cpu specified multiple times",
	} {
		paths, err := parseCgroups(strings.Fields(typed))
		got := fmt.Sprint(paths)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("parseCgroups(%q): %s, want %s", typed, got, want)
		}
	}
}

func TestExamples(t *testing.T) {
	for _, v := range Table().Verbs {
		for _, e := range v.Examples {
			if l, err := cmdline.Read(Table(), strings.Fields(e)); err != nil || l.Verb.Name != v.Name {
				t.Errorf("%s: %v", e, err)
			}
		}
	}
}

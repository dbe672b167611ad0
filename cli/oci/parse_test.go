package oci

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// said is a command line as it was understood.
func said(l *line) string {
	var out strings.Builder
	show := func(v values) {
		for _, name := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(&out, "%s=%s ", name, strings.Join(v[name], ","))
		}
	}
	show(l.global)
	if l.verb != nil {
		out.WriteString(l.verb.name + " ")
	}
	show(l.values)
	words := append([]string{"|"}, l.words...)
	if l.help {
		words = append(words, "(help)")
	}
	return out.String() + strings.Join(words, " ")
}

// The lines are those that engines type, and those that runc takes too.
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
		l := &line{program: "runc"}
		if err := l.parse(strings.Fields(typed)); err != nil || said(l) != want {
			t.Errorf("%s:\n %s, %v\nwant\n %s", typed, said(l), err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for typed, want := range map[string]string{
		"foo -h":               "No help topic for 'foo'",
		"create":               `runc: "create" requires exactly 1 argument(s)`,
		"create a b":           `runc: "create" requires exactly 1 argument(s)`,
		"kill":                 `runc: "kill" requires a minimum of 1 argument(s)`,
		"kill a 9 c":           `runc: "kill" requires a maximum of 2 argument(s)`,
		"list x":               `runc: "list" requires exactly 0 argument(s)`,
		"create --nonsense a":  "flag provided but not defined: -nonsense",
		"--nonsense list":      "flag provided but not defined: -nonsense",
		"create --bundle":      "flag needs an argument: -bundle",
		"delete --force=x a":   `invalid boolean value "x" for -force`,
		"run --log F a":        "flag provided but not defined: -log",
		"exec --interactive a": "flag provided but not defined: -interactive",
	} {
		l := &line{program: "runc"}
		if err := l.parse(strings.Fields(typed)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", typed, err, want)
		}
	}
	if err := (&line{program: "runc"}).parse([]string{"start", ""}); err == nil {
		t.Error("an empty id is taken")
	}
}

// However a line looks, it is understood or refused.
func FuzzParse(f *testing.F) {
	f.Add("--root /r exec -t ID ls -l")
	f.Add("kill -- -9 - --= -=")
	f.Fuzz(func(t *testing.T, typed string) {
		l := &line{program: "runc"}
		if err := l.parse(strings.Split(typed, " ")); err == nil && l.verb == nil && len(l.words) > 0 {
			t.Errorf("words without a verb: %q", l.words)
		}
	})
}

func TestVerbsAreWhole(t *testing.T) {
	for _, v := range verbs() {
		if v.name == "" || v.summary == "" || v.run == nil || v.most >= 0 && v.least > v.most {
			t.Errorf("%s is no whole verb", v.name)
		}
		names := map[string]bool{"h": true, "help": true}
		for _, o := range v.options {
			for _, n := range o.names {
				if names[n] {
					t.Errorf("%s: two options %s", v.name, n)
				}
				names[n] = true
			}
			if o.usage == "" && !o.hidden || o.placeholder == "value" {
				t.Errorf("%s: option %s is not whole", v.name, o.names[0])
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
	for text, want := range map[string]unix.Signal{"9": 9, "KILL": 9, "SIGKILL": 9, "term": 15, "sigusr1": 10, "-9": -9, "RTMIN": 0, "": 0, "x": 0} {
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

// Every verb has an example, and the command line takes each of them.
func TestExamples(t *testing.T) {
	for _, v := range verbs() {
		if len(v.examples) == 0 {
			t.Errorf("%s has no example", v.name)
		}
		for _, e := range v.examples {
			l := &line{program: Name}
			if err := l.parse(strings.Fields(e)); err != nil || l.verb.name != v.name {
				t.Errorf("%s: %v", e, err)
			}
		}
	}
}

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTAP(t *testing.T) {
	for _, test := range []struct {
		name, text string
		planned    int
		want       []point
	}{{
		name: "bats", planned: 4,
		text: "1..4\n" +
			"ok 1 runc run [a, b]\n" +
			"not ok 2 runc exec --user\n" +
			"# (in test file exec.bats, line 9)\n" +
			"#   `[ $status -eq 0 ]' failed\n" +
			"ok 3 needs much # skip test requires cgroups_v2\n" +
			"ok 4 ends\n",
		want: []point{
			{name: "runc run [a, b]"},
			{name: "runc exec --user", verdict: failed, detail: "(in test file exec.bats, line 9)\n  `[ $status -eq 0 ]' failed\n"},
			{name: "needs much", verdict: skipped, detail: "test requires cgroups_v2"},
			{name: "ends"},
		},
	}, {
		name: "a validation program, with its plan at the end", planned: 3,
		text: "TAP version 13\r\n" +
			"ok 1 - has expected hostname\r\n" +
			"  ---\n  {\n    \"error\": \"#1\"\n  }\n  ...\n" +
			"not ok 2 - mounts[0] (/proc) # not a directive\n" +
			"ok 3 # SKIP linux.devices (default) needs more\n" +
			"1..3\n",
		want: []point{
			{name: "has expected hostname", detail: "  ---\n  {\n    \"error\": \"#1\"\n  }\n  ...\n"},
			{name: "mounts[0] (/proc) # not a directive", verdict: failed},
			{name: "", verdict: skipped, detail: "linux.devices (default) needs more"},
		},
	}, {
		name: "other output", planned: -1,
		text: "okay, this is none\nnot okay\n1..\n# before any\n",
	}} {
		t.Run(test.name, func(t *testing.T) {
			p := newTAPParser()
			verdicts := 0
			for line := range strings.Lines(test.text) {
				if p.line(strings.TrimSuffix(line, "\n")) {
					verdicts++
				}
			}
			if p.planned != test.planned || verdicts != len(test.want) {
				t.Errorf("planned %d, %d verdicts", p.planned, verdicts)
			}
			if diff := cmp.Diff(test.want, p.points, cmp.AllowUnexported(point{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadBats(t *testing.T) {
	tests := []string{"a", "b", "c", "d"}
	out := output{lines: []string{"1..4", "ok 1 a", "not ok 2 b", "# why"}, stderr: "noise\n", hung: true}
	want := map[string]result{
		"a": {},
		"b": {Verdict: failed, Detail: "why\n"},
		"c": {Verdict: hung, Detail: "noise"},
	}
	if diff := cmp.Diff(want, readBats(tests, out)); diff != "" {
		t.Error(diff)
	}
	out = output{lines: []string{"1..4", "not ok 1 setup_file failed", "# no image"}, status: 1}
	want = map[string]result{"a": {Verdict: failed, Detail: "setup_file failed\nno image"}}
	if diff := cmp.Diff(want, readBats(tests, out)); diff != "" {
		t.Error(diff)
	}
}

func TestReadProgram(t *testing.T) {
	for _, test := range []struct {
		name string
		out  output
		want result
	}{
		{"passes", output{lines: []string{"ok 1 - a", "ok 2 # SKIP b", "1..2"}}, result{}},
		{"fails twice", output{lines: []string{"not ok 1 - a", "ok 2 - b", "not ok 3 - c", "1..3"}}, result{Verdict: failed, Failures: 2}},
		{"skips", output{lines: []string{"1..1", "ok 1 # SKIP no such cgroup"}}, result{Verdict: skipped}},
		{"ends early", output{lines: []string{"1..2", "ok 1 - a"}}, result{Verdict: failed}},
		{"ends badly", output{lines: []string{"ok 1 - a", "1..1"}, status: 1}, result{Verdict: failed}},
		{"has nothing to say", output{lines: []string{"TAP version 13", "1..0"}}, result{}},
		{"tells of an error", output{lines: []string{"  ---", "  {", `    "error": "it"`, "  }", "  ...", "1..0"}}, result{Verdict: failed}},
		{"says nothing", output{}, result{Verdict: failed}},
		{"hangs", output{lines: []string{"ok 1 - a"}, hung: true, status: 137}, result{Verdict: hung}},
	} {
		got := readProgram([]string{"p"}, test.out)["p"]
		if got.Verdict != passed && !strings.Contains(got.Detail, "exit status") {
			t.Errorf("%s: detail %q", test.name, got.Detail)
		}
		got.Detail = ""
		if got != test.want {
			t.Errorf("%s: %+v, not %+v", test.name, got, test.want)
		}
	}
}

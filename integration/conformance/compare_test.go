package main

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	theirs := results{
		"runc/exec.bats": {
			"both pass": {}, "ours fails": {}, "ours skips": {}, "ours is not there": {},
			"both fail": {Verdict: failed}, "theirs hangs": {Verdict: hung},
			"ours fails what they skip": {Verdict: skipped},
		},
		"validation/mounts": {"mounts": {Verdict: failed, Failures: 2}},
		"validation/start":  {"start": {Verdict: failed, Failures: 2}},
		"validation/delete": {"delete": {Verdict: failed, Failures: 2}},
		"validation/create": {"create": {Verdict: failed}},
	}
	ours := results{
		"runc/exec.bats": {
			"both pass": {}, "ours fails": {Verdict: failed}, "ours skips": {Verdict: skipped},
			"both fail": {Verdict: failed}, "theirs hangs": {Verdict: failed},
			"ours fails what they skip": {Verdict: failed}, "theirs is not there": {Verdict: failed},
		},
		"validation/mounts": {"mounts": {Verdict: failed, Failures: 3}},
		"validation/start":  {"start": {Verdict: failed, Failures: 1}},
		"validation/delete": {"delete": {Verdict: failed}},
		"validation/create": {"create": {Verdict: failed, Failures: 3}},
	}
	var b bytes.Buffer
	differences(&b, "worse", compare(ours, theirs))
	differences(&b, "better", better(ours, theirs))
	want := `croft does worse in 6 tests:
  runc/exec.bats: ours fails: failed, runc passed
  runc/exec.bats: ours fails what they skip: failed, runc skipped
  runc/exec.bats: ours is not there: hung, runc passed
  runc/exec.bats: ours skips: skipped, runc passed
  validation/delete: delete: failed, runc failed 2
  validation/mounts: mounts: failed 3, runc failed 2
croft does better in 3 tests:
  runc/exec.bats: theirs hangs: failed, runc hung
  validation/create: create: failed 3, runc failed
  validation/start: start: failed 1, runc failed 2
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	if all := compare(theirs, theirs); len(all) != 0 {
		t.Errorf("the same is worse: %v", all)
	}
}

func TestTable(t *testing.T) {
	files := []file{{suite: "runc", name: "exec.bats"}, {suite: "runc", name: "ps.bats"}, {suite: "validation", name: "start"}}
	ours := results{
		"runc/exec.bats":   {"a": {}, "b": {Verdict: failed}, "c": {Verdict: hung}},
		"validation/start": {"start": {}},
	}
	theirs := results{
		"runc/exec.bats": {"a": {}, "b": {}, "c": {Verdict: skipped}},
		"runc/ps.bats":   {"a": {}},
	}
	var b bytes.Buffer
	table(&b, "runc v1.5.2", files, ours, theirs)
	want := `                  croft                      runc v1.5.2
                  passed  failed  skipped    passed  failed  skipped
runc/exec.bats         1       2        0         2       0        1
runc/ps.bats                                      1       0        0
validation/start       1       0        0
runc                   1       2        0         3       0        1
validation             1       0        0
all                    2       2        0         3       0        1
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestDifferenceFileName(t *testing.T) {
	d := difference{file: "runc/exec.bats", test: `runc run [a "b"] (c)`}
	if got := d.fileName(); got != "runc_exec.bats-runc_run__a__b____c_.txt" {
		t.Error(got)
	}
}

func TestChoose(t *testing.T) {
	files := []file{
		{suite: "runc", name: "exec.bats", tests: []string{"runc exec", "runc exec --user"}},
		{suite: "runc", name: "ps.bats", tests: []string{"ps"}},
		{suite: "validation", name: "start", tests: []string{"start"}},
	}
	for pick, want := range map[string]string{
		"":                    "exec.bats[runc exec runc exec --user] ps.bats[ps] start[start] ",
		"--user":              "exec.bats[runc exec --user] ",
		"runc/exec":           "exec.bats[runc exec runc exec --user] ",
		"^runc/(exec|ps)":     "exec.bats[runc exec runc exec --user] ps.bats[ps] ",
		"validation|: ps$":    "ps.bats[ps] start[start] ",
		"nothing of the like": "",
	} {
		got := ""
		for _, f := range choose(files, regexp.MustCompile(pick)) {
			got += f.name + "["
			for i, test := range f.tests {
				if i > 0 {
					got += " "
				}
				got += test
			}
			got += "] "
		}
		if got != want {
			t.Errorf("%q chooses %q, not %q", pick, got, want)
		}
	}
}

func TestBatsTests(t *testing.T) {
	text := "load helpers\n" +
		"@test \"runc run [a, b]\" {\n\trun true\n}\n" +
		"\t@test 'single' {\n}\n" +
		"# @test \"not this\" {\n" +
		"@test \"two \"   {   \n"
	want := []string{"runc run [a, b]", "single", "two"}
	if diff := cmp.Diff(want, batsTests(text)); diff != "" {
		t.Error(diff)
	}
	if got := batsFilter(want); got != `^ *(runc run \[a, b\]|single|two) *$` {
		t.Error(got)
	}
}

package vps

import (
	"testing"

	"croft/internal/fail"
)

func TestParseFit(t *testing.T) {
	for text, want := range map[string]string{
		"all": "all", "none": "none", "fstab": "fstab", "fstab,machine-id": "machine-id,fstab",
		"ping, ping": "ping", "keep-identity": "random-seed,root-password,ping,console,units,sysctl,fstab,network-wait,oom", "-machine-id,-ssh-keys": "random-seed,root-password,ping,console,units,sysctl,fstab,network-wait,oom",
		"-machine-id,-ssh-keys,-random-seed,-root-password,-ping,-console,-units,-sysctl,-fstab,-network-wait,-oom": "none",
	} {
		f, err := ParseFit(text)
		if err != nil || f.String() != want {
			t.Errorf("%q is %s, %v; want %s", text, f, err, want)
		}
	}
	for _, text := range []string{"", "some", "all,none", "keep-identity,ping", "fstab,none", "fstab,", "Fstab", "-all", "-", "-fstab,ping", "ping,-fstab"} {
		if f, err := ParseFit(text); !fail.Is(err, fail.Usage) {
			t.Errorf("%q is %s, %v", text, f, err)
		}
	}
	if err := (VPS{Name: "web", Fit: "fstab,nothing"}).checkFit(); !fail.Is(err, fail.Usage) {
		t.Error(err)
	}
}

func TestFitOfAClone(t *testing.T) {
	for _, c := range []struct {
		fit     Fit
		started bool
		want    string
	}{
		{"", false, "all"},
		{"", true, "machine-id,ssh-keys,random-seed,ping,console,oom"},
		{FitNone, true, "machine-id,ssh-keys,random-seed"},
		{"ping,fstab", false, "machine-id,ssh-keys,random-seed,ping,fstab"},
	} {
		if got := c.fit.Cloned(c.started).String(); got != c.want {
			t.Errorf("of %s, started %v: %s", c.fit, c.started, got)
		}
	}
}

func TestFitHas(t *testing.T) {
	one, _ := ParseFit("fstab")
	for _, s := range FitSteps() {
		if !Fit("").Has(s) || FitNone.Has(s) || one.Has(s) != (s == FitFstab) {
			t.Errorf("%s: %v %v %v", s, Fit("").Has(s), FitNone.Has(s), one.Has(s))
		}
	}
}

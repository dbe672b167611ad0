package vps

import (
	"slices"
	"strings"

	"croft/internal/fail"
)

// A Fit says which steps make the files of a template fit a VPS: "" is all of them, or
// else "none", or the steps in their order, with commas.
type Fit string

// FitNone is no step.
const FitNone Fit = "none"

// KeepIdentity is the word for all steps but those that replace the machine-id and the ssh
// host keys.
const KeepIdentity = "keep-identity"

// A FitStep is one of the steps that a first start makes. docs/templates.md describes
// them.
type FitStep string

// The steps, in the order in which they are made.
const (
	FitMachineID    FitStep = "machine-id"
	FitSSHKeys      FitStep = "ssh-keys"
	FitRandomSeed   FitStep = "random-seed"
	FitRootPassword FitStep = "root-password"
	FitPing         FitStep = "ping"
	FitConsole      FitStep = "console"
	FitUnits        FitStep = "units"
	FitSysctl       FitStep = "sysctl"
	FitFstab        FitStep = "fstab"
	FitNetworkWait  FitStep = "network-wait"
	FitOOM          FitStep = "oom"
)

// FitSteps returns all steps, in their order.
func FitSteps() []FitStep {
	return []FitStep{FitMachineID, FitSSHKeys, FitRandomSeed, FitRootPassword, FitPing, FitConsole, FitUnits, FitSysctl, FitFstab, FitNetworkWait, FitOOM}
}

// ParseFit reads "all", "none", KeepIdentity, steps in any order, or steps with "-" before each: all
// but these. Anything else is fail.Usage.
func ParseFit(s string) (Fit, error) {
	switch s {
	case "all":
		return "", nil
	case string(FitNone):
		return FitNone, nil
	case KeepIdentity:
		return ParseFit("-" + string(FitMachineID) + ",-" + string(FitSSHKeys))
	}
	asked := strings.Split(strings.ReplaceAll(s, " ", ""), ",")
	without := strings.HasPrefix(asked[0], "-")
	var names, chosen []string
	for _, step := range FitSteps() {
		names = append(names, string(step))
	}
	for n, word := range asked {
		name, minus := strings.CutPrefix(word, "-")
		if !slices.Contains(names, name) {
			return "", fail.New(fail.Usage, "%q is none of all, none, %s, %s", name, KeepIdentity, strings.Join(names, ", "))
		}
		if minus != without {
			return "", fail.New(fail.Usage, "%q has steps with a \"-\" and without one", s)
		}
		asked[n] = name
	}
	for _, name := range names {
		if slices.Contains(asked, name) != without {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) == 0 {
		return FitNone, nil
	}
	return Fit(strings.Join(chosen, ",")), nil
}

// Has reports whether the step is among them.
func (f Fit) Has(s FitStep) bool {
	return f == "" || slices.Contains(strings.Split(string(f), ","), string(s))
}

func (f Fit) String() string {
	if f == "" {
		return "all"
	}
	return string(f)
}

// Cloned returns the steps of a clone of a VPS that has f. Each VPS needs an identity of
// its own. Of the others the files of a VPS that was started before have had theirs;
// ping, console and oom are made at each start, too.
func (f Fit) Cloned(started bool) Fit {
	var chosen []string
	for _, s := range FitSteps() {
		identity := s == FitMachineID || s == FitSSHKeys || s == FitRandomSeed
		if identity || f.Has(s) && (!started || s == FitPing || s == FitConsole || s == FitOOM) {
			chosen = append(chosen, string(s))
		}
	}
	if len(chosen) == len(FitSteps()) {
		return ""
	}
	return Fit(strings.Join(chosen, ","))
}

func (v VPS) checkFit() error {
	_, err := ParseFit(v.Fit.String())
	return err
}

// SetFit says which steps the first start of the VPS makes.
type SetFit struct{ Fit Fit }

// Apply sets them. After the first start the caller of the edit refuses another value.
func (e SetFit) Apply(v *VPS) error {
	v.Fit = e.Fit
	return nil
}

// Part is "".
func (SetFit) Part() Part { return "" }

func (e SetFit) String() string { return "fit " + e.Fit.String() }

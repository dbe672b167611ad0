package command

import (
	"cmp"
	"path/filepath"
)

// limitsKey is the key of croft.yaml that says whether a start may raise limits of the
// host's kernel.
const limitsKey = "host-limits"

// keepLimits reads whether a start must leave the limits of the host's kernel as they
// are: the environment, else croft.yaml.
func (i *Invocation) keepLimits() (bool, error) {
	text, from := i.Getenv("CROFT_HOST_LIMITS"), "CROFT_HOST_LIMITS"
	if text == "" {
		config, err := i.Config()
		if err != nil {
			return true, err
		}
		text, from = config.Host[limitsKey], filepath.Join(i.ConfigDir(), "croft.yaml")+": "+limitsKey
	}
	switch cmp.Or(text, "raise") {
	case "raise":
		return false, nil
	case "keep":
		return true, nil
	}
	return true, UsageError("%s: invalid value %q: use raise or keep", from, text)
}

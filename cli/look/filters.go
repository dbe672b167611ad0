package look

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"croft/runtime"
)

// A filter is one --filter. Its test reports whether a VPS matches.
type filter struct {
	key   string
	test  func(vpsRow) bool
	usage bool // the test needs statistics
}

// ParseFilter reads the value of list --filter.
func ParseFilter(s string) (filter, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok || value == "" {
		return filter{}, fmt.Errorf("invalid filter %q: use KEY=VALUE", s)
	}
	switch key {
	case "label":
		name, want, exact := strings.Cut(value, "=")
		return filter{key: "label " + name, test: func(v vpsRow) bool {
			got, has := v.Labels[name]
			return has && (!exact || got == want)
		}}, nil
	case "addresses", "address", "ip":
		want, err := netip.ParseAddr(value)
		if err != nil {
			return filter{}, fmt.Errorf("invalid IP address %q", value)
		}
		return filter{key: "addresses", test: func(v vpsRow) bool { return hasAddress(v.Info, want) }}, nil
	}
	chosen, err := parseColumns(key)
	if err != nil || strings.Contains(key, ",") {
		return filter{}, fmt.Errorf("unknown key %q: use label, %s", key, strings.Join(ColumnNames(), ", "))
	}
	if all := valuesOf(chosen[0].name); all != nil && !slices.Contains(all, value) {
		return filter{}, fmt.Errorf("no VPS can have the %s %q: %s", chosen[0].name, value, strings.Join(all, ", "))
	}
	pattern := slashless(value)
	if _, err := path.Match(pattern, ""); err != nil {
		return filter{}, fmt.Errorf("invalid pattern %q", value)
	}
	by := chosen[0]
	return filter{key: by.name, usage: by.usage != nil, test: func(v vpsRow) bool {
		facts := append(strings.Split(by.text(v), ","), by.text(v))
		if by.also != nil {
			facts = append(facts, by.also(v))
		}
		for _, one := range facts {
			if ok, _ := path.Match(pattern, slashless(one)); ok || one == value {
				return true
			}
		}
		return false
	}}, nil
}

// slashless returns text for path.Match so that "*" matches slashes too.
func slashless(text string) string { return strings.ReplaceAll(text, "/", "\x00") }

// valuesOf returns all possible values of a column; nil if they are not known.
func valuesOf(column string) []string {
	switch column {
	case "status":
		return []string{
			string(runtime.StatusStopped), string(runtime.StatusStarting), string(runtime.StatusRunning),
			string(runtime.StatusPaused), string(runtime.StatusRestarting), string(runtime.StatusStopping), string(runtime.StatusOrphaned), string(runtime.StatusBroken),
		}
	case "booted", "ephemeral":
		return []string{"true", "false"}
	}
	return nil
}

func hasAddress(v runtime.Info, want netip.Addr) bool {
	for _, i := range v.Interfaces {
		for _, a := range i.Addresses {
			if p, err := netip.ParsePrefix(a); err == nil && p.Addr() == want {
				return true
			}
		}
	}
	return false
}

// matches reports whether v passes one filter at least of each key.
func matches(v vpsRow, filters []filter) bool {
	passed := map[string]bool{}
	for _, f := range filters {
		passed[f.key] = passed[f.key] || f.test(v)
	}
	for _, ok := range passed {
		if !ok {
			return false
		}
	}
	return true
}

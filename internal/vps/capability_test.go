package vps

import (
	"slices"
	"testing"

	"croft/internal/fail"
)

func TestParseCapability(t *testing.T) {
	for _, text := range []string{"NET_RAW", "net_raw", "CAP_NET_RAW", "cap_Net_raw"} {
		if got, err := ParseCapability(text); got != "NET_RAW" || err != nil {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	if got, err := ParseCapability("all"); got != AllCapabilities || err != nil {
		t.Errorf("all: %q, %v", got, err)
	}
	for _, text := range []string{"", "CAP_", "NETRAW", "CAP_CAP_NET_RAW", "NET_RAW ", "-NET_RAW"} {
		if _, err := ParseCapability(text); !fail.Is(err, fail.Usage) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Edits of capabilities add and remove entries once, and leave the VPS before alone.
func TestEditCapabilities(t *testing.T) {
	v := edited(t, plugged(), AddCapability{"SYS_TIME"}, AddCapability{"BPF"}, AddCapability{"SYS_TIME"}, DropCapability{"NET_RAW"}, DropCapability{"NET_RAW"})
	if want := []string{"BPF", "SYS_TIME"}; !slices.Equal(v.CapAdd, want) || !slices.Equal(v.CapDrop, []string{"NET_RAW"}) {
		t.Errorf("%v, %v", v.CapAdd, v.CapDrop)
	}
	now := edited(t, v, ForgetAddedCapability{"BPF"}, ForgetAddedCapability{"CHOWN"}, ForgetDroppedCapability{"NET_RAW"}, DropCapability{"BPF"})
	if !slices.Equal(now.CapAdd, []string{"SYS_TIME"}) || !slices.Equal(now.CapDrop, []string{"BPF"}) {
		t.Errorf("%v, %v", now.CapAdd, now.CapDrop)
	}
	if len(v.CapAdd) != 2 || v.CapDrop[0] != "NET_RAW" {
		t.Errorf("the VPS before changed: %v, %v", v.CapAdd, v.CapDrop)
	}
	if _, err := Edited(v, AddCapability{"NET_RAW"}); !fail.Is(err, fail.Usage) {
		t.Errorf("both: %v", err)
	}
}

package vps

import (
	"reflect"
	"testing"

	"croft/internal/fail"
)

func TestCPUList(t *testing.T) {
	for list, want := range map[string]string{
		"0": "0", "0-3": "0-3", "3,1,0": "0-1,3", "0,1,2,4-5,5": "0-2,4-5", "8191": "8191",
	} {
		all, err := CPUs(list)
		if got := CPUList(all); err != nil || got != want {
			t.Errorf("%s: %s, %v", list, got, err)
		}
	}
	for _, list := range []string{"", "-", "1-", "a", "3-1", "1,", "8192", "-1", "0 1"} {
		if all, err := CPUs(list); err == nil {
			t.Errorf("%q: %v", list, all)
		}
	}
}

// Bytes and operations of one disk are one limit.
func TestWithIO(t *testing.T) {
	var all []IOLimit
	for _, l := range []IOLimit{{Bytes: 1 << 20}, {Operations: 50}, {Device: "/dev/sdb", Bytes: 2 << 20}, {Bytes: 3 << 20}} {
		all = WithIO(all, l)
	}
	want := []IOLimit{{Bytes: 3 << 20, Operations: 50}, {Device: "/dev/sdb", Bytes: 2 << 20}}
	if !reflect.DeepEqual(all, want) {
		t.Errorf("%+v", all)
	}
}

func TestCheckResources(t *testing.T) {
	for _, l := range []Limits{
		{MemoryLow: -1}, {CPUWeight: 10001}, {CPUWeight: -1}, {IOWeight: 10001}, {CPUSet: "x"},
		{IORead: []IOLimit{{Bytes: 1}}}, {IOWrite: []IOLimit{{Operations: 1}}}, {IOWrite: []IOLimit{{Operations: 1 << 40}}},
		{IORead: []IOLimit{{Device: "sda", Bytes: 1 << 20}}}, {IORead: []IOLimit{{Device: "/dev/../etc", Bytes: 1 << 20}}},
		{IORead: []IOLimit{{Bytes: 1 << 20}, {Operations: 20}}},
	} {
		if err := l.Check(); !fail.Is(err, fail.Usage) {
			t.Errorf("%+v: %v", l, err)
		}
	}
	good := Limits{MemoryLow: 1, CPUWeight: 1, CPUSet: "0", IOWeight: 10000, IORead: []IOLimit{{Bytes: 1 << 40}, {Device: "/dev/disk/by-id/a:b", Operations: 10}}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

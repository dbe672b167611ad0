package main

import (
	"os"
	"testing"
)

func TestLoads(t *testing.T) {
	const address = "127.0.0.1:43217"
	dir := t.TempDir()
	for _, args := range [][]string{
		{"syscall", "10"}, {"files", dir + "/new", "10"}, {"serve", address}, {"ping", address, "10"}, {"stream", address, "3"},
	} {
		do, err := works[args[0]](args[1:])
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		for range 2 {
			if err := do(); err != nil {
				t.Errorf("%v: %v", args, err)
			}
		}
	}
	if left, err := os.ReadDir(dir + "/new"); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := socketAddress("[::1]:7"); err == nil {
		t.Error("an IPv6 address is accepted")
	}
}

package proc

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const text = "77 (a b) (c) S 1 77 77 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 12345 9999999 256 18446744073709551615 1 1"
	want := Stat{Command: "a b) (c", State: 'S', Parent: 1, CPU: 2 * time.Second, Threads: 3, StartTime: 12345, Resident: 256}
	if got, err := ParseStat(text); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{
		"", "42 (x", "42) S (x", "77 (x) S 1 2",
		"42 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x 20 21 22",
	} {
		if _, err := ParseStat(bad); err == nil {
			t.Errorf("%q is valid", bad)
		}
	}
}

func TestAlive(t *testing.T) {
	me, err := ReadStat(os.Getpid())
	if err != nil || !Alive(os.Getpid(), me.StartTime) {
		t.Errorf("this process: %+v, %v", me, err)
	}
	if Alive(os.Getpid(), me.StartTime+1) {
		t.Error("another process with the same pid is taken for it")
	}
	if age, err := me.Age(); err != nil || age < 0 || age > time.Hour {
		t.Errorf("this process has existed for %v, %v", age, err)
	}
}

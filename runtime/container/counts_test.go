package container

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const pressureText = "some avg10=1.50 avg60=2.25 avg300=100.00 total=7\nfull avg10=0.00 avg60=0.00 avg300=0.50 total=3\n"

func known(n uint64) *uint64 { return &n }

// What a host does not count is nil, in every mixture of cgroup versions.
func TestReadCounts(t *testing.T) {
	pressure := &Pressure{Stall{1.5, 2.25, 100, 7 * time.Microsecond}, &Stall{0, 0, 0.5, 3 * time.Microsecond}}
	version1 := map[string]string{
		"/cpu/cpu.stat":                "nr_periods 9\nnr_throttled 5\nthrottled_time 6000\nnr_bursts 0\n",
		"/memory/memory.failcnt":       "3\n",
		"/memory/memory.memsw.failcnt": "4\n",
		"/memory/memory.oom_control":   "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
		"/pids/pids.events":            "max 8\n",
	}
	version2 := map[string]string{
		"/two/cpu.stat":            "usage_usec 10\nnr_periods 9\nnr_throttled 5\nthrottled_usec 6\n",
		"/two/memory.events":       "low 0\nhigh 0\nmax 99\noom 1\noom_kill 2\noom_group_kill 0\n",
		"/two/memory.events.local": "low 0\nhigh 0\nmax 7\noom 0\noom_kill 0\n",
		"/two/pids.events":         "max 99\n",
		"/two/pids.events.local":   "max 8\n",
	}
	pressures := map[string]string{"/two/cpu.pressure": pressureText, "/two/memory.pressure": pressureText, "/two/io.pressure": pressureText}
	counts := Counts{Throttles: known(5), Throttled: known(6000), MemoryHits: known(7), OOMKills: known(2), PIDHits: known(8)}
	withPressure := counts
	withPressure.CPUPressure, withPressure.MemoryPressure, withPressure.IOPressure = pressure, pressure, pressure
	dirs1 := map[string]string{"cpu": "/cpu", "memory": "/memory", "pids": "/pids"}
	hybrid := map[string]string{"cpu": "/cpu", "memory": "/memory", "pids": "/pids", "": "/two"}
	for what, c := range map[string]struct {
		dirs  map[string]string
		files []map[string]string
		want  Counts
	}{
		"version 1": {dirs1, []map[string]string{version1}, counts},
		"hybrid":    {hybrid, []map[string]string{version1, version2, pressures}, withPressure},
		"version 2": {map[string]string{"": "/two"}, []map[string]string{version2, pressures}, withPressure},
		"version 2 without local events": {map[string]string{"": "/two"}, []map[string]string{{
			"/two/cpu.stat": "usage_usec 10\nuser_usec 5\n", "/two/memory.events": "max 99\noom_kill 0\n", "/two/pids.events": "max 99\n",
		}}, Counts{OOMKills: known(0)}},
		"version 1 on a kernel that counts no hits, and no process refused": {dirs1, []map[string]string{{
			"/memory/memory.failcnt": "0\n", "/memory/memory.memsw.failcnt": "0\n", "/memory/memory.oom_control": "oom_kill 1\n", "/pids/pids.events": "max 0\n",
		}}, Counts{OOMKills: known(1), PIDHits: known(0)}},
		"version 2 without hits": {map[string]string{"": "/two"}, []map[string]string{{
			"/two/memory.events.local": "max 0\n", "/two/pids.events.local": "max 0\n",
		}}, Counts{MemoryHits: known(0), PIDHits: known(0)}},
		"version 1 without swap and oom_kill": {dirs1, []map[string]string{{
			"/memory/memory.failcnt": "6\n", "/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n",
		}}, Counts{MemoryHits: known(6)}},
		"no cgroup": {nil, []map[string]string{version1, version2, pressures}, Counts{}},
		"no files":  {hybrid, nil, Counts{}},
	} {
		got, err := readCounts(c.dirs, func(path string) (string, error) {
			for _, files := range c.files {
				if text, ok := files[path]; ok {
					return text, nil
				}
			}
			return "", fs.ErrNotExist
		})
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v, want %+v", what, got, err, c.want)
		}
	}
}

// A file that the kernel does not let be read is a value that is not known. Any
// other failure is an error.
func TestReadCountsFails(t *testing.T) {
	dirs := map[string]string{"": "/two", "memory": "/memory"}
	for err, fails := range map[error]bool{unix.ENOTSUP: false, unix.ENODEV: false, fs.ErrNotExist: false, unix.EIO: true} {
		got, e := readCounts(dirs, func(string) (string, error) { return "", &fs.PathError{Op: "read", Err: err} })
		if (e != nil) != fails || fails && !errors.Is(e, err) || got != (Counts{}) {
			t.Errorf("%v: %+v, %v", err, got, e)
		}
	}
	if _, err := readCounts(dirs, func(string) (string, error) { return "x y z\nmax none\n", nil }); err == nil {
		t.Error("a file with nonsense is accepted")
	}
}

func TestParseCount(t *testing.T) {
	for _, c := range []struct {
		text, key string
		want      *uint64
		bad       bool
	}{
		{"max 8\n", "max", known(8), false},
		{"oom 1\noom_kill 18446744073709551615\n", "oom_kill", known(1<<64 - 1), false},
		{"oom_kill 3", "oom_kill", known(3), false},
		{"12\n", "", known(12), false},
		{"", "", nil, false},
		{"", "max", nil, false},
		{"low 0\n\nhigh 1\n", "max", nil, false},
		{"max\n", "max", nil, true},
		{"max -1\n", "max", nil, true},
		{"max 1 2\n", "max", nil, true},
		{"max max\n", "max", nil, true},
		{"1 2\n", "", nil, true},
	} {
		got, err := parseCount(c.text, c.key)
		if (err != nil) != c.bad || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q of %q: %v, %v", c.key, c.text, got, err)
		}
	}
}

func TestParsePressure(t *testing.T) {
	some := Stall{0.12, 0, 0, time.Second}
	for _, c := range []struct {
		text string
		want *Pressure
		bad  bool
	}{
		{"some avg10=0.12 avg60=0.00 avg300=0.00 total=1000000\n", &Pressure{Some: some}, false}, // of the CPU, before Linux 5.13
		{"full avg10=0.12 avg60=0.00 avg300=0.00 total=1000000\nsome avg10=0.12 avg60=0.00 avg300=0.00 total=1000000 later=1\nlater avg10=1\n", &Pressure{some, &some}, false},
		{"", nil, false},
		{"full avg10=0.12 avg60=0.00 avg300=0.00 total=1\n", nil, false},
		{"some avg10=0.12 avg60=0.00 avg300=0.00\n", nil, true},
		{"some avg10=x avg60=0.00 avg300=0.00 total=1\n", nil, true},
		{"some avg10=0 avg60=0.00 avg300=0.00 total=-\n", nil, true},
		{"some\n", nil, true},
	} {
		got, err := parsePressure(c.text)
		if (err != nil) != c.bad || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, %v", c.text, got, err)
		}
	}
}

// Any text of a cgroup file is a number, nothing, or an error.
func FuzzCounts(f *testing.F) {
	f.Add(pressureText)
	f.Add("max 8\n")
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = parseCount(text, "max")
		_, _ = parseCount(text, "")
		_, _ = parsePressure(text)
	})
}

func TestCountsSwap(t *testing.T) {
	with1, with2, without := t.TempDir(), t.TempDir(), t.TempDir()
	for _, file := range []string{filepath.Join(with1, "memory.memsw.usage_in_bytes"), filepath.Join(with2, "memory.swap.current")} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct {
		dirs map[string]string
		want bool
	}{
		"version 1":              {map[string]string{"memory": with1}, true},
		"version 1 without swap": {map[string]string{"memory": without}, false},
		"version 2":              {map[string]string{"": with2}, true},
		"version 2 without swap": {map[string]string{"": without}, false},
		"hybrid":                 {map[string]string{"": without, "memory": with1}, true},
		"nothing":                {nil, false},
	} {
		if got := countsSwap(c.dirs); got != c.want {
			t.Errorf("%s counts swap: %v", what, got)
		}
	}
}

// Refused forks are counted unless RLIMIT_NPROC or a cgroup of version 1 below hides them.
func TestCountsPIDHits(t *testing.T) {
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &own); err != nil {
		t.Fatal(err)
	}
	if own.Cur < 2 || own.Cur > math.MaxInt64 {
		t.Skip("no limit to compare with")
	}
	flat, nested := t.TempDir(), t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(nested, "below"), 0o700), os.WriteFile(filepath.Join(flat, "pids.max"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		dirs  map[string]string
		limit uint64
		want  bool
	}{
		"no limit":                   {map[string]string{"pids": nested}, 0, true},
		"version 2":                  {map[string]string{"": nested}, own.Cur - 1, true},
		"version 1":                  {map[string]string{"pids": flat}, own.Cur - 1, true},
		"version 1, cgroups below":   {map[string]string{"pids": nested}, own.Cur - 1, false},
		"version 2, RLIMIT_NPROC":    {map[string]string{"": flat}, own.Cur, false},
		"version 1, the cgroup left": {map[string]string{"pids": flat + "/none"}, own.Cur - 1, false},
	} {
		if got := countsPIDHits(c.dirs, os.Getpid(), c.limit); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}

func TestTasksOfUser(t *testing.T) {
	const head = "Limit                     Soft Limit           Hard Limit           Units     \n"
	for text, want := range map[string]uint64{
		"":   0,
		head: 0,
		head + "Max processes             4096                 32768                processes \nMax open files            1                    1                    files\n": 4096,
		head + "Max processes             unlimited            unlimited            processes \n":                                                                            math.MaxUint64,
	} {
		if got := tasksOfUser(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

package events

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"croft/internal/vps"
)

func read(t *testing.T, l Log) []Event {
	t.Helper()
	var all []Event
	if err := l.Read(func(e Event) error { all = append(all, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func event(name string, attributes ...string) Event {
	e := Event{Time: time.UnixMicro(1_700_000_000_123_456).UTC(), Event: Started, Name: vps.Name(name), UUID: "u", Attributes: map[string]string{}}
	for n := 0; n+1 < len(attributes); n += 2 {
		e.Attributes[attributes[n]] = attributes[n+1]
	}
	return e
}

// An event is read as it was appended, also after a line that is torn, and one that a
// later croft wrote.
func TestAppendAndRead(t *testing.T) {
	l := Log{Dir: filepath.Join(t.TempDir(), "events")}
	if all := read(t, l); all != nil {
		t.Errorf("without a log there is %+v", all)
	}
	want := []Event{event("web", "detail", "a \"b\"\nc"), event("db")}
	for n, e := range want {
		if err := l.Append(e); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(l.File(), os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString([]string{`{"timeMicroseconds":1,"eve`, `{"what":"else"}`}[n])
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if all := read(t, l); !reflect.DeepEqual(all, want) {
		t.Errorf("%+v, and not %+v", all, want)
	}
	st, err := os.Stat(l.File())
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	stop := errors.New("stop")
	if err := l.Read(func(Event) error { return stop }); err != stop {
		t.Errorf("the error of the reader: %v", err)
	}
}

// A link in place of the file is not followed.
func TestAppendFollowsNoLink(t *testing.T) {
	l := Log{Dir: t.TempDir()}
	target := filepath.Join(t.TempDir(), "target")
	if err := os.Symlink(target, l.File()); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(event("web")); err == nil {
		t.Error("it is followed")
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("the target was created")
	}
}

// Many writers at the same time lose no event while the file is set aside, and the log
// has a limit.
func TestSetAside(t *testing.T) {
	l := Log{Dir: t.TempDir()}
	text := strings.Repeat("x", 60_000)
	var writers sync.WaitGroup
	const each = 15
	for w := range 8 {
		writers.Go(func() {
			for n := range each {
				if err := l.Append(event(fmt.Sprintf("w%d-%d", w, n), "detail", text)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	seen := map[vps.Name]int{}
	for _, e := range read(t, l) {
		seen[e.Name]++
	}
	if len(seen) != 8*each {
		t.Errorf("%d events of %d", len(seen), 8*each)
	}
	for range 2 * maxSize / len(text) {
		if err := l.Append(event("more", "detail", text)); err != nil {
			t.Fatal(err)
		}
	}
	size := int64(0)
	entries, err := os.ReadDir(l.Dir)
	if err != nil || len(entries) > 2 {
		t.Errorf("%v, %v", entries, err)
	}
	for _, e := range entries {
		if st, err := e.Info(); err == nil {
			size += st.Size()
		}
	}
	if size > 2*(maxSize+int64(len(text))+200) {
		t.Errorf("the log has %d bytes", size)
	}
}

// A follower gets every event once, in order, also those that are appended while the file
// is set aside, and ends without an error when it is told to.
func TestFollow(t *testing.T) {
	l := Log{Dir: t.TempDir()}
	if err := l.Append(event("0")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	got, ended := make(chan Event, 1000), make(chan error, 1)
	go func() { ended <- l.Follow(ctx, func(e Event) error { got <- e; return nil }) }()
	text := strings.Repeat("x", 60_000)
	const all = 3 * maxSize / 60_000
	for n := range all {
		select {
		case e := <-got:
			if e.Name != vps.Name(fmt.Sprint(n)) {
				t.Fatalf("event %d is %s", n, e.Name)
			}
		case <-time.After(2 * time.Minute):
			t.Fatalf("event %d does not come", n)
		}
		if err := l.Append(event(fmt.Sprint(n+1), "detail", text)); err != nil {
			t.Fatal(err)
		}
	}
	<-got
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What a holder appends is an event.
func TestWhatAHolderAppends(t *testing.T) {
	l := Log{Dir: t.TempDir()}
	file, text, err := l.WhenBooted(event("web"))
	if err != nil || file != l.File() {
		t.Fatal(file, err)
	}
	counted, err := WhenCounted(event("web", "limit", "pids"), Total)
	if err != nil {
		t.Fatal(err)
	}
	lines := "\n{\"timeMicroseconds\":1700000000123456" + text + "\n\n{\"timeMicroseconds\":1700000000123456" + counted + "42\"}}\n"
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	if all := read(t, l); !reflect.DeepEqual(all, []Event{event("web"), event("web", "limit", "pids", "total", "42")}) {
		t.Errorf("%+v", all)
	}
}

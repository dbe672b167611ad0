package display

import (
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	now := time.Unix(0, 0)
	var out strings.Builder
	s := &Screen{w: &out, now: func() time.Time { return now }}
	tell := func(after time.Duration, u Stage) {
		now = now.Add(after)
		s.Progress(u)
	}
	tell(0, Stage{Step: "unpack"})
	tell(time.Second, Stage{Step: "unpack", Done: 1 << 20})
	tell(29*time.Second, Stage{Step: "unpack", Done: 30 << 20, Total: 60 << 20})
	tell(time.Second, Stage{Step: "install\n\x1b[31mred", Done: 50, Total: 100})
	s.Warn("mind\x07 this")
	s.Clear()
	want := "croft: unpack\ncroft: unpack 50% 1.0M/s 30s left\ncroft: install red 50%\ncroft: warning: mind this\n"
	if out.String() != want {
		t.Errorf("in a log:\n%q\nwant\n%q", out.String(), want)
	}

	out.Reset()
	s = &Screen{w: &out, now: func() time.Time { return now }, Width: 30}
	tell(0, Stage{Step: "unpack", Total: 10})
	tell(50*time.Millisecond, Stage{Step: "unpack", Done: 1, Total: 10}) // too soon
	tell(5*time.Second, Stage{Step: "unpack", Done: 5, Total: 10})
	tell(0, Stage{Step: "unpack", Done: 10, Total: 10}) // the end is always shown
	s.Warn("x")
	tell(time.Second, Stage{Step: "a step whose name is longer than the terminal"})
	s.Clear()
	s.Clear()
	want = "croft: unpack 0%" + "\r\x1b[K" + "croft: unpack 50% 0B/s 5s left"[:28] + "…" + "\r\x1b[K" + "croft: unpack 100% 1B/s" +
		"\r\x1b[K" + "croft: warning: x\n" + "croft: a step whose name is …" + "\r\x1b[K"
	if out.String() != want {
		t.Errorf("on a terminal:\n%q\nwant\n%q", out.String(), want)
	}
}

// Things that are done at once have a line each on a terminal, which goes when
// they end; in a log they do not push each other aside.
func TestProgressOfParts(t *testing.T) {
	now := time.Unix(0, 0)
	var out strings.Builder
	s := &Screen{w: &out, now: func() time.Time { return now }}
	told := []Stage{
		{Step: "pulling", Part: "pulling a", Total: 1 << 20}, {Step: "pulling", Part: "pulling b", Done: 1 << 20, Total: 4 << 20},
		{Step: "pulling", Part: "pulling a", Done: 512 << 10, Total: 1 << 20}, {Step: "pulling", Part: "pulling b", Done: 2 << 20, Total: 4 << 20},
		{Step: "pulling", Part: "pulling a", Done: 1 << 20, Total: 1 << 20}, {Step: "unpacking"},
	}
	for _, u := range told {
		now = now.Add(time.Second)
		s.Progress(u)
	}
	want := "croft: pulling a 0%\ncroft: pulling b 25%\ncroft: unpacking\n"
	if out.String() != want {
		t.Errorf("in a log:\n%q\nwant\n%q", out.String(), want)
	}

	out.Reset()
	s = &Screen{w: &out, now: func() time.Time { return now }, Width: 60}
	for _, u := range told {
		now = now.Add(time.Second)
		s.Progress(u)
	}
	s.Clear()
	const erase, up = "\r\x1b[K", "\x1b[A"
	a, b := "croft: pulling a [                    ] 0%", "croft: pulling b [#####               ] 25%"
	a2, b2 := "croft: pulling a [##########          ] 50% 256K/s 2s left", "croft: pulling b [##########          ] 50% 512K/s 4s left"
	want = a + erase + a + "\n" + b + erase + up + erase + a2 + "\n" + b + erase + up + erase +
		strings.Replace(a2, "256K/s 2s", "171K/s 3s", 1) + "\n" + b2 +
		erase + up + erase + strings.Replace(b2, "512K/s 4s", "341K/s 6s", 1) + erase + "croft: unpacking" + erase
	if out.String() != want {
		t.Errorf("on a terminal:\n%q\nwant\n%q", out.String(), want)
	}
}

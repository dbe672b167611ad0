package kmsg

import (
	"fmt"
	"strings"
	"testing"

	"croft/runtime/holder/fuse"
)

const unlimited = 8192

// A world is a log with readers.
type world struct {
	*Log
	t       *testing.T
	now     uint64
	answers []string
	woken   []uint64
}

func newWorld(t *testing.T) *world {
	w := &world{Log: &Log{First: 3}, t: t}
	w.Opening = func() {}
	w.Clock = func() uint64 { w.now++; return w.now }
	w.Answer = func(unique uint64, content []byte, err int32) {
		w.answers = append(w.answers, fmt.Sprintf("%d:%s:%d", unique, content, err))
	}
	w.Wake = func(wake uint64) { w.woken = append(w.woken, wake) }
	return w
}

func (w *world) say(format string, args ...any) { w.Append(Info, fmt.Appendf(nil, format, args...)) }

// A reader is an open file, with the place that the kernel keeps.
type reader struct {
	*world
	handle, offset uint64
}

func (w *world) reader(file int) *reader {
	w.t.Helper()
	handle, err := w.Log.Open(w.First+file, 0)
	if err != 0 {
		w.t.Fatalf("open: %d", err)
	}
	return &reader{world: w, handle: handle}
}

func (r *reader) read(size int) (string, int32) {
	content, err := r.Log.Read(fuse.Read{Unique: 1, Handle: r.handle, Offset: r.offset, Size: size, NonBlock: true})
	r.offset += uint64(len(content))
	return string(content), err
}

func (r *reader) want(size int, want string, wantErr int32) {
	r.t.Helper()
	if got, err := r.read(size); got != want || err != wantErr {
		r.t.Errorf("%q, %d, want %q, %d", got, err, want, wantErr)
	}
}

// One read is one record, each reader has its own place, and lseek(2) changes it.
func TestDevice(t *testing.T) {
	w := newWorld(t)
	w.say("one")
	a, b := w.reader(Device), w.reader(Device)
	w.say(`a "\` + "\n\xff")
	a.want(unlimited, "6,0,1,-;one\n", 0)
	a.want(unlimited, `6,1,2,-;a "\x5c\x0a\xff`+"\n", 0)
	a.want(unlimited, "", fuse.WouldBlock)
	b.want(5, "", errInvalid)
	b.want(unlimited, "6,0,1,-;one\n", 0)
	a.offset = 0 // SEEK_SET
	a.want(unlimited, "6,0,1,-;one\n", 0)
	b.offset = w.Size() // SEEK_END
	b.want(unlimited, "", fuse.WouldBlock)
	w.say("two")
	b.want(unlimited, "6,2,3,-;two\n", 0)
	b.offset = 3 // within a record
	b.want(unlimited, `6,1,2,-;a "\x5c\x0a\xff`+"\n", 0)
	w.Release(a.handle)
	a.want(unlimited, "", errNoDevice)
	if _, err := w.Log.Read(fuse.Read{Handle: b.handle, Size: 4096, Cached: true}); err != errInvalid {
		t.Errorf("sendfile(2): %d", err)
	}
}

// What a process writes is a record of a program, whatever priority it claims, and does not change
// where it reads.
func TestWrite(t *testing.T) {
	w := newWorld(t)
	r := w.reader(Device)
	for text, want := range map[string]string{
		"plain\n": "12,%d,%d,-;plain\n", "<3>error": "11,%d,%d,-;error\n", "<30>daemon": "30,%d,%d,-;daemon\n", "<x>y": "12,%d,%d,-;<x>y\n",
		"<>y": "12,%d,%d,-;<>y\n", "<5": "12,%d,%d,-;<5\n", "": "12,%d,%d,-;\n", "<99999999999999999999>y": "12,%d,%d,-;<99999999999999999999>y\n",
	} {
		number := w.number
		if err := w.Write(r.handle, r.offset, []byte(text)); err != 0 {
			t.Fatal(err)
		}
		r.offset += uint64(len(text))
		r.want(unlimited, fmt.Sprintf(want, number, w.now), 0)
		r.want(unlimited, "", fuse.WouldBlock)
	}
	if err := w.Write(r.handle, r.offset, make([]byte, MaxText+1)); err != errInvalid {
		t.Errorf("a record that is too long: %d", err)
	}
	long := strings.Repeat("\x01", MaxText)
	if err := w.Write(r.handle, r.offset, []byte(long)); err != 0 {
		t.Errorf("a long record: %d", err)
	}
	r.offset += MaxText
	if got, err := r.read(unlimited); err != 0 || len(got) > maxRecord || !strings.HasSuffix(got, "\\x01\n") {
		t.Errorf("%d, %q", err, got)
	}
	if _, err := w.Log.Open(w.First+Proc, 1); err != errDenied {
		t.Errorf("open /proc/kmsg for writing: %d", err)
	}
}

// Old records are overwritten. A reader that has not read them is told so once.
func TestOverwritten(t *testing.T) {
	w := newWorld(t)
	slow := w.reader(Device)
	proc := w.reader(Proc)
	for n := range 5000 {
		w.say("record %d of many", n)
	}
	if used := w.end - w.start; used > Size || used < Size-100 {
		t.Errorf("%d bytes are kept", used)
	}
	if w.Poll(slow.handle, 0, false) != readable|missed {
		t.Error("poll(2) does not tell")
	}
	slow.want(unlimited, "", errPipe)
	got, err := slow.read(unlimited)
	if err != 0 || !strings.Contains(got, " of many\n") || !strings.HasPrefix(got, "6,") {
		t.Errorf("%q, %d", got, err)
	}
	fresh := w.reader(Device)
	fresh.want(unlimited, got, 0)
	if got, err := proc.read(unlimited); err != 0 || !strings.HasPrefix(got, "<6>[    0.00") {
		t.Errorf("%q, %d", got, err)
	}
	seen := 1
	for {
		if _, err := slow.read(unlimited); err != 0 {
			break
		}
		seen++
	}
	if seen < 1000 || slow.place() != w.end {
		t.Errorf("%d records are read, up to %d of %d", seen, slow.place(), w.end)
	}
}

func (r *reader) place() uint64 { return r.find(r.handle).at }

// What one reader of /proc/kmsg has got no other gets.
func TestProc(t *testing.T) {
	w := newWorld(t)
	a, b := w.reader(Proc), w.reader(Proc)
	w.now = 1_234_567_890_000
	w.say("one\\two\x1b")
	w.Write(w.reader(Device).handle, 0, []byte("<29>upper\nlower ä"))
	if w.Poll(a.handle, 0, false) != readable {
		t.Error("it is not readable")
	}
	a.want(10, "<6>[123456", 0)
	b.want(10, "7.890001] ", 0)
	want := "one\\two\\x1b\n<29>[1234567.890002] upper\n<29>[1234567.890002] lower ä\n"
	a.want(12, want[:12], 0)
	a.want(unlimited, want[12:], 0)
	b.want(unlimited, "", fuse.WouldBlock)
	w.now = 1_500_000
	w.say("three")
	w.say("four")
	b.want(30, "<6>[    1.500001] three\n", 0)
	b.want(30, "<6>[    1.500002] four\n", 0)
	if w.Poll(a.handle, 0, false) != 0 {
		t.Error("it is readable")
	}
	w.Write(w.reader(Device).handle, 0, []byte(strings.Repeat("\n", MaxText)+"x"))
	w.Append(Info, []byte(strings.Repeat("\n", MaxText)))
	if got, err := a.read(unlimited); err != 0 || !strings.HasSuffix(got, "\n") {
		t.Errorf("many lines: %d, %q", err, got)
	}
}

// Reads wait, each gets the next record, and one that is interrupted gets none.
func TestWait(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.reader(Device), w.reader(Device), w.reader(Proc)
	wait := func(r *reader, unique uint64) {
		t.Helper()
		if _, err := r.Log.Read(fuse.Read{Unique: unique, Handle: r.handle, Offset: r.offset, Size: unlimited}); err != fuse.WouldBlock {
			t.Fatalf("it does not wait: %d", err)
		}
	}
	wait(a, 10)
	wait(b, 11)
	wait(c, 12)
	wait(c, 13)
	if !w.Interrupt(11) || w.Interrupt(11) || w.Interrupt(99) {
		t.Error("a wrong read was interrupted")
	}
	wait(b, 14)
	w.say("one")
	if got := strings.Join(w.answers, "|"); got != "10:6,0,1,-;one\n:0|14:6,0,1,-;one\n:0|12:<6>[    0.000001] one\n:0" {
		t.Errorf("%q", got)
	}
	w.Release(c.handle)
	w.answers = nil
	w.say("two")
	if len(w.answers) != 0 || w.count != 0 {
		t.Errorf("%q, %d wait", w.answers, w.count)
	}
}

// A process that polls is woken once for each time that it has asked.
func TestPoll(t *testing.T) {
	w := newWorld(t)
	r := w.reader(Device)
	if got := w.Poll(r.handle, 7, true); got != 0 {
		t.Errorf("events %#x", got)
	}
	w.say("one")
	w.say("two")
	if len(w.woken) != 1 || w.woken[0] != 7 || w.Poll(r.handle, 7, false) != readable {
		t.Errorf("woken %v", w.woken)
	}
	if w.Poll(99, 0, true)&missed == 0 {
		t.Error("a file that is not open is ready")
	}
}

// Tables are bounded, and what is freed can be used again.
func TestBounds(t *testing.T) {
	w := newWorld(t)
	var last *reader
	for range maxOpen {
		last = w.reader(Device)
	}
	if _, err := w.Log.Open(w.First, 0); err != errTooMany {
		t.Errorf("one file more: %d", err)
	}
	read := fuse.Read{Handle: last.handle, Size: unlimited}
	for range maxWaits {
		if _, err := w.Log.Read(read); err != fuse.WouldBlock {
			t.Fatal(err)
		}
	}
	if _, err := w.Log.Read(read); err != errTooMany {
		t.Errorf("one read more: %d", err)
	}
	w.Release(last.handle)
	w.reader(Device)
	if w.count != 0 {
		t.Errorf("%d reads wait", w.count)
	}
}

// The holder allocates no memory while it runs.
func TestNoMemoryIsAllocated(t *testing.T) {
	l := &Log{Opening: func() {}, Clock: func() uint64 { return 1 }, Answer: func(uint64, []byte, int32) {}, Wake: func(uint64) {}}
	text := []byte("<3>text\n\x01\n\n\n")
	l.Begin(5)
	if n := testing.AllocsPerRun(2000, func() {
		device, _ := l.Open(Device, 0)
		proc, _ := l.Open(Proc, 0)
		l.Read(fuse.Read{Unique: 1, Handle: proc, Size: unlimited})
		l.Poll(device, 1, true)
		l.Write(device, 0, text)
		for range 3 {
			l.Read(fuse.Read{Handle: device, Size: unlimited, NonBlock: true})
			l.Read(fuse.Read{Handle: proc, Size: unlimited, NonBlock: true})
		}
		l.Release(device)
		l.Release(proc)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever a process writes is one record in one line, and no text for a terminal.
func FuzzWrite(f *testing.F) {
	f.Add([]byte("<3>text"))
	f.Add([]byte("<,;\\x0\xff\n\n\n \\x0a"))
	f.Fuzz(func(t *testing.T, text []byte) {
		w := newWorld(t)
		d, p := w.reader(Device), w.reader(Proc)
		if err := w.Write(d.handle, 0, text); err != 0 {
			if len(text) <= MaxText {
				t.Errorf("%q: %d", text, err)
			}
			return
		}
		d.offset = uint64(len(text))
		got, err := d.read(unlimited)
		if err != 0 || strings.Count(got, "\n") != 1 || got[len(got)-1] != '\n' {
			t.Errorf("%q is %q, %d", text, got, err)
		}
		lines, err := p.read(unlimited)
		if err != 0 || lines[len(lines)-1] != '\n' {
			t.Errorf("%q is %q, %d", text, lines, err)
		}
		for _, c := range []byte(got) {
			if (c < ' ' && c != '\n') || c >= 127 {
				t.Errorf("%q is %q", text, got)
			}
		}
	})
}

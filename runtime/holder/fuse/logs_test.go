package fuse

import (
	"fmt"
	"testing"
)

// fakeLog is a log with one record, which notes what is asked of it.
type fakeLog struct {
	asked   string
	content string // "": a read waits
	waits   map[uint64]bool
}

func (*fakeLog) Mode(file int) uint32 { return 0o600 }
func (l *fakeLog) Open(file int, flags uint32) (uint64, int32) {
	l.asked = fmt.Sprint("open ", file, flags)
	return 9, 0
}
func (l *fakeLog) Release(handle uint64) { l.asked = fmt.Sprint("release ", handle) }
func (*fakeLog) Size() uint64            { return 50 }
func (l *fakeLog) Read(r Read) ([]byte, int32) {
	l.asked = fmt.Sprintf("read %+v", r)
	if l.content == "" {
		l.waits = map[uint64]bool{r.Unique: !r.NonBlock}
		return nil, WouldBlock
	}
	return []byte(l.content), 0
}
func (l *fakeLog) Write(handle, offset uint64, record []byte) int32 {
	l.asked = fmt.Sprintf("write %d %d %s", handle, offset, record)
	return 0
}
func (l *fakeLog) Poll(handle, wake uint64, notify bool) uint32 {
	l.asked = fmt.Sprint("poll ", handle, wake, notify)
	return 1
}
func (l *fakeLog) Interrupt(unique uint64) bool { return l.waits[unique] }

const logNode = 3 // of server: the second file

func logServer() (*Server, *fakeLog) {
	s, l := server(), &fakeLog{}
	s.Logs, s.LogCount = l, 1
	return s, l
}

// ownedBy makes the request one of this user.
func ownedBy(uid uint32, req []byte) []byte {
	order.PutUint32(req[24:], uid)
	return req
}

func TestLogIsOpened(t *testing.T) {
	s, l := logServer()
	open := func(uid, flags uint32) answered {
		return ask(t, s, ownedBy(uid, request(opOpen, logNode, numbers(flags, uint32(0))...)))
	}
	if r := open(s.Owner, 2); r.err != 0 || order.Uint64(r.body) != 9 || order.Uint32(r.body[8:]) != directIO || l.asked != "open 1 2" {
		t.Errorf("%+v, %s", r, l.asked)
	}
	for _, uid := range []uint32{0, s.Owner + 1} {
		if r := open(uid, 0); r.err != -errDenied {
			t.Errorf("user %d: %+v", uid, r)
		}
	}
	if r := ask(t, s, request(opGetAttr, logNode)); order.Uint64(r.body[16+8:]) != 50 || order.Uint32(r.body[16+60:]) != 0o100600 {
		t.Errorf("attributes: %+v", r)
	}
	if ask(t, s, request(opRelease, logNode, numbers(uint64(9), uint64(0), uint64(0))...)); l.asked != "release 9" {
		t.Error(l.asked)
	}
	s.Logs = nil
	if r := open(s.Owner, 0); r.err != -errDenied {
		t.Errorf("without a log: %+v", r)
	}
}

func TestLogIsRead(t *testing.T) {
	s, l := logServer()
	read := func(readFlags, fileFlags uint32) []byte {
		return request(opRead, logNode, numbers(uint64(9), uint64(20), uint32(100), readFlags, uint64(0), fileFlags, uint32(0))...)
	}
	l.content = "record"
	if r := ask(t, s, read(readOwner, nonBlock)); r.err != 0 || r.content != "record" ||
		l.asked != "read {Unique:77 Handle:9 Offset:20 Size:100 NonBlock:true Cached:false}" {
		t.Errorf("%+v, %s", r, l.asked)
	}
	l.content = ""
	if r := ask(t, s, read(0, nonBlock)); r.err != -WouldBlock || l.asked != "read {Unique:77 Handle:9 Offset:20 Size:100 NonBlock:true Cached:true}" {
		t.Errorf("%+v, %s", r, l.asked)
	}
	if head, _ := s.Answer(read(readOwner, 0), make([]byte, AnswerSize)); head != nil {
		t.Errorf("a read that waits is answered: %x", head)
	}
	if head, _ := s.Answer(request(opInterrupt, 0, numbers(uint64(5))...), make([]byte, AnswerSize)); head != nil {
		t.Errorf("the interrupt of another request is answered: %x", head)
	}
	if r := ask(t, s, request(opInterrupt, 0, numbers(uint64(77))...)); r.err != -errInterrupted {
		t.Errorf("%+v", r)
	}
	head, content := Late(77, []byte("late"), 0, make([]byte, AnswerSize))
	if order.Uint32(head) != 20 || order.Uint32(head[4:]) != 0 || order.Uint64(head[8:]) != 77 || string(content) != "late" {
		t.Errorf("%x %s", head, content)
	}
	wake := Wake(6, make([]byte, AnswerSize))
	if want := numbers(uint32(24), uint32(notifyPoll), uint64(0), uint64(6)); string(wake) != string(want) {
		t.Errorf("%x, want %x", wake, want)
	}
}

func TestLogIsWrittenAndPolled(t *testing.T) {
	s, l := logServer()
	write := append(numbers(uint64(9), uint64(7), uint32(4), uint32(0), uint64(0), uint32(0), uint32(0)), "text"...)
	if r := ask(t, s, request(opWrite, logNode, write...)); r.err != 0 || order.Uint32(r.body) != 4 || l.asked != "write 9 7 text" {
		t.Errorf("%+v, %s", r, l.asked)
	}
	if r := ask(t, s, request(opWrite, logNode, write[:len(write)-1]...)); r.err != -errIO {
		t.Errorf("a write that is too short: %+v", r)
	}
	if r := ask(t, s, request(opWrite, logNode-1, write...)); r.err != -errIO {
		t.Errorf("a write to another file: %+v", r)
	}
	poll := numbers(uint64(9), uint64(6), uint32(pollNotify), uint32(0))
	if r := ask(t, s, request(opPoll, logNode, poll...)); order.Uint32(r.body) != 1 || l.asked != "poll 9 6 true" {
		t.Errorf("%+v, %s", r, l.asked)
	}
	if r := ask(t, s, request(opPoll, logNode-1, poll...)); order.Uint32(r.body) != pollAlways {
		t.Errorf("another file: %+v", r)
	}
	for mask, want := range map[uint32]int32{1 << 3: 0, 1 << 0: -errNotAllowed, 1 << 1: -errNotAllowed} { // size, mode, owner
		if r := ask(t, s, request(opSetAttr, logNode, append(numbers(mask), make([]byte, 84)...)...)); r.err != want {
			t.Errorf("set attributes %#x: %+v", mask, r)
		}
	}
}

func TestSeek(t *testing.T) {
	s, _ := logServer()
	for _, c := range []struct {
		node, offset uint64
		whence       uint32
		want         uint64
		err          int32
	}{
		{logNode, 0, seekData, 0, 0}, {logNode, 10, seekHole, 50, 0}, {logNode, 50, seekData, 0, errNoAddress},
		{2, 3, seekData, 3, 0}, {2, 3, seekHole, 6, 0}, {2, 7, seekHole, 0, errNoAddress},
		{logNode, 0, 0, 0, errInvalid}, {1, 0, seekData, 0, errInvalid}, {4, 0, seekData, 0, errInvalid},
	} {
		r := ask(t, s, request(opSeek, c.node, numbers(uint64(9), c.offset, c.whence, uint32(0))...))
		if r.err != -c.err || c.err == 0 && order.Uint64(r.body) != c.want {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}

// The holder allocates no memory while it runs.
func TestNoMemoryIsAllocatedForLogs(t *testing.T) {
	answer, text := make([]byte, AnswerSize), []byte("text")
	if n := testing.AllocsPerRun(100, func() {
		Late(1, text, 0, answer)
		Late(1, nil, errInterrupted, answer)
		Wake(1, answer)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

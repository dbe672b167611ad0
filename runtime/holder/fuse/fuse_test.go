package fuse

import (
	"bytes"
	"encoding/binary"
	"testing"
)

var order = binary.NativeEndian

// request builds a request as the kernel does.
func request(operation uint32, node uint64, body ...byte) []byte {
	b := order.AppendUint32(nil, uint32(40+len(body)))
	b = order.AppendUint32(b, operation)
	b = order.AppendUint64(b, 77)
	b = order.AppendUint64(b, node)
	return append(append(b, make([]byte, 16)...), body...)
}

func numbers(all ...any) (b []byte) {
	for _, n := range all {
		switch n := n.(type) {
		case uint32:
			b = order.AppendUint32(b, n)
		case uint64:
			b = order.AppendUint64(b, n)
		}
	}
	return b
}

type answered struct {
	err     int32
	body    []byte
	content string
}

func ask(t *testing.T, s *Server, req []byte) answered {
	t.Helper()
	head, content := s.Answer(req, make([]byte, AnswerSize))
	if len(head) < 16 {
		t.Fatalf("the answer is %x", head)
	}
	if got := order.Uint32(head); int(got) != len(head)+len(content) {
		t.Errorf("the answer says that it has %d bytes, and has %d and %d", got, len(head), len(content))
	}
	if order.Uint64(head[8:]) != 77 {
		t.Errorf("the answer is to another request: %x", head)
	}
	return answered{int32(order.Uint32(head[4:])), head[16:], string(content)}
}

func server() *Server {
	return &Server{
		Names: []string{"meminfo", "stat"}, Owner: 100000,
		Content: func(file int, handle, offset uint64) []byte {
			return []byte([]string{"memory", "times of " + string(rune('0'+handle))}[file])[offset:]
		},
	}
}

func TestInit(t *testing.T) {
	r := ask(t, server(), request(opInit, 0, numbers(uint32(7), uint32(45), uint32(131072), uint32(0xffffffff))...))
	if r.err != 0 || len(r.body) != 64 || order.Uint32(r.body) != 7 || order.Uint32(r.body[4:]) != 31 || order.Uint32(r.body[12:]) != 0 {
		t.Errorf("%+v", r)
	}
	if r := ask(t, server(), request(opInit, 0, numbers(uint32(7), uint32(23), uint32(0), uint32(0))...)); order.Uint32(r.body[4:]) != 23 {
		t.Errorf("an older kernel: %+v", r)
	}
}

func TestLookup(t *testing.T) {
	r := ask(t, server(), request(opLookup, 1, []byte("stat\x00")...))
	if r.err != 0 || len(r.body) != 128 || order.Uint64(r.body) != 3 {
		t.Fatalf("%+v", r)
	}
	attr := r.body[40:]
	if mode, uid, gid := order.Uint32(attr[60:]), order.Uint32(attr[68:]), order.Uint32(attr[72:]); mode != 0o100444 || uid != 100000 || gid != 100000 {
		t.Errorf("mode %o, owner %d:%d", mode, uid, gid)
	}
	for _, req := range [][]byte{request(opLookup, 1, []byte("stats\x00")...), request(opLookup, 2, []byte("stat\x00")...), request(opLookup, 1)} {
		if r := ask(t, server(), req); r.err != -errNotFound {
			t.Errorf("%+v", r)
		}
	}
}

func TestAttributes(t *testing.T) {
	r := ask(t, server(), request(opGetAttr, 2, numbers(uint32(0), uint32(0), uint64(0))...))
	if r.err != 0 || len(r.body) != 104 || order.Uint64(r.body) != 0 || order.Uint64(r.body[16+8:]) != uint64(len("memory")) {
		t.Errorf("%+v", r)
	}
	r = ask(t, server(), request(opGetAttr, 3, numbers(uint32(1), uint32(0), uint64(5))...))
	if size := order.Uint64(r.body[16+8:]); size != uint64(len("times of 5")) {
		t.Errorf("an open file has %d bytes", size)
	}
	if r := ask(t, server(), request(opGetAttr, 1)); r.err != 0 || order.Uint32(r.body[16+60:]) != 0o040555 {
		t.Errorf("the directory: %+v", r)
	}
	if r := ask(t, server(), request(opGetAttr, 4)); r.err != -errNotFound {
		t.Errorf("no such file: %+v", r)
	}
}

func TestOpenAndRead(t *testing.T) {
	s := server()
	for want := range uint64(3) {
		r := ask(t, s, request(opOpen, 3, numbers(uint32(0), uint32(0))...))
		if r.err != 0 || len(r.body) != 16 || order.Uint64(r.body) != want+1 || order.Uint32(r.body[8:]) != directIO {
			t.Fatalf("%+v", r)
		}
	}
	for _, flags := range []uint32{1, 2} {
		if r := ask(t, s, request(opOpen, 3, numbers(flags, uint32(0))...)); r.err != -errDenied {
			t.Errorf("open for writing: %+v", r)
		}
	}
	read := func(node, handle, offset uint64, size uint32) answered {
		return ask(t, s, request(opRead, node, numbers(handle, offset, size, uint32(0), uint64(0), uint32(0), uint32(0))...))
	}
	for _, c := range []struct {
		node, handle, offset uint64
		size                 uint32
		want                 string
	}{{2, 1, 0, 100, "memory"}, {2, 1, 3, 100, "ory"}, {2, 1, 0, 3, "mem"}, {2, 1, 6, 100, ""}, {3, 2, 0, 100, "times of 2"}} {
		if r := read(c.node, c.handle, c.offset, c.size); r.err != 0 || r.content != c.want || len(r.body) != 0 {
			t.Errorf("%+v: %+v", c, r)
		}
	}
	if r := read(1, 1, 0, 100); r.err != -errIO {
		t.Errorf("reading the directory: %+v", r)
	}
}

// With sendfile(2) a file has as much as the kernel believes. The page that makes it
// believe that is another one each time.
func TestNotice(t *testing.T) {
	s := server()
	n := uint64(41)
	s.Random = func() uint64 { n++; return n }
	ask(t, s, request(opOpen, 3, numbers(uint32(0), uint32(0))...))
	notice := s.Notice()
	want := numbers(uint32(41), uint32(notifyStore), uint64(0), uint64(3), uint64(leastSize+42), uint32(1), uint32(0))
	if !bytes.Equal(notice, append(want, 0)) {
		t.Errorf("%x, want %x", notice, want)
	}
	ask(t, s, request(opGetAttr, 3))
	if s.Notice() != nil {
		t.Error("there is a notice before another answer")
	}
}

func TestOthers(t *testing.T) {
	s := server()
	for _, operation := range []uint32{opForget, opBatchForget, opInterrupt} {
		if head, _ := s.Answer(request(operation, 2), make([]byte, AnswerSize)); head != nil {
			t.Errorf("operation %d is answered", operation)
		}
	}
	for operation, want := range map[uint32]int32{opRelease: 0, opDestroy: 0, opStatFS: 0, 34: -errNoCommand, 16: -errIO, 4: -errNotAllowed, 4096: -errNoCommand} {
		if r := ask(t, s, request(operation, 2)); r.err != want {
			t.Errorf("operation %d: %+v", operation, r)
		}
	}
}

// Arguments that are too short, and garbage, are errors.
func FuzzAnswer(f *testing.F) {
	for operation := range uint32(53) {
		f.Add(request(operation, 2, numbers(uint64(1), uint64(2))...))
	}
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, req []byte) {
		s := server()
		s.Content = func(_ int, _, offset uint64) []byte { return []byte("content")[min(offset, 7):] }
		if head, content := s.Answer(req, make([]byte, AnswerSize)); head != nil && int(order.Uint32(head)) != len(head)+len(content) {
			t.Errorf("%x is answered with %x and %x", req, head, content)
		}
	})
}

// The holder allocates no memory while it runs.
func TestNoMemoryIsAllocated(t *testing.T) {
	s := server()
	text := []byte("content")
	s.Content = func(int, uint64, uint64) []byte { return text }
	answer := make([]byte, AnswerSize)
	requests := [][]byte{request(opInit, 0, make([]byte, 64)...), request(opLookup, 1, []byte("stat\x00")...), request(opGetAttr, 2, make([]byte, 16)...),
		request(opOpen, 2, make([]byte, 8)...), request(opRead, 2, make([]byte, 40)...), request(opRelease, 2), request(99, 1)}
	if n := testing.AllocsPerRun(100, func() {
		for _, r := range requests {
			s.Answer(r, answer)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

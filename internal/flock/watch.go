package flock

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// watched are the locks that this process holds, by goroutine, if a test asked to
// watch them.
var watched struct {
	sync.Mutex
	report func(string)
	held   map[string][]*File
}

// Watch has report told, from now on, of each lock that a goroutine waits for
// against the order of kinds. It is for tests, and costs a stack trace for each
// lock. A lock that another goroutine drops is forgotten then.
func Watch(report func(string)) {
	watched.Lock()
	defer watched.Unlock()
	watched.report, watched.held = report, map[string][]*File{}
}

// taking notes that the calling goroutine takes f, and reports it if it waits for
// f while it holds a lock that comes later in the order.
func taking(f *File, waits bool) {
	watched.Lock()
	defer watched.Unlock()
	if watched.report == nil {
		return
	}
	me := goroutine()
	for _, h := range watched.held[me] {
		if h == f {
			return
		}
		if waits && !allowed(h.kind, f.kind) {
			watched.report(fmt.Sprintf("waits for the %s lock %s while it holds the %s lock %s", f.kind.Name, f.Name(), h.kind.Name, h.Name()))
		}
	}
	watched.held[me] = append(watched.held[me], f)
}

func dropping(f *File) {
	watched.Lock()
	defer watched.Unlock()
	for me, held := range watched.held {
		if held = slices.DeleteFunc(held, func(h *File) bool { return h == f }); len(held) > 0 {
			watched.held[me] = held
		} else {
			delete(watched.held, me)
		}
	}
}

// allowed reports whether a holder of one kind may wait for another.
func allowed(held, wanted Kind) bool {
	if held.Name == wanted.Name {
		return held.Many
	}
	return position(held) < position(wanted)
}

func position(k Kind) int {
	return slices.IndexFunc(Order(), func(o Kind) bool { return o.Name == k.Name })
}

// goroutine names the calling goroutine: "goroutine 12".
func goroutine() string {
	buf := make([]byte, 64)
	name, _, _ := bytes.Cut(buf[:runtime.Stack(buf, false)], []byte(" ["))
	return string(name)
}

package oci

import (
	"os"

	"golang.org/x/term"

	"croft/runtime/container"
	"croft/runtime/streams"
)

// A terminal connects a terminal inside with the terminal of the caller, which is
// raw meanwhile.
type terminal struct {
	host         *os.File // of the caller
	ours, theirs *os.File // the socket that passes the master
	master       *os.File
	joined       *streams.Terminal
}

// open finds the terminal of the caller: one of its streams, or its controlling
// terminal if all streams are redirected.
func (t *terminal) open(s *container.Streams) (err error) {
	for _, f := range []*os.File{os.Stderr, os.Stdout, os.Stdin} {
		if term.IsTerminal(int(f.Fd())) {
			t.host = f
			break
		}
	}
	if t.host == nil {
		if t.host, err = os.Open("/dev/tty"); err != nil {
			return err
		}
	}
	if t.ours, t.theirs, err = container.ConsoleSocket(); err != nil {
		return err
	}
	s.Console = t.theirs
	return nil
}

func (t *terminal) connect(r *container.Running) (err error) {
	t.theirs.Close()
	if t.master, err = container.ReceiveConsole(t.ours); err != nil {
		return err
	}
	t.joined, err = streams.NewTerminal(t.master, streams.Outside{Screen: t.host, In: os.Stdin, Out: os.Stdout, CompleteLines: true})
	if err != nil {
		return err
	}
	t.joined.Start(r)
	return nil
}

func (t *terminal) resize() { t.joined.Resize() }

func (t *terminal) drain() { _ = t.joined.Finish() }

func (t *terminal) close() {
	if t.joined != nil {
		t.joined.Close()
	}
	for _, f := range []*os.File{t.ours, t.theirs, t.master} {
		f.Close() // nil gives an error, which is harmless
	}
}

package moves

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"croft/internal/fail"
)

// said returns what the source of a move reads if the target says text first.
func said(text string) *Wire { return NewWire(strings.NewReader(text), io.Discard) }

func TestGreeting(t *testing.T) {
	for text, ok := range map[string]bool{
		greeting + "\n":                              true,
		"Welcome!\r\n" + greeting + "\r\n":           true,
		strings.Repeat("x", 2<<16) + greeting + "\n": false,
		strings.Repeat("hello\n", 1<<15) + greeting:  false,
		"":                                    false,
		"croft: error: no command \"move\"\n": false,
		strings.Repeat("x", 100) + "\n" + greeting:                false, // cut
		strings.Repeat("-", 900) + "\n\n\n" + greeting + "\nmore": true,
	} {
		if err := said(text).AwaitGreeting(); (err == nil) != ok {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

// Messages and data arrive in their order, and what is cut is an error.
func TestWire(t *testing.T) {
	var out bytes.Buffer
	from := NewWire(strings.NewReader(""), &out)
	large := bytes.Repeat([]byte("data"), 1<<20)
	if err := errors.Join(from.Greet(), from.Send(Request{Ask: AskFiles, Token: "t"})); err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{large, nil} {
		d := from.Data()
		_, err := d.Write(part)
		if err := errors.Join(err, d.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Send(Reply{Know: Arrived}); err != nil {
		t.Fatal(err)
	}
	read := func(b []byte) error {
		to := NewWire(bytes.NewReader(b), io.Discard)
		if err := to.AwaitGreeting(); err != nil {
			return err
		}
		var r Request
		if err := to.Receive(&r); err != nil {
			return err
		}
		if r.Ask != AskFiles || r.Token != "t" {
			t.Errorf("%+v", r)
		}
		for _, want := range [][]byte{large, {}} {
			got, err := io.ReadAll(to.Reader())
			if err != nil {
				return err
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes, want %d", len(got), len(want))
			}
		}
		var reply Reply
		if err := to.Receive(&reply); err != nil {
			return err
		}
		if reply.Know != Arrived {
			t.Errorf("%+v", reply)
		}
		return to.Receive(&reply)
	}
	if err := read(out.Bytes()); err != io.EOF {
		t.Errorf("all of it: %v", err)
	}
	for _, n := range []int{0, 5, 30, 100, 1 << 20, out.Len() - 30, out.Len() - 1} {
		if err := read(out.Bytes()[:n]); err == nil {
			t.Errorf("after %d bytes it is no error", n)
		} else if err == io.EOF && n > 100 {
			t.Errorf("after %d bytes it looks complete", n)
		}
	}
}

func FuzzWire(f *testing.F) {
	f.Add([]byte(greeting + "\nm\x00\x00\x00\x02{}d\x00\x00\x00\x01xe\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := NewWire(bytes.NewReader(b), io.Discard)
		if w.AwaitGreeting() != nil {
			return
		}
		var r Request
		if err := w.Receive(&r); err != nil && fail.KindOf(err) == fail.Internal && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
		if _, err := io.Copy(io.Discard, w.Reader()); err == nil && len(b) < 5 {
			t.Error("it ends without an end")
		}
	})
}

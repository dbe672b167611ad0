package fail

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

func TestKindAndHintSurviveWrapping(t *testing.T) {
	inner := New(NotFound, "no template %q", "x").WithHint("croft template list")
	err := fmt.Errorf("create web: %w", inner)
	if KindOf(err) != NotFound || HintOf(err) != "croft template list" {
		t.Fatalf("kind %d, hint %q", KindOf(err), HintOf(err))
	}
	outer := New(State, "cannot start: %w", inner)
	if KindOf(outer) != State {
		t.Fatalf("the outermost kind should win, got %d", KindOf(outer))
	}
	if HintOf(outer) != "croft template list" {
		t.Fatalf("the inner hint is lost: %q", HintOf(outer))
	}
}

func TestCauseIsKept(t *testing.T) {
	if err := New(Host, "open x: %w", fs.ErrNotExist); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the cause is not in the chain")
	}
}

func TestUnclassifiedIsInternal(t *testing.T) {
	if KindOf(errors.New("x")) != Internal || HintOf(errors.New("x")) != "" {
		t.Fatal("an unclassified error has kind Internal and no hint")
	}
	if full := fmt.Errorf("write x: %w", &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}); KindOf(full) != Host {
		t.Fatal("a full disk is the host's")
	}
	if Is(nil, Internal) {
		t.Fatal("nil is no failure")
	}
}

func TestOpenSaysTheFileOnce(t *testing.T) {
	for _, c := range []struct {
		errno syscall.Errno
		kind  Kind
		says  string
	}{
		{syscall.ENOENT, NotFound, "open web.tar: no such file or directory"},
		{syscall.EACCES, Permission, "open web.tar: permission denied"},
		{syscall.ENOTDIR, Host, "open web.tar: not a directory"},
	} {
		for _, cause := range []error{c.errno, &fs.PathError{Op: "open", Path: "/srv/web.tar", Err: c.errno}} {
			err := Open("web.tar", cause)
			if err.Kind != c.kind || err.Error() != c.says || !errors.Is(err, c.errno) {
				t.Errorf("of %v: kind %d, %q", cause, err.Kind, err)
			}
		}
	}
}

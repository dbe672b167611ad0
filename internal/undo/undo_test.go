package undo

import (
	"io"
	"slices"
	"testing"
)

func TestUndoGoesBackwardsAndKeepsTheCause(t *testing.T) {
	var order []string
	run := func(cause error) error {
		var undo Stack
		err := cause
		for _, s := range []string{"first", "second"} {
			undo.Arm(func() error { order = append(order, s); return nil })
		}
		undo.OnError(&err)
		return err
	}
	if err := run(nil); err != nil || len(order) != 0 {
		t.Fatalf("without an error: %v, %v", order, err)
	}
	if err := run(io.EOF); err != io.EOF || !slices.Equal(order, []string{"second", "first"}) {
		t.Fatalf("%v, %v", order, err)
	}
}

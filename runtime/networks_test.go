package runtime

import (
	"context"
	"strings"
	"testing"
)

// A repair makes an interface of a running VPS anew, with its routes.
func TestRepairMakesAMissingInterface(t *testing.T) {
	ctx := context.Background()
	m, w := newFake(t, t.TempDir())
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "busybox"}); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.drop("link", "web"); err != nil {
		t.Fatal(err)
	}
	if err := m.RepairNetwork(ctx, DefaultNetwork); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.String(), "link web") {
		t.Errorf("it has no link:\n%s", w)
	}
}

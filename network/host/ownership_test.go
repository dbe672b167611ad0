package host

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"croft/internal/fail"
	"croft/network"
)

// The networks of one root are safe from another one in the same network
// namespace, which may have networks there once the first has none.
func TestOneRootOwnsANetworkNamespace(t *testing.T) {
	h := newHost(t)
	dir, ctx := t.TempDir(), context.Background()
	roots := map[string]network.HostPlan{}
	host := func(name string) *Host {
		t.Helper()
		root := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(root, "networks"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "networks", "croft0.json"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		roots[name] = network.NewHostPlan(network.Default(network.Seed{}))
		other := *h
		other.Root, other.Register = root, filepath.Join(dir, "roots")
		return &other
	}
	first, second := host("first"), host("second")
	for range 2 {
		if err := first.Ensure(ctx, roots["first"]); err != nil {
			t.Fatal(err)
		}
	}
	before := everything(t)
	if err := second.Ensure(ctx, roots["second"]); !fail.Is(err, fail.Taken) {
		t.Errorf("the second root: %v", err)
	}
	if err := second.Remove(ctx, roots["second"]); err != nil {
		t.Errorf("the second root removes a network that it does not have: %v", err)
	}
	if after := everything(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if err := first.Remove(ctx, roots["first"]); err != nil {
		t.Fatal(err)
	}
	if err := second.Ensure(ctx, roots["second"]); err != nil {
		t.Errorf("after the first has none: %v", err)
	}
	if err := first.Ensure(ctx, roots["first"]); !fail.Is(err, fail.Taken) {
		t.Errorf("the first root: %v", err)
	}
	if err := os.RemoveAll(second.Root); err != nil {
		t.Fatal(err)
	}
	if other, err := first.otherOwner(); err != nil || other != "" {
		t.Errorf("a root that is gone owns the namespace: %q, %v", other, err)
	}
}

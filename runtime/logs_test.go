package runtime

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"croft/internal/fail"
)

func TestLogs(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := m.Logs(ctx, "web", LogOptions{Lines: -1}, &out); err != nil || out.Len() != 0 {
		t.Errorf("never booted: %q, %v", out.String(), err)
	}
	dir := m.store.LogDir("web")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"boot-1.log": "old\n", "boot-2.log.1": "a\nb\n", "boot-2.log": "c\nd"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		o    LogOptions
		want string
	}{
		{LogOptions{Lines: -1}, "a\nb\nc\nd"},
		{LogOptions{Lines: 3}, "b\nc\nd"},
		{LogOptions{Lines: 0}, ""},
		{LogOptions{Lines: -1, Boot: -1}, "old\n"},
		{LogOptions{Lines: -1, Boot: 2, Follow: true}, "a\nb\nc\nd"}, // it does not run, so that is all
	} {
		out.Reset()
		if err := m.Logs(ctx, "web", c.o, &out); err != nil || out.String() != c.want {
			t.Errorf("%+v: %q, %v", c.o, out.String(), err)
		}
	}
	if err := m.Logs(ctx, "web", LogOptions{Boot: 9}, &out); !fail.Is(err, fail.NotFound) {
		t.Errorf("a boot that has no log: %v", err)
	}
	if err := m.Logs(ctx, "db", LogOptions{}, &out); !fail.Is(err, fail.NotFound) {
		t.Errorf("no such VPS: %v", err)
	}
}

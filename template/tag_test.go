package template

import (
	"context"
	"testing"

	"croft/internal/fail"
	"croft/template/roottest"
)

func TestTag(t *testing.T) {
	ctx := context.Background()
	s := newStore(t, Options{})
	if _, err := s.Tag(ctx, "web", "site", false); !fail.Is(err, fail.NotFound) {
		t.Errorf("a missing template: %v", err)
	}
	web := mustImport(t, s, "web", roottest.Rootfs(t), ImportOptions{})
	db := mustImport(t, s, "db", roottest.Rootfs(t, roottest.File("etc/text", "db")), ImportOptions{})
	for range 2 {
		im, err := s.Tag(ctx, "web", "site", false)
		if err != nil || im.Name != "site" || im.Digest != web.Digest {
			t.Fatalf("%+v, %v", im, err)
		}
	}
	if _, err := s.Tag(ctx, "db", "site", false); !fail.Is(err, fail.Taken) {
		t.Errorf("a name of another template: %v", err)
	}
	if _, err := s.Tag(ctx, "db", "site", true); err != nil {
		t.Fatal(err)
	}
	all, err := s.Superseded()
	if err != nil || len(all) != 0 { // it has the name web
		t.Errorf("superseded: %v, %v", all, err)
	}
	if im, err := s.Resolve("site"); err != nil || im.Digest != db.Digest {
		t.Errorf("site is %+v, %v", im, err)
	}
	if err := s.Untag(ctx, "web"); !fail.Is(err, fail.State) {
		t.Errorf("the only name: %v", err)
	}
	if err := s.Untag(ctx, "site"); err != nil {
		t.Error(err)
	}
	if err := s.Untag(ctx, "site"); !fail.Is(err, fail.NotFound) {
		t.Errorf("a missing name: %v", err)
	}
	if im, err := s.Resolve("db"); err != nil || im.Digest != db.Digest {
		t.Errorf("db is %+v, %v", im, err)
	}
	mustImport(t, s, "web", roottest.Rootfs(t, roottest.File("etc/text", "new")), ImportOptions{Replace: true})
	if all, err := s.Superseded(); err != nil || len(all) != 1 || all[web.Digest] != "web" {
		t.Errorf("superseded: %v, %v", all, err)
	}
}

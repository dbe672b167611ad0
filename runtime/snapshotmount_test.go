package runtime

import (
	"reflect"
	"slices"
	"testing"
)

// The list of snapshots says where each is mounted.
func TestSnapshotsSayWhereTheyAreMounted(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	defer f.end()
	for _, do := range []func(*faulty) error{createWeb, writeFile, snapshotWeb("one"), snapshotWeb("one-more"), mountSnapshot} {
		if err := do(f); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range [][][]string{{{"/"}, {}}, {{}, {}}} {
		all, err := f.m.Snapshots(background, "web")
		if err != nil || len(all) != 2 {
			t.Fatalf("%+v, %v", all, err)
		}
		for n, name := range []string{"one", "one-more"} {
			i := slices.IndexFunc(all, func(n SnapshotInfo) bool { return n.Name == name })
			if i < 0 || !reflect.DeepEqual(all[i].Mounted, want[n]) {
				t.Errorf("they are %+v, and %s is to be mounted on %q", all, name, want[n])
			}
		}
		if err := f.m.UmountSnapshot(background, "web", "one"); err != nil {
			t.Fatal(err)
		}
	}
}

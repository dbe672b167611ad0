package rootfs

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"croft/template/roottest"
)

// acl returns an ACL that lets the user uid read.
func acl(uid uint32) []byte {
	value := []byte("\x02\x00\x00\x00" + "\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00")
	value = binary.LittleEndian.AppendUint32(value, uid)
	return append(value, "\x04\x00\x05\x00\xff\xff\xff\xff"+"\x10\x00\x05\x00\xff\xff\xff\xff"+"\x20\x00\x05\x00\xff\xff\xff\xff"...)
}

func xattr(t *testing.T, path, name string) string {
	t.Helper()
	value := make([]byte, 1000)
	n, err := unix.Lgetxattr(path, name, value)
	if err != nil {
		return err.Error()
	}
	return string(value[:n])
}

// The root directory of a VPS keeps its ACLs, attributes and times in snapshots and
// clones, and a change of them alone is a change.
func TestRootAttributesAreKept(t *testing.T) {
	roottest.NeedRoot(t)
	top := t.TempDir()
	a := Rootfs{Layers: layers(t, top, 1), Dir: filepath.Join(top, "a"), First: 700000, Size: 65536}
	roottest.Must(t, a.MakeOver())
	if changed, err := a.Changed(); changed || err != nil {
		t.Errorf("a new one has changed %t, %v", changed, err)
	}
	const access, byDefault = "system.posix_acl_access", "system.posix_acl_default"
	times := []unix.Timespec{{Sec: 5, Nsec: 7}, {Sec: 1234567890, Nsec: 123456789}}
	roottest.Must(t, unix.Lsetxattr(a.Upper(), access, acl(a.First+12), 0))
	roottest.Must(t, unix.Lsetxattr(a.Upper(), byDefault, acl(a.First+13), 0))
	roottest.Must(t, unix.Lsetxattr(a.Upper(), "user.note", []byte("text"), 0))
	roottest.Must(t, unix.Lsetxattr(a.Upper(), "trusted.overlay.impure", []byte("y"), 0))
	roottest.Must(t, unix.UtimesNanoAt(unix.AT_FDCWD, a.Upper(), times, 0))
	if changed, err := a.Changed(); !changed || err != nil {
		t.Errorf("with another root directory it has changed %t, %v", changed, err)
	}
	frozen := Frozen{Dir: filepath.Join(top, "frozen"), First: a.First, Size: a.Size}
	roottest.Must(t, a.Freeze(frozen.Dir))
	a.Frozen = []Frozen{frozen}
	b := a
	b.Dir, b.First = filepath.Join(top, "b"), 900000
	roottest.Must(t, b.MakeOver())
	for _, r := range []Rootfs{a, b} {
		var st unix.Stat_t
		if err := unix.Lstat(r.Upper(), &st); err != nil || st.Mtim != times[1] || st.Mode&0o7777 != 0o755 || st.Uid != r.First {
			t.Errorf("%s: %+v, %v", r.Dir, st, err)
		}
		if xattr(t, r.Upper(), access) != string(acl(r.First+12)) || xattr(t, r.Upper(), byDefault) != string(acl(r.First+13)) {
			t.Errorf("%s: its ACLs are %q and %q", r.Dir, xattr(t, r.Upper(), access), xattr(t, r.Upper(), byDefault))
		}
		if got := xattr(t, r.Upper(), "user.note"); got != "text" {
			t.Errorf("%s: user.note is %q", r.Dir, got)
		}
		if got := xattr(t, r.Upper(), "trusted.overlay.impure"); got == "y" {
			t.Errorf("%s has an attribute of the former overlay", r.Dir)
		}
		if changed, err := r.Changed(); changed || err != nil {
			t.Errorf("%s: changed %t, %v", r.Dir, changed, err)
		}
	}
	// A restore to a state without them removes them.
	b.Frozen = nil
	roottest.Must(t, b.MakeOver())
	roottest.Must(t, os.WriteFile(filepath.Join(b.Upper(), "file"), nil, 0o600))
	for _, name := range []string{access, byDefault, "user.note"} {
		if got := xattr(t, b.Upper(), name); got != unix.ENODATA.Error() {
			t.Errorf("without layers %s is %q", name, got)
		}
	}
}

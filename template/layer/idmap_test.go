package layer

import "testing"

func TestInside(t *testing.T) {
	m := IDs{700000, 65536}
	for id, want := range map[uint32]uint32{700000: 0, 700042: 42, 765535: 65535, 765536: overflowID, 0: overflowID, 699999: overflowID} {
		if got := m.inside(id); got != want {
			t.Errorf("%d is %d inside, want %d", id, got, want)
		}
	}
	if got := (IDs{}).inside(5); got != 5 {
		t.Errorf("without a map 5 is %d", got)
	}
}

func TestAttributesInside(t *testing.T) {
	const (
		version2 = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		version3 = "\x01\x00\x00\x03\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		// Version 2; user:: rwx, user 700005 r--, group 0 r--, mask, other.
		header = "\x02\x00\x00\x00"
		before = "\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00"
		after  = "\x08\x00\x04\x00"
	)
	for _, c := range []struct {
		what        string
		m           IDs
		name, value string
		want        string
		ok          bool
	}{
		{"of the VPS's root", IDs{700000, 65536}, xattrCapability, version3 + "\x60\xae\x0a\x00", version2, true},
		{"of a root inside it", IDs{700000, 65536}, xattrCapability, version3 + "\x61\xae\x0a\x00", version3 + "\x01\x00\x00\x00", true},
		{"of the host's root", IDs{700000, 65536}, xattrCapability, version2, "", false},
		{"of another's root", IDs{700000, 65536}, xattrCapability, version3 + "\x01\x00\x00\x00", "", false},
		{"privileged", IDs{}, xattrCapability, version2, version2, true},
		{"an ACL", IDs{700000, 65536}, xattrACL, header + before + "\x65\xae\x0a\x00" + after + "\x00\x00\x00\x00",
			header + before + "\x05\x00\x00\x00" + after + "\xfe\xff\x00\x00", true},
		{"an ACL that is none", IDs{700000, 65536}, xattrDefaultACL, "\x02\x00\x00", "", false},
		{"a user's", IDs{700000, 65536}, "user.x", "\x00", "\x00", true},
	} {
		if got, ok := c.m.Inside(c.name, c.value); got != c.want || ok != c.ok {
			t.Errorf("%s: %q, %v, want %q", c.what, got, ok, c.want)
		}
	}
}

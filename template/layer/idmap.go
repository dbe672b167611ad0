package layer

import "encoding/binary"

// An idMap is the host's ids that a VPS's 0..size-1 are. Size 0: they are the
// same.
type IDs struct{ First, Size uint32 }

// overflowID is what an id is seen as that a user namespace does not have
// (/proc/sys/kernel/overflowuid).
const overflowID = 65534

// inside is the VPS's id that the host's id is.
func (m IDs) inside(id uint32) uint32 {
	switch {
	case m.Size == 0:
		return id
	case id < m.First || id-m.First >= m.Size:
		return overflowID
	}
	return id - m.First
}

// attribute is the value that an extended attribute has inside, false if it
// has none there.
func (m IDs) attribute(name, value string) (string, bool) {
	switch name {
	case xattrCapability:
		return m.capability(value)
	case xattrACL, xattrDefaultACL:
		return m.acl(value)
	}
	return value, true
}

// Revisions of security.capability and their lengths (linux/capability.h).
const (
	capRevisionMask = 0xff000000
	capRevision2    = 0x02000000
	capRevision3    = 0x03000000
	capSize2        = 20
	capSize3        = 24
)

// capability turns the file capabilities of a user namespace, which name its
// root by the host's id (vfs_ns_cap_data, Linux 4.14), into those of a file of
// its own. Those that another namespace's root gave do not count inside.
func (m IDs) capability(v string) (string, bool) {
	if m.Size == 0 {
		return v, true
	}
	if len(v) != capSize3 {
		return "", false
	}
	b := []byte(v)
	magic := binary.LittleEndian.Uint32(b)
	root := binary.LittleEndian.Uint32(b[capSize2:])
	if magic&capRevisionMask != capRevision3 || root < m.First || root-m.First >= m.Size {
		return "", false
	}
	if root == m.First {
		binary.LittleEndian.PutUint32(b, magic&^capRevisionMask|capRevision2)
		return string(b[:capSize2]), true
	}
	binary.LittleEndian.PutUint32(b[capSize2:], root-m.First)
	return string(b), true
}

// The form of an ACL in an attribute (linux/posix_acl_xattr.h), and the
// entries of it that name somebody.
const (
	aclHeader = 4
	aclEntry  = 8
	aclUser   = 0x02
	aclGroup  = 0x08
)

func (m IDs) acl(v string) (string, bool) {
	if len(v) < aclHeader || (len(v)-aclHeader)%aclEntry != 0 {
		return "", false
	}
	b := []byte(v)
	for e := b[aclHeader:]; len(e) > 0; e = e[aclEntry:] {
		if tag := binary.LittleEndian.Uint16(e); tag == aclUser || tag == aclGroup {
			binary.LittleEndian.PutUint32(e[4:], m.inside(binary.LittleEndian.Uint32(e[4:])))
		}
	}
	return string(b), true
}

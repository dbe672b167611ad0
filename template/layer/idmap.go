package layer

import "encoding/binary"

// IDs maps the ids 0..Size-1 of a VPS to the host's ids from First on. Size 0:
// the VPS has the host's ids.
type IDs struct{ First, Size uint32 }

// overflowID stands for an id that is not mapped in a user namespace
// (/proc/sys/kernel/overflowuid).
const overflowID = 65534

// inside returns the VPS's id for an id of the host.
func (m IDs) inside(id uint32) uint32 {
	switch {
	case m.Size == 0:
		return id
	case id < m.First || id-m.First >= m.Size:
		return overflowID
	}
	return id - m.First
}

// Inside returns the value of an extended attribute as the VPS sees it, and
// false if the VPS does not see the attribute.
func (m IDs) Inside(name, value string) (string, bool) {
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

// capability returns file capabilities as the VPS sees them. The file
// capabilities of a user namespace contain the host's id of its root
// (vfs_ns_cap_data, Linux 4.14). Those of another user namespace have no effect
// in the VPS, so they are left out.
func (m IDs) capability(v string) (string, bool) {
	if m.Size == 0 {
		return v, true
	}
	if m.First == 0 && len(v) == capSize2 { // of files that have the ids inside the VPS
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

// The format of an ACL in an attribute (linux/posix_acl_xattr.h), and the two
// kinds of entries that contain an id.
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

package qcow2

import (
	"encoding/binary"
	"testing"

	"croft/internal/fail"
)

// A header that is accepted has a size, and needs no other file.
func FuzzSize(f *testing.F) {
	head := make([]byte, HeaderSize)
	copy(head, "QFI\xfb")
	binary.BigEndian.PutUint32(head[versionAt:], 3)
	binary.BigEndian.PutUint32(head[clusterBitsAt:], 16)
	binary.BigEndian.PutUint64(head[sizeAt:], 1<<30)
	f.Add(head)
	f.Add(head[:HeaderSize-1])
	f.Fuzz(func(t *testing.T, head []byte) {
		size, err := Size(head)
		if err != nil {
			if fail.KindOf(err) != fail.Usage {
				t.Errorf("kind %v: %v", fail.KindOf(err), err)
			}
			return
		}
		if size <= 0 || binary.BigEndian.Uint64(head[backingAt:]) != 0 {
			t.Errorf("accepted %d bytes, header %x", size, head)
		}
	})
}

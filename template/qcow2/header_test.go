package qcow2

import (
	"encoding/binary"
	"strings"
	"testing"

	"croft/internal/fail"
)

// header returns the header of an image of 3 GiB, with changes.
func header(version uint32, change func(head []byte)) []byte {
	head := make([]byte, HeaderSize)
	copy(head, Magic)
	binary.BigEndian.PutUint32(head[versionAt:], version)
	binary.BigEndian.PutUint32(head[clusterBitsAt:], 16)
	binary.BigEndian.PutUint64(head[sizeAt:], 3<<30)
	binary.BigEndian.PutUint32(head[level1SizeAt:], 6)
	if change != nil {
		change(head)
	}
	return head
}

func features(bits uint64) func(head []byte) {
	return func(head []byte) { binary.BigEndian.PutUint64(head[incompatibleAt:], bits) }
}

func TestSize(t *testing.T) {
	for name, head := range map[string][]byte{
		"version 2":                      header(2, nil),
		"version 3":                      header(3, nil),
		"not closed":                     header(3, features(dirty)),
		"zstd":                           header(3, features(compression)),
		"subclusters":                    header(3, features(extendedL2)),
		"version 2 has no features":      header(2, features(externalData|corrupt)), // there are other data
		"features that readers may skip": header(3, func(head []byte) { head[80], head[88] = 0xff, 0xff }),
	} {
		if size, err := Size(head); err != nil || size != 3<<30 {
			t.Errorf("%s: %d, %v", name, size, err)
		}
	}
}

// Headers that lead to other files of the host, or make qemu-img take what it wants.
func TestHostileHeaders(t *testing.T) {
	long := func(at int, value uint64) func([]byte) {
		return func(head []byte) { binary.BigEndian.PutUint64(head[at:], value) }
	}
	word := func(at int, value uint32) func([]byte) {
		return func(head []byte) { binary.BigEndian.PutUint32(head[at:], value) }
	}
	for name, c := range map[string]struct {
		head []byte
		says string
	}{
		"a backing file, version 2": {header(2, long(backingAt, 512)), "a backing file"},
		"a backing file, version 3": {header(3, long(backingAt, 512)), "a backing file"},
		"one far behind":            {header(3, long(backingAt, 1<<63)), "a backing file"},
		"one without a length":      {header(3, func(h []byte) { h[backingAt+7] = 1 }), "a backing file"},
		"data in another file":      {header(3, features(externalData)), "its data in another file"},
		"that among others":         {header(3, features(externalData|dirty|compression)), "its data in another file"},
		"encrypted":                 {header(3, word(encryptionAt, 2)), "encrypted"},
		"damaged":                   {header(3, features(corrupt)), "marked as damaged"},
		"a later feature":           {header(3, features(1<<5)), "features that croft does not know (0x20)"},
		"the last feature":          {header(3, features(1<<63)), "features that croft does not know"},
		"version 1":                 {header(1, nil), "version 1"},
		"version 4":                 {header(4, nil), "version 4"},
		"clusters of 1 byte":        {header(3, word(clusterBitsAt, 0)), "impossible sizes"},
		"clusters of 4 GiB":         {header(3, word(clusterBitsAt, 32)), "impossible sizes"},
		"a table of 32 GiB":         {header(3, word(level1SizeAt, 1<<32-1)), "impossible sizes"},
		"an empty disk":             {header(3, long(sizeAt, 0)), "impossible sizes"},
		"a disk of a negative size": {header(3, long(sizeAt, 1<<63+512)), "impossible sizes"},
		"nothing but the magic":     {[]byte(Magic), "cut off"},
		"cut off in the features":   {header(3, nil)[:incompatibleAt+4], "cut off"},
	} {
		if size, err := Size(c.head); !fail.Is(err, fail.Usage) || size != 0 || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %d, %v", name, size, err)
		}
	}
}

// What qemu-img prints becomes one line.
func TestReason(t *testing.T) {
	for output, want := range map[string]string{
		"": "it printed nothing",
		"qemu-img: Could not open '/tmp/croft/image': Image is corrupt\n":  "Could not open '/tmp/croft/image': Image is corrupt",
		"warning: old\nqemu-img: error while reading at byte 0: x\x1b\n\n": "error while reading at byte 0: x?",
	} {
		if got := reasonIn(output); got != want {
			t.Errorf("%q: %q", output, got)
		}
	}
}

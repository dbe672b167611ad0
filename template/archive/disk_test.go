package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
)

// aDisk returns an image of a disk of size bytes, with a GPT of these partitions, or a table
// in its first sector.
func aDisk(size int64, gpt bool, all ...testPartition) []byte {
	disk := make([]byte, size)
	copy(disk[sector-2:], mbrEnd)
	for i, p := range all {
		if gpt {
			copy(disk[sector:], gptText)
			binary.LittleEndian.PutUint64(disk[sector+72:], 2)
			binary.LittleEndian.PutUint32(disk[sector+80:], 128)
			binary.LittleEndian.PutUint32(disk[sector+84:], 128)
			e := disk[2*sector+128*i:]
			copy(e, p.kind)
			binary.LittleEndian.PutUint64(e[32:], p.first)
			binary.LittleEndian.PutUint64(e[40:], p.first+p.count-1)
		} else {
			e := disk[mbrAt+16*i:]
			e[4] = linux
			binary.LittleEndian.PutUint32(e[8:], uint32(p.first))
			binary.LittleEndian.PutUint32(e[12:], uint32(p.count))
		}
		if at := int64(p.first)*sector + p.magicAt; p.magic != "" && at+8 < size {
			copy(disk[at:], p.magic)
		}
	}
	return disk
}

type testPartition struct {
	kind         string // its type
	first, count uint64 // sectors
	magic        string
	magicAt      int64
}

func ext(kind string, first, count uint64) testPartition {
	return testPartition{kind, first, count, "\x53\xef", extAt}
}

func TestRootOf(t *testing.T) {
	data := strings.Repeat("d", 16)
	bare := make([]byte, 1<<20)
	copy(bare[extAt:], "\x53\xef")
	for name, c := range map[string]struct {
		disk []byte
		want FileSystem
		err  string
	}{
		"a file system":                {bare, FileSystem{"ext4", 0, 1 << 20}, ""},
		"the largest":                  {aDisk(1<<20, true, ext(data, 64, 100), ext(data, 200, 300)), FileSystem{"ext4", 200 * sector, 300 * sector}, ""},
		"a root":                       {aDisk(1<<20, true, ext(rootTypes[0], 64, 100), ext(data, 200, 300)), FileSystem{"ext4", 64 * sector, 100 * sector}, ""},
		"a root that is not the first": {aDisk(1<<20, true, ext(data, 200, 300), ext(rootTypes[1], 64, 100)), FileSystem{"ext4", 64 * sector, 100 * sector}, ""},
		"xfs":                          {aDisk(1<<20, true, testPartition{data, 64, 900, "XFSB", 0}), FileSystem{"xfs", 64 * sector, 900 * sector}, ""},
		"btrfs":                        {aDisk(1<<20, true, testPartition{data, 64, 900, "_BHRfS_M", btrfsAt}), FileSystem{"btrfs", 64 * sector, 900 * sector}, ""},
		"no GPT":                       {aDisk(1<<20, false, ext("", 64, 100)), FileSystem{"ext4", 64 * sector, 100 * sector}, ""},
		"no file system":               {aDisk(1<<20, true, testPartition{data, 64, 100, "", 0}), FileSystem{}, "no partition"},
		"a partition beyond the end":   {aDisk(1<<20, true, ext(data, 64, 1<<40)), FileSystem{}, "no partition"},
		"one that ends before itself":  {aDisk(1<<20, true, ext(data, 64, 0)), FileSystem{}, "no partition"},
		"too short":                    {make([]byte, 600), FileSystem{}, "too short"},
	} {
		got, err := RootOf(bytes.NewReader(c.disk), int64(len(c.disk)))
		if got != c.want || c.err == "" && err != nil || c.err != "" && (!fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if r := bufio.NewReaderSize(bytes.NewReader(c.disk), 1<<17); name != "too short" && !IsDisk(r) {
			t.Errorf("%s: it is not recognized", name)
		}
	}
	many := aDisk(1<<20, true, ext(data, 64, 100))
	binary.LittleEndian.PutUint32(many[sector+80:], 1<<31)
	if _, err := RootOf(bytes.NewReader(many), 1<<20); !fail.Is(err, fail.Usage) {
		t.Errorf("too many partitions: %v", err)
	}
	if IsDisk(bufio.NewReaderSize(strings.NewReader(strings.Repeat("x", 4096)), 1<<17)) {
		t.Error("text is a disk")
	}
	if !IsQcow2(bufio.NewReader(strings.NewReader("QFI\xfb\x00\x00"))) {
		t.Error("qcow2 is not recognized")
	}
}

func FuzzRootOf(f *testing.F) {
	f.Add(aDisk(1<<16, true, ext(rootTypes[0], 64, 10)))
	f.Add(aDisk(1<<16, false, ext("", 64, 10)))
	f.Fuzz(func(t *testing.T, disk []byte) {
		got, err := RootOf(bytes.NewReader(disk), int64(len(disk)))
		if err == nil && (got.Offset < 0 || got.Length <= 0 || got.Offset+got.Length > int64(len(disk))) {
			t.Errorf("%+v of %d bytes", got, len(disk))
		}
	})
}

func TestCopySparse(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := make([]byte, 5*sparseBlock+7)
	want[2*sparseBlock+1] = 'x'
	if err := CopySparse(f, bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Package delta decides which part of a VPS's files the next backup of them needs: it
// compares the entries of the layer that they would be with those of an earlier backup,
// and plans a layer above that. It is pure.
package delta

// A Kind is the kind of an entry of a layer.
type Kind byte

// The kinds of entries.
const (
	File     Kind = iota + 1 // a file, a symbolic link or a pipe
	Name                     // another name of a File: a hard link
	Dir                      // a directory, merged with that of the layers below
	Opaque                   // a directory that hides that of the layers below
	Whiteout                 // hides what the layers below have
)

// An Entry is what a layer has at a path. The root directory is not one.
type Entry struct {
	Path string // relative, without a slash at its end; any bytes but 0
	Kind Kind
	// Sum is a SHA-256 of all that the archive has of a File or a directory: its attributes and
	// its content. Equal sums are equal files.
	Sum  [32]byte
	Of   string // of a Name: the File, which comes before it
	Size int64  // of a File: bytes in the archive
}

// overhead is about how many bytes an entry has in an archive besides its content.
const overhead = 1024

func (e *Entry) size() int64 { return e.Size + overhead }

// isDir reports whether e is a directory. nil is none.
func (e *Entry) isDir() bool { return e != nil && (e.Kind == Dir || e.Kind == Opaque) }

// Size returns about how many bytes an archive with these entries has.
func Size(all []Entry) (sum int64) {
	for i := range all {
		sum += all[i].size()
	}
	return sum
}

package source

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"croft/internal/fail"
	"croft/internal/pattern"
	"croft/runtime/foreign"
	"croft/template/layer"
)

// maxBefore is how much of a stream that cannot be read twice may come before the
// configuration, in bytes: it is kept in memory.
const maxBefore = 64 << 20

// A place is where an archive of a tool has the configuration and the files.
type place struct {
	kind   foreign.Kind
	config string // path.Match
	root   string // of the files, beside the configuration; "." is the top of the archive
	skip   []string
}

// places are those of all tools whose archives have the configuration.
var places = []place{
	{kind: foreign.PCT, config: "etc/vzdump/pct.conf", root: ".", skip: []string{"etc/vzdump"}},
	{kind: foreign.OpenVZ, config: "etc/vzdump/vps.conf", root: ".", skip: []string{"etc/vzdump"}},
	{kind: foreign.Incus, config: "backup/index.yaml", root: "container/rootfs"},
	{kind: foreign.Incus, config: "backup/container/backup.yaml", root: "rootfs"},
	{kind: foreign.LXC, config: "config", root: "rootfs"},
	{kind: foreign.LXC, config: "*/config", root: "rootfs"},
}

// archive opens an archive. file is r again, if it can be read twice.
func (s *Source) archive(req Request, r io.Reader, file *os.File) error {
	if req.Config != "" || req.Kind == foreign.Nspawn || req.Kind == foreign.Docker {
		return s.plainArchive(req, r)
	}
	var before bytes.Buffer
	plain, err := decompress(r)
	if err != nil {
		return err
	}
	s.open = append(s.open, plain)
	in := io.Reader(plain)
	if file == nil {
		in = io.TeeReader(plain, &limited{to: &before})
	}
	at, name, err := s.look(req, in)
	if err != nil {
		return err
	}
	s.Part.Root, s.Part.Skip = strings.TrimPrefix(path.Join("/", path.Dir(name), at.root), "/"), at.skip
	if at.root == "." {
		s.Part.Root = ""
	}
	if file == nil {
		s.Archive = io.MultiReader(&before, plain)
		return nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fail.Open(req.Path, err)
	}
	again, err := decompress(file)
	if err != nil {
		return err
	}
	s.open = append(s.open, again)
	s.Archive = again
	return nil
}

// plainArchive opens an archive of a root filesystem alone, whose configuration is another
// file.
func (s *Source) plainArchive(req Request, r io.Reader) error {
	if req.Kind == "" {
		return fail.New(fail.Usage, "%s: croft cannot see which tool the configuration is of: give --from", req.Path)
	}
	if req.Kind == foreign.Docker && req.Config == "" {
		return fail.New(fail.Usage, "%s has only the files of the container: give its settings with --config FILE, which \"docker inspect NAME\" prints", req.Path)
	}
	name := containerID(req.Path)
	if req.Config != "" {
		name = nameOf(req.Kind, req.Config)
	}
	if err := s.parse(req.Kind, name, req.Config); err != nil {
		return err
	}
	plain, err := decompress(r)
	if err != nil {
		return err
	}
	s.open = append(s.open, plain)
	s.Archive = plain
	return nil
}

// look reads the archive up to the configuration, and parses it.
func (s *Source) look(req Request, r io.Reader) (place, string, error) {
	var refused error
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		switch {
		case errors.Is(err, errTooLate):
			return place{}, "", fail.New(fail.Usage, "the stream does not begin with the configuration: save it to a file and give that")
		case err == io.EOF && refused != nil:
			return place{}, "", refused
		case err == io.EOF:
			return place{}, "", noConfiguration(req)
		case err != nil:
			return place{}, "", layer.ArchiveFailure(layer.Broken(err))
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if strings.HasPrefix(name, "backup/") && strings.HasSuffix(name, ".bin") {
			return place{}, "", fail.New(fail.Usage, "it is an optimized backup of Incus, which only its storage can read: make one without --optimized-storage")
		}
		at, ok := placeOf(req.Kind, name)
		if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(in, foreign.MaxConfig+1))
		if err != nil {
			return place{}, "", layer.ArchiveFailure(layer.Broken(err))
		}
		known := containerID(req.Path)
		if path.Dir(name) != "." && at.kind == foreign.LXC {
			known = path.Dir(name)
		}
		s.System, err = foreign.Parse(at.kind, known, text)
		if err == nil {
			s.System.Rootfs, s.System.NoRootfs = "", "" // of another host
			return at, name, nil
		}
		refused = fail.New(fail.KindOf(err), "%s in the archive: %w", name, err)
		// The settings of an older Incus follow in backup.yaml. Another file can be named
		// like the one of LXC.
		if !errors.Is(err, foreign.ErrNoContainer) && at.kind != foreign.LXC {
			return place{}, "", refused
		}
	}
}

func placeOf(kind foreign.Kind, name string) (place, bool) {
	for _, p := range places {
		if ok, _ := path.Match(p.config, name); ok && (kind == "" || kind == p.kind) {
			return p, true
		}
	}
	return place{}, false
}

// noConfiguration is the error for an archive without one.
func noConfiguration(req Request) error {
	words := "it has no configuration of a tool that croft knows"
	if req.Kind != "" {
		words = "it has no configuration of " + string(req.Kind)
	}
	return fail.New(fail.Usage, "%s: %s; --config FILE names one", req.Path, words)
}

// vzdumpName is the name of an archive of vzdump: vzdump-lxc-101-2026_01_05-10_00_00.tar.zst.
var vzdumpName = pattern.New(`^vzdump-(?:(?:lxc|openvz)-)?([0-9]+)[-.]`)

// containerID is the name of the container in the name of an archive; "" if it has none.
func containerID(file string) string {
	if m := vzdumpName().FindStringSubmatch(filepath.Base(file)); m != nil {
		return m[1]
	}
	return ""
}

// isArchive reports whether the file is a tar or compressed. Its offset stays.
func isArchive(f *os.File) bool {
	head := make([]byte, 512)
	n, _ := f.ReadAt(head, 0) // a shorter file is a configuration
	head = head[:n]
	for _, magic := range []string{"\x1f\x8b", "BZh", "\xfd7zXZ\x00", "\x28\xb5\x2f\xfd", squashfs, "\x89LZO"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return n >= 262 && string(head[257:262]) == "ustar"
}

// squashfs is the magic number of its images.
const squashfs = "hsqs"

// decompress is layer.Decompress, and refuses what is no tar.
func decompress(r io.Reader) (io.ReadCloser, error) {
	head := make([]byte, 4)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, err
	}
	switch string(head[:n]) {
	case squashfs:
		return nil, fail.New(fail.Usage, "it is a squashfs image, and croft reads tar archives: export with --compression gzip, or unpack it with unsquashfs and give --rootfs DIR")
	case "\x89LZO":
		return nil, fail.New(fail.Usage, "it is compressed by lzop, which croft does not read: lzop -dc FILE | croft adopt … -")
	}
	plain, err := layer.Decompress(io.MultiReader(bytes.NewReader(head[:n]), r))
	return plain, layer.ArchiveFailure(err)
}

// limited keeps what is written, up to maxBefore.
type limited struct{ to *bytes.Buffer }

var errTooLate = errors.New("it is too far from the beginning")

func (l *limited) Write(p []byte) (int, error) {
	if l.to.Len()+len(p) > maxBefore {
		return 0, errTooLate
	}
	return l.to.Write(p)
}

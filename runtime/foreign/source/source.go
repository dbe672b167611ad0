// Package source opens containers of other tools: their configuration and their root
// filesystem, as directories or archives. It only reads, and changes nothing.
package source

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"croft/internal/fail"
	"croft/runtime/foreign"
	"croft/template/layer"
)

// A Request names a container.
type Request struct {
	Kind   foreign.Kind // "": the files tell
	Path   string       // of a configuration, a directory or an archive; "-": Stdin
	Stdin  io.Reader    // an archive
	Config string       // the file with the configuration; "": Path has it
	Rootfs string       // the directory with the files; "": Path has it, or the configuration names it
}

// A Source is a container whose files can be read once.
type Source struct {
	System  foreign.System
	From    string    // its name, or that of its file, for people
	Dir     *os.File  // its root directory; nil: Archive
	Archive io.Reader // a tar
	Part    layer.Part
	open    []io.Closer
}

// Close closes the files. The archive cannot be read any more.
func (s *Source) Close() {
	for _, c := range s.open {
		c.Close()
	}
	s.open = nil
}

// Open opens a container. What is missing is fail.NotFound, what croft cannot read
// fail.Usage, and a container that runs fail.State. On an error nothing stays open. The
// caller closes the source.
func Open(r Request) (*Source, error) {
	s := &Source{From: r.Path}
	err := s.find(r)
	if err == nil {
		err = s.check(r)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	ids := s.System.IDs
	s.Part.IDs = layer.IDs{First: ids.First, Size: ids.Size}
	return s, nil
}

func (s *Source) find(r Request) error {
	if r.Path == "-" {
		if r.Stdin == nil {
			return fail.New(fail.Usage, "standard input has no archive")
		}
		return s.archive(r, r.Stdin, nil)
	}
	path, err := filepath.Abs(r.Path)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fail.Open(r.Path, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fail.Open(r.Path, err)
	}
	if info.IsDir() {
		f.Close()
		return s.directory(r, path)
	}
	s.open = append(s.open, f)
	if pipe := !info.Mode().IsRegular(); pipe || isArchive(f) {
		if pipe {
			return s.archive(r, f, nil)
		}
		if r.Rootfs != "" {
			return fail.New(fail.Usage, "%s is an archive, which has the files: --rootfs cannot be used", r.Path)
		}
		return s.archive(r, f, f)
	}
	return s.configuration(r, path)
}

// directory opens a container whose directory path is.
func (s *Source) directory(r Request, path string) error {
	at := layoutOf(r.Kind, path)
	if r.Kind == "" {
		r.Kind = at.kind
	}
	if r.Kind == "" {
		return fail.New(fail.Usage, "%s: croft cannot see which tool it comes from: give --from", r.Path)
	}
	config := r.Config
	if config == "" {
		config = at.config
	}
	if err := s.parse(r.Kind, at.name, config); err != nil {
		return err
	}
	rootfs := r.Rootfs
	if rootfs == "" {
		rootfs = at.rootfs
	}
	return s.root(rootfs)
}

// configuration opens a container whose configuration is the file path.
func (s *Source) configuration(r Request, path string) error {
	if r.Config != "" {
		return fail.New(fail.Usage, "%s is a configuration, and --config names another one", r.Path)
	}
	if r.Kind == "" && filepath.Ext(path) == ".nspawn" {
		r.Kind = foreign.Nspawn
	}
	if r.Kind == "" {
		return fail.New(fail.Usage, "%s: croft cannot see which tool it comes from: give --from", r.Path)
	}
	if err := s.parse(r.Kind, nameOf(r.Kind, path), path); err != nil {
		return err
	}
	rootfs := r.Rootfs
	if rootfs == "" {
		if why := s.System.NoRootfs; why != "" {
			return fail.New(fail.Usage, "%s: %s", r.Path, why)
		}
		if rootfs = s.System.Rootfs; rootfs == "" && (r.Kind == foreign.LXC || r.Kind == foreign.Incus) {
			rootfs = filepath.Join(filepath.Dir(path), "rootfs")
		}
	}
	if rootfs == "" {
		return fail.New(fail.Usage, "%s does not say where the files are: give --rootfs DIR, or an archive with --config", r.Path)
	}
	return s.root(rootfs)
}

// parse reads the configuration in a file; "" is an empty one, which some tools allow.
func (s *Source) parse(kind foreign.Kind, name, file string) (err error) {
	var text []byte
	switch {
	case file != "":
		if text, err = readConfig(file); err != nil {
			return err
		}
	case kind != foreign.Nspawn:
		return fail.New(fail.Usage, "%s has no configuration of its tool: give --config FILE", s.From)
	}
	if s.System, err = foreign.Parse(kind, name, text); err != nil && file != "" {
		return fail.New(fail.KindOf(err), "%s: %w", file, err)
	}
	return err
}

// readConfig reads a file that an administrator names.
func readConfig(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fail.Open(file, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, foreign.MaxConfig+1))
	if err != nil {
		return nil, fail.Open(file, err)
	}
	return text, nil
}

// root opens the directory with the files.
func (s *Source) root(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fail.Open(dir, err)
	}
	s.open = append(s.open, f)
	info, err := f.Stat()
	if err != nil {
		return fail.Open(dir, err)
	}
	if !info.IsDir() {
		return fail.New(fail.Usage, "%s is not a directory", dir)
	}
	if host, err := os.Stat("/"); err == nil && os.SameFile(host, info) {
		return fail.New(fail.Usage, "%s is the root filesystem of this host", dir)
	}
	if _, err := os.Lstat(filepath.Join(dir, "root.hdd")); err == nil {
		return fail.New(fail.Usage, "%s has a ploop disk: mount it with \"vzctl mount CTID\" and give --rootfs /vz/root/CTID", dir)
	}
	s.Dir, s.System.Rootfs = f, dir
	return nil
}

// check refuses a container that runs.
func (s *Source) check(r Request) error {
	running := s.System.Running
	if s.Dir != nil && !running {
		running = runs(s.System, r.Path)
	}
	if running {
		return fail.New(fail.State, "%s runs, so its files change while they are read: stop it first", r.Path)
	}
	return nil
}

// nameOf is the name of the container whose configuration is the file path.
func nameOf(kind foreign.Kind, path string) string {
	base := filepath.Base(path)
	if kind == foreign.LXC || kind == foreign.Incus {
		return filepath.Base(filepath.Dir(path)) // DIR/config
	}
	if kind == foreign.Docker {
		return ""
	}
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// A layout is where a directory has what belongs to a container.
type layout struct {
	kind                 foreign.Kind
	name, config, rootfs string
}

// layoutOf finds what a directory of that kind has; kind "" is any that can be recognized.
func layoutOf(kind foreign.Kind, dir string) layout {
	has := func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	base := filepath.Base(dir)
	switch {
	case (kind == "" || kind == foreign.LXC) && has("config") && has("rootfs"):
		return layout{foreign.LXC, base, in("config"), in("rootfs")}
	case (kind == "" || kind == foreign.Incus) && has("index.yaml") && has("container/rootfs"):
		return layout{foreign.Incus, base, in("index.yaml"), in("container/rootfs")}
	case (kind == "" || kind == foreign.Incus) && has("backup.yaml") && has("rootfs"):
		return layout{foreign.Incus, base, in("backup.yaml"), in("rootfs")}
	}
	l := layout{kind: kind, name: base, rootfs: dir}
	for k, file := range map[foreign.Kind]string{foreign.Nspawn: "/etc/systemd/nspawn/" + base + ".nspawn", foreign.OpenVZ: "/etc/vz/conf/" + base + ".conf"} {
		if _, err := os.Stat(file); err == nil && k == kind {
			l.config = file
		}
	}
	return l
}

package runtime

import (
	"context"
	"fmt"
	"io"
	"slices"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime/foreign"
	"croft/runtime/foreign/source"
	"croft/runtime/hooks"
	"croft/template"
)

// ForeignKind is a tool that Adopt knows.
type ForeignKind = foreign.Kind

// ForeignKinds are the names of all tools.
func ForeignKinds() []ForeignKind { return foreign.Kinds() }

// ParseForeignKind reads the name of a tool. Another text is fail.Usage.
func ParseForeignKind(s string) (ForeignKind, error) { return foreign.ParseKind(s) }

// NotTaken is a setting of a container that the VPS does not get, with the reason.
type NotTaken = foreign.Left

// ForeignOptions say which container is read.
type ForeignOptions struct {
	Kind   ForeignKind // "": the files tell
	Path   string      // of its configuration, its directory or an archive; "-": Stdin
	Stdin  io.Reader
	Config string   // the file with its configuration; "": Path has it
	Rootfs string   // the directory with its files; "": Path or the configuration tell
	Name   vps.Name // of the VPS; "": that of the container
	// Networks are the networks that the VPS gets; nil: those that are like the ones of
	// the container.
	Networks []vps.AddInterface
}

// A Foreign is a container of another tool, which Adopt makes a VPS. It can be adopted once.
type Foreign struct {
	Name     vps.Name   // of the VPS
	Settings vps.VPS    // that it gets on this host
	NotTaken []NotTaken // of the settings of the container
	source   *source.Source
}

// Close ends the reading of the container.
func (f *Foreign) Close() {
	if f.source != nil {
		f.source.Close()
	}
}

// OpenForeign reads the configuration of a container of another tool, and decides which
// settings a VPS has for it here. It changes nothing. A container that runs is fail.State,
// what croft cannot read fail.Usage. The caller closes the result.
func (m *Manager) OpenForeign(ctx context.Context, o ForeignOptions) (*Foreign, error) {
	s, err := source.Open(source.Request{Kind: o.Kind, Path: o.Path, Stdin: o.Stdin, Config: o.Config, Rootfs: o.Rootfs})
	if err != nil {
		return nil, err
	}
	f := &Foreign{Name: o.Name, source: s}
	if err := m.fitForeign(ctx, f, o); err != nil {
		s.Close()
		return nil, err
	}
	return f, nil
}

// fitForeign decides which settings the VPS gets.
func (m *Manager) fitForeign(ctx context.Context, f *Foreign, o ForeignOptions) error {
	system := f.source.System
	if f.Name == "" {
		if f.Name = system.NameFor(); f.Name == "" {
			return fail.New(fail.Usage, "the container has no name that a VPS can have: give a NAME")
		}
	}
	if arch := architecture(system.Architecture); arch != "" && !runsHere(arch) {
		return fail.New(fail.Usage, "the container is for %s, which this host does not run", arch)
	}
	host, err := m.foreignHost(o.Networks)
	if err != nil {
		return err
	}
	v, more := system.Settings(f.Name, host)
	h := hostFit{Manager: m, vps: &v}
	if err := h.fit(ctx); err != nil {
		return err
	}
	if v.Fit, err = vps.ParseFit(vps.KeepIdentity); err != nil {
		return err
	}
	f.Settings = v
	f.NotTaken = slices.Concat(system.Left, more, h.left)
	return nil
}

// AdoptOptions are the options of Adopt.
type AdoptOptions struct {
	CreateOptions       // Template is not used
	MaxSize       int64 // of the files, in bytes: see TemplateImport
}

// adoptedTemplate is what the settings of an adopted VPS have as its template, and the name
// of its former image.
const adoptedTemplate = "adopted"

// Adopt creates the stopped VPS name with the files of f, which it reads, and the settings
// in o. Devices, sockets and what other tools mount are not among the files. An existing
// name is fail.Taken. After an error, and if this process is killed, there is the whole VPS
// or none. The container stays as it is.
func (m *Manager) Adopt(ctx context.Context, name vps.Name, f *Foreign, o AdoptOptions) (Info, error) {
	o.Template = adoptedTemplate
	if err := o.check(name); err != nil {
		return Info{}, err
	}
	if err := m.checkNew(ctx, name, o.CreateOptions); err != nil {
		return Info{}, err
	}
	l, err := m.lock(ctx, name)
	if err != nil {
		return Info{}, err
	}
	defer l.Unlock()
	if err := m.readyFor(ctx, l, vps.IDRange{}); err != nil {
		return Info{}, err
	}
	err = m.templates.ImportSystem(ctx, f.system(o.MaxSize), func(im template.Image) error {
		im, err := m.templates.Ensure(ctx, im.Digest) // its layers are unpacked
		if err != nil {
			return err
		}
		if im.Init == "" && len(im.Command()) == 0 {
			m.warn(fmt.Sprintf("%s: croft finds no init in its files, and no command that it runs instead: it cannot start", name))
		}
		return m.create(ctx, l, o.CreateOptions, im)
	}, m.usedTemplates)
	if err != nil {
		return Info{}, err
	}
	m.emptyTrash(context.WithoutCancel(ctx))
	info, err := m.Inspect(ctx, name)
	from := string(f.source.System.Kind) + " " + f.source.System.Name
	if err == nil {
		m.tellCreated(info, eventFrom, from)
	}
	l.Unlock() // so that a hook can change and start the VPS
	m.afterwards(ctx, hooks.PostCreate, vps.VPS{Name: name, UUID: info.UUID}, "CROFT_FROM="+from)
	return info, err
}

// system is the root filesystem of f.
func (f *Foreign) system(maxSize int64) template.System {
	s, p := f.source, f.source.System.Program
	return template.System{
		Name: adoptedTemplate, Dir: s.Dir, Archive: s.Archive, Part: s.Part, MaxSize: maxSize,
		Entrypoint: p.Entrypoint, Cmd: p.Command, Env: p.Env, User: p.User, WorkingDir: p.Dir, StopSignal: p.StopSignal,
	}
}

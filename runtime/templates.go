package runtime

import (
	"cmp"
	"context"
	"io"
	"path/filepath"

	"croft/internal/state"
	"croft/internal/vps"
	"croft/template"
	"croft/template/recipe"
	"croft/template/trust"
)

// Templates lists the templates.
func (m *Manager) Templates(context.Context) ([]TemplateInfo, error) { return m.templates.List() }

// Template describes one template; fail.NotFound if it does not exist.
func (m *Manager) Template(_ context.Context, name string) (TemplateInfo, error) {
	return m.templates.Resolve(name)
}

// BuildTemplate builds the template name from its recipe, again if it exists.
func (m *Manager) BuildTemplate(ctx context.Context, name string, o TemplateBuild) (TemplateInfo, error) {
	return m.templates.Build(ctx, name, o)
}

// ImportTemplate creates a template from an archive of a root filesystem or of
// images, or from the directory o.Dir.
func (m *Manager) ImportTemplate(ctx context.Context, name string, r io.Reader, o TemplateImport) (TemplateInfo, error) {
	return m.templates.Import(ctx, name, r, o)
}

// ExportTemplate writes a template to w, or into the directory o.Dir.
func (m *Manager) ExportTemplate(ctx context.Context, name string, w io.Writer, o TemplateExport) error {
	return m.templates.Export(ctx, name, w, o)
}

// CreateTemplate creates the template name from the files of vps. A running VPS is
// frozen meanwhile, and thawed afterwards unless it was paused before. If this process
// is killed, the next command that changes or inspects the VPS thaws it.
func (m *Manager) CreateTemplate(ctx context.Context, name string, from vps.Name, o TemplateCreate) (_ TemplateInfo, err error) {
	l, v, err := m.lockAndLoadAsIs(ctx, from)
	if err != nil {
		return TemplateInfo{}, err
	}
	defer l.Unlock()
	root, err := m.rootfs(v)
	if err != nil {
		return TemplateInfo{}, err
	}
	thaw, err := m.freezeWhile(from)
	if err != nil {
		return TemplateInfo{}, err
	}
	defer func() {
		if e := thaw(); err == nil {
			err = e
		} else if e != nil {
			m.warn(e.Error())
		}
	}()
	return m.templates.Derive(ctx, name, v.Template.Digest, root, o)
}

// SearchImages lists images of an image server.
func (m *Manager) SearchImages(ctx context.Context, server string, words []string, o ImageSearch) ([]ServerImage, error) {
	return m.templates.Search(ctx, server, words, o)
}

// ImageServers lists the image servers.
func (m *Manager) ImageServers(context.Context) ([]ImageServer, error) { return m.templates.Remotes() }

// AddImageServer records an image server. A name that exists is fail.Taken, unless replace
// is set.
func (m *Manager) AddImageServer(ctx context.Context, r ImageServer, replace bool) error {
	return m.templates.AddRemote(ctx, r, replace)
}

// RemoveImageServer forgets an image server; a missing one is fail.NotFound.
func (m *Manager) RemoveImageServer(ctx context.Context, name string) error {
	return m.templates.RemoveRemote(ctx, name)
}

// CheckImageServerName returns fail.Usage for a name that no image server may have.
func CheckImageServerName(name string) error { return template.CheckRemoteName(name) }

// PullTemplate creates a template from the image ref in a registry or of an image server.
func (m *Manager) PullTemplate(ctx context.Context, ref string, o TemplatePull) (TemplateInfo, error) {
	return m.templates.Pull(ctx, ref, o)
}

// TagTemplate gives the template ref one more name: template.Store.Tag.
func (m *Manager) TagTemplate(ctx context.Context, ref, name string, replace bool) (TemplateInfo, error) {
	return m.templates.Tag(ctx, ref, name, replace)
}

// UntagTemplate takes a name from a template that has several: template.Store.Untag.
func (m *Manager) UntagTemplate(ctx context.Context, name string) error {
	return m.templates.Untag(ctx, name)
}

// UpdateTemplate makes the template name anew from where it came, and returns it and
// whether it has changed. VPSs keep the old one.
func (m *Manager) UpdateTemplate(ctx context.Context, name string, o TemplateRefresh) (_ TemplateInfo, changed bool, err error) {
	old, err := m.templates.Resolve(name)
	if err != nil {
		return TemplateInfo{}, false, err
	}
	now, err := m.templates.Refresh(ctx, name, o)
	return now, now.Digest != old.Digest, err
}

// TemplateOfFile reports whether text, the template of a new VPS, names a file or a directory. One
// that is wrong is fail.Usage.
func TemplateOfFile(text string) (bool, error) { return template.RefersToFile(text) }

// TemplateFile returns the file or directory from which a template was imported; ok is false for one
// from elsewhere.
func TemplateFile(t TemplateInfo) (path string, ok bool) { return template.FileOf(t.Source) }

// ParseSnapshot returns the date of a snapshot in the one form that archives have. An invalid one is
// an error.
func ParseSnapshot(text string) (string, error) { return recipe.ParseSnapshot(text) }

// CheckTemplate says whether there is a newer image where the template name came from.
func (m *Manager) CheckTemplate(ctx context.Context, name string, o TemplateRefresh) (TemplateCheck, error) {
	return m.templates.Check(ctx, name, o)
}

// ReadSigningKey reads a private key in PEM. password is called if it is encrypted.
func ReadSigningKey(text []byte, password func() ([]byte, error)) (SigningKey, error) {
	return trust.ReadSigningKey(text, password)
}

// PushTemplate uploads the template name to a registry as ref.
func (m *Manager) PushTemplate(ctx context.Context, name, ref string, o TemplatePush) error {
	return m.templates.Push(ctx, name, ref, o)
}

// PruneTemplates removes former templates that no VPS uses, and the files of pulls that
// failed. It also empties the trash.
func (m *Manager) PruneTemplates(ctx context.Context) error {
	m.removeAllLeft(ctx)
	m.destroyAbandoned(ctx)
	m.emptyTrash(ctx)
	return m.templates.Prune(ctx, m.usedTemplates)
}

// RemoveTemplate removes a template. It is fail.State if a VPS uses it. It waits for VPSs that their
// croft run has left to their monitors: they are as good as gone.
func (m *Manager) RemoveTemplate(ctx context.Context, name string) error {
	m.removeAllLeft(ctx)
	m.destroyAbandoned(ctx)
	return m.templates.Remove(ctx, name, m.usedTemplates)
}

// usedTemplates returns the VPSs that use a template, by digest, those in the trash and
// snapshots too.
func (m *Manager) usedTemplates() (map[string][]string, error) {
	all, err := m.store.Stacks(context.Background())
	if err != nil {
		return nil, err // what cannot be read may use any template
	}
	used := map[string][]string{}
	for _, s := range all {
		used[s.Template.Digest] = append(used[s.Template.Digest], userOf(s))
	}
	return used, nil
}

// userOf names a VPS or a snapshot for people.
func userOf(s state.Stack) string {
	name := string(s.VPS)
	if s.Snapshot != "" {
		name += "@" + s.Snapshot
	}
	if s.Trashed != "" {
		name += " in the trash"
	}
	return name
}

// A Cookbook has the recipes that templates can be built from. Every user may read them.
type Cookbook struct{ dir string }

// OpenCookbook returns the recipes of croft, and those in the directory config of a host's
// configuration; "" is DefaultConfig. It reads nothing yet.
func OpenCookbook(config string) Cookbook {
	return Cookbook{filepath.Join(cmp.Or(config, DefaultConfig), RecipeDir)}
}

// Recipes lists the recipes.
func (c Cookbook) Recipes() ([]RecipeInfo, error) { return recipe.List(c.dir) }

// Recipe returns the text of a recipe.
func (c Cookbook) Recipe(name string) (string, error) { return recipe.Text(c.dir, name) }

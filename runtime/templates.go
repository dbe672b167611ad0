package runtime

import (
	"context"
	"io"

	"croft/template/recipe"
)

// Templates lists the templates that are there.
func (m *Manager) Templates(context.Context) ([]TemplateInfo, error) { return m.templates.List() }

// Template describes one; fail.NotFound if it is not there.
func (m *Manager) Template(_ context.Context, name string) (TemplateInfo, error) {
	return m.templates.Resolve(name)
}

// BuildTemplate makes the template name from its recipe, anew if it is there.
func (m *Manager) BuildTemplate(ctx context.Context, name string, o TemplateBuild) (TemplateInfo, error) {
	return m.templates.Build(ctx, name, o)
}

// ImportTemplate makes a template from an archive of a root filesystem or of
// images, or from the directory o.Dir.
func (m *Manager) ImportTemplate(ctx context.Context, name string, r io.Reader, o TemplateImport) (TemplateInfo, error) {
	return m.templates.Import(ctx, name, r, o)
}

// ExportTemplate writes a template to w, or into the directory o.Dir.
func (m *Manager) ExportTemplate(ctx context.Context, name string, w io.Writer, o TemplateExport) error {
	return m.templates.Export(ctx, name, w, o)
}

// CreateTemplate makes the template name of what vps was made from and what it
// has changed since. A running one stands still meanwhile; whatever happens, it
// goes on afterwards unless it was paused before. If this process is killed, the
// next command that changes or inspects the VPS lets it go on.
func (m *Manager) CreateTemplate(ctx context.Context, name, vps string, o TemplateCreate) (_ TemplateInfo, err error) {
	l, v, err := m.lockAndLoadAsIs(ctx, vps)
	if err != nil {
		return TemplateInfo{}, err
	}
	defer l.Unlock()
	root, err := m.rootfs(v)
	if err != nil {
		return TemplateInfo{}, err
	}
	thaw, err := m.freezeWhile(vps)
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

// PullTemplate makes a template of the image that ref names in a registry.
func (m *Manager) PullTemplate(ctx context.Context, ref string, o TemplatePull) (TemplateInfo, error) {
	return m.templates.Pull(ctx, ref, o)
}

// PushTemplate makes ref, in a registry, mean the template name.
func (m *Manager) PushTemplate(ctx context.Context, name, ref string, o TemplatePush) error {
	return m.templates.Push(ctx, name, ref, o)
}

// PruneTemplates removes former templates that no VPS is made from, and what
// pulls that came to nothing have fetched. It empties the trash too.
func (m *Manager) PruneTemplates(ctx context.Context) error {
	m.emptyTrash(ctx)
	return m.templates.Prune(ctx, m.usedTemplates)
}

// RemoveTemplate removes a template that no VPS is made from; with one it is
// fail.State.
func (m *Manager) RemoveTemplate(ctx context.Context, name string) error {
	return m.templates.Remove(ctx, name, m.usedTemplates)
}

// usedTemplates says which VPSs are made from which digest.
func (m *Manager) usedTemplates() (map[string][]string, error) {
	entries, err := m.store.AllStill(context.Background())
	if err != nil {
		return nil, err
	}
	used := map[string][]string{}
	drafts, err := m.store.Drafts()
	if err != nil {
		return nil, err
	}
	for _, d := range drafts {
		used[d.Template.Digest] = append(used[d.Template.Digest], d.Name)
	}
	for _, e := range entries {
		if e.Err != nil {
			return nil, e.Err // it may be made from any of them
		}
		used[e.VPS.Template.Digest] = append(used[e.VPS.Template.Digest], e.Name)
	}
	return used, nil
}

// Recipes lists the recipes that templates can be built from.
func (m *Manager) Recipes() ([]RecipeInfo, error) { return recipe.Recipes("") }

// Recipe returns a recipe's text.
func (m *Manager) Recipe(name string) (string, error) {
	return recipe.RecipeText("", name)
}

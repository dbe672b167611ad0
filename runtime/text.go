package runtime

import (
	"context"

	"croft/internal/vps"
	"croft/runtime/filecopy"
)

// A FileText is the content of a file of a VPS, and what its next version keeps.
type FileText = filecopy.Text

// ReadText reads the regular file at a path inside the VPS, which may run. Links are
// followed inside the VPS: see filecopy.Tree.ReadText.
func (m *Manager) ReadText(ctx context.Context, name vps.Name, path string) (FileText, error) {
	tree, done, err := m.openTree(ctx, CopyEnd{VPS: name, Path: path})
	if err != nil {
		return FileText{}, err
	}
	defer done()
	return tree.ReadText(path)
}

// WriteText replaces the content of a file that ReadText has read as was. The VPS may
// have been started or stopped meanwhile. A file that has changed meanwhile is
// fail.State: see filecopy.Tree.WriteText. On an error nothing changes.
func (m *Manager) WriteText(ctx context.Context, name vps.Name, path string, was FileText, content []byte) error {
	tree, done, err := m.openTree(ctx, CopyEnd{VPS: name, Path: path})
	if err != nil {
		return err
	}
	defer done()
	if err := tree.WriteText(path, was, content); err != nil {
		return err
	}
	if was.Names > 1 {
		m.warn("the file has other names (hard links), which keep the former text")
	}
	return nil
}

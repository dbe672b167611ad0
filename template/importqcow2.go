package template

import (
	"bufio"
	"context"
	"io"
	"os"

	"croft/template/archive"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/qcow2"
)

// stageQcow2 stages a layer of the files of a disk in QEMU's format: see qcow2.Converter.
func (s *Store) stageQcow2(ctx context.Context, st *images.Stage, r *bufio.Reader, budget *layer.Budget) (images.Layer, error) {
	head, _ := r.Peek(qcow2.HeaderSize) // an error means that the image is shorter
	size, err := qcow2.Size(head)
	if err != nil {
		return images.Layer{}, err
	}
	if err := budget.CheckStream(size); err != nil {
		return images.Layer{}, err
	}
	tool, err := qcow2.Find()
	if err != nil {
		return images.Layer{}, err
	}
	c := qcow2.Converter{Dir: st.Path("convert"), Size: size, First: s.o.BuildIDs, Bound: func(ctx context.Context, pid int) func() {
		return s.bound(ctx, pid, "the conversion of the image")
	}}
	if err := os.Mkdir(c.Dir, 0o755); err != nil {
		return images.Layer{}, layer.HostError(err)
	}
	if err := qcow2.CheckSpace(c.Dir, size); err != nil {
		return images.Layer{}, err
	}
	if err := copyImage(c.File(), budget.Stream(r)); err != nil {
		return images.Layer{}, err
	}
	s.Report(Update{Step: "converting the image"})
	if err := c.Convert(ctx, tool); err != nil {
		return images.Layer{}, err
	}
	if err := os.Remove(c.File()); err != nil {
		return images.Layer{}, layer.HostError(err)
	}
	return s.StageWritten(ctx, st, nil, budget, func(w io.Writer) error { return archive.PackDisk(ctx, w, c.Disk()) })
}

// copyImage copies an image to the new file.
func copyImage(file string, r io.Reader) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return layer.HostError(err)
	}
	err = archive.CopySparse(f, r)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return layer.ArchiveFailure(err)
}

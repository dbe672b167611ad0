package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/removetree"
	"croft/template/layer"
	"croft/template/rootfs"
)

// ToPlain fills the plain root filesystem plain with all files of the overlay r, of the
// same VPS, which does not run. The rest is as for Fill.
func ToPlain(ctx context.Context, at string, r, plain rootfs.Rootfs, progress func(done int64)) error {
	to := plain.Own().Dir
	if err := Fill(ctx, at, r.Stack(), to, progress); err != nil {
		return err
	}
	target, err := openRoot(to)
	if err != nil {
		return layer.HostError(err)
	}
	defer target.Close()
	for _, dir := range rootfs.DataPaths() {
		if err := copyDataDir(ctx, at, r, target, dir); err != nil {
			return layer.HostError(fmt.Errorf("copy /%s: %w", dir, err))
		}
	}
	return nil
}

// copyDataDir copies dir, if it is one that the VPS does not see through the overlay,
// exactly: what looks like a whiteout there belongs to an overlay inside. It is in the
// files of the VPS, or in a frozen layer if the VPS has not been started since.
func copyDataDir(ctx context.Context, at string, r rootfs.Rootfs, target *os.File, dir string) error {
	for _, l := range append([]rootfs.Frozen{r.Own()}, r.Frozen...) {
		below := true
		err := rootfs.WithIDs(at, l, 0, func(own string) (err error) {
			below, err = copyDataDirOf(ctx, own, target, dir)
			return err
		})
		if err != nil || !below {
			return err
		}
	}
	return nil
}

// copyDataDirOf is copyDataDir for one layer. below reports whether the layers below
// count.
func copyDataDirOf(ctx context.Context, own string, target *os.File, dir string) (below bool, err error) {
	from, err := openRoot(own)
	if err != nil {
		return false, err
	}
	defer from.Close()
	source, err := openBelow(int(from.Fd()), dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) {
		return true, nil
	}
	if vanished(err) { // the VPS has something else there
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(source)
	state, _, err := xattrOf(source, "", xattrData)
	if err != nil || state == "" {
		return false, err
	}
	if state == dataFilling { // its content is not complete, and comes from below
		return true, nil
	}
	return false, replaceDir(ctx, source, target, dir)
}

// replaceDir makes the content of dir in target that of the directory source.
func replaceDir(ctx context.Context, source int, target *os.File, dir string) error {
	copied, err := openBelow(int(target.Fd()), dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(copied)
	names, err := sortedNames(copied)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := removetree.At(ctx, copied, name); err != nil {
			return err
		}
	}
	if err := Copy(ctx, handle(source)+"/.", handle(copied)+"/.", nil); err != nil {
		return err
	}
	if err := unix.Removexattr(handle(copied), layer.XattrOpaque); err != nil && !errors.Is(err, unix.ENODATA) {
		return err
	}
	return nil
}

// ToOverlay gives the overlay r, which is new and has been made, all files of the plain
// root filesystem plain, of the same VPS, which does not run. Its upper directory has all
// of them, and hides those of the layers. It is fail.State if plain has files that an
// overlay cannot show. The rest is as for Fill.
func ToOverlay(ctx context.Context, at string, plain, r rootfs.Rootfs, progress func(done int64)) error {
	if err := plain.Own().Within(func(dir string) error { return checkShowable(ctx, dir) }); err != nil {
		return err
	}
	upper := r.Upper()
	if err := removetree.Remove(ctx, upper, ""); err != nil {
		return layer.HostError(err)
	}
	err := rootfs.WithIDs(at, plain.Own(), r.First, func(dir string) error { return Copy(ctx, dir, upper, progress) })
	if err != nil {
		return err
	}
	root, err := openRoot(upper)
	if err != nil {
		return layer.HostError(err)
	}
	defer root.Close()
	if err := hideLayers(root, r.Layers); err != nil {
		return layer.HostError(err)
	}
	for _, dir := range rootfs.DataPaths() {
		if err := markData(root, dir); err != nil {
			return layer.HostError(err)
		}
	}
	if err := unix.Syncfs(int(root.Fd())); err != nil {
		return layer.HostError(fmt.Errorf("sync %s: %w", upper, err))
	}
	return nil
}

// hideLayers hides everything that the layers have below the upper directory root.
func hideLayers(root *os.File, layers []string) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &st); err != nil {
		return err
	}
	names, err := sortedNames(int(root.Fd()))
	if err != nil {
		return err
	}
	for _, name := range names {
		fd, err := openBelow(int(root.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY)
		if vanished(err) {
			continue // not a directory: it hides others by itself
		}
		if err != nil {
			return err
		}
		err = layer.SetOpaque(fd)
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	for _, dir := range layers {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			err := unix.Mknodat(int(root.Fd()), e.Name(), unix.S_IFCHR, 0)
			if err != nil && !errors.Is(err, unix.EEXIST) {
				return fmt.Errorf("hide /%s: %w", e.Name(), err)
			}
		}
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, handle(int(root.Fd())), []unix.Timespec{st.Atim, st.Mtim}, 0)
}

// markData makes dir, if it is a directory, one that the VPS does not see through the
// overlay.
func markData(root *os.File, dir string) error {
	fd, err := openBelow(int(root.Fd()), dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if vanished(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := layer.SetOpaque(fd); err != nil {
		return err
	}
	return unix.Fsetxattr(fd, xattrData, []byte("y"), 0)
}

// checkShowable is fail.State if an overlay would take a file of the tree dir for one of
// its own marks. Only a VPS whose files are not on an overlay can make such files.
func checkShowable(ctx context.Context, dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		inside := strings.TrimPrefix(strings.TrimPrefix(path, dir), "/")
		for _, data := range rootfs.DataPaths() {
			if inside == data && d.IsDir() {
				return filepath.SkipDir
			}
		}
		marked, err := isMark(path, d)
		if err == nil && marked {
			err = fail.New(fail.State, "/%s belongs to an overlay inside, and cannot be on an overlay itself", inside)
		}
		return err
	})
}

func isMark(path string, d os.DirEntry) (bool, error) {
	if d.Type()&os.ModeDevice != 0 {
		var st unix.Stat_t
		err := unix.Lstat(path, &st)
		return err == nil && layer.IsWhiteout(&st), err
	}
	if !d.IsDir() && !d.Type().IsRegular() {
		return false, nil
	}
	for _, name := range []string{layer.XattrOpaque, layer.XattrRedirect, xattrMetacopy} {
		if n, err := unix.Lgetxattr(path, name, nil); err == nil && n > 0 {
			return true, nil
		}
	}
	return false, nil
}

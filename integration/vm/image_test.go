//go:build vm

package vm

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// suite is the release of Debian that the machine has.
const suite = "trixie"

// packages are what the machine has beside what every Debian system has. What
// a host of croft has by itself is in the first lines, what the integration
// tests call in the last one.
var packages = strings.Fields(`
	linux-image-cloud-amd64 initramfs-tools systemd-sysv udev dbus apparmor
	iptables nftables iproute2 kmod procps e2fsprogs util-linux mount openssh-server
	busybox-static iputils-ping conntrack criu xfsprogs btrfs-progs xz-utils zstd gzip tar ca-certificates`)

// withoutDocs keeps out of the machine what nobody reads there.
var withoutDocs = []string{
	"--dpkgopt=path-exclude=/usr/share/doc/*",
	"--dpkgopt=path-exclude=/usr/share/man/*",
	"--dpkgopt=path-exclude=/usr/share/locale/*",
	`--aptopt=Acquire::Languages "none"`,
}

//go:embed guest
var guest embed.FS

// An image is what QEMU boots.
type image struct{ kernel, initrd, root string }

// openImage returns the image in the directory cache, and builds it if what it
// is made of is not what the last one was made of. Images of older code are
// removed. The caller holds the lock of cache.
func openImage(cache string) (image, error) {
	key, err := imageKey()
	if err != nil {
		return image{}, err
	}
	dir := filepath.Join(cache, "image-"+key)
	old, err := filepath.Glob(filepath.Join(cache, "image-*"))
	if err != nil {
		return image{}, err
	}
	for _, o := range old {
		if o != dir {
			os.RemoveAll(o)
		}
	}
	if _, err := os.Stat(dir); err != nil {
		start := time.Now()
		say("building the virtual machine from packages, kept in %s for later runs", dir)
		if err := buildImage(dir); err != nil {
			return image{}, fmt.Errorf("build the virtual machine: %w", err)
		}
		say("built it in %v", time.Since(start).Round(time.Second))
	}
	return image{
		kernel: filepath.Join(dir, "vmlinuz"),
		initrd: filepath.Join(dir, "initrd"),
		root:   filepath.Join(dir, "root.img"),
	}, nil
}

// imageKey is a digest of all that decides what the image is.
func imageKey() (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, suite, packages, withoutDocs)
	err := fs.WalkDir(guest, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := guest.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)[:6]), err
}

// buildImage makes the directory dir with all of an image in it, or leaves none.
func buildImage(dir string) error {
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.CopyFS(tmp, guest); err != nil {
		return err
	}
	// Embedded files are nobody's to execute.
	scripts := filepath.Join(tmp, "guest")
	for _, name := range []string{"configure", "customize"} {
		if err := os.Chmod(filepath.Join(scripts, name), 0o755); err != nil {
			return err
		}
	}
	root := filepath.Join(tmp, "root")
	args := append([]string{
		"--quiet", "--mode=root", "--variant=minbase",
		"--include=" + strings.Join(packages, ","),
		"--essential-hook=" + filepath.Join(scripts, "configure"),
		"--customize-hook=" + filepath.Join(scripts, "customize"),
	}, withoutDocs...)
	if err := run("mmdebstrap", append(args, suite, root)...); err != nil {
		return err
	}
	built := filepath.Join(tmp, "built")
	if err := os.Mkdir(built, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"vmlinuz", "initrd"} {
		if err := os.Rename(filepath.Join(scripts, name), filepath.Join(built, name)); err != nil {
			return err
		}
	}
	if err := makeDisk(filepath.Join(built, "root.img"), root); err != nil {
		return err
	}
	return os.Rename(built, dir)
}

// makeDisk makes a disk with an ext4 file system that has what dir has.
func makeDisk(path, dir string) error {
	const size = 8 << 30 // sparse: it takes what is in it
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	return run("mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-d", dir, path)
}

// run runs a tool, whose output is told if it fails.
func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// say tells who waits for the tests what takes long.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "vm: "+format+"\n", args...)
}

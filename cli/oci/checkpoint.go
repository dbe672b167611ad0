package oci

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/moby/sys/userns"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"croft/cli/cmdline"
	"croft/runtime/container"
)

func (p *program) checkpointVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "checkpoint", Args: idArg,
		Summary:  "checkpoint a running container with criu",
		Examples: []string{"checkpoint --image-path /srv/checkpoint web"},
		About:    `The container is deleted afterwards, unless --leave-running is given.`,
		Options: append(criuOptions(),
			cmdline.Option{Name: "parent-path", Placeholder: "DIR", Usage: "directory of a pre-dump, relative to --image-path"},
			cmdline.Option{Name: "leave-running", Usage: "keep the container running"},
			cmdline.Option{Name: "tcp-skip-in-flight", Usage: "skip TCP connections that are being established"},
			cmdline.Option{Name: "link-remap", Usage: "give removed files a name again if possible"},
			cmdline.Option{Name: "status-fd", Placeholder: "N", Usage: "criu writes \\0 to this descriptor once lazy-pages is ready"},
			cmdline.Option{Name: "page-server", Placeholder: "ADDRESS:PORT", Usage: "ADDRESS:PORT of the page server"},
			cmdline.Option{Name: "pre-dump", Usage: "write only the memory, and keep the container running"},
		),
		Run: p.run(1, 1, func(l *line) (int, error) {
			c, err := l.load()
			if err != nil {
				return 0, err
			}
			status, err := c.Status()
			if err != nil {
				return 0, err
			}
			if status == container.Created || status == container.Stopped {
				return 0, fmt.Errorf("Container cannot be checkpointed in %s state", status)
			}
			o, err := l.criu()
			if err != nil {
				return 0, err
			}
			if err := c.Checkpoint(o); err != nil {
				return 0, err
			}
			if o.LeaveRunning || o.PreDump {
				return 0, nil
			}
			if err := c.Remove(); err != nil {
				logrus.Warn(err)
			}
			return 0, nil
		}),
	}
}

func (p *program) restoreVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "restore", Args: idArg,
		Summary:  "restore a container from a checkpoint with criu",
		Examples: []string{"restore --image-path /srv/checkpoint --bundle /srv/bundle web"},
		Options: append(criuOptions(),
			bundleOption(), consoleSocketOption(), detachOption(), pidFileOption(), subreaperOption(), noPivotOption(),
			cmdline.Option{Name: "lsm-profile", Placeholder: "TYPE:NAME", Usage: "LSM profile of the container"},
			cmdline.Option{Name: "lsm-mount-context", Placeholder: "CONTEXT", Usage: "LSM mount context of the container"},
		),
		Run: p.run(1, 1, func(l *line) (int, error) {
			o, err := l.criu()
			if err != nil {
				return 0, err
			}
			return l.make(o)
		}),
	}
}

// criuOptions returns the options that checkpoint and restore have both.
func criuOptions() []cmdline.Option {
	return []cmdline.Option{
		{Name: "image-path", Placeholder: "DIR", Usage: "directory of the checkpoint (default: checkpoint)"},
		{Name: "work-path", Placeholder: "DIR", Usage: "directory of criu's log and other files"},
		{Name: "tcp-established", Usage: "allow open TCP connections"},
		{Name: "ext-unix-sk", Usage: "allow Unix sockets that lead outside the container"},
		{Name: "shell-job", Usage: "allow a terminal of the host"},
		{Name: "lazy-pages", Usage: "restore memory on demand with userfaultfd(2)"},
		{Name: "file-locks", Usage: "allow file locks"},
		{Name: "manage-cgroups-mode", Placeholder: "MODE", Usage: "cgroups mode: soft, full, strict or ignore (default: soft)"},
		{Name: "empty-ns", Many: true, Placeholder: "NAMESPACE", Usage: "create an empty namespace: network"},
		{Name: "auto-dedup", Usage: "deduplicate memory images"},
	}
}

// criu returns the settings of criu from the options.
func (l *line) criu() (*container.CriuOptions, error) {
	if os.Geteuid() != 0 || userns.RunningInUserNS() {
		logrus.Warnf("%s %s is untested with rootless containers", l.name, l.Verb.Name)
	}
	images, parent, err := l.imagePaths()
	if err != nil {
		return nil, err
	}
	if err := l.absolute("work-path"); err != nil {
		return nil, err
	}
	o := &container.CriuOptions{
		ImagesDirectory: images, ParentImage: parent, WorkDirectory: l.Text("work-path"),
		LeaveRunning: l.Is("leave-running"), PreDump: l.Is("pre-dump"),
		TcpEstablished: l.Is("tcp-established"), TcpSkipInFlight: l.Is("tcp-skip-in-flight"),
		LinkRemap: l.Is("link-remap"), ExternalUnixConnections: l.Is("ext-unix-sk"),
		ShellJob: l.Is("shell-job"), FileLocks: l.Is("file-locks"),
		AutoDedup: l.Is("auto-dedup"), LazyPages: l.Is("lazy-pages"), StatusFd: -1,
		LsmProfile: l.Text("lsm-profile"), LsmMountContext: l.Text("lsm-mount-context"),
		ManageCgroupsMode: l.Text("manage-cgroups-mode"),
		EmptyNs:           unix.CLONE_NEWNET, // the caller always restores network devices
	}
	if l.Has("status-fd") {
		if o.StatusFd, err = l.number("status-fd"); err != nil {
			return nil, err
		}
	}
	for _, ns := range l.Texts("empty-ns") {
		if ns != "network" {
			return nil, fmt.Errorf("namespace %q is not supported", ns)
		}
	}
	return o, l.pageServer(o)
}

func (l *line) pageServer(o *container.CriuOptions) error {
	text := l.Text("page-server")
	if text == "" {
		return nil
	}
	address, port, err := net.SplitHostPort(text)
	if err != nil || address == "" || port == "" {
		return errors.New("Use --page-server ADDRESS:PORT to specify page server")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return errors.New("Invalid port number")
	}
	o.PageServer.Address, o.PageServer.Port = address, int32(n)
	return nil
}

// imagePaths creates the directory of the images, and checks the directory of
// a pre-dump.
func (l *line) imagePaths() (images, parent string, err error) {
	if images = l.Text("image-path"); images == "" {
		images = "checkpoint"
	}
	if images, err = filepath.Abs(images); err != nil {
		return "", "", err
	}
	if err := os.MkdirAll(images, 0o600); err != nil {
		return "", "", err
	}
	if parent = l.Text("parent-path"); parent == "" {
		return images, "", nil
	}
	if filepath.IsAbs(parent) {
		return "", "", errors.New("--parent-path must be relative")
	}
	info, err := os.Stat(filepath.Join(images, parent))
	if err == nil && !info.IsDir() {
		err = unix.ENOTDIR
	}
	if err != nil {
		return "", "", fmt.Errorf("invalid --parent-path: %w", err)
	}
	return images, parent, nil
}

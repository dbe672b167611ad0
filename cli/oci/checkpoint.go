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

	"croft/runtime/container"
)

func checkpointVerb() *verb {
	return &verb{
		name: "checkpoint", args: idArg, least: 1, most: 1,
		summary:  "checkpoint a running container with criu",
		examples: []string{"checkpoint --image-path /srv/checkpoint web"},
		about:    `The container is deleted afterwards, unless --leave-running is given.`,
		options: append(criuOptions(),
			option{names: []string{"parent-path"}, placeholder: "DIR", usage: "directory of a pre-dump, relative to --image-path"},
			option{names: []string{"leave-running"}, usage: "keep the container running"},
			option{names: []string{"tcp-skip-in-flight"}, usage: "skip TCP connections that are being established"},
			option{names: []string{"link-remap"}, usage: "give removed files a name again if possible"},
			option{names: []string{"status-fd"}, placeholder: "N", usage: "criu writes \\0 to this descriptor once lazy-pages is ready"},
			option{names: []string{"page-server"}, placeholder: "ADDRESS:PORT", usage: "ADDRESS:PORT of the page server"},
			option{names: []string{"pre-dump"}, usage: "write only the memory, and keep the container running"},
		),
		run: func(l *line) (int, error) {
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
		},
	}
}

func restoreVerb() *verb {
	return &verb{
		name: "restore", args: idArg, least: 1, most: 1,
		summary:  "restore a container from a checkpoint with criu",
		examples: []string{"restore --image-path /srv/checkpoint --bundle /srv/bundle web"},
		options: append(criuOptions(),
			bundleOption(), consoleSocketOption(), detachOption(), pidFileOption(), subreaperOption(), noPivotOption(),
			option{names: []string{"lsm-profile"}, placeholder: "TYPE:NAME", usage: "LSM profile of the container"},
			option{names: []string{"lsm-mount-context"}, placeholder: "CONTEXT", usage: "LSM mount context of the container"},
		),
		run: func(l *line) (int, error) {
			o, err := l.criu()
			if err != nil {
				return 0, err
			}
			return l.make(o)
		},
	}
}

// criuOptions are those of both, checkpoint and restore.
func criuOptions() []option {
	return []option{
		{names: []string{"image-path"}, placeholder: "DIR", usage: "directory of the checkpoint (default: checkpoint)"},
		{names: []string{"work-path"}, placeholder: "DIR", usage: "directory of criu's log and other files"},
		{names: []string{"tcp-established"}, usage: "allow open TCP connections"},
		{names: []string{"ext-unix-sk"}, usage: "allow Unix sockets that lead outside the container"},
		{names: []string{"shell-job"}, usage: "allow a terminal of the host"},
		{names: []string{"lazy-pages"}, usage: "restore memory on demand with userfaultfd(2)"},
		{names: []string{"file-locks"}, usage: "allow file locks"},
		{names: []string{"manage-cgroups-mode"}, placeholder: "MODE", usage: "cgroups mode: soft, full, strict or ignore (default: soft)"},
		{names: []string{"empty-ns"}, placeholder: "NAMESPACE", usage: "create an empty namespace: network"},
		{names: []string{"auto-dedup"}, usage: "deduplicate memory images"},
	}
}

// criu is what the options ask of it.
func (l *line) criu() (*container.CriuOptions, error) {
	if os.Geteuid() != 0 || userns.RunningInUserNS() {
		logrus.Warnf("%s %s is untested with rootless containers", l.program, l.verb.name)
	}
	images, parent, err := l.imagePaths()
	if err != nil {
		return nil, err
	}
	if err := l.absolute("work-path"); err != nil {
		return nil, err
	}
	o := &container.CriuOptions{
		ImagesDirectory: images, ParentImage: parent, WorkDirectory: l.text("work-path"),
		LeaveRunning: l.is("leave-running"), PreDump: l.is("pre-dump"),
		TcpEstablished: l.is("tcp-established"), TcpSkipInFlight: l.is("tcp-skip-in-flight"),
		LinkRemap: l.is("link-remap"), ExternalUnixConnections: l.is("ext-unix-sk"),
		ShellJob: l.is("shell-job"), FileLocks: l.is("file-locks"),
		AutoDedup: l.is("auto-dedup"), LazyPages: l.is("lazy-pages"), StatusFd: -1,
		LsmProfile: l.text("lsm-profile"), LsmMountContext: l.text("lsm-mount-context"),
		ManageCgroupsMode: l.text("manage-cgroups-mode"),
		EmptyNs:           unix.CLONE_NEWNET, // network devices are the caller's business, always
	}
	if l.has("status-fd") {
		if o.StatusFd, err = l.number("status-fd"); err != nil {
			return nil, err
		}
	}
	for _, ns := range l.values["empty-ns"] {
		if ns != "network" {
			return nil, fmt.Errorf("namespace %q is not supported", ns)
		}
	}
	return o, l.pageServer(o)
}

func (l *line) pageServer(o *container.CriuOptions) error {
	text := l.text("page-server")
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

// imagePaths makes the directory of the files, and checks that of a pre-dump.
func (l *line) imagePaths() (images, parent string, err error) {
	if images = l.text("image-path"); images == "" {
		images = "checkpoint"
	}
	if images, err = filepath.Abs(images); err != nil {
		return "", "", err
	}
	if err := os.MkdirAll(images, 0o600); err != nil {
		return "", "", err
	}
	if parent = l.text("parent-path"); parent == "" {
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

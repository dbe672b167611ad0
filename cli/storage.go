package cli

import (
	"croft/cli/cmdline"
	"croft/internal/vps"
)

const storageAbout = `--storage says what the root filesystem is. An overlay shares the files of the
template, is created at once, and has only what the VPS changes. A plain tree is a copy
of all files, as on a machine without containers: directories of the template can be
renamed, Docker and Podman use overlay2 directly, and a release upgrade that merges
/usr works. Creating it takes the time of a copy, except on a filesystem with reflinks
(xfs, btrfs).`

// storageOption is the option --storage.
func storageOption(usage string) cmdline.Option {
	return cmdline.Option{Name: "storage", Placeholder: "overlay|plain", Choices: vps.Storages(), Usage: usage}
}

package options

import (
	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/vps"
)

// MountAbout is the help of verbs with mounts.
const MountAbout = `--mount SOURCE:TARGET mounts SOURCE on TARGET inside. SOURCE is an absolute path of a
directory or file of the host, the name of a volume ("croft volume"), or tmpfs.
Root inside is the owner of files that belong to root of the host. Options:

  ro              read-only
  noexec          no program can be started from there
  host-ids        files keep the ids that they have on the host
  size=SIZE       size of a tmpfs (default: half of the memory)
  mode=MODE       mode of the root of a tmpfs (default: 755)

Each mount is nosuid and nodev.`

func mountOption() cmdline.Option {
	return cmdline.Option{Name: "mount", Short: "v", Placeholder: values.MountForm, Many: true, Kind: command.MountSources,
		Usage: "directory of the host, volume or tmpfs to mount, for example /srv/www:/var/www:ro; may be repeated"}
}

// mountEdits reads --mount-del and --mount-add, in this order: one command can put
// another mount on the same target.
func mountEdits(i *command.Invocation) []vps.Edit {
	var edits []vps.Edit
	for _, target := range command.GetMany(i, "mount-del", values.MountTarget) {
		edits = append(edits, vps.RemoveMount{Target: target})
	}
	for _, m := range command.GetMany(i, "mount-add", values.Mount) {
		edits = append(edits, vps.AddMount{Mount: m})
	}
	return edits
}

// MountSources are the sources of a mount that croft knows: volumes and tmpfs.
func MountSources(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	all := []cmdline.Candidate{{Word: "tmpfs", About: "memory, for example tmpfs:/cache:size=64M"}}
	return append(all, o.Volumes(c)...)
}

// MountTargets are the targets of the mounts of the VPSs on the line.
func MountTargets(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	var all []cmdline.Candidate
	for _, v := range o.Chosen(c) {
		for _, m := range v.Mounts {
			all = append(all, cmdline.Candidate{Word: m.Target, About: m.String()})
		}
	}
	return all
}

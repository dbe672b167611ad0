package oci

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/runtime/container"
)

// versionText returns the output of --version, with the lines of runc.
func (p *program) versionText() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s version %s\n", p.name, p.ownVersion())
	if c := p.commit(); c != "" {
		fmt.Fprintf(&out, "commit: %s\n", c)
	}
	fmt.Fprintf(&out, "spec: %s\ngo: %s\n", specs.Version, runtime.Version())
	if v := container.SeccompVersion(); v != "" {
		fmt.Fprintf(&out, "libseccomp: %s\n", v)
	}
	return out.String()
}

// ownVersion returns the version of croft. Under the name runc it begins with the
// version of the runc whose libcontainer is in croft: callers of runc compare it.
func (p *program) ownVersion() string {
	version := p.version
	if version == "" {
		version = "devel"
	}
	if p.name != "runc" {
		return version
	}
	return container.RuncVersion() + "+croft." + version
}

// commit returns the revision of the sources, or the version if the build does
// not know the revision.
func (p *program) commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return p.version
}

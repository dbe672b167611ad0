package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"croft/cli/cmdline"
	"croft/runtime/container"
)

func (p *program) specVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name:     "spec",
		Summary:  "write a config.json for a new bundle",
		Examples: []string{"spec", "spec --bundle /srv/bundle"},
		About: `The process is sh on a terminal, the root filesystem ./rootfs. Edit the file and
start the container with "run".`,
		Options: []cmdline.Option{bundleOption(), {Name: "rootless", Usage: "write it for a rootless container"}},
		Run: p.run(0, 0, func(l *line) (int, error) {
			if dir := l.Text("bundle"); dir != "" {
				if err := os.Chdir(dir); err != nil {
					return 0, err
				}
			}
			data, err := json.MarshalIndent(container.ExampleSpec(l.Is("rootless")), "", "\t")
			if err != nil {
				return 0, err
			}
			f, err := os.OpenFile(configFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
			if errors.Is(err, fs.ErrExist) {
				return 0, fmt.Errorf("File %s exists. Remove it first", configFile)
			}
			if err != nil {
				return 0, err
			}
			_, err = f.Write(data)
			return 0, errors.Join(err, f.Close())
		}),
	}
}

func (p *program) featuresVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name:     "features",
		Summary:  "print the features of this runtime as JSON",
		Examples: []string{"features"},
		About:    `The format is features.md of the OCI runtime specification.`,
		Run: p.run(0, 0, func(l *line) (int, error) {
			e := json.NewEncoder(os.Stdout)
			e.SetIndent("", "    ")
			return 0, e.Encode(container.Features(l.version, l.commit()))
		}),
	}
}

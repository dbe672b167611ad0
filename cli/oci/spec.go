package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"croft/runtime/container"
)

func specVerb() *verb {
	return &verb{
		name: "spec", least: 0, most: 0,
		summary:  "write a config.json for a new bundle",
		examples: []string{"spec", "spec --bundle /srv/bundle"},
		about: `The process is sh on a terminal, the root filesystem ./rootfs. Edit the file and
start the container with "run".`,
		options: []option{bundleOption(), {names: []string{"rootless"}, usage: "write it for a rootless container"}},
		run: func(l *line) (int, error) {
			if dir := l.text("bundle"); dir != "" {
				if err := os.Chdir(dir); err != nil {
					return 0, err
				}
			}
			data, err := json.MarshalIndent(container.ExampleSpec(l.is("rootless")), "", "\t")
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
		},
	}
}

func featuresVerb() *verb {
	return &verb{
		name: "features", least: 0, most: 0,
		summary:  "print the features of this runtime as JSON",
		examples: []string{"features"},
		about:    `The format is features.md of the OCI runtime specification.`,
		run: func(l *line) (int, error) {
			e := json.NewEncoder(os.Stdout)
			e.SetIndent("", "    ")
			return 0, e.Encode(container.Features(l.version, l.commit()))
		},
	}
}

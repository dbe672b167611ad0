package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const configFile = "config.json"

// enterBundle makes the directory of the bundle the working directory, because
// relative paths in a bundle are relative to it, and reads config.json. Make
// paths of the command line absolute before.
func (l *line) enterBundle() (*specs.Spec, error) {
	if dir := l.Text("bundle"); dir != "" {
		if err := os.Chdir(dir); err != nil {
			return nil, err
		}
	}
	return readConfig()
}

// readConfig reads the bundle in the working directory.
func readConfig() (*specs.Spec, error) {
	data, err := os.ReadFile(configFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("JSON specification file %s not found", configFile)
	}
	if err != nil {
		return nil, err
	}
	var spec *specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("%s: %w", configFile, err)
	}
	if spec == nil {
		return nil, errors.New("config cannot be null")
	}
	return spec, nil
}

// readProcess reads the settings of a process from a file.
func readProcess(name string) (*specs.Process, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	p := new(specs.Process)
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// checkProcess refuses a process that cannot be started.
func checkProcess(p *specs.Process) error {
	switch {
	case p == nil:
		return errors.New("process property must not be empty")
	case p.Cwd == "":
		return errors.New("Cwd property must not be empty")
	case !filepath.IsAbs(p.Cwd):
		return errors.New("Cwd must be an absolute path")
	case len(p.Args) == 0:
		return errors.New("args must not be empty")
	}
	return nil
}

package container

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runc/libcontainer/configs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// A startRecord has the data that StartInit needs and libcontainer does not
// store. It is a file beside libcontainer's own.
type startRecord struct {
	Hooks  configs.Hooks `json:"hooks"`  // poststart alone
	Absent bool          `json:"absent"` // the bundle has no process
}

func (c *Container) startRecordFile() string { return filepath.Join(c.root, c.lc.ID(), "croft.json") }

// takeHooks takes from config the hooks that libcontainer would run at another
// time, or tell another status, than the specification says, and returns what
// has to be kept of them.
//
// libcontainer runs poststart hooks at the end of create; they belong to
// start, after the process has been executed (runtime-spec, config.md, POSIX
// platform hooks). It tells prestart hooks that the container is creating,
// when all that they were made to look for is there: created.
func takeHooks(config *configs.Config) configs.Hooks {
	kept := configs.Hooks{configs.Poststart: config.Hooks[configs.Poststart]}
	delete(config.Hooks, configs.Poststart)
	for i, hook := range config.Hooks[configs.Prestart] {
		config.Hooks[configs.Prestart][i] = configs.NewFunctionHook(func(s *specs.State) error {
			created := *s
			created.Status = specs.StateCreated
			return hook.Run(&created)
		})
	}
	return kept
}

// saveStartRecord writes u for the process that will call StartInit. Without
// data it writes no file.
func (c *Container) saveStartRecord(u startRecord) error {
	if len(u.Hooks[configs.Poststart]) == 0 && !u.Absent {
		return nil
	}
	data, err := json.Marshal(struct {
		Hooks  *configs.Hooks `json:"hooks"` // only a pointer's JSON is read again
		Absent bool           `json:"absent"`
	}{&u.Hooks, u.Absent})
	if err != nil {
		return err
	}
	return os.WriteFile(c.startRecordFile(), data, 0o600)
}

func (c *Container) loadStartRecord() (u startRecord, err error) {
	data, err := os.ReadFile(c.startRecordFile())
	if errors.Is(err, fs.ErrNotExist) {
		return startRecord{}, nil
	}
	if err != nil {
		return startRecord{}, err
	}
	return u, json.Unmarshal(data, &u)
}

// Go lets the container's init run, and runs the poststart hooks. If one of
// them fails the container is killed. A container that runs already is an
// error; so is one without a process, which is killed.
func (c *Container) StartInit() error {
	u, err := c.loadStartRecord()
	if err != nil {
		return err
	}
	if u.Absent {
		return errors.Join(errors.New("process property must not be empty"), c.lc.Signal(unix.SIGKILL))
	}
	state, err := c.lc.OCIState() // as long as it is there: its process may be a short one
	if err != nil {
		return err
	}
	if err := c.lc.Exec(); err != nil {
		return err
	}
	state.Status = specs.StateRunning
	if err := u.Hooks.Run(configs.Poststart, state); err != nil {
		_ = c.lc.Signal(unix.SIGKILL)
		return err
	}
	return nil
}

// forgivePoststop makes a poststop hook that fails a warning: the hooks after
// it run, and the container is deleted all the same (runtime-spec, runtime.md,
// lifecycle). libcontainer stops at the first, and makes an error of it. What
// is stored of the container must not be written again afterwards.
func (c *Container) forgivePoststop() {
	hooks := c.lc.Config().Hooks[configs.Poststop]
	for i, hook := range hooks {
		hooks[i] = configs.NewFunctionHook(func(s *specs.State) error {
			if err := hook.Run(s); err != nil {
				logrus.Warnf("poststop hook #%d: %v", i, err)
			}
			return nil
		})
	}
}

// placeholder is the init of a container that was created without a process. A
// bundle may lack one until start (runtime-spec, config.md, process). It is
// never executed; libcontainer requires it.
func placeholder() *specs.Process {
	return &specs.Process{Args: []string{"/proc/self/exe"}, Cwd: "/"}
}

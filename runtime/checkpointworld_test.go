package runtime

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/internal/inside"
	"croft/internal/state"
	"croft/runtime/checkpoint"
)

// The world's criu: it saves the name of a VPS.

type fakeCriu struct{ *world }

func (fakeCriu) Check(context.Context) (checkpoint.Version, error) {
	return checkpoint.Version{4, 1}, nil
}
func (fakeCriu) CheckLimits() error             { return nil }
func (fakeCriu) Host() (checkpoint.Host, error) { return checkpoint.Host{Cgroups: 2}, nil }

// Pack and Unpack send the image of Dump.
func (c fakeCriu) Pack(_ context.Context, dir string, w io.Writer) error {
	return c.effect("send images", func() error {
		image, err := os.ReadFile(filepath.Join(dir, "init"))
		if err == nil {
			_, err = w.Write(image)
		}
		return err
	})
}

func (c fakeCriu) Unpack(_ context.Context, dir string, r io.Reader) error {
	image, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return c.effect("receive images", func() error { return os.WriteFile(filepath.Join(dir, "init"), image, 0o600) })
}

func (fakeCriu) CheckVPS(inside.Identity, []int, []string) ([]state.GivenMount, error) {
	return nil, nil
}

// Dump keeps the promise of the real one: on an error the VPS runs on.
func (c fakeCriu) Dump(_ context.Context, d checkpoint.Dump) error {
	id := filepath.Base(filepath.Dir(filepath.Dir(d.Dir)))
	err := c.effect("write images", func() error {
		return os.WriteFile(filepath.Join(d.Dir, "init"), []byte(id), 0o600)
	})
	if err == nil {
		err = d.Written()
	}
	if err == nil {
		err = c.effect("decide to end the processes", func() error { return nil })
	}
	if err != nil {
		return err
	}
	if err := c.endInit(id); err != nil {
		return err
	}
	c.ended(id)
	c.world.end(id)
	delete(c.devices, id)
	return nil
}

// Restore makes an init. On an error none is left.
func (c fakeCriu) Restore(_ context.Context, r checkpoint.Restore) (made checkpoint.Restored, err error) {
	id, err := os.ReadFile(filepath.Join(r.Dir, "init"))
	if err != nil {
		return checkpoint.Restored{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.endInit(string(id)))
		}
	}()
	if err := r.Place(1); err != nil {
		return checkpoint.Restored{}, err
	}
	if made.PID, err = c.newInit(string(id)); err != nil {
		return checkpoint.Restored{}, err
	}
	if err := r.Linked(made.PID); err != nil {
		return checkpoint.Restored{}, err
	}
	if made.Console, err = os.Open(os.DevNull); err != nil {
		return checkpoint.Restored{}, err
	}
	if err := r.Ready(made); err != nil {
		return checkpoint.Restored{}, err
	}
	return made, c.effect("let the processes run", func() error { return nil })
}

// Restore is Create with processes that run.
func (w *world) Restore(id string, spec *specs.Spec, _ int, start func(func(int) error) (int, error)) error {
	err := w.effect("make container", func() error {
		if w.has("container", id) {
			return errors.New("it exists")
		}
		if !w.has("mount", id) {
			return errors.New("its root filesystem is not mounted")
		}
		w.devices[id] = newFakeDevices(spec)
		return w.put("container", id, "waiting")
	})
	if err == nil {
		_, err = start(func(int) error { return w.effect("make cgroups", func() error { return nil }) })
	}
	if err == nil {
		err = w.effect("run restored processes", func() error { return w.put("container", id, "running") })
	}
	if err != nil {
		delete(w.devices, id)
		return errors.Join(err, w.endInit(id), w.drop("container", id))
	}
	return nil
}

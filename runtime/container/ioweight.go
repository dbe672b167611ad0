package container

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// ioWeight returns the property with which systemd keeps the share of a busy disk in
// files of version 2; none if no file has one. Without the property systemd writes 100
// whenever a property of the scope changes. libcontainer tells systemd of other files,
// but not of this one.
func ioWeight(files map[string]string) []systemd.Property {
	weight, err := strconv.ParseUint(files["io.weight"], 10, 64)
	if err != nil {
		if weight, err = strconv.ParseUint(files["io.bfq.weight"], 10, 64); err != nil {
			return nil
		}
		if weight > 100 {
			weight = 100 + (weight-100)*11 // systemd makes the weight for bfq from this
		}
	}
	return []systemd.Property{{Name: "IOWeight", Value: dbus.MakeVariant(weight)}}
}

// keepIOWeight tells systemd the share in files, for the scope with the cgroup dir.
// No-op on a host without systemd.
func (e Engine) keepIOWeight(dir string, files map[string]string) error {
	properties := ioWeight(files)
	if len(properties) == 0 || dir == "" || e.Manager.Resolve() != Systemd {
		return nil
	}
	conn, err := systemd.NewWithContext(context.Background())
	if err != nil {
		return fmt.Errorf("reach systemd: %w", err)
	}
	defer conn.Close()
	return conn.SetUnitPropertiesContext(context.Background(), filepath.Base(dir), true, properties...)
}

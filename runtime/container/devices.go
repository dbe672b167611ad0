package container

import (
	"errors"
	"fmt"

	devices "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// SetDevices makes the device rules of a running container those of rules, and
// what every container may open. No other limit changes. In version 1 of cgroups
// the changes are made one by one, in version 2 the program is replaced. Open
// descriptors are not affected. An absent container is ErrAbsent. On an error the
// rules are as before.
func (e Engine) SetDevices(id string, rules []specs.LinuxDeviceCgroup) error {
	c, err := e.load(id)
	if err != nil {
		return err
	}
	all, err := deviceRules(rules)
	if err != nil {
		return err
	}
	config := c.lc.Config()
	cgroup, resources := *config.Cgroups, *config.Cgroups.Resources
	resources.Devices, resources.SkipDevices = all, false
	cgroup.Resources = &resources
	config.Cgroups = &cgroup
	if err := c.lc.Set(config); err != nil {
		return fmt.Errorf("change device rules: %w", err)
	}
	return nil
}

// deviceRules returns rules as libcontainer has them, with those that it adds at
// a start.
func deviceRules(rules []specs.LinuxDeviceCgroup) ([]*devices.Rule, error) {
	var all []*devices.Rule
	for _, r := range rules {
		rule := devices.Rule{Type: devices.WildcardDevice, Major: devices.Wildcard, Minor: devices.Wildcard,
			Permissions: devices.Permissions(r.Access), Allow: r.Allow}
		switch r.Type {
		case "c":
			rule.Type = devices.CharDevice
		case "b":
			rule.Type = devices.BlockDevice
		case "", "a":
		default:
			return nil, errors.New("invalid type of device " + r.Type)
		}
		set(&rule.Major, r.Major)
		set(&rule.Minor, r.Minor)
		all = append(all, &rule)
	}
	for _, d := range specconv.AllowedDevices {
		rule := d.Rule
		all = append(all, &rule)
	}
	return all, nil
}

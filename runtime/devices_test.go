package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/runtime/container"
)

// fakeDevices are the devices of a running VPS: what its cgroup allows, and its
// nodes.
type fakeDevices struct {
	first uint32
	rules string
	nodes string
}

func newFakeDevices(spec *specs.Spec) *fakeDevices {
	d := &fakeDevices{rules: rulesText(spec.Linux.Resources.Devices)}
	if len(spec.Linux.UIDMappings) > 0 {
		d.first = spec.Linux.UIDMappings[0].HostID
	}
	return d
}

// rulesText is what rules allow beyond the devices that every VPS has.
func rulesText(rules []specs.LinuxDeviceCgroup) string {
	var all []string
	for _, r := range rules[len(bundles.DeviceRules(nil)):] {
		all = append(all, fmt.Sprintf("%s%d:%d %s", r.Type, *r.Major, *r.Minor, r.Access))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func (w *world) giveDevices(first uint32, all []bundles.Device) error {
	for _, d := range w.devices {
		if d.first == first {
			d.nodes = nodesText(all)
		}
	}
	return nil
}

func nodesText(all []bundles.Device) string {
	var texts []string
	for _, d := range all {
		texts = append(texts, fmt.Sprintf("%s %s%d:%d %o", d.Path, d.Type, d.Major, d.Minor, d.Mode))
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

func (w *world) SetDevices(id string, rules []specs.LinuxDeviceCgroup) error {
	return w.effect("allow devices "+id, func() error {
		if w.devices[id] == nil {
			return container.ErrAbsent
		}
		w.devices[id].rules = rulesText(rules)
		return nil
	})
}

func (w fakeGuests) ChangeDevices(_ context.Context, _ inside.Identity, first uint32, devices []bundles.Device, removed []string, _ string) error {
	return w.effect("change devices", func() error {
		for _, of := range w.devices {
			if of.first != first {
				continue
			}
			nodes := slices.DeleteFunc(strings.Split(of.nodes, ", "), func(text string) bool {
				path, _, _ := strings.Cut(text, " ")
				return path == "" || slices.Contains(removed, path) || slices.ContainsFunc(devices, func(d bundles.Device) bool { return d.Path == path })
			})
			if more := nodesText(devices); more != "" {
				nodes = append(nodes, more)
			}
			slices.Sort(nodes)
			of.nodes = strings.Join(nodes, ", ")
		}
		return nil
	})
}

// fakeHostDevices has every device but those whose path begins with /dev/no.
type fakeHostDevices struct{}

func (fakeHostDevices) Find(d vps.Device) ([]bundles.Device, error) {
	if strings.HasPrefix(d.Source, "/dev/no") {
		return nil, fail.New(fail.NotFound, "the host has no %s", d.Source)
	}
	node := bundles.Device{Path: d.Name(), Source: d.Source, Type: "b", Major: 8, Minor: int64(len(d.Source)), Mode: 0o660, Access: d.Access}
	if d.Source == "/dev/mem" {
		node.Type, node.Major, node.Minor = "c", 1, 1
	}
	if mode, ok := d.FileMode(); ok {
		node.Mode = mode
	}
	return []bundles.Device{node}, nil
}

func (fakeHostDevices) Uses(all []bundles.Device) (texts []string) {
	for _, d := range all {
		if d.Source == "/dev/sda" {
			texts = append(texts, "/dev/sda is mounted")
		}
	}
	return texts
}

// Devices of a running VPS change at once, rules and nodes, and all or none.
func TestChangeDevices(t *testing.T) {
	m, w, _ := changing(t)
	ctx := context.Background()
	var warned []string
	m.warn = func(text string) { warned = append(warned, text) }
	add := func(d vps.Device) error { return m.Change(ctx, "web", vps.AddDevice{Device: d}) }
	has := func(what, rules, nodes string) {
		t.Helper()
		if got := *w.devices["web"]; got.rules != rules || got.nodes != nodes {
			t.Errorf("%s: rules %q, nodes %q", what, got.rules, got.nodes)
		}
	}
	if err := errors.Join(add(vps.Device{Source: "/dev/sda", Path: "/dev/xvda", Access: "r"}), add(vps.Device{Source: "/dev/kvm", Mode: "0666"})); err != nil {
		t.Fatal(err)
	}
	const rules, nodes = "b8:8 r, b8:8 rwm", "/dev/kvm b8:8 666, /dev/xvda b8:8 660"
	has("two devices", rules, nodes)
	if len(warned) != 1 || !strings.Contains(warned[0], "/dev/sda is mounted") {
		t.Errorf("warnings: %q", warned)
	}
	for _, n := range []int{1, 2} {
		w.failAt = w.effects + n
		if err := m.Change(ctx, "web", vps.RemoveDevice{Name: "kvm"}); !errors.Is(err, errWorld) {
			t.Error(err)
		}
		w.failAt = 0
		has("after a failure", rules, nodes)
	}
	if err := m.Change(ctx, "web", vps.RemoveDevice{Name: "/dev/xvda"}); err != nil {
		t.Fatal(err)
	}
	has("one device", "b8:8 rwm", "/dev/kvm b8:8 666")
	for d, kind := range map[vps.Device]fail.Kind{
		{Source: "/dev/none"}: fail.NotFound, {Source: "/dev/mem"}: fail.Usage, {Source: "/dev/zero"}: fail.Usage,
	} {
		if err := add(d); !fail.Is(err, kind) {
			t.Errorf("%s: %v", d, err)
		}
	}
	if err := add(vps.Device{Source: "/dev/none", Optional: true}); err != nil {
		t.Error(err)
	}
	has("after refusals", "b8:8 rwm", "/dev/kvm b8:8 666")
}

// A device that has gone keeps a VPS from starting, and the error says how to
// take it off, unless it is optional.
func TestStartWithoutDevice(t *testing.T) {
	ctx := context.Background()
	m, w := newFake(t, t.TempDir())
	o := CreateOptions{Template: "t", Devices: []vps.Device{{Source: "/dev/none"}}}
	if _, err := m.Create(ctx, "web", o); !fail.Is(err, fail.NotFound) {
		t.Errorf("create: %v", err)
	}
	o.Devices[0].Optional = true
	if _, err := m.Create(ctx, "web", o); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := w.devices["web"].nodes; got != "" {
		t.Errorf("nodes: %s", got)
	}
	if err := m.Stop(ctx, "web", StopOptions{Fast: true}); err != nil {
		t.Fatal(err)
	}
	l, v, err := m.lockAndLoad(ctx, "web")
	if err != nil {
		t.Fatal(err)
	}
	v.Devices = []vps.Device{{Source: "/dev/none", Path: "/dev/y"}} // it was there at the time
	err = l.Put(v)
	l.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	err = m.Start(ctx, "web", StartOptions{})
	var e *fail.Error
	if !fail.Is(err, fail.Host) || !errors.As(err, &e) || e.Hint != "croft set web --device-del /dev/y" {
		t.Errorf("start: %v (%+v)", err, e)
	}
	if err := m.Change(ctx, "web", vps.RemoveDevice{Name: "/dev/y"}); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Error(err)
	}
}

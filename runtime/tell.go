package runtime

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/container"
	"croft/runtime/endreason"
	"croft/runtime/events"
	"croft/runtime/holder"
)

// Keys of Event.Attributes. EventAttributes has them all.
const (
	eventTemplate  = "template"
	eventAddresses = "addresses"
	eventAddress   = "address"
	eventInterface = "interface"
	eventBoot      = "boot"   // its number, as in croft logs --boot
	eventCount     = "count"  // of restarts by the policy
	eventReason    = "reason" // of an end: state.End
	eventStatus    = "status"
	eventDetail    = "detail"
	eventRequested = "requested" // yes: a command or the shutdown of the host has asked for the end
	eventOOM       = "out-of-memory"
	eventProcess   = "process" // the program that was killed last
	eventPID       = "pid"     // its process id inside
	eventMemory    = "memory-bytes"
	eventLimit     = "limit"   // which one was reached
	eventChanges   = "changes" // what was set, in words
	eventFrom      = "from"    // the former name
	eventUntil     = "until"   // when a kept VPS is deleted
	eventSnapshot  = "snapshot"
	eventHost      = "host" // the other host of a move
)

// EventAttributes returns all keys of Event.Attributes.
func EventAttributes() []string {
	return []string{eventTemplate, eventAddresses, eventAddress, eventInterface, eventBoot, eventCount, eventReason, eventStatus, eventDetail,
		eventRequested, eventOOM, eventProcess, eventPID, eventMemory, eventLimit, events.Total, events.UsedPercent, eventChanges, eventFrom, eventUntil, eventSnapshot, eventHost}
}

const yes = "yes"

// Events calls tell with the events of all VPSs, in the order in which they were
// recorded, and returns the first error of tell. With follow it continues with new ones
// until ctx is done; that is no error.
func (m *Manager) Events(ctx context.Context, follow bool, tell func(Event) error) error {
	log := m.events()
	switch {
	case !follow:
		return log.Read(tell)
	case m.readOnly:
		return fail.New(fail.NotFound, "there is nothing to follow: no VPS was ever created in %s", m.store.Root)
	}
	if err := os.MkdirAll(log.Dir, 0o700); err != nil {
		return fmt.Errorf("create the log of events: %w", err)
	}
	return log.Follow(ctx, tell)
}

func (m *Manager) events() events.Log { return events.Log{Dir: m.store.EventsDir()} }

// eventOf returns an event of v with attributes, which are keys and values in turn. An
// empty value is left out.
func eventOf(v vps.VPS, what string, attributes ...string) Event {
	e := Event{Time: time.Now().UTC(), Event: what, Name: v.Name, UUID: v.UUID, Attributes: map[string]string{}}
	for n := 0; n+1 < len(attributes); n += 2 {
		if attributes[n+1] != "" {
			e.Attributes[attributes[n]] = attributes[n+1]
		}
	}
	return e
}

// event records what has happened to v. A failure is a warning: what has happened is not
// undone because of it.
func (m *Manager) event(v vps.VPS, what string, attributes ...string) {
	if err := m.events().Append(eventOf(v, what, attributes...)); err != nil {
		m.warn(fmt.Sprintf("%s: croft events does not show that it was %s: %v", v.Name, what, err))
	}
}

// nameAndID returns a VPS with its name and, if its settings can be read, its UUID.
func (m *Manager) nameAndID(name vps.Name) vps.VPS {
	v, err := m.store.Get(name)
	if err != nil {
		return vps.VPS{Name: name}
	}
	return vps.VPS{Name: name, UUID: v.UUID}
}

// tellCreated records a new VPS, with more attributes.
func (m *Manager) tellCreated(i Info, more ...string) {
	var all []string
	for _, p := range i.Interfaces {
		all = append(all, p.Addresses...)
	}
	attributes := append([]string{eventTemplate, i.Template, eventAddresses, strings.Join(all, ",")}, more...)
	m.event(vps.VPS{Name: i.Name, UUID: i.UUID}, events.Created, attributes...)
}

// tellDestroyed records that v was destroyed, and can be restored for the time keep.
func (m *Manager) tellDestroyed(v vps.VPS, keep time.Duration) {
	if v.Creator.PID != 0 {
		return // it is not known yet
	}
	until := ""
	if keep > 0 {
		until = time.Now().UTC().Add(keep).Format(time.RFC3339)
	}
	m.event(v, events.Destroyed, eventUntil, until)
}

// tellStarted records that the init of v runs, and why it was started.
func (mon *monitor) tellStarted(v vps.VPS, run state.Run) {
	boot := strconv.Itoa(run.Boot)
	switch {
	case mon.how != monitorEnded:
		mon.event(v, events.Started, eventBoot, boot)
	case mon.restarts:
		mon.event(v, events.Restarted, eventBoot, boot, eventCount, strconv.Itoa(run.Restarts.Count))
	default:
		mon.event(v, events.Rebooted, eventBoot, boot)
	}
}

// holderEvents puts into c what the holder of v, with the files in h, records in the log
// of events.
func (mon *monitor) holderEvents(v vps.VPS, h *held, c *holder.Config) (err error) {
	c.Alarm = holder.None
	if c.Events, c.Event, err = mon.events().WhenBooted(eventOf(v, events.Booted)); err != nil {
		return err
	}
	if err := mon.watchDisk(v, h, c); err != nil {
		mon.warn(fmt.Sprintf("%s: croft events will not show when its disk is nearly full: %v", v.Name, err))
	}
	watched, err := mon.containers.Watched(string(v.Name))
	if err != nil {
		mon.warn(fmt.Sprintf("%s: croft events will not show when it lacks memory: %v", v.Name, err))
		return nil
	}
	c.MemoryCgroup = watched.MemoryCgroup
	if h.alarm = watched.Alarm; h.alarm != nil {
		c.Alarm = int(h.alarm.Fd())
	}
	for _, w := range []struct {
		counter container.Counter
		event   Event
		message string
	}{
		{watched.OOMKills, eventOf(v, events.OutOfMemory), ""},
		{watched.PIDHits, eventOf(v, events.LimitReached, eventLimit, "pids"), "croft: the limit of processes and threads (--pids) was reached; refused since the start: "},
	} {
		text, err := events.WhenCounted(w.event, events.Total)
		if err != nil {
			return err
		}
		c.Counts = append(c.Counts, holder.Count{File: w.counter.File, Key: w.counter.Key, Event: text, Message: w.message})
	}
	return nil
}

// watchDisk makes the holder of v, with the files in h, record that the disk of v is nearly
// full. No-op without a limit.
func (mon *monitor) watchDisk(v vps.VPS, h *held, c *holder.Config) error {
	if !v.Disk.Limited() {
		return nil
	}
	root, err := mon.rootfs(v)
	if err != nil {
		return err
	}
	text, err := events.WhenCounted(eventOf(v, events.DiskNearlyFull), events.UsedPercent)
	if err != nil {
		return err
	}
	if h.disk, err = mon.rootfses.OpenDir(root); err != nil {
		return err
	}
	c.Disk = holder.Disk{FD: int(h.disk.Fd()), Event: text}
	return nil
}

// tellStopped records the end of v.
func (m *Manager) tellStopped(v vps.VPS, end state.End, requested bool) {
	status, asked, oom := strconv.Itoa(end.Status), "", ""
	if end.Reason == endreason.Unknown {
		status = ""
	}
	if requested {
		asked = yes
	}
	if end.OutOfMemory {
		oom = yes
	}
	m.event(v, events.Stopped, eventReason, end.Reason, eventStatus, status, eventDetail, end.Detail, eventRequested, asked, eventOOM, oom)
}

// tell records a change: what was set, and each address, also of interfaces that were
// added and removed.
func (c *change) tell() {
	if c.was.Creator.PID != 0 {
		return // the VPS is not known yet
	}
	c.event(c.now.VPS, events.Changed, eventChanges, strings.Join(vps.Words(c.edits...), "; "))
	tell := func(what, at string, addresses []netip.Addr) {
		for _, a := range addresses {
			c.event(c.now.VPS, what, eventAddress, a.String(), eventInterface, at)
		}
	}
	for _, a := range c.moves() {
		tell(events.AddressAdded, a.at.Name, a.added)
		tell(events.AddressRemoved, a.at.Name, a.removed)
	}
	for _, i := range c.attached() {
		for _, p := range c.now.plugs {
			if p.Plan.Interface == i.Name {
				tell(events.AddressAdded, i.Name, p.Claim.Addresses)
			}
		}
	}
	for _, i := range c.detached() {
		tell(events.AddressRemoved, i.Name, i.Addresses)
	}
}

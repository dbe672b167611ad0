package host

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"croft/network"
)

// The kernel counts the changes of nf_tables in a network namespace: its generation
// (NFT_MSG_GETGEN, net/netfilter/nf_tables_api.c). croft notes which networks were right at
// which generation. At the same generation nothing of them has to be read again, however
// many VPSs there are. A start or a stop of a VPS is one change. croft counts it: it takes the
// lock, makes sure that the generation is the noted one, and that it is one more afterwards.
// Any change of others, and any change of croft that is not counted, ends the series. The next
// start compares all rules, and begins a new series.

// generation returns the generation of nf_tables in the network namespace of the calling
// thread.
func generation() (uint32, error) {
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, 0)
	req.AddData(&nl.Nfgenmsg{Version: nl.NFNETLINK_V0})
	replies, err := req.Execute(unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN)
	if err != nil {
		return 0, classify("read the generation of nf_tables", err)
	}
	for _, reply := range replies {
		attrs, err := nl.ParseRouteAttr(reply[nl.SizeofNfgenmsg:])
		if err != nil {
			return 0, classify("read the generation of nf_tables", err)
		}
		for _, a := range attrs {
			if a.Attr.Type == unix.NFTA_GEN_ID && len(a.Value) == 4 {
				return binary.BigEndian.Uint32(a.Value), nil
			}
		}
	}
	return 0, errors.New("cannot read the generation of nf_tables: the kernel's answer has none")
}

// A series is a number of changes of nf_tables that all are counted.
type series struct {
	place string // the boot of the host and the network namespace
	id    string
	last  uint32 // the generation after the last change
}

func (s series) text() string { return fmt.Sprintf("%s\n%s\n%d\n", s.place, s.id, s.last) }

// parseSeries returns the zero series for a text that is not one.
func parseSeries(text string) series {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return series{}
	}
	s := series{place: lines[0], id: lines[1]}
	if n, err := fmt.Sscanf(lines[2], "%d", &s.last); n != 1 || err != nil {
		return series{}
	}
	return s
}

// place returns what identifies the network namespace of the calling thread, also after it
// and its number are gone. It is "" if that is not known (SO_NETNS_COOKIE, kernel 5.14).
func place() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s %d", strings.TrimSpace(string(boot)), cookie)
}

func (h *Host) seriesFile() string { return h.noteFile("series") }

func (h *Host) rightFile(name string) string { return h.noteFile(name + "-right") }

// noteFile is a file with notes about the network namespace of the calling thread. It is ""
// if none is kept.
func (h *Host) noteFile(kind string) string {
	var st unix.Stat_t
	if h.Seen == "" || unix.Stat("/proc/thread-self/ns/net", &st) != nil {
		return ""
	}
	return filepath.Join(h.Seen, fmt.Sprintf("%s-%d", kind, st.Ino))
}

// series returns the series that has not ended, and false if there is none.
func (h *Host) series() (series, bool) {
	file := h.seriesFile()
	if file == "" {
		return series{}, false
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return series{}, false
	}
	s := parseSeries(string(text))
	now, err := generation()
	return s, err == nil && s.id != "" && s.last == now && s.place == place()
}

// count makes the change that is queued, and counts it if the series goes on. The change must
// be one of the kernel too: a generation that others have raised would count as the own.
func (h *Host) count() error {
	unlock, err := h.lock(context.Background())
	if err != nil {
		return err
	}
	defer unlock()
	s, goesOn := h.series()
	if err := h.nft.Flush(); err != nil || !goesOn {
		return err
	}
	if now, err := generation(); err == nil && now == s.last+1 {
		s.last = now
		h.note(h.seriesFile(), s.text())
	}
	return nil
}

// note writes a note. An error is ignored: what it is about is compared again then. So is
// one that is written half.
func (h *Host) note(file, text string) {
	if err := os.MkdirAll(h.Seen, 0o700); err == nil {
		_ = os.WriteFile(file, []byte(text), 0o600)
	}
}

// isRight reports whether the filters and the rules of p are right, and those of the ports
// that are plugged in, because nothing has changed since they were.
func (h *Host) isRight(p network.HostPlan) bool {
	s, goesOn := h.series()
	if !goesOn {
		return false
	}
	text, err := os.ReadFile(h.rightFile(p.Network))
	if err != nil {
		return false
	}
	want, err := h.rightText(s, p)
	return err == nil && string(text) == want
}

// noteRightSince notes that p is right, if nothing has changed since the generation began,
// before it was compared. Rules of an iptables that does not use nf_tables are not known to the
// generation. So a network with such rules is not noted.
func (h *Host) noteRightSince(began uint32, p network.HostPlan) error {
	for _, six := range []bool{false, true} {
		if len(p.RulesOf(six)) > 0 && h.rulesInKernel(six) == "" {
			return nil
		}
	}
	unlock, err := h.lock(context.Background())
	if err != nil {
		return err
	}
	defer unlock()
	s, goesOn := h.series()
	if !goesOn {
		now, err := generation()
		if err != nil || now != began {
			return err
		}
		s = series{place: place(), id: uuid.NewString(), last: began}
		if s.place == "" || h.seriesFile() == "" {
			return nil
		}
		h.note(h.seriesFile(), s.text())
	} else if s.last != began {
		return nil
	}
	text, err := h.rightText(s, p)
	if err != nil {
		return err
	}
	h.note(h.rightFile(p.Network), text)
	return nil
}

// rightText is the note that p is right in a series, with the bridge that is there. A bridge
// that is down has lost routes and neighbours, and a new one has no ports. The ports of p are
// not part of the note: croft plugs in each of them itself.
func (h *Host) rightText(s series, p network.HostPlan) (string, error) {
	p.Ports = nil
	bridge := 0
	if p.Bridge != "" {
		link, err := h.nl.LinkByName(p.Bridge)
		if err != nil {
			return "", classify("find bridge "+p.Bridge, err)
		}
		if link.Attrs().Flags&net.FlagUp != 0 {
			bridge = link.Attrs().Index
		}
	}
	return fmt.Sprintf("%s\n%x\nbridge %d\n", s.id, sha256.Sum256([]byte(p.String())), bridge), nil
}

package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"croft/network"
)

// keepRouterAdvertisements makes every link that accepts router advertisements
// keep accepting them when it forwards. That needs an accept_ra of 2
// (Documentation/networking/ip-sysctl.rst). "default" is included, for later
// links. A link that forwards already does not accept them, and is not changed.
func keepRouterAdvertisements() error {
	conf := "net/ipv6/conf"
	entries, err := os.ReadDir(procSys + conf)
	if err != nil {
		return classify("list interfaces with IPv6", err)
	}
	for _, e := range entries {
		if e.Name() == "all" || e.Name() == "lo" || strings.HasPrefix(e.Name(), network.LinkPrefix) {
			continue
		}
		err := keepListening(filepath.Join(conf, e.Name()))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // else it went away meanwhile
			return err
		}
	}
	return nil
}

func keepListening(conf string) error {
	forwards, err := readSysctl(conf + "/forwarding")
	if err != nil || forwards != "0" {
		return err
	}
	accepts, err := readSysctl(conf + "/accept_ra")
	if err != nil || accepts != "1" {
		return err
	}
	_, err = setSysctl(network.Sysctl{Key: conf + "/accept_ra", Value: "2"})
	return err
}

package network

import (
	"croft/internal/fail"
	"croft/internal/vps"
)

// SetMAC gives owner's interface the MAC mac. fail.Usage: interfaces of the network have
// no MAC that croft chooses. fail.Taken: another interface of the network, or its gateway, has
// the MAC. On error it records nothing. No-op if the interface has it.
func (t *Table) SetMAC(owner vps.Name, iface, mac string) error {
	i, err := t.claim(owner, iface)
	if err != nil {
		return err
	}
	if t.Claims[i].MAC == mac {
		return nil
	}
	if t.Claims[i].MAC == "" {
		return fail.New(fail.Usage, "network %q (mode %s) gives its interfaces no MAC", t.Name, t.Mode)
	}
	if _, err := ParseMAC(mac); err != nil {
		return fail.New(fail.Usage, "%w", err)
	}
	if mac == t.MAC {
		return fail.New(fail.Taken, "MAC %s belongs to the gateway of network %s", mac, t.Name)
	}
	for _, o := range t.Claims {
		if o.MAC == mac {
			return fail.New(fail.Taken, "MAC %s belongs to %s", mac, o.Owner)
		}
	}
	t.Claims[i].MAC = mac
	return nil
}

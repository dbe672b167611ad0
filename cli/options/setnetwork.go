package options

import (
	"slices"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/vps"
	"croft/runtime"
)

// setNetworkOptions returns the options of set about interfaces.
func setNetworkOptions() []cmdline.Option {
	return []cmdline.Option{
		{Name: "network-add", Placeholder: attachment, Many: true, Kind: command.NetworkNames, Usage: "attach a network; may be repeated"},
		{Name: "network-del", Placeholder: "NETWORK", Many: true, Kind: command.NetworksOfVPS, Usage: "detach a network, or the interface of that name; may be repeated"},
		{Name: "ip-add", Placeholder: "[INTERFACE:]ADDRESS", Many: true, Usage: "add an address; may be repeated"},
		{Name: "ip-del", Placeholder: "[INTERFACE:]ADDRESS", Many: true, Kind: command.AddressesOfVPS, Usage: "remove an address; may be repeated"},
		setPublishOption(),
	}
}

// attachment is the form of a network of a VPS, for help.
const attachment = "NETWORK[:OPTION,...]"

// NetworkAbout is the help of verbs with networks.
const NetworkAbout = `A NETWORK can have options after a colon, for example dmz:name=lan0,ip=10.20.0.9:

  name=NAME      of the interface inside (default: eth0, eth1 and so on)
  mac=MAC        of the interface (default: one that croft chooses)
  ip=ADDRESS     of the interface (default: the next free one); may be repeated`

// networkEdits reads --network-add and --network-del. The removals come first, so one
// network can take the place of another.
func networkEdits(i *command.Invocation) []vps.Edit {
	var edits []vps.Edit
	for _, name := range command.GetMany(i, "network-del", values.NetworkOrInterface) {
		edits = append(edits, vps.RemoveInterface{Name: name})
	}
	for _, a := range command.GetMany(i, "network-add", values.NetworkAttachment) {
		if a.Network == runtime.NoNetwork && i.Err == nil {
			i.Err = command.UsageError("--network-add: none is not a network: use --network-del")
		}
		edits = append(edits, vps.AddInterface(a))
	}
	return edits
}

// newNetworks reads --network of a new VPS.
func newNetworks(i *command.Invocation) []vps.AddInterface {
	var all []vps.AddInterface
	for _, a := range command.GetMany(i, "network", values.NetworkAttachment) {
		all = append(all, vps.AddInterface(a))
	}
	return all
}

// addressEdits reads the options of addresses. The removals come first: a file can name
// the interface of an address that the VPS has.
func addressEdits(i *command.Invocation) []vps.Edit {
	add, remove := command.GetMany(i, "ip-add", values.AddressAt), command.GetMany(i, "ip-del", values.AddressAt)
	var edits []vps.Edit
	for _, a := range remove {
		if slices.Contains(add, a) && i.Err == nil {
			i.Err = command.UsageError("--ip-add and --ip-del: both have %s", vps.AddAddress(a).Text())
		}
		edits = append(edits, vps.RemoveAddress(a))
	}
	for _, a := range add {
		edits = append(edits, vps.AddAddress(a))
	}
	return edits
}

package cli

import (
	"slices"

	"croft/cli/cmdline"
	"croft/cli/values"
	"croft/internal/vps"
)

// setNetworkOptions returns the options of set about interfaces.
func setNetworkOptions() []cmdline.Option {
	return []cmdline.Option{
		{Name: "ip-add", Placeholder: "[INTERFACE:]ADDRESS", Many: true, Usage: "add an address; may be repeated"},
		{Name: "ip-del", Placeholder: "[INTERFACE:]ADDRESS", Many: true, Kind: addressesOfVPS, Usage: "remove an address; may be repeated"},
		setPublishOption(),
	}
}

// addressEdits reads the options of addresses. The removals come first: a file can name
// the interface of an address that the VPS has.
func addressEdits(i *invocation) []vps.Edit {
	add, remove := getMany(i, "ip-add", values.AddressAt), getMany(i, "ip-del", values.AddressAt)
	var edits []vps.Edit
	for _, a := range remove {
		if slices.Contains(add, a) && i.Err == nil {
			i.Err = usageError("--ip-add and --ip-del: both have %s", vps.AddAddress(a).Text())
		}
		edits = append(edits, vps.RemoveAddress(a))
	}
	for _, a := range add {
		edits = append(edits, vps.AddAddress(a))
	}
	return edits
}
